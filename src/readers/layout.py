"""The files of the project's own data set, and the names of the splits of any data set."""

SPLITS = ("train", "val", "test")
IMAGES, POINTS, SPLIT_LIST = "images", "points.csv", "splits.csv"
"""A folder of images; a table with a row a click; a table with a row an annotated image."""
POINTS_HEADER, SPLITS_HEADER = ("image", "x", "y", "class"), ("image", "split")
