"""What several readers of annotations share beyond `base`: classes that may be missing, and whose image a file is."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from src.annotations.base import DEFAULT_CLASS, NO_POSITION, UNLABELLED, Clicks, image_name

OTHER_SLICE = "on another slice than the first"


def put(clicks: Clicks, position: tuple[float, float] | None, label: str) -> None:
    """Add an object whose class may be missing (""), to be settled once all are read; see `settle_classes`."""
    if position is None:
        clicks.dropped[NO_POSITION] += 1
    else:
        clicks.point_list.append((*position, label))


def settle_classes(found: list[Clicks]) -> list[Clicks]:
    """The same clicks, none without a class: where no object has one, all are of the default class, else an object
    without one is dropped as unlabelled."""
    has_classes = any(label for clicks in found for *_, label in clicks.point_list)
    return [_labelled(clicks) if has_classes else _of_one_class(clicks) for clicks in found]


def _labelled(clicks: Clicks) -> Clicks:
    kept = [click for click in clicks.point_list if click[2]]
    n_dropped = len(clicks.point_list) - len(kept)
    dropped = clicks.dropped + Counter({UNLABELLED: n_dropped} if n_dropped else {})
    return replace(clicks, point_list=kept, dropped=dropped)


def _of_one_class(clicks: Clicks) -> Clicks:
    return replace(clicks, point_list=[(x, y, DEFAULT_CLASS) for x, y, _ in clicks.point_list])


def named_after(file: Path, root: Path, **folders: str) -> str:
    """The image that a file is named after: its path in `root` without its suffix.

    `folders` says what stands beside which: with labels="images" train/labels/a.txt belongs to train/images/a.
    """
    relative = file.relative_to(root).with_suffix("")
    parent = [folders.get(part, part) for part in relative.parent.parts]
    return image_name(str(PurePosixPath(*parent, relative.name)), file)
