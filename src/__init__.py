"""Data sets, models and the training of LCFCN; the library itself is the package `lcfcn`."""
