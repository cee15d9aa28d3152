"""Ready weights: a small file that counts, with its card."""
