"""ImageJ and Fiji: .roi files, .zip files of ROIs, and tables of results as CSV (columns X and Y).

A file belongs to the image that it is named after (a.roi, a.zip, a.csv to a.tif). A file that ImageJ named
(RoiSet.zip, Results.csv, 0123-0456.roi) belongs to the image that its folder is named after, or to the only image there
is. A table with a column Label names the images itself. A zip file without ROIs and a table without rows say that the
image has no object.

ImageJ's points count from the CENTRE of a pixel (0, 0 is the centre of the first one), its areas from the corner
(`Roi.useLineSubpixelConvention` in ImageJ's source: "the convention for line and point ROIs, where the coordinates are
with respect to the pixel center"; "area rois, which have coordinates with respect to the upper left corners"). So the
reader adds 0.5 to points, and nothing to the centres of the boxes of areas. In a table, X and Y of a point are its
coordinates. X and Y of an area, which has an Area above 0, are its centroid, counted from the corner. Lines and texts
have no position. An area gives the size of its object.

Tables must be in pixels: remove the scale (Analyze > Set Scale) before you measure. The class is the group of a ROI, or
the counter of a multi-point. Points on other slices than the first are dropped.
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
    class_name,
    entry,
    files_of,
    first_line,
    image_name,
    number,
    read_bytes,
    read_table,
)
from src.annotations.common import OTHER_SLICE, named_after, settle_classes
from src.annotations.csv_points import COLUMNS as POINT_COLUMNS
from src.annotations.matching import ImageFolder
from src.annotations.shapes import (
    Place,
    disc_diameter,
    place_of_box,
    place_of_ellipse,
    place_of_polygons,
    polygon_area,
)

NAME = "ImageJ ROIs or results"
SUFFIXES = (".csv", ".roi", ".zip")
MAX_UNPACKED = 1_000_000_000
"""Bytes. A zip file of ROIs that claims to hold more is refused."""
HEADER_2 = 52
"""Bytes that a ROI has at least after the offset in its bytes 60 to 63 (ij.io.RoiDecoder in ImageJ's source)."""
OWN_NAME = re.compile(r"roiset|results|(\d{4,}-){1,2}\d{4,}(-\d+)?", re.IGNORECASE)
COLUMNS = {
    "x": ("x",),
    "y": ("y",),
    "image": ("label",),
    "area": ("area",),
    "slice": ("slice",),
    "frame": ("frame",),
    "group_name": ("groupname",),
    "group": ("group",),
    "counter": ("counter",),
}
FIRST_COUNTER = "counter 0"
AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)


