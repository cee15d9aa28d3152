"""The options of the command lines that say what a source of annotations leaves open."""

import argparse
import math


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, see `src.annotations.base.Options`."""
    group = parser.add_argument_group("what a source may leave open")
    group.add_argument("--format", metavar="NAME", help="the format, if several fit: csv_points, labelme and so on")
    group.add_argument(
        "--columns",
        type=read_columns,
        metavar="MEANING=HEADER,...",
        help="what the columns of a table are: image=...,x=...,y=... (and class=..., size=...), or boxes by "
        "xmin,ymin,xmax,ymax, by xmin,ymin,width,height or by cx,cy,width,height; a number counts columns from 1, for "
        "a table without a header",
    )
    group.add_argument(
        "--units",
        choices=("pixels", "fraction", "micrometres"),
        help="of a table's coordinates; a fraction is one of the image's size",
    )
    group.add_argument(
        "--pixel-size",
        type=_read_length,
        metavar="UM",
        help="side of a pixel in micrometres, if the image does not say it",
    )
    group.add_argument(
        "--orientation",
        choices=("stored", "shown"),
        help="stored: the tool ignores EXIF orientation; shown: it turns the image",
    )
    group.add_argument(
        "--regions",
        choices=("drop", "keep"),
        help="drop outlines around other objects, or keep them as objects (default drop)",
    )


def source_options(args: argparse.Namespace) -> dict[str, object]:
    """Return the options that the command line gives, by name."""
    names = ("format", "columns", "units", "pixel_size", "orientation", "regions")
    return {name: getattr(args, name) for name in names}


def read_columns(text: str) -> dict[str, str]:
    """Read meanings and headers.

    >>> read_columns("image=photo,x=left edge")
    {'image': 'photo', 'x': 'left edge'}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    found = {meaning.strip(): header.strip() for meaning, _, header in pairs}
    unknown = sorted(set(found) - set(MEANINGS))
    if len(found) < len(pairs) or unknown or not all(found.values()):
        what = f"{unknown[0]!r} is none of {', '.join(MEANINGS)}" if unknown else f"{text!r} is wrong"
        raise argparse.ArgumentTypeError(f"{what}; expected MEANING=HEADER,... such as image=photo,x=column,y=row")
    return found


MEANINGS = ("image", "class", "size", "x", "y", "xmin", "ymin", "xmax", "ymax", "width", "height", "cx", "cy")


def _read_length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"it is {text!r}; expected micrometres above 0")
    return value
