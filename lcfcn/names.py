"""Which names of classes and images can stand in tables, in messages and on pictures."""

import hashlib
import os
import re
import unicodedata

LONGEST_CLASS = 200
"""So many characters may the name of a class have."""
FORMULA_STARTS = frozenset("=+-@\t\r\n ")
FORMULA = re.compile(r"\s*[=+\-@].*[(|!]", re.DOTALL)
"""What a spreadsheet takes for a formula that calls something: `=HYPERLINK(...)`, or `=cmd|...!A1`."""


LONGEST_FILE = 255
"""So many bytes may the name of a file have, on all usual disks."""


def file_name(name: str, suffix: str, longest: int = LONGEST_FILE) -> str:
    """Return the name of an image with a suffix, as the name of a file that belongs to it.

    A name that is too long for a file is cut, and ends in a fingerprint of the whole. So no two become one.

    Parameters
    ----------
    name : str
        A posix path, whose folders stay as they are.
    suffix : str
    longest : int
        In bytes.

    >>> file_name("sub/a.jpg", ".png")
    'sub/a.jpg.png'
    >>> file_name("sub/aaaaaaaaaaaa.jpg", ".png", longest=16)
    'sub/aaa~3ea0bd9a.png'
    """
    folder, slash, last = name.rpartition("/")
    whole = os.fsencode(last)
    if len(whole) + len(suffix) <= longest:
        return name + suffix
    mark = f"~{hashlib.blake2b(whole, digest_size=4).hexdigest()}"
    return folder + slash + whole[: longest - len(mark + suffix)].decode(errors="ignore") + mark + suffix


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a cell as a formula that calls something.

    >>> is_formula('=HYPERLINK("https://example.org")'), is_formula("+"), is_formula("-001.png")
    (True, False, False)
    """
    return text[:1] in FORMULA_STARTS and FORMULA.match(text) is not None


def printable(text: str) -> str:
    r"""Return a text with escapes for what would move the cursor or is no text: control characters and bytes.

    >>> printable("a\rb")
    'a\\rb'
    """
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def fault_of_class(name: str) -> str:
    """Return what is wrong with the name of a class, with what is expected; an empty text if nothing is.

    >>> fault_of_class("red blood cell")
    ''
    """
    if len(name) > LONGEST_CLASS:
        return f"has {len(name):,} characters; expected {LONGEST_CLASS} at the most"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "has a control character or is no text; expected letters, digits and signs in one line"
    if is_formula(name):
        return "is a formula, which a spreadsheet would run; expected a name"
    return ""
