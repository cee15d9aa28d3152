"""Defaults of the command lines. They stand apart from the code that uses them, since that is slow to import."""

PRECISIONS = {"32": "float32", "bf16": "bfloat16", "16": "float16"}
"""Choices of `--precision`, with torch's names."""
TILE = 1536
"""Largest side, in pixels, of the image that the network gets at once. Larger images run in tiles."""
MAX_PIXELS = 500_000_000
"""An image whose header claims more pixels is refused."""
IMAGE_SUFFIXES = (".bmp", ".dcm", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""File names that count as images where a folder is given."""
EXPORTS = ("cvat", "geojson", "labelme")
"""Choices of `--export`."""
CHECKPOINT_HELP = "a checkpoint, an experiment's folder, or the name of ready weights"
