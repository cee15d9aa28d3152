"""Read clicks from the files that annotation tools write. Each format is a module, and a registry lists them all."""

import os
from pathlib import Path
from types import ModuleType

from lcfcn.errors import UserError, suggestion
from lcfcn.files import require_regular
from src.annotations import (
    cell_counter,
    coco,
    csv_points,
    cvat,
    dotdotgoose,
    dots,
    imagej,
    jhu,
    label_studio,
    labelme,
    masks,
    napari,
    nwpu,
    p2pnet,
    qnrf,
    qupath,
    shanghaitech,
    via,
    via3,
    voc,
    yolo,
)
from src.annotations.base import NOTHING_SAID, AnnotationError, Clicks, Options
from src.annotations.unknown import unknown

FORMATS: tuple[ModuleType, ...] = (
    csv_points,
    labelme,
    cvat,
    cell_counter,
    coco,
    dots,
    via,
    via3,
    label_studio,
    yolo,
    voc,
    imagej,
    napari,
    qupath,
    shanghaitech,
    nwpu,
    qnrf,
    jhu,
    p2pnet,
    masks,
    dotdotgoose,
)


def format_name(module: ModuleType) -> str:
    """Return the name by which the command line calls a format."""
    return module.__name__.rpartition(".")[2]


def recognise(path: Path, name: str | None = None) -> ModuleType:
    """Return the format of a file or folder, recognised by its content, or the format of this name.

    Raises
    ------
    AnnotationError
        If there is no such path, or if no format fits, or several do.
    UserError
        If no format has this name.
    """
    if not os.path.exists(path):
        raise AnnotationError(f"there is no {path}; expected a file or folder of annotations: check the path")
    require_regular(path, AnnotationError)
    if name is not None:
        return _named(name)
    fitting = [module for module in FORMATS if module.recognises(path)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise AnnotationError(unknown(path) or _no_format(path))
    names = " and ".join(module.NAME for module in fitting)
    choices = " or ".join(f"--format {format_name(module)}" for module in fitting)
    raise AnnotationError(f"{path} fits several formats ({names}): name one file, or add {choices}")


def _named(name: str) -> ModuleType:
    by_name = {format_name(module): module for module in FORMATS}
    if name not in by_name:
        hint = suggestion(name, by_name)
        raise UserError(f"--format {name!r} is none of {', '.join(by_name)}{hint}: choose one")
    return by_name[name]


def _no_format(path: Path) -> str:
    known = ", ".join(module.NAME for module in FORMATS)
    return f"{path} holds no annotations of a known format; expected one of: {known}"


def read_annotations(
    source: Path, images: Path | None, options: Options = NOTHING_SAID
) -> tuple[ModuleType, list[Clicks]]:
    """Read a source in any format.

    Parameters
    ----------
    source : Path
        A file or folder.
    images : Path or None
        The folder of the images; None for that of the source.
    options : Options
        What the source does not say itself.

    Returns
    -------
    source_format : module
    clicks_list : list of Clicks
        One for each annotated image, at least one.

    Raises
    ------
    UserError
        If the format is unknown, the source is wrong or names no image, or an option does not go with the format.
    """
    columns_say_csv = "csv_points" if options.columns is not None else None
    source_format = recognise(source, options.format or columns_say_csv)
    clicks_list = source_format.read(source, images, **options.of_format(source_format))
    if not clicks_list:
        raise AnnotationError(f"{source} names no image: export it again")
    return source_format, clicks_list
