"""Clicks from the files that annotation tools write: one module a format, a registry, and who is it."""

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
    """The format of a file or folder, by what is in it.

    Raises
    ------
    AnnotationError
        If there is no such path, or none or several of the formats fit.
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
    raise AnnotationError(f"{path} fits several formats ({names}): name the file, or part the folder")
