"""The networks, as plain `torch.nn.Module`s: (N, 3, H, W) images to (N, C, H, W) logits of the same size."""
