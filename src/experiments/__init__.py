"""Experiments: their settings and checks, their folders, the recipe that chooses settings, their jobs."""
