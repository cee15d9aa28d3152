"""What an experiment is: its settings and their checks, its folder, the recipe that chooses settings, its jobs."""
