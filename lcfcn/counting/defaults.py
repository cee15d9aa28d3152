"""Defaults and choices of the command lines. This module imports nothing, so that --help is quick."""

PRECISIONS = {"32": "float32", "bf16": "bfloat16", "16": "float16"}
"""The choices of `--precision`, with their names in torch."""
TILE = 1536
"""The largest side, in pixels, of an image that the network gets at once. Larger images run in tiles."""
MAX_PIXELS = 500_000_000
"""An image is refused if its header claims more pixels."""
MAX_FRAMES = 100_000
"""A file with more frames is refused where all frames are asked for."""
IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".dcm", ".dicom", ".gif", ".heic", ".heif", ".ima", ".jfif", ".jpe", ".jpeg", ".jpg", ".png"),
    *(".tif", ".tiff", ".webp"),
)
"""The ends of file names that count as images in a folder."""
UNREAD_SUFFIXES = (
    *(".ai", ".arw", ".bif", ".cr2", ".cr3", ".czi", ".dng", ".eps", ".exr", ".fit", ".fits", ".flex", ".hdr", ".icns"),
    *(".ico", ".ims", ".j2k", ".jp2", ".jpf", ".jpx", ".jxl", ".jxr", ".lif", ".lsm", ".mha", ".mhd", ".mrc", ".mrxs"),
    *(".nd2", ".ndpi", ".nef", ".nii", ".nrrd", ".oib", ".oif", ".oir", ".orf", ".pam", ".pbm", ".pcx", ".pef", ".pgm"),
    *(".pnm", ".ppm", ".psb", ".psd", ".qptiff", ".raf", ".rw2", ".scn", ".sgi", ".srw", ".stk", ".svg", ".svs"),
    *(".tga", ".vsi", ".xcf", ".zvi"),
)
"""File names of images that are not read. A folder's are named, so that nobody thinks that they were counted."""
EXPORTS = ("cvat", "geojson", "labelme")
"""The choices of `--export`."""
CHECKPOINT_HELP = "a checkpoint, an experiment's folder, or the name of ready weights"
