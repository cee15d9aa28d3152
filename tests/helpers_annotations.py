"""Small sources of annotations, built file by file, and what the import makes of them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lcfcn.errors import UserError, one_line
from src.annotations.base import Options
from src.annotations.importing import Imported, read_source
from src.annotations.splits import Splitting

HEIGHT, WIDTH = 80, 120
"""The size of images unless a test names another."""


def save_image(path, size=(HEIGHT, WIDTH), orientation=None):
    """Write an image of (height, width) as stored, with an EXIF orientation if one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    Image.new("RGB", size[::-1], (0, 90, 60)).save(path, exif=exif)
    return path


def save_tiff(path, shape=(HEIGHT, WIDTH), **options):
    """Write a TIFF, which `options` of tifffile describe, such as imagej=True."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros(shape, np.uint8), **options)
    return path


def put(path, content):
    """Write text, bytes, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(*rows, separator=","):
    """Return rows as CSV, with quotes where they are needed."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def imported(source: Path, images: Path | None = None, **options) -> Imported:
    """Import a source without writing anything. `options` are those of the command line."""
    return read_source(source, source.parent / "nowhere", Splitting(0, 0), images, None, Options(**options))


def points(source: Path, images: Path | None = None, **options) -> dict[str, list[tuple]]:
    """Return x, y and class of each click, by image."""
    found = imported(source, images, **options)
    return {image.name: [(round(c.x, 9), round(c.y, 9), c.class_name) for c in image.xy] for image in found.images}


def refusal(source: Path, images: Path | None = None, **options) -> str:
    """Return the one line that a source is refused with."""
    with pytest.raises(UserError) as caught:
        imported(source, images, **options)
    assert one_line(caught.value) == str(caught.value)
    return str(caught.value)
