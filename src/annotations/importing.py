"""Import annotations: read a source in any format, and write a data set of images and clicks."""

import argparse
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lcfcn.counting.drawing import save_png
from lcfcn.counting.image_files import image_size
from lcfcn.errors import UserError
from src.annotations import recognise
from src.annotations.base import AnnotationError, read_table
from src.annotations.contact_sheet import contact_sheet
from src.annotations.matching import ImageFolder, cleaned, match
from src.annotations.own_dataset import SHEET, OwnImage, check_target, draw_splits, write_dataset
from src.readers.layout import SPLITS, SPLITS_HEADER

MAX_LINES = 20
"""So many images are named whose clicks were dropped."""


@dataclass(frozen=True)
class Import:
    """What will be written, and what of the source won't: the clicks dropped of each image by reason, images that are
    annotated and in no split, and image files that are not annotated."""

    images: list[OwnImage]
    dropped: dict[str, Counter[str]]
    left_out: list[str]
    not_annotated: list[str]


def prepare(args: argparse.Namespace, source_format: ModuleType) -> Import:
    """Read and check everything, and write nothing."""
    clicks_list = source_format.read(args.source, args.images)
    if not clicks_list:
        raise AnnotationError(f"{args.source} names no image: export it again")
    folder = image_folder(args, source_format)
    found = match(clicks_list, folder)
    check_classes(args.classes, {name for clicks in clicks_list for *_, name in clicks.point_list})
    names = [folder.name(file) for file, _ in found]
    splits = read_splits(args.splits, folder, set(names)) if args.splits else random_splits(args, names)
    images, dropped = [], {}
    for name, (file, clicks) in zip(names, found, strict=True):
        if name in splits:
            point_list, dropped[name] = cleaned(clicks, image_size(file), args.classes)
            images.append(OwnImage(name, file, point_list, splits[name]))
    if not any(image.point_list for image in images):
        reasons = reason_text(sum(dropped.values(), Counter())) or "there was none"
        raise AnnotationError(f"no click of {args.source} is left ({reasons}): nothing can be learnt from it")
    annotated = set(names)
    not_annotated = [name for name in map(folder.name, folder.files) if name not in annotated]
    return Import(
        sorted(images, key=lambda image: image.name), dropped, [n for n in names if n not in splits], not_annotated
    )


def image_folder(args: argparse.Namespace, source_format: ModuleType) -> ImageFolder:
    """The images to look among: none that are annotations themselves, or lie in the dataset that will be replaced."""
    root = args.images or (args.source if os.path.isdir(args.source) else args.source.parent)
    if not os.path.isdir(root):
        raise UserError(f"--images {root} is no folder; expected the one of the images: check it")
    folder = ImageFolder(root, set())
    is_annotation = getattr(source_format, "is_annotation", lambda file: False)
    output = args.output.resolve()
    inside = {parent for parent in {f.parent for f in folder.files} if parent.resolve().is_relative_to(output)}
    without = {f for f in folder.files if is_annotation(f) or f.parent in inside}
    return ImageFolder(root, without) if without else folder


def check_classes(wanted: list[str] | None, known: set[str]) -> None:
    """UserError that names the classes there are, if another one is wanted."""
    unknown = [name for name in wanted or [] if name not in known]
    if unknown:
        raise UserError(f"--classes {unknown[0]!r} is no class of the source: choose of {', '.join(sorted(known))}")


def random_splits(args: argparse.Namespace, names: list[str]) -> dict[str, str]:
    """The split of each image, by the seed and the groups."""
    return draw_splits(
        {name: group_of(name, args.group_by) for name in names}, val=args.val, test=args.test, seed=args.seed
    )


def group_of(name: str, regex: str | None) -> str:
    """What an image's name shares with its group: itself without a regex."""
    if regex is None:
        return name
    try:
        found = re.search(regex, name)
    except re.error as error:
        raise UserError(f"--group-by {regex!r} is no regular expression ({error}): fix it") from None
    if found is None:
        raise UserError(f"--group-by {regex!r} does not match {name!r}; expected to match the name of each image")
    return (found.group(1) if found.re.groups else found.group()) or ""


def read_splits(path: Path, folder: ImageFolder, annotated: set[str]) -> dict[str, str]:
    """The split of each image that a file lists, by its name in the folder."""
    splits: dict[str, str] = {}
    columns = {column: (column,) for column in SPLITS_HEADER}
    for where, row in read_table(path, columns, needed=SPLITS_HEADER):
        image, split = row["image"], row["split"]
        file = folder.find(image)
        name = folder.name(file) if file else None
        if name not in annotated:
            raise UserError(f"{path} lists {image!r} in {where}, which is no annotated image: take it out")
        if name in splits:
            raise UserError(f"{path} lists {image!r} twice, again in {where}: take one out")
        if split not in SPLITS:
            raise UserError(f"{path} has the split {split!r} in {where}; expected one of {', '.join(SPLITS)}")
        splits[name] = split
    return splits


def report(args: argparse.Namespace, source_format: ModuleType, result: Import) -> str:
    """What was found and written, for people."""
    classes = Counter(name for image in result.images for *_, name in image.point_list)
    splits = Counter(image.split for image in result.images)
    dropped = sum(result.dropped.values(), Counter())
    n_empty = sum(not image.point_list for image in result.images)
    lines = [
        f"Format    {source_format.NAME}",
        f"Images    {len(result.images)} annotated, {n_empty} of them without objects",
        f"Points    {sum(classes.values())}: " + ", ".join(f"{name} {n}" for name, n in sorted(classes.items())),
        f"Dropped   {reason_text(dropped) or 'nothing'}",
        *limited([f"{name}: {reason_text(reasons)}" for name, reasons in sorted(result.dropped.items()) if reasons]),
        "Splits    " + ", ".join(f"{split} {splits[split]}" for split in SPLITS),
    ]
    if result.left_out:
        lines.append(f"Left out  {len(result.left_out)} annotated images that --splits does not list")
    if result.not_annotated:
        lines.append(f"Not annotated, left out: {len(result.not_annotated)} images")
        lines += limited(result.not_annotated)
    lines.append(f"Wrote     {args.output}: look at {args.output / SHEET} whether the clicks are where they should be")
    return "\n".join(lines)


def reason_text(reasons: Counter[str]) -> str:
    """How many by which reason."""
    return ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()) if n)


def limited(lines: list[str]) -> list[str]:
    """Lines of a list, indented, not too many."""
    more = [f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    return [f"          {line}" for line in [*lines[:MAX_LINES], *more]]


def run(args: argparse.Namespace) -> None:
    """Import, and tell what came of it."""
    check_target(args.output, overwrite=args.overwrite)
    source_format = recognise(args.source)
    result = prepare(args, source_format)
    sheet = contact_sheet(result.images)
    write_dataset(args.output, result.images, copy=args.copy, add=lambda folder: save_png(folder / SHEET, sheet))
    print(report(args, source_format, result))
