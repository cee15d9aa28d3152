"""Import annotations: read a source in any format, and write a data set of images and clicks."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from lcfcn.counting.drawing import save_png
from lcfcn.errors import UserError
from lcfcn.names import fault_of_class, is_formula
from src.annotations import read_annotations
from src.annotations.base import NOTHING_SAID, AnnotationError, Clicks, Options
from src.annotations.contact_sheet import contact_sheet
from src.annotations.matching import ImageFolder, cleaned, match
from src.annotations.orientation import upright
from src.annotations.own_dataset import SHEET, OwnImage, check_target, write_dataset
from src.annotations.splits import Splitting
from src.readers.layout import SPLITS

MAX_LINES = 20
"""A list in the report has at most so many lines."""


@dataclass(frozen=True)
class Imported:
    """What an import found in a source.

    Attributes
    ----------
    format_name : str
        The format of the source.
    images : list of OwnImage
        The images that the data set gets, sorted by name.
    dropped : dict
        For each of these images how many clicks were dropped, by reason.
    left_out : list of str
        Annotated images that are in no split.
    not_annotated : list of str
        Image files that the source does not annotate.
    notes : list of str
        What the user should know about how the source was read.
    """

    format_name: str
    images: list[OwnImage]
    dropped: dict[str, Counter[str]]
    left_out: list[str]
    not_annotated: list[str]
    notes: list[str] = field(default_factory=list)


def import_annotations(
    source: Path,
    output: Path,
    splitting: Splitting,
    *,
    image_root: Path | None = None,
    classes: Sequence[str] | None = None,
    options: Options = NOTHING_SAID,
    copy: bool = False,
    overwrite: bool = False,
) -> Imported:
    """Read annotations, and write them as a data set with a contact sheet.

    Parameters
    ----------
    source : Path
        A file or folder of annotations. Its format is recognised.
    output : Path
        The folder of the data set.
    splitting : Splitting
        Which images train, validate and test.
    image_root : Path, optional
        The folder of the images; by default that of the source.
    classes : sequence of str, optional
        The classes to keep; by default all.
    options : Options
        What the source does not say itself.
    copy : bool
        Copy the images; if False, link to them.
    overwrite : bool
        Replace a data set of this project that is there.

    Raises
    ------
    UserError
        If the source, an image or an argument is wrong, or the data set cannot be written. Then nothing is written.
    """
    check_target(output, overwrite=overwrite)
    found = read_source(source, output, splitting, image_root, classes, options)
    sheet = contact_sheet(found.images)
    write_dataset(output, found.images, copy=copy, add=lambda folder: save_png(folder / SHEET, sheet))
    return found


def read_source(
    source: Path,
    output: Path,
    splitting: Splitting,
    image_root: Path | None,
    classes: Sequence[str] | None,
    options: Options,
) -> Imported:
    """Read and check everything, and write nothing; see `import_annotations`."""
    source_format, clicks_list = read_annotations(source, image_root, options)
    _check_names(clicks_list)
    folder = _image_folder(source, image_root, output, source_format)
    known_frame = getattr(source_format, "FRAME", None)
    matched, n_turned = upright(match(clicks_list, folder), asked=options.orientation, known=known_frame, source=source)
    _check_classes(classes, clicks_list)
    names = [folder.name(file) for file, *_ in matched]
    splits = splitting.of(names, folder)
    images, dropped = [], {}
    for name, (file, clicks, size) in zip(names, matched, strict=True):
        if name in splits:
            xy, dropped[name] = cleaned(clicks, size, classes)
            images.append(OwnImage(name, file, xy, splits[name]))
    if not any(image.xy for image in images):
        reasons = _reason_text(sum(dropped.values(), Counter())) or "there was none"
        raise AnnotationError(f"no click of {source} is left ({reasons}): there is nothing to learn from")
    return Imported(
        source_format.NAME,
        sorted(images, key=lambda image: image.name),
        dropped,
        left_out=[name for name in names if name not in splits],
        not_annotated=[name for name in map(folder.name, folder.files) if name not in set(names)],
        notes=_notes(clicks_list, n_turned),
    )


def _notes(clicks_list: Sequence[Clicks], n_turned: int) -> list[str]:
    """Return each note of the images once, and how many images had their clicks turned."""
    turned = f"the clicks of {n_turned} images were turned, because the tool ignores their EXIF orientation"
    notes = dict.fromkeys(note for clicks in clicks_list for note in clicks.notes)
    return [*([turned] if n_turned else []), *notes]


def _image_folder(source: Path, image_root: Path | None, output: Path, source_format: ModuleType) -> ImageFolder:
    """Return the images that may be annotated.

    Images that are annotations themselves are left out, and images in the data set that will be replaced.
    """
    root = image_root or (source if os.path.isdir(source) else source.parent)
    if not os.path.isdir(root):
        raise UserError(f"--images {root} is not a folder; expected the one that holds the images: check the path")
    folder = ImageFolder(root, set())
    is_annotation = getattr(source_format, "is_annotation", lambda file: False)
    parents = {file.parent for file in folder.files}
    replaced = {parent for parent in parents if parent.resolve().is_relative_to(output.resolve())}
    without = {file for file in folder.files if is_annotation(file) or file.parent in replaced}
    return ImageFolder(root, without) if without else folder


def _check_names(clicks_list: list[Clicks]) -> None:
    """Raise `AnnotationError` for the first name that tables cannot hold."""
    for clicks in clicks_list:
        if is_formula(clicks.image):
            raise AnnotationError(
                f"the image {clicks.image[:80]!r} has the name of a formula, which a spreadsheet would run: rename it"
            )
        for name in {click.class_name for click in clicks.xy}:
            fault = fault_of_class(name)
            if fault:
                raise AnnotationError(f"the class {name[:80]!r} of {clicks.image[:80]!r} {fault}: rename it")


def _check_classes(wanted: Sequence[str] | None, clicks_list: Sequence[Clicks]) -> None:
    known = {click.class_name for clicks in clicks_list for click in clicks.xy}
    unknown = [name for name in wanted or [] if name not in known]
    if unknown:
        raise UserError(
            f"--classes {unknown[0]!r} is not a class of the source: choose from {', '.join(sorted(known))}"
        )


def report(found: Imported, output: Path) -> str:
    """Return what was found and written, in lines for people."""
    classes = Counter(click.class_name for image in found.images for click in image.xy)
    splits = Counter(image.split for image in found.images)
    dropped = sum(found.dropped.values(), Counter())
    n_empty = sum(not image.xy for image in found.images)
    n_sized = sum(click.size is not None for image in found.images for click in image.xy)
    lines = [
        f"Format    {found.format_name}",
        f"Images    {len(found.images)} annotated, {n_empty} of them without objects",
        f"Points    {sum(classes.values())}: " + ", ".join(f"{name} {n}" for name, n in sorted(classes.items())),
        *([f"Sizes     known of {n_sized} points"] if n_sized else []),
        f"Dropped   {_reason_text(dropped) or 'nothing'}",
        *_limited([f"{name}: {_reason_text(reasons)}" for name, reasons in sorted(found.dropped.items()) if reasons]),
        "Splits    " + ", ".join(f"{split} {splits[split]}" for split in SPLITS),
    ]
    if found.notes:
        lines += [f"Note      {note}" for note in found.notes[:MAX_LINES]]
    if found.left_out:
        lines.append(f"Left out  {len(found.left_out)} annotated images that --splits does not list")
    if found.not_annotated:
        lines.append(f"Not annotated, left out: {len(found.not_annotated)} images")
        lines += _limited(found.not_annotated)
    lines.append(f"Wrote     {output}: look at {output / SHEET} to see whether the clicks are where they should be")
    return "\n".join(lines)


def _reason_text(reasons: Counter[str]) -> str:
    """Return how many clicks were dropped for each reason, as text."""
    return ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()) if n)


def _limited(lines: list[str]) -> list[str]:
    """Return the first lines of a list, indented, and how many more there are."""
    more = [f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
    return [f"          {line}" for line in [*lines[:MAX_LINES], *more]]
