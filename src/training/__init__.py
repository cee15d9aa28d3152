"""Train an experiment: devices, processes, loaders, optimizers, progress, checkpoints, curves."""
