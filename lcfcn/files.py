"""Read and write files safely: whole or not at all, and without running what they contain."""

import contextlib
import csv
import hashlib
import io
import itertools
import os
import pickle
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

from lcfcn.errors import UserError
from lcfcn.names import is_formula

TEMPORARY = ".writing-{}.tmp"
"""The name of a file that is not yet whole. It is short, so that it fits wherever the name of the file itself does."""


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file through a temporary one beside it, so that `path` always holds the old or the new version, whole.

    The temporary file has a name of its own, so that two processes never write into the same one. A killed process
    leaves it behind: see `remove_leftovers`.
    """
    temporary = path.with_name(TEMPORARY.format(secrets.token_hex(4)))
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk by a RuntimeError
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        raise UserError(f"{path} cannot be written ({reason}): free space or choose another folder") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of `write_whole` in a folder that no other process writes into now."""
    for path in sorted(folder.glob(TEMPORARY.format("*"))):
        with contextlib.suppress(OSError):
            path.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and its parents; raise `UserError` if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made ({error.strerror}): choose another -o") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write data that is in memory already, whole."""
    write_whole(path, lambda file: file.write(data))


def csv_text(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Return a table as CSV, see `write_csv`."""
    text = io.StringIO(newline="")
    write_csv(text, [header, *rows])
    return text.getvalue()


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    r"""Write a table as CSV in UTF-8, row by row. A name that is no text is written with its bytes as ``\udcXX``."""

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        write_csv(text, itertools.chain([header], rows))
        text.flush()
        text.detach()

    write_whole(path, write)


def write_csv(file: TextIO, rows: Iterable[Iterable]) -> None:
    """Write rows as CSV. Numbers have enough digits to be read back unchanged.

    A text that a spreadsheet would run as a formula gets an apostrophe in front: see `csv_cell`.
    """
    plain = csv.writer(file, lineterminator="\n")
    # csv itself quotes a cell for a line feed, and not for a carriage return alone, which ends a row all the same.
    quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [csv_cell(cell) if isinstance(cell, str) else cell for cell in row]
        has_return = any("\r" in cell for cell in cells if isinstance(cell, str))
        (quoting if has_return else plain).writerow(cells)


def csv_cell(text: str) -> str:
    """Return a text as tables have it: with an apostrophe in front if a spreadsheet would run it as a formula."""
    return f"'{text}" if is_formula(text) else text


def require_regular(path: Path, error_class: type[UserError] = UserError) -> None:
    """Raise an error if a path is a pipe or a device, which would be waited for or read without end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # it is told where the file is opened
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error_class(f"{path} is a pipe or a device; expected a file: write its content into one")


def markdown_rows(rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table with aligned columns; the first row is its header."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def save_pickle(path: Path, data: object) -> None:
    """Write what Haven's `load_pkl` reads."""
    write_whole(path, lambda file: pickle.dump(data, file))


class _NamesCodeError(Exception):
    """A pickle names a class or a function, which reading it would call."""


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, strings, lists and dicts, and refuses anything that names a class or a function."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise _NamesCodeError(f"{module_name}.{global_name}")


def load_plain_pickle(path: Path) -> object:
    """Read plain values that `save_pickle` wrote, without running anything; None if there is no file.

    Raises
    ------
    UserError
        If the file is damaged, or names a class or a function.
    """
    path = Path(path)
    require_regular(path)
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except FileNotFoundError:
        return None
    except _NamesCodeError as error:
        raise UserError(
            f"{path} names {str(error)[:80]!r}, which reading it would run; expected numbers, texts, lists and dicts "
            "alone: it was not read, so remove it, or restore it from where you trust"
        ) from None
    except Exception as error:  # unpickling raises a different type for each kind of damage
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{path} is damaged ({reason}): remove it, and its run writes it again") from None


def sha256(path: Path) -> str:
    """Return the fingerprint of a file, by which it is known later; raise `UserError` if it cannot be read."""
    require_regular(path)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path and its rights") from None
    return digest.hexdigest()


def load_tensors(path: Path, ways_out: str, error_class: type[UserError] = UserError) -> object:
    """Read what `torch.save` wrote onto the CPU; raise `error_class`, with the ways out, if that fails."""
    require_regular(path, error_class)
    import torch  # reading annotations and tables needs this module, and no torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise error_class(f"there is no {path}: {ways_out}") from None
    except Exception as error:  # torch raises a different type for each kind of damage
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise error_class(f"{path} cannot be read ({reason}): {ways_out}") from None
