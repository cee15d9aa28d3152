"""Numbers as programs and people write them: 1234.5, 1,234.5, 1.234,5, 1 234,5 and 1'234.5.

A comma or point between digits is a decimal sign or separates thousands. One cell may leave it open, such as 1,234. All
numbers of a table are written alike, so the other cells tell.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

SPACES = re.compile("(?<=[0-9])[ \u00a0\u2009\u202f'\u2019](?=[0-9]{3}(?![0-9]))")
"""Spaces and apostrophes between digits never are decimal signs."""
NO_VALUE = ("", "na", "n/a", "null", "none")
"""What stands in a cell without a value, in lower case. NA is R's."""


class OpenNumberError(ValueError):
    """A number can be read in two ways, or two numbers of a table contradict each other."""


def has_value(cell: str) -> bool:
    """Whether a cell holds anything.

    >>> [has_value(cell) for cell in ("3", "", "NA")]
    [True, False, False]
    """
    return cell.strip().casefold() not in NO_VALUE


@dataclass(frozen=True)
class NumberStyle:
    """How a table writes numbers: its decimal sign, "." or ",". The other one separates thousands."""

    decimal: str = "."

    def plain(self, cell: str) -> str:
        """Return a number as Python writes it, or the cell as it is if it is written in another way.

        >>> NumberStyle(",").plain("1.234,5"), NumberStyle(".").plain("1,234.5"), NumberStyle(".").plain("12,5")
        ('1234.5', '1234.5', '12,5')
        """
        text = SPACES.sub("", cell)
        thousands = "," if self.decimal == "." else "."
        if thousands in text:
            if not _is_grouped(text, thousands, self.decimal):
                return cell
            text = text.replace(thousands, "")
        return text.replace(self.decimal, ".")


def style_of(cells: Iterable[str], *, comma_separates_cells: bool) -> NumberStyle:
    """Return how the numbers of a table are written.

    Parameters
    ----------
    cells : iterable of str
    comma_separates_cells : bool
        Whether the table separates its cells by commas. Then its decimal sign is hardly the comma, and 1,234 in quotes
        beside 567 means 1234.

    Raises
    ------
    OpenNumberError
        If that cannot be told. The message names a cell.

    >>> style_of(["1,234", "12.5"], comma_separates_cells=True).decimal
    '.'
    >>> style_of(["1,234", "12,5"], comma_separates_cells=False).decimal
    ','
    """
    evidence: dict[str, str] = {}  # the decimal sign, and a cell that shows it
    open_cells: dict[str, str] = {}  # the sign that may separate thousands, and such a cell
    has_short, has_long = False, False  # whole numbers below 1000 and above, without any sign
    for cell in cells:
        text = SPACES.sub("", cell)
        sign, is_open = _sign_of(text)
        if is_open:
            open_cells.setdefault(sign, cell)
        elif sign:
            evidence.setdefault(sign, cell)
        if not sign:
            has_long = has_long or re.fullmatch("[+-]?[0-9]{4,}", text) is not None
            has_short = has_short or re.fullmatch("[+-]?[0-9]{1,3}", text) is not None
    if len(evidence) == 2:
        raise OpenNumberError(
            f"numbers are written in two ways, such as {evidence['.']} and {evidence[',']}; expected one decimal sign"
        )
    if evidence:
        return NumberStyle(*evidence)
    if len(open_cells) == 1 and has_long:  # thousands are not separated, so the sign is decimal
        return NumberStyle(*open_cells)
    is_undecided = {",": not (comma_separates_cells and has_short), ".": not comma_separates_cells and has_short}
    for sign, cell in open_cells.items():
        if is_undecided[sign]:
            one, other = cell.replace(sign, ""), cell.replace(sign, ".")
            raise OpenNumberError(
                f"{cell} may be {one} or {other}; expected numbers without separated thousands, and 12.5 rather than "
                "12.500"
            )
    return NumberStyle()


def _sign_of(text: str) -> tuple[str, bool]:
    """Return the decimal sign that a number shows, or the sign that it leaves open, and whether it is open."""
    if "," in text and "." in text:
        return max(",.", key=text.rfind), False
    for sign, other in (",.", ".,"):
        if text.count(sign) > 1:
            return other, False
        if sign in text:
            return sign, re.fullmatch(f"[+-]?[1-9][0-9]{{0,2}}[{sign}][0-9]{{3}}", text) is not None
    return "", False


def _is_grouped(text: str, thousands: str, decimal: str) -> bool:
    """Whether thousands are separated in groups of three digits, before the decimal sign only."""
    whole, _, fraction = text.partition(decimal)
    groups = whole.split(thousands)
    is_first_good = re.fullmatch("[+-]?[0-9]{1,3}", groups[0]) is not None
    return is_first_good and all(re.fullmatch("[0-9]{3}", group) for group in groups[1:]) and thousands not in fraction
