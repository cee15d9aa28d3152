"""What command lines offer, apart from where it is used: that is slow to import."""

PRECISIONS = {"32": "float32", "bf16": "bfloat16", "16": "float16"}
"""Of the network, with torch's names."""
TILE = 1536
"""Side of what the trunk is given at once when it predicts, in pixels."""
MAX_PIXELS = 500_000_000
"""Larger images are refused by their header."""
CHECKPOINT_HELP = "a checkpoint, an experiment's folder, or the name of ready weights in results/weights"
