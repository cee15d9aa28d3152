"""The names of YOLO's classes: `names` in a yaml, or the lines of classes.txt, obj.names or another .names file.

They are looked for in the source's folder and below it, and above it if the source is, or is in, a folder `labels`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from src.annotations.base import AnnotationError, class_name, files_of, read_text

YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
LINE_NAMES = ("classes.txt", "obj.names", "predefined_classes.txt", "class_names.txt", "names.txt", "labels.txt")
DEFAULTS = "predefined_classes.txt"
"""labelImg's list of names to choose from, which counts only where there is no other."""
N_ABOVE = 3
"""How many folders above the labels are looked into."""


class Names(NamedTuple):
    """What the files around labels tell.

    Attributes
    ----------
    classes : list of str or None
        The names of the classes by number, if they have names.
    keypoints : (int, int) or None
        How many keypoints a pose has, and how many numbers each of them, if the labels are poses.
    by_yaml : bool
        Whether a yaml tells it.
    """

    classes: list[str] | None = None
    keypoints: tuple[int, int] | None = None
    by_yaml: bool = False


def find_names(path: Path) -> list[Path]:
    """Return the files that may name classes."""
    root = path if path.is_dir() else path.parent
    above = list(root.absolute().parents)[:N_ABOVE] if "labels" in root.absolute().parts[-N_ABOVE:] else []
    found = [file for file in files_of(root, ".yaml", ".yml", ".names", ".txt") if _may_name(file)]
    for folder in above:
        found += [file for file in sorted(folder.glob("*")) if file.is_file() and _may_name(file)]
    return list(dict.fromkeys(file for file in found if not file.name.startswith(".")))


def _may_name(file: Path) -> bool:
    return file.suffix.lower() in (".yaml", ".yml", ".names") or file.name in LINE_NAMES


def names_of(path: Path) -> Names:
    """Return the names that the files around a source tell.

    Raises
    ------
    AnnotationError
        If two files tell different names, or one that is there for this tells none.
    """
    found = [(file, names) for file, names in _all_names(path) if names.classes or names.keypoints]
    found = [pair for pair in found if pair[0].name != DEFAULTS] or found
    for file, names in found[1:]:
        first_file, first = found[0]
        if names.classes and first.classes and names.classes != first.classes:
            raise AnnotationError(
                f"{first_file} and {file} name the classes differently ({', '.join(first.classes)[:80]}, and "
                f"{', '.join(names.classes)[:80]}): move one away"
            )
    classes = next((names.classes for _, names in found if names.classes), None)
    keypoints = next((names.keypoints for _, names in found if names.keypoints), None)
    return Names(classes, keypoints, any(names.by_yaml for _, names in found))


def _all_names(path: Path) -> Iterator[tuple[Path, Names]]:
    for file in find_names(path):
        if file.suffix.lower() in (".yaml", ".yml"):
            yield file, _of_yaml(file)
        else:
            yield file, Names(_checked(read_text(file).strip().splitlines(), file))


def _of_yaml(file: Path) -> Names:
    """Return what a yaml tells. One of another name than usual may be about something else."""
    try:
        data = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError for impossible dates
        if file.name not in YAML_NAMES:
            return Names()
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{file} is not YAML: fix it, or name the classes in a classes.txt") from None
    names = data.get("names") if isinstance(data, dict) else None
    if names is None and file.name not in YAML_NAMES:
        return Names()
    shape = data.get("kpt_shape") if isinstance(data, dict) else None
    is_shape = isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) and 0 < n < 1000 for n in shape)
    return Names(_checked(names, file), (shape[0], shape[1]) if is_shape else None, by_yaml=True)


def _checked(names: object, file: Path) -> list[str]:
    """Return the names in the order of their numbers; raise `AnnotationError` if one is missing."""
    if isinstance(names, dict):
        by_number = {int(key) if str(key).isdecimal() else key: name for key, name in names.items()}
        names = [by_number.get(number) for number in range(len(by_number))]
    if not isinstance(names, list) or not names or not all(map(class_name, names)):
        raise AnnotationError(f"{file} names no classes; expected a name for each, numbered from 0: fix it")
    return [class_name(name) for name in names]
