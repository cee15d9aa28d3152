"""Which images train, which validate and which test: drawn at random, or read from a file."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcfcn.errors import UserError
from src.annotations.base import read_table
from src.annotations.matching import ImageFolder
from src.readers.layout import SPLITS, SPLITS_HEADER

SECONDS = 30
"""How long the regex of `--group-by` may take."""
SEARCH = """
import json, re, sys
regex, names = json.load(sys.stdin)
found = [re.search(regex, name) for name in names]
print(json.dumps([f and ((f.group(1) if f.re.groups else f.group()) or "") for f in found]))
"""


@dataclass(frozen=True)
class Splitting:
    """How images are distributed over the splits.

    Attributes
    ----------
    val, test : float
        How many images validate and test: a fraction below 1, or a number. The others train.
    seed : int
        The same seed gives the same splits.
    group_by : str or None
        A regular expression that matches the name of each image. Images share a split if it matches the same text in
        their names, or the same text of its first group if it has one.
    file : Path or None
        A CSV with image,split to read the splits from. Then nothing else counts, and other images get no split.
    """

    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    group_by: str | None = None
    file: Path | None = None

    def of(self, names: Sequence[str], folder: ImageFolder) -> dict[str, str]:
        """Return the split of each image.

        Parameters
        ----------
        names : sequence of str
            The annotated images, by their names in the folder.
        folder : ImageFolder
            Finds the images that `file` lists.

        Raises
        ------
        UserError
            If `group_by` or `file` is wrong, or no image is left to train on.
        """
        if self.file is not None:
            return read_splits(self.file, folder, set(names))
        groups = dict(zip(names, names if self.group_by is None else groups_of(names, self.group_by), strict=True))
        return draw_splits(groups, val=self.val, test=self.test, seed=self.seed)


def groups_of(names: Sequence[str], regex: str) -> list[str]:
    """Return for each name the text that it shares with its group: what the regex, or its first group, matches.

    Raises
    ------
    UserError
        If the regex is none, does not match each name, or does not come to an end: some need ages for one name.
    """
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"--group-by {regex!r} is not a regular expression ({error}): fix it") from None
    # A search cannot be broken off, and a process can.
    command = [sys.executable, "-I", "-c", SEARCH]
    try:
        done = subprocess.run(
            command, input=json.dumps([regex, list(names)]), capture_output=True, text=True, check=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"--group-by {regex!r} has not come to an end on {len(names)} names in {SECONDS} s; expected a simpler "
            "one: write it without a repeat inside a repeat, such as (a+)+"
        ) from None
    groups = json.loads(done.stdout)
    if None in groups:
        name = names[groups.index(None)]
        raise UserError(
            f"--group-by {regex!r} does not match {name!r}; expected it to match the name of each image: fix it"
        )
    return groups


def read_splits(path: Path, folder: ImageFolder, annotated: Collection[str]) -> dict[str, str]:
    """Return the split of each image that a CSV file lists, by the image's name in the folder.

    Raises
    ------
    UserError
        If the file lists an image that is not annotated, lists one twice, or names an unknown split.
    """
    splits: dict[str, str] = {}
    columns = {column: (column,) for column in SPLITS_HEADER}
    for where, row in read_table(path, columns, needed=SPLITS_HEADER):
        image, split = row["image"], row["split"]
        file = folder.find(image)
        name = folder.name(file) if file else None
        if name not in annotated:
            raise UserError(f"{path} lists {image!r} in {where}, which is not an annotated image: remove that line")
        if name in splits:
            raise UserError(f"{path} lists {image!r} twice, again in {where}: remove one of the lines")
        if split not in SPLITS:
            raise UserError(f"{path} has the split {split!r} in {where}; expected one of {', '.join(SPLITS)}: fix it")
        splits[name] = split
    return splits


def draw_splits(groups: dict[str, str], *, val: float, test: float, seed: int) -> dict[str, str]:
    """Draw the split of each image at random, and keep groups together.

    Parameters
    ----------
    groups : dict
        The group of each image. Images of one group get the same split.
    val, test : float
        How many images: a fraction below 1, or a number. A fraction above 0 means one image or more. A group that is
        larger than what is still missing is skipped, as long as there are smaller ones.
    seed : int
        The same seed gives the same splits.

    Returns
    -------
    splits : dict
        The split of each image: 'train', 'val' or 'test'.

    Raises
    ------
    UserError
        If no image is left to train on.
    """
    members: dict[str, list[str]] = {}
    for image in sorted(groups):
        members.setdefault(groups[image], []).append(image)
    left = sorted(members)
    random.Random(seed).shuffle(left)
    splits = dict.fromkeys(groups, "train")
    for split, share in (("test", test), ("val", val)):
        wanted = int(share) if share >= 1 else max(1, round(share * len(groups))) if share > 0 else 0
        taken = _take(left, {group: len(members[group]) for group in left}, wanted)
        left = [group for group in left if group not in taken]
        splits.update({image: split for group in taken for image in members[group]})
    if "train" not in splits.values():
        in_groups = f" in {len(members)} groups" if len(members) < len(groups) else ""
        raise UserError(
            f"--val {val:g} --test {test:g} leave none of {len(groups)} images{in_groups} to train on: lower them, "
            "or give --splits"
        )
    return splits


def _take(groups: list[str], sizes: dict[str, int], wanted: int) -> set[str]:
    """Return groups that have so many images together, or nearly, or the smallest group if all have more."""
    taken: set[str] = set()
    room = wanted
    for group in groups:
        if sizes[group] <= room:
            taken.add(group)
            room -= sizes[group]
    if wanted and not taken and groups:
        taken.add(min(groups, key=sizes.get))
    return taken
