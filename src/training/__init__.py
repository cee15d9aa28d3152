"""How an experiment is trained: devices, processes, loaders, optimizers, progress, checkpoints, curves."""
