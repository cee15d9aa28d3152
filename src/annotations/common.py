"""What several readers share: objects without a class, and files that are named after their images."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from src.annotations.base import DEFAULT_CLASS, UNLABELLED, AnnotationError, Clicks, image_name
from src.annotations.matching import ImageFolder

OTHER_SLICE = "on another slice than the first"


def settle_classes(found: list[Clicks]) -> list[Clicks]:
    """Return the same clicks with a class for each.

    If no object of the source has a class, all get the default class. If some have one, the others are dropped as
    unlabelled.
    """
    has_classes = any(click.class_name for clicks in found for click in clicks.xy)
    return [_labelled(clicks) if has_classes else _of_one_class(clicks) for clicks in found]


def _labelled(clicks: Clicks) -> Clicks:
    kept = [click for click in clicks.xy if click.class_name]
    n_dropped = len(clicks.xy) - len(kept)
    dropped = clicks.dropped + Counter({UNLABELLED: n_dropped} if n_dropped else {})
    return replace(clicks, xy=kept, dropped=dropped)


def _of_one_class(clicks: Clicks) -> Clicks:
    return replace(clicks, xy=[click._replace(class_name=DEFAULT_CLASS) for click in clicks.xy])


def named_after(file: Path, root: Path, **folders: str) -> str:
    """Return the image that a file is named after: its path in `root` without its suffix.

    `folders` replaces names of folders on the way: with labels="images", train/labels/a.txt belongs to train/images/a.
    """
    relative = file.relative_to(root).with_suffix("")
    parent = [folders.get(part, part) for part in relative.parent.parts]
    return image_name(str(PurePosixPath(*parent, relative.name)), file)


def found_or_renamed(name: str, after: str, file: Path, folder: ImageFolder) -> str:
    """Return the image that a file of annotations names, or the one that it is named after, if only that is there.

    People rename images together with their files, and the names inside stay behind.

    Parameters
    ----------
    name, after : str
        The image that the file names, and the one that the file itself is named after.
    file : Path
    folder : ImageFolder

    Raises
    ------
    AnnotationError
        If both images are there and are different ones.
    """
    inside, beside = folder.find(name), _found(after, folder)
    if inside is not None and beside is not None and inside != beside:
        raise AnnotationError(
            f"{file} names the image {name!r}, and is itself named after {folder.name(beside)}: correct the name in "
            "the file, or move it away"
        )
    return after if inside is None and beside is not None else name


def _found(name: str, folder: ImageFolder) -> Path | None:
    try:
        return folder.find(name)
    except AnnotationError:  # several files fit
        return None
