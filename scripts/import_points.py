"""Make a dataset of images and clicks from what annotation tools write: python scripts/import_points.py SOURCE -o NEW.

The format is recognised by what is in SOURCE. Coordinates are those of the image as viewers show it, EXIF rotation
applied. Whatever has an extent (box, polygon, circle) is clicked in the centre of its bounding box.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402

EPILOG = """Formats: CSV, labelme, CVAT for images 1.1, VIA, Label Studio, COCO, YOLO, Pascal VOC, ImageJ, napari,
QuPath, ShanghaiTech, NWPU-Crowd, dot images, instance masks. The README's how-to has the details of each."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="file or folder of annotations")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DATASET", help="the dataset to write")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the images lie (default: where SOURCE lies)")
    parser.add_argument("--copy", action="store_true", help="copy the images, where links are the default")
    parser.add_argument("--overwrite", action="store_true", help="replace a dataset that lies there")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="leave other classes out")
    parser.add_argument(
        "--val", type=float, default=0.1, help="images to validate on: fraction or number (default 0.1)"
    )
    parser.add_argument("--test", type=float, default=0.1, help="images to test on: fraction or number (default 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="of the random splits (default 0)")
    parser.add_argument(
        "--group-by",
        metavar="REGEX",
        help="images whose names match it with the same text (of its first group, if it has one) share a split",
    )
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="CSV with image,split (train, val or test) instead of random splits; other images are left out",
    )
    args = parser.parse_args(argv)
    for name in ("val", "test"):
        share = getattr(args, name)
        if not (0 <= share < 1 or (share >= 1 and share.is_integer())):
            parser.error(f"--{name} is {share:g}; expected a fraction below 1 or a whole number")
    return args


def run(args: argparse.Namespace) -> None:
    """Import, and print what was found and written."""
    from src.annotations import importing  # numpy and the readers take a while, and --help need not wait for them

    importing.run(args)


def main(argv: list[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    args = parse_args(argv)
    return run_main("import_points.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
