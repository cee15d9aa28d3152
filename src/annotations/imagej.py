"""ImageJ and Fiji: .roi files, .zip files of ROIs, and tables of results (columns X and Y; .csv, .txt, .tsv or .xls).

A file belongs to the image that it is named after (a.roi, a.zip, a.csv to a.tif). A file that ImageJ named
(RoiSet.zip, Results.csv, 0123-0456.roi) belongs to the image that its folder is named after, or to the only image there
is. A table with a column Label names the images itself. A zip file without ROIs and a table without rows say that the
image has no object.

ImageJ's points count from the CENTRE of a pixel (0, 0 is the centre of the first one), its areas from the corner
(`Roi.useLineSubpixelConvention` in ImageJ's source: "the convention for line and point ROIs, where the coordinates are
with respect to the pixel center"; "area rois, which have coordinates with respect to the upper left corners"). So the
reader adds 0.5 to points, and nothing to the centres of the boxes of areas. Lines and texts have no position. An area
gives the size of its object. `src.annotations.imagej_results` reads the tables.

The class is the group of a ROI, or the counter of a multi-point. Points on the channels of one plane are in one place;
points on other slices or frames than the first are dropped. The image's own metadata tells channels from slices. ImageJ
ignores EXIF orientation.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from src.annotations.base import (
    AnnotationError,
    Clicks,
    check_amount,
    entry,
    files_of,
    image_name,
    is_hidden,
    number,
    quiet_libraries,
    read_bytes,
)
from src.annotations.common import OTHER_SLICE, named_after, settle_classes
from src.annotations.image_sizes import ImageSizes
from src.annotations.imagej_results import is_results, read_results
from src.annotations.matching import ImageFolder
from src.annotations.orientation import STORED
from src.annotations.shapes import Place, disc_diameter, place_of_box, place_of_ellipse, place_of_polygons, polygon_area

NAME = "ImageJ ROIs or results"
FRAME = STORED
OPTIONS = ("units", "pixel_size")
SUFFIXES = (".csv", ".roi", ".zip")
TEXT_SUFFIXES = (".txt", ".tsv", ".xls")
"""ImageJ writes tables under these names too. Other files may have them, which are passed over in a folder."""
MAX_UNPACKED = 1_000_000_000
"""Bytes. A zip file of ROIs that claims to hold more is refused."""
HEADER_2 = 52
"""Bytes that a ROI has at least after the offset in its bytes 60 to 63 (ij.io.RoiDecoder in ImageJ's source)."""
OWN_NAME = re.compile(r"roiset|results|(\d{4,}-){1,2}\d{4,}(-\d+)?", re.IGNORECASE)
NAMED_PART = re.compile(
    r"(?P<before>.+?)[ _-]+(?:roiset|rois?|results?)|(?:roiset|rois?|results?)[ _-]+(?:of[ _-]+)?(?P<behind>.+)",
    re.IGNORECASE,
)
FIRST_COUNTER = "counter 0"
AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, holds ROIs or results."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES, *TEXT_SUFFIXES))


def read(path: Path, images: Path | None, *, units: str | None = None, pixel_size: float | None = None) -> list[Clicks]:
    """Read the clicks of each image. Several files may belong to one image."""
    root = path if path.is_dir() else path.parent
    sizes = ImageSizes(images or root, STORED, pixel_size)
    only = sizes.folder.name(sizes.folder.files[0]) if len(sizes.folder.files) == 1 else root.absolute().name
    found: dict[str, Clicks] = {}
    for file in files_of(path, *SUFFIXES, *TEXT_SUFFIXES):
        if not _fits(file):
            if file.suffix.lower() in TEXT_SUFFIXES and path.is_dir():
                continue  # any text may be there
            raise AnnotationError(f"{file} is of another format than the rest of {path}: name one file, or move it out")
        image = _image_of(file, root, only, sizes.folder)
        if file.suffix.lower() in (".csv", *TEXT_SUFFIXES):
            read_results(file, image, sizes, units, found)
        else:
            clicks = entry(found, image)
            for roi in _rois(file):
                _add(roi, clicks, sizes, file)
                check_amount(len(clicks.xy), file)
    return settle_classes(_without_counters(list(found.values())))


def _fits(file: Path) -> bool:
    if file.suffix.lower() in (".csv", *TEXT_SUFFIXES):
        return is_results(file)
    try:
        if file.suffix.lower() == ".roi":
            with file.open("rb") as opened:
                return opened.read(4) == b"Iout"
        with zipfile.ZipFile(file) as archive:
            return all(name.lower().endswith(".roi") for name in filter(_is_visible, archive.namelist()))
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return False


def _is_visible(member: str) -> bool:
    """Whether a member of a zip file is a file of its own, and none that macOS added."""
    return not member.endswith("/") and not any(map(is_hidden, member.split("/")))


def _image_of(file: Path, root: Path, default: str, folder: ImageFolder) -> str:
    """Return the image that a file is named after.

    If ImageJ named the file, it is the image that its folder is named after, or `default` in the root. People put a
    name before or behind ImageJ's own (a_RoiSet.zip, Results_a.csv).
    """
    if OWN_NAME.fullmatch(file.stem):
        parent = file.parent.relative_to(root).as_posix()
        return image_name(default if parent == "." else parent, file)
    name = named_after(file, root, rois="images")
    part = NAMED_PART.fullmatch(file.stem)
    if part is None or folder.find(name) is not None:
        return name
    shorter = part["before"] or part["behind"]
    return image_name("/".join([*name.split("/")[:-1], shorter]), file)


def _rois(file: Path) -> Iterator[ImagejRoi]:
    for data in [read_bytes(file)] if file.suffix.lower() == ".roi" else _unpacked(file):
        try:
            # roifile reads a file that is cut off as if the rest, such as the group, were not set.
            if int.from_bytes(data[60:64], "big") > len(data) - HEADER_2:
                raise ValueError("it is cut off")
            with quiet_libraries():
                roi = ImagejRoi.frombytes(data)
            yield roi
        except (ValueError, TypeError, struct.error, IndexError, OverflowError) as error:
            reason = " ".join(str(error).split())[:120]
            raise AnnotationError(f"{file} holds a damaged ROI ({reason}): save it again") from None


def _unpacked(file: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(file))) as archive:
            members = [member for member in archive.infolist() if _is_visible(member.filename)]
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise AnnotationError(f"{file} unpacks to more than {MAX_UNPACKED:,} bytes: save the ROIs again")
            check_amount(len(members), file)
            for member in members:
                yield archive.read(member)
    except AnnotationError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError, struct.error) as error:
        reason = " ".join(str(error).split())[:120]  # RuntimeError for a password or an unknown method
        raise AnnotationError(f"{file} cannot be unpacked ({reason}): save the ROIs again") from None


