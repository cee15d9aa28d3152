"""Networks, as plain `torch.nn.Module`s: from images (N, 3, H, W) to logits (N, C, H, W) of the same size."""
