"""Scores of predictions against the clicks."""