def _add(roi: ImagejRoi, clicks: Clicks, sizes: ImageSizes, file: Path) -> None:
    """Add the object of a ROI, or the objects of a multi-point, if it is in the first slice and frame."""
    group = f"group {roi.group}" if roi.group else ""
    is_first = max(roi.z_position, roi.t_position) <= 1
    positions = [roi.position]
    if roi.roitype != ROI_TYPE.POINT:
        objects = [(_place_of_area(roi, file), group)]
    else:
        places = [Place(x + 0.5, y + 0.5) for x, y in _checked(roi.coordinates().tolist(), file)]
        counters = [] if roi.counters is None else [f"counter {counter}" for counter in roi.counters]
        labels = [group] * len(places) if group or not counters else counters
        objects = list(zip(places, labels, strict=True))
        own_positions = [] if roi.counter_positions is None else roi.counter_positions.tolist()
        positions = own_positions or positions * len(places)
    for (place, label), position in zip(objects, positions, strict=True):
        if is_first and sizes.in_first_plane(position, clicks.image):
            clicks.add_unsettled(place, label)
        else:
            clicks.dropped[OTHER_SLICE] += 1


def _place_of_area(roi: ImagejRoi, file: Path) -> Place | None:
    """Return the place of an area, or None for lines, texts and images."""
    if roi.roitype not in AREAS or roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        return None
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        corners = [(roi.left, roi.top), (roi.right, roi.bottom)]
        if roi.subpixelrect:
            corners = [(roi.xd, roi.yd), (roi.xd + roi.widthd, roi.yd + roi.heightd)]
        (left, top), (right, bottom) = _checked(corners, file)
        place = place_of_box(left, top, right, bottom)
        is_oval = roi.roitype == ROI_TYPE.OVAL
        return place_of_ellipse(*place[:2], (right - left) / 2, (bottom - top) / 2) if is_oval else place
    if roi.subpixel_coordinates is not None and len(roi.subpixel_coordinates):
        return place_of_polygons([_checked(roi.subpixel_coordinates.tolist(), file)])
    place = place_of_box(roi.left, roi.top, roi.right, roi.bottom)
    if roi.integer_coordinates is None:
        return place
    return place._replace(size=disc_diameter(polygon_area(roi.integer_coordinates.tolist())))


def _checked(pairs: Iterable[tuple[float, float]], file: Path) -> list[tuple[float, float]]:
    return [(number(x, file, "x of a ROI"), number(y, file, "y of a ROI")) for x, y in pairs]


def _without_counters(found: list[Clicks]) -> list[Clicks]:
    """Return the clicks without class if only the first counter was used, because then it is no class."""
    if {click.class_name for clicks in found for click in clicks.xy} <= {"", FIRST_COUNTER}:
        for clicks in found:
            clicks.xy[:] = [click._replace(class_name="") for click in clicks.xy]
    return found
