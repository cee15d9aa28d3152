"""The files of the project's own data set, and the names of data sets and splits. This module imports nothing."""

DATASET_NAMES = ("trancos", "shanghai", "synthetic", "points")
"""The data sets that `src.datasets` reads."""

SPLITS = ("train", "val", "test")
IMAGES, POINTS, SPLIT_LIST = "images", "points.csv", "splits.csv"
"""A folder of images, a table with a row for each click, and a table with a row for each annotated image."""
POINTS_HEADER, SPLITS_HEADER = ("image", "x", "y", "class"), ("image", "split")
SIZE = "size"
"""An optional column of points.csv: the object's diameter in pixels."""
