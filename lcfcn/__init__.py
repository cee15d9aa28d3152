"""LCFCN: count and locate objects from one click each.

Laradji et al., "Where are the Blobs: Counting by Localization with Point Supervision", ECCV 2018
(https://arxiv.org/abs/1807.09856).
"""
