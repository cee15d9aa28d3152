"""A journal of counted images: a line is written as soon as an image is done, so that no count is ever lost."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lcfcn.errors import UserError
from lcfcn.files import make_folder

FOLDER = "unfinished"
"""In the output folder, while images are left to do."""


class Journal:
    """The images that are done so far, in one file a run and process, with a line an image.

    A run that is killed at any moment loses at most the line in work. The next run reads all files, and goes on. So
    several processes can share one output folder: each writes a file of its own, and whoever finds at its end that all
    images are done writes the tables.

    Parameters
    ----------
    out : Path
        The output folder.
    about : dict
        What the counts depend on, such as the weights. A run with another `about` is refused.
    rank : int
        Of this process, for the file's name.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds the lines of another command.
    """

    def __init__(self, out: Path, about: dict, rank: int = 0) -> None:
        self.folder = out / FOLDER
        make_folder(self.folder)
        self._claim = self.folder / "writing"
        self._claim.unlink(missing_ok=True)  # of a run that was killed while it wrote the tables
        self._about = about
        self._path = self.folder / f"{time.time_ns()}-{os.getpid()}-{rank}.jsonl"
        self.done = self._read_all()
        try:
            self._file = self._path.open("wb")
        except OSError as error:
            raise UserError(f"{self._path} cannot be written ({error.strerror}): choose another -o") from None
        self._write({"about": about})

    def add(self, entry: dict) -> None:
        """Write the line of an image that is done: `image` (its name), `stat`, and what was found or why it failed.

        Raises
        ------
        UserError
            If it cannot be written; what was written before stays.
        """
        place = self._file.tell()
        self._write(entry)
        self.done[entry["image"]] = (self._path, place, entry["stat"])

    def _write(self, entry: dict) -> None:
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")  # in ASCII, also names that are no text
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{self._path} cannot be written ({error.strerror}): free space, and give the same command again; it "
                "goes on from here"
            ) from None

    def is_done(self, name: str, stat: list[int]) -> bool:
        """Whether an image has been counted or has failed, and its file has not changed since."""
        known = self.done.get(name)
        return known is not None and known[2] == stat

    def refresh(self) -> None:
        """Read what other processes have written meanwhile."""
        self.done = self._read_all()

    def entries(self, names: list[str]) -> Iterator[dict]:
        """Yield the lines of the images of these names, in this order; names that are not done are left out."""
        handles = {path: path.open("rb") for path in sorted({known[0] for known in self.done.values()})}
        try:
            for name in names:
                if name in self.done:
                    path, place, *_ = self.done[name]
                    handles[path].seek(place)
                    yield json.loads(handles[path].readline())
        finally:
            for handle in handles.values():
                handle.close()

    def _read_all(self) -> dict[str, tuple[Path, int, list[int]]]:
        """Return by image the file and place of its last line, and its `stat`."""
        done = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            place = 0
            with path.open("rb") as file:
                for line in file:
                    entry = _parsed(line)
                    if "about" in entry and entry["about"] != self._about:
                        raise UserError(_other_command(self.folder, entry["about"], self._about))
                    if "image" in entry:
                        done[entry["image"]] = (path, place, entry["stat"])
                    place += len(line)
        return done

    def claim(self) -> bool:
        """Whether this process may write the tables: the first one of several that asks."""
        try:
            self._claim.touch(exist_ok=False)
        except OSError:  # another one has, and has perhaps removed the folder already
            return False
        return True

    def close(self) -> None:
        """Close this process's file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Remove the journal: all is in the tables."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def stat_of(path: Path) -> list[int]:
    """Return size and time of change of a file, by which a changed file is noticed; zeros if there is none."""
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _parsed(line: bytes) -> dict:
    """Read a line; nothing for one that a killed run did not finish."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _other_command(folder: Path, before: object, now: dict) -> str:
    before = before if isinstance(before, dict) else {}
    differing = [key for key in now if before.get(key) != now[key]] or ["its settings"]
    return (
        f"{folder} holds unfinished counts with another {', '.join(differing)}: choose another -o, give the command "
        "that began them, or remove that folder"
    )
