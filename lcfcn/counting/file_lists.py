"""Find the image files that paths, folders and patterns name."""

import glob
import os
from pathlib import Path

from lcfcn.counting.defaults import IMAGE_SUFFIXES
from lcfcn.errors import UserError


def find_images(arguments: list[str], *, out: Path | None = None, recursive: bool = False) -> dict[str, Path]:
    """Return the images that the arguments name, sorted, by their posix paths relative to their common folder.

    Parameters
    ----------
    arguments : list of str
        Image files, folders, or glob patterns.
    out : Path, optional
        A folder whose files are left out, since overlays of an earlier run are no images to count on.
    recursive : bool
        Look into sub-folders too.

    Raises
    ------
    UserError
        If an argument names no image.
    """
    found: set[str] = set()
    for argument in arguments:
        files = [os.path.abspath(file) for file in _files_of(argument, recursive)]
        if out is not None:
            files = [file for file in files if not Path(file).is_relative_to(os.path.abspath(out))]
        if not files:
            raise UserError(
                f"{argument} names no image; expected an image file, a folder with images ({' '.join(IMAGE_SUFFIXES)}) "
                "or a pattern in quotes: check it, or give --recursive for sub-folders"
            )
        found.update(files)
    common = os.path.commonpath([os.path.dirname(file) for file in found])
    return {Path(os.path.relpath(file, common)).as_posix(): Path(file) for file in sorted(found)}


def _files_of(argument: str, recursive: bool) -> list[str]:
    if os.path.isfile(argument):
        return [argument]
    if not os.path.isdir(argument):
        named = sorted(glob.glob(argument, recursive=True))
        return [file for file in named if os.path.isfile(file) and _is_image(Path(file))]
    files = sorted(Path(argument).rglob("*") if recursive else Path(argument).iterdir())
    return [str(file) for file in files if _is_image(file) and file.is_file()]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
