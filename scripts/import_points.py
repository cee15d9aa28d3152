"""Make a data set of images and clicks from annotations: python scripts/import_points.py SOURCE -o NEW.

The format is recognised by the content of SOURCE. Boxes, polygons, circles and masks become a click at their centre,
and keep their size. What a format or a table does not say itself is said by an option: --format, --columns, --units,
--pixel-size, --orientation, --regions.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402
from src.readers.command_line import add_source_options, source_options  # noqa: E402


class FormatsHelp(argparse.RawDescriptionHelpFormatter):
    """Help that lists the formats at the end."""

    def format_help(self) -> str:
        """Return the help; only now are the readers imported, which takes half a second."""
        from src.annotations import FORMATS, format_name

        lines = (f"{format_name(module):<14} {module.NAME}" for module in FORMATS)
        return "\n  ".join([f"{super().format_help()}\nformats:", *lines]) + "\n"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, formatter_class=FormatsHelp, allow_abbrev=False)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="file or folder of annotations")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DATASET", help="the data set to write")
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the images are (default: where SOURCE is)")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking to them")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set that is there")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="keep these classes only")
    parser.add_argument(
        "--val", type=float, default=0.1, help="images to validate on: fraction or number (default 0.1)"
    )
    parser.add_argument("--test", type=float, default=0.1, help="images to test on: fraction or number (default 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="of the random splits (default 0)")
    parser.add_argument(
        "--group-by",
        metavar="REGEX",
        help="images share a split if it matches the same text (of its first group, if it has one) in their names",
    )
    parser.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="CSV with image,split (train, val or test) instead of random splits; other images are left out",
    )
    add_source_options(parser)
    args = parser.parse_args(argv)
    for name in ("val", "test"):
        share = getattr(args, name)
        if not (0 <= share < 1 or (share >= 1 and share.is_integer())):
            parser.error(f"--{name} is {share:g}; expected a fraction below 1 or a whole number")
    return args


def run(args: argparse.Namespace) -> None:
    """Import, and print what was found and written."""
    from src.annotations.base import Options
    from src.annotations.importing import import_annotations, report
    from src.annotations.splits import Splitting

    found = import_annotations(
        args.source,
        args.output,
        Splitting(args.val, args.test, args.seed, args.group_by, args.splits),
        image_root=args.images,
        classes=args.classes,
        options=Options(**source_options(args)),
        copy=args.copy,
        overwrite=args.overwrite,
    )
    print(report(found, args.output))


def main(argv: list[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    args = parse_args(argv)
    return run_main("import_points.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
