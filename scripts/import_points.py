"""Make a data set of images and clicks from annotations: python scripts/import_points.py SOURCE -o NEW.

The format is recognised by the content of SOURCE. Boxes, polygons, circles and masks become a click at their centre,
and keep their size. What a format or a table does not say itself is said by an option: --format, --columns, --units,
--pixel-size, --orientation, --regions.
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402


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
    _add_options(parser)
    args = parser.parse_args(argv)
    for name in ("val", "test"):
        share = getattr(args, name)
        if not (0 <= share < 1 or (share >= 1 and share.is_integer())):
            parser.error(f"--{name} is {share:g}; expected a fraction below 1 or a whole number")
    return args


def _add_options(parser: Parser) -> None:
    """Add what a source may leave open, see `src.annotations.base.Options`."""
    group = parser.add_argument_group("what a source may leave open")
    group.add_argument("--format", metavar="NAME", help="where several formats fit: one of the names below")
    group.add_argument(
        "--columns",
        type=columns,
        metavar="MEANING=HEADER,...",
        help="what the columns of a table are: image=...,x=...,y=... (and class=..., size=...), or boxes by "
        "xmin,ymin,xmax,ymax, by xmin,ymin,width,height or by cx,cy,width,height; a number counts columns from 1, for "
        "a table without a header",
    )
    group.add_argument(
        "--units",
        choices=("pixels", "fraction", "micrometres"),
        help="of a table's coordinates (fraction: of the size)",
    )
    group.add_argument(
        "--pixel-size", type=_above_0, metavar="UM", help="side of a pixel, for images that do not say it"
    )
    group.add_argument(
        "--orientation",
        choices=("stored", "shown"),
        help="stored: the tool ignores EXIF orientation; shown: it turns the image",
    )
    group.add_argument(
        "--regions",
        choices=("drop", "keep"),
        help="an outline around other objects is no object, or one (default drop)",
    )


def columns(text: str) -> dict[str, str]:
    """Read meanings and headers, such as image=photo,x=left."""
    pairs = [part.partition("=") for part in text.split(",")]
    found = {meaning.strip(): header.strip() for meaning, _, header in pairs}
    if len(found) < len(pairs) or not all(found) or not all(found.values()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is wrong; expected MEANING=HEADER pairs such as image=photo,x=col,y=row"
        )
    return found


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"it is {text!r}; expected micrometres above 0")
    return value


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
        options=Options(
            format=args.format,
            orientation=args.orientation,
            columns=args.columns,
            units=args.units,
            pixel_size=args.pixel_size,
            regions=args.regions,
        ),
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
