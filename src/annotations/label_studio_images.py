"""What the image of a task of Label Studio is called.

The data of a task holds addresses: of uploads, of local files (?d=path), of cloud storage, or presigned ones
(/tasks/1/presign/?fileuri=), whose path is written in base64. Label Studio puts eight digits before the names of
uploaded files (`1a2b3c4d-name.jpg`), writes spaces as underscores and leaves other signs out. The images may be called
so too.
"""

import base64
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from lcfcn.counting.defaults import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from src.annotations.base import image_name
from src.annotations.matching import ImageFolder

UPLOAD = re.compile(r"^/?(?:data/)?upload/(?:.*/)?(?P<prefix>[0-9a-f]{8}-)(?P<name>[^/]+)$")
KINDS = (*IMAGE_SUFFIXES, *UNREAD_SUFFIXES)


def images_of_task(data: dict) -> dict[tuple[str, int], str]:
    """Return the paths of a task's images, by their key in the data and their number in a list.

    A single value called `image` is one whatever its suffix.
    """
    found = {(key, index): path for key, index, path in _paths(data) if Path(path).suffix.lower() in KINDS}
    if not found and isinstance(data.get("image"), str):
        return {("image", 0): path_of(data["image"])}
    return found


def _paths(data: dict) -> Iterator[tuple[str, int, str]]:
    for key, value in data.items():
        members = value if isinstance(value, list) else [value]
        for index, member in enumerate(members):
            if isinstance(member, str):
                yield key, index, path_of(member)


def path_of(text: str) -> str:
    """Return the path that an address leads to, or the text itself if it is a path.

    >>> path_of("/data/local-files/?d=photos/a%20b.png"), path_of("s3://bucket/c.png?X-Amz-Expires=60")
    ('photos/a b.png', '/c.png')
    """
    try:
        url = urlsplit(text)
    except ValueError:
        return text
    query = parse_qs(url.query)
    if "fileuri" in query:
        return path_of(_decoded(query["fileuri"][0]))
    if not url.scheme and not url.path.startswith("/data/"):
        return text
    return query.get("d", [unquote(url.path)])[0]


def _decoded(text: str) -> str:
    """Return what base64 hides, or the text itself if it is none."""
    try:
        return base64.urlsafe_b64decode(text.replace(" ", "+").replace("+", "-").replace("/", "_") + "==").decode()
    except ValueError:
        return text


def name_of(path: str, folder: ImageFolder, file: Path) -> str:
    """Return the name of an image: as the path says, without the digits of an upload, or with signs put back.

    The first one that an image file has is taken. If none has it, it is the name without digits.
    """
    upload = UPLOAD.match(path)
    if upload is None:
        return image_name(path.lstrip("/"), file)
    with_digits = image_name(upload["prefix"] + upload["name"], file)
    if folder.find(with_digits):
        return with_digits
    name = image_name(upload["name"], file)
    if folder.find(name):
        return name
    as_uploaded = [folder.name(image) for image in folder.files if _uploaded(image.name) == upload["name"]]
    return as_uploaded[0] if len(as_uploaded) == 1 else name


def _uploaded(name: str) -> str:
    """Return a file name as Label Studio writes it when it stores an upload."""
    plain = unicodedata.normalize("NFC", name).strip().replace(" ", "_")
    return re.sub(r"(?u)[^-\w.]", "", plain)