def recognises(path: Path) -> bool:
    """Whether a file, or one in a folder, holds ROIs or results."""
    return any(_fits(file) for file in files_of(path, *SUFFIXES))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each image. Several files may belong to one image."""
    root = path if path.is_dir() else path.parent
    folder = ImageFolder(images or root, set())
    default = folder.name(folder.files[0]) if len(folder.files) == 1 else root.absolute().name
    found: dict[str, Clicks] = {}
    for file in files_of(path, *SUFFIXES):
        if not _fits(file):
            raise AnnotationError(f"{file} is of another format than the rest of {path}: name one file, or move it out")
        if file.suffix.lower() == ".csv":
            _read_table(file, root, default, found)
        else:
            clicks = entry(found, _image_of(file, root, default))
            for roi in _rois(file):
                _add(roi, clicks, file)
                check_amount(len(clicks.xy), file)
    return settle_classes(_without_counters(list(found.values())))


def _fits(file: Path) -> bool:
    if file.suffix.lower() == ".csv":
        header = [name.strip(' "') for name in re.split(r"[,;\t]", first_line(file))]
        names_images = {name.casefold().replace(" ", "_") for name in header} & set(POINT_COLUMNS["image"])
        return {"X", "Y"} <= set(header) and not names_images
    try:
        if file.suffix.lower() == ".roi":
            with file.open("rb") as opened:
                return opened.read(4) == b"Iout"
        with zipfile.ZipFile(file) as archive:
            return all(name.lower().endswith(".roi") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return False


def _image_of(file: Path, root: Path, default: str) -> str:
    """Return the image that a file is named after.

    If ImageJ named the file, it is the image that its folder is named after, or `default` in the root.
    """
    if not OWN_NAME.fullmatch(file.stem):
        return named_after(file, root, rois="images")
    folder = file.parent.relative_to(root).as_posix()
    return image_name(default if folder == "." else folder, file)


def _rois(file: Path) -> Iterator[ImagejRoi]:
    for data in [read_bytes(file)] if file.suffix.lower() == ".roi" else _unpacked(file):
        try:
            # roifile reads a file that is cut off as if the rest, such as the group, were not set.
            if int.from_bytes(data[60:64], "big") > len(data) - HEADER_2:
                raise ValueError("it is cut off")
            yield ImagejRoi.frombytes(data)
        except (ValueError, TypeError, struct.error, IndexError, OverflowError) as error:
            reason = " ".join(str(error).split())[:120]
            raise AnnotationError(f"{file} holds a damaged ROI ({reason}): save it again") from None


def _unpacked(file: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(file))) as archive:
            members = archive.infolist()
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


def _add(roi: ImagejRoi, clicks: Clicks, file: Path) -> None:
    """Add the object of a ROI, or the objects of a multi-point."""
    group = f"group {roi.group}" if roi.group else ""
    slices = [max(roi.position, roi.z_position, roi.t_position)]
    if roi.roitype != ROI_TYPE.POINT:
        objects = [(_place_of_area(roi, file), group)]
    else:
        places = [Place(x + 0.5, y + 0.5) for x, y in _checked(roi.coordinates().tolist(), file)]
        counters = [] if roi.counters is None else [f"counter {counter}" for counter in roi.counters]
        labels = [group] * len(places) if group or not counters else counters
        objects = list(zip(places, labels, strict=True))
        own_slices = [] if roi.counter_positions is None else roi.counter_positions.tolist()
        slices = own_slices or slices * len(places)
    for (place, label), at in zip(objects, slices, strict=True):
        if at > 1:
            clicks.dropped[OTHER_SLICE] += 1
        else:
            clicks.add_unsettled(place, label)


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


def _read_table(file: Path, root: Path, default: str, found: dict[str, Clicks]) -> None:
    amount = 0
    for amount, (where, row) in enumerate(read_table(file, COLUMNS, needed=("x", "y")), start=1):
        check_amount(amount, file)
        # ImageJ writes title:ROI or title:slice.
        title = row["image"].partition(":")[0] if "image" in row else _image_of(file, root, default)
        clicks = entry(found, image_name(title, file))
        x, y, area, at, frame = (_cell(row, column, file, where) for column in ("x", "y", "area", "slice", "frame"))
        if max(at, frame) > 1:
            clicks.dropped[OTHER_SLICE] += 1
        else:
            place = Place(x, y, disc_diameter(area)) if area > 0 else Place(x + 0.5, y + 0.5)
            clicks.add_unsettled(place, _label_of(row))
    if not amount:
        entry(found, _image_of(file, root, default))


def _cell(row: dict[str, str], column: str, file: Path, where: str) -> float:
    """Return the number in a cell, with a decimal comma or point. An empty cell is 0, but x and y must be there."""
    text = row.get(column, "")
    return number(text.replace(",", "."), file, f"{column} of {where}") if text or column in "xy" else 0.0


def _label_of(row: dict[str, str]) -> str:
    """Return the group's name or number, or the counter."""
    if row.get("group_name"):
        return class_name(row["group_name"])
    if row.get("group", "0") not in ("", "0"):
        return class_name(f"group {row['group']}")
    return class_name(f"counter {row['counter']}") if row.get("counter") else ""


def _without_counters(found: list[Clicks]) -> list[Clicks]:
    """Return the clicks without class if only the first counter was used, because then it is no class."""
    if {click.class_name for clicks in found for click in clicks.xy} <= {"", FIRST_COUNTER}:
        for clicks in found:
            clicks.xy[:] = [click._replace(class_name="") for click in clicks.xy]
    return found
