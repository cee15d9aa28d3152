"""The names of the four terms of the LCFCN loss (Laradji et al., ECCV 2018, section 3.1)."""

TERMS = ("image_level", "point_level", "split_level", "false_positive")
