"""What to say of a source that no format fits: what it looks like, and what would make it fit."""

from pathlib import Path

from src.annotations.base import class_name, files_of, first_line, start_of
from src.annotations.columns import COORDINATES, NAMES
from src.readers.tables import SEPARATORS, header_names

WORKBOOKS = (".xlsx", ".xlsm", ".ods", ".numbers")
PACKED = (".zip", ".gz", ".tar", ".7z", ".rar")
OLD_WORKBOOK = "\ufffd\ufffd\x11"
"""How the binary files of old Excel begin, read as text. ImageJ gives the same suffix to text."""


def unknown(path: Path) -> str:
    """Return a sentence about the first workbook or table of a source, or "" if it has none."""
    workbooks = [*files_of(path, *WORKBOOKS), *filter(_is_old_workbook, files_of(path, ".xls"))]
    if workbooks:
        return f"{workbooks[0]} is a workbook, which is not read: save its sheet as CSV"
    packed = files_of(path, *PACKED)
    if packed:
        return f"{packed[0]} is packed: unpack it, and name the folder"
    suffixes = (".csv", ".tsv") if path.is_dir() else (".csv", ".tsv", ".txt", ".xls")
    for file in files_of(path, *suffixes):
        header = first_line(file)
        names = [class_name(name) for name in header_names(header, max(SEPARATORS, key=header.count))]
        names = [name for name in names if name]
        if len(names) > 1:
            return (
                f"{file} is a table with the columns {', '.join(names)[:200]}, {_lack(names)}: say what they are by "
                "--columns image=...,x=...,y=... (a number counts columns from 1)"
            )
    return ""


def _is_old_workbook(file: Path) -> bool:
    return start_of(file, 8).startswith(OLD_WORKBOOK)


def _lack(names: list[str]) -> str:
    has_place = any(name in NAMES[meaning] for meaning in COORDINATES for name in names)
    has_image = any(name in NAMES["image"] for name in names)
    if has_image and not has_place:
        return "which name no place of an object (a table of counts has none)"
    return "which do not name the images" if has_place and not has_image else "which are not known"
