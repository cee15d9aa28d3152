"""Find the image files that paths, folders and patterns name, and the frames in them."""

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lcfcn.counting.defaults import IMAGE_SUFFIXES, MAX_FRAMES, UNREAD_SUFFIXES
from lcfcn.counting.image_formats import kind_of_file
from lcfcn.errors import UserError

_MAC_FOLDER = "__MACOSX"  # in archives, with files that are named like images and are none
_DICOM_INDEX = "DICOMDIR"
_SHOWN = 5  # names in a remark
_LOOKED_AT = 100_000  # files in sub-folders that are not asked for


def find_images(
    arguments: list[str], *, out: Path | None = None, recursive: bool = False, remarks: list[str] | None = None
) -> dict[str, Path]:
    """Return the images that the arguments name, sorted, by their posix paths relative to their common folder.

    In a folder, image files are known by their suffix, and files without a suffix by their content. Hidden files and
    folders are left out.

    Parameters
    ----------
    arguments : list of str
        Image files, folders, or glob patterns.
    out : Path, optional
        A folder whose files are left out, since overlays of an earlier run are no images to count on.
    recursive : bool
        Look into sub-folders too.
    remarks : list of str, optional
        Gets a line about images in sub-folders that were not asked for, and one about images that cannot be read.

    Raises
    ------
    UserError
        If an argument names no image.
    """
    found: dict[str, str] = {}
    unread: dict[str, str] = {}
    below: dict[str, str] = {}
    for argument in arguments:
        files = _without(out, _files_of(argument, recursive))
        images = files if os.path.isfile(argument) else {path: file for path, file in files.items() if _is_image(file)}
        unread |= {path: file for path, file in files.items() if path not in images and _is_unread(file)}
        if not images:
            raise UserError(_no_image(argument, unread))
        found |= images
        if os.path.isdir(argument) and not recursive:
            below |= _without(out, _files_below(argument))
    if remarks is not None:
        remarks += _left_out({path: file for path, file in below.items() if path not in found}, unread)
    common = os.path.commonpath([os.path.dirname(path) for path in found])
    return {Path(os.path.relpath(path, common)).as_posix(): Path(path) for path in sorted(found)}


def all_frames(files: dict[str, Path]) -> tuple[dict[str, Path], dict[str, int]]:
    """Return one entry for each frame of each file.

    Parameters
    ----------
    files : dict
        As `find_images` returns them.

    Returns
    -------
    files : dict
        Frame 3 of a.tif, which holds several, has the name `a.tif#3`. A file with one frame keeps its name.
    frames : dict
        By these names, which frame it is, from 0.

    Raises
    ------
    UserError
        If a file has more frames than anybody would count, or two names are equal.
    """
    from lcfcn.counting.image_files import ImageError, image_stack  # which is slow to import

    named: dict[str, Path] = {}
    frames: dict[str, int] = {}
    for name, path in files.items():
        try:
            n_frames = image_stack(path).n_frames
        except ImageError:  # reported when its turn comes
            n_frames = 1
        if n_frames > MAX_FRAMES:
            raise UserError(f"{path} has {n_frames} frames, above the limit of {MAX_FRAMES}: choose one by --frame N")
        for frame in range(n_frames):
            key = f"{name}#{frame}" if n_frames > 1 else name
            if key in named or (key != name and key in files):
                raise UserError(f"{key} is the name of a file and of a frame: rename the file")
            named[key], frames[key] = path, frame
    return named, frames


def _files_of(argument: str, recursive: bool) -> list[str]:
    """Return the files that an argument names, sorted, whatever they contain."""
    if os.path.isfile(argument):
        return [argument]
    if not os.path.isdir(argument):
        return [file for file in sorted(glob.glob(argument, recursive=True)) if os.path.isfile(file)]
    if recursive:
        return sorted(_walk(argument))
    return [str(file) for file in sorted(Path(argument).iterdir()) if file.is_file()]


def _files_below(folder: str) -> Iterator[str]:
    """Yield the images in sub-folders of a folder."""
    files = (file for file in _walk(folder) if os.path.dirname(file) != os.path.normpath(folder))
    return (file for file in itertools.islice(files, _LOOKED_AT) if _is_image(file) or _is_unread(file))


def _walk(folder: str) -> Iterator[str]:
    """Yield the files of a folder and its sub-folders, without hidden folders."""
    for parent, folders, names in os.walk(os.path.normpath(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != _MAC_FOLDER)
        yield from (path for path in (os.path.join(parent, name) for name in sorted(names)) if os.path.isfile(path))


def _without(folder: Path | None, files: Iterable[str]) -> dict[str, str]:
    """Return the files by their absolute paths, without those in a folder."""
    paths = {os.path.abspath(file): file for file in files}
    if folder is None:
        return paths
    return {path: file for path, file in paths.items() if not Path(path).is_relative_to(os.path.abspath(folder))}


def _is_image(file: str) -> bool:
    """Whether a file counts as an image. The names of DICOM files often have no suffix, or end in a number."""
    path = Path(file)
    if path.name.startswith(".") or path.name == _DICOM_INDEX:
        return False
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES or (not suffix.strip(".0123456789") and kind_of_file(path) is not None)


def _is_unread(file: str) -> bool:
    """Whether a file is an image of a format that is not read."""
    path = Path(file)
    return path.suffix.lower() in UNREAD_SUFFIXES and not path.name.startswith(".")


def _no_image(argument: str, unread: dict[str, str]) -> str:
    """Return the message for an argument that names no image."""
    return (
        f"{argument} names no image; expected an image file, a folder with images ({' '.join(IMAGE_SUFFIXES)}) "
        "or a pattern in quotes: check it, or give --recursive for sub-folders"
        + (f"; {_names(unread)} cannot be read: convert to PNG" if unread else "")
    )


def _left_out(below: dict[str, str], unread: dict[str, str]) -> list[str]:
    """Return remarks on images in sub-folders, and on images of formats that are not read."""
    remarks = [f"{_names(below)} in sub-folders left out: --recursive counts there too"] if below else []
    return remarks + ([f"{_names(unread)} left out, of formats that are not read: convert to PNG"] if unread else [])


def _names(files: dict[str, str]) -> str:
    """Return how many files there are, and the first of them."""
    first = ", ".join(list(files.values())[:_SHOWN])
    more = ", ..." if len(files) > _SHOWN else ""
    return f"{len(files)} image{'s' if len(files) > 1 else ''} ({first}{more})"
