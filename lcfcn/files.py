"""Read and write files safely: whole or not at all, and without running what they contain."""

import contextlib
import csv
import hashlib
import io
import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NoReturn

from lcfcn.errors import UserError


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file through a temporary one beside it, so that `path` always holds the old or the new version, whole.

    The temporary file always has the same name. The next run overwrites one that a killed run left.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
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
    """Return a table as CSV. Numbers have enough digits to be read back unchanged."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def markdown_rows(rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table with aligned columns; the first row is its header."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def save_pickle(path: Path, data: object) -> None:
    """Write what Haven's `load_pkl` reads."""
    write_whole(path, lambda file: pickle.dump(data, file))


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, strings, lists and dicts, and refuses anything that names a class or a function."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it holds {module_name}.{global_name}")


def load_plain_pickle(path: Path) -> object:
    """Read plain values that `save_pickle` wrote, without running anything; None if the file is missing or damaged."""
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception:  # unpickling raises a different type for each kind of damage
        return None


def sha256(path: Path) -> str:
    """Return the fingerprint of a file, by which it is known later; raise `UserError` if it cannot be read."""
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
    import torch  # reading annotations and tables needs this module, and no torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise error_class(f"there is no {path}: {ways_out}") from None
    except Exception as error:  # torch raises a different type for each kind of damage
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise error_class(f"{path} cannot be read ({reason}): {ways_out}") from None
