"""What several readers share: objects without a class, and files that are named after their images."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from src.annotations.base import DEFAULT_CLASS, UNLABELLED, Clicks, image_name

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
