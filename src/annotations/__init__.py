"""Read clicks from the files that annotation tools write. Each format is a module, and a registry lists them all."""

import os
from pathlib import Path
from types import ModuleType

from src.annotations import (
    coco,
    csv_points,
    cvat,
    dots,
    imagej,
    label_studio,
    labelme,
    masks,
    napari,
    nwpu,
    qupath,
    shanghaitech,
    via,
    voc,
    yolo,
)
from src.annotations.base import AnnotationError

FORMATS: tuple[ModuleType, ...] = (
    csv_points,
    labelme,
    cvat,
    coco,
    dots,
    via,
    label_studio,
    yolo,
    voc,
    imagej,
    napari,
    qupath,
    shanghaitech,
    nwpu,
    masks,
)


def recognise(path: Path) -> ModuleType:
    """Return the format of a file or folder, recognised by its content.

    Raises
    ------
    AnnotationError
        If there is no such path, or if no format fits, or several do.
    """
    if not os.path.exists(path):
        raise AnnotationError(f"there is no {path}; expected a file or folder of annotations: check the path")
    fitting = [module for module in FORMATS if module.recognises(path)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        known = ", ".join(module.NAME for module in FORMATS)
        raise AnnotationError(f"{path} holds no annotations of a known format; expected one of: {known}")
    names = " and ".join(module.NAME for module in fitting)
    raise AnnotationError(
        f"{path} fits several formats ({names}): name one file, or move the others into another folder"
    )
