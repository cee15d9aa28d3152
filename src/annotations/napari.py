"""napari's CSV of a points layer, one file for each image, named after it: y comes BEFORE x.

Columns are `index`, `axis-0`, `axis-1` and the layer's features. A whole number is the centre of a pixel: napari shows
the pixel at index 0 from -0.5 to 0.5, as in numpy's indices. So the reader adds 0.5. The last two axes are y and x. Of
a stack it takes the points on slice 0 of all other axes, but points on any channel of an image that has channels alone.
The class is the feature `class`, `label`, `name`, `category`, `species` or `type`, if there is one.
"""

from pathlib import Path

from src.annotations.base import (
    AnnotationError,
    Click,
    Clicks,
    check_amount,
    class_name,
    files_of,
    first_line,
    number,
    read_each,
    read_table,
)
from src.annotations.common import OTHER_SLICE, named_after, settle_classes
from src.annotations.image_sizes import ImageSizes

NAME = "napari CSV of points"
MAX_AXES = 6
AXES = [f"axis_{axis}" for axis in range(MAX_AXES)]
CLASS_COLUMNS = ("class", "class_name", "label", "name", "category", "species", "type")
COLUMNS = {**{axis: (axis,) for axis in AXES}, "class": CLASS_COLUMNS, "vertex": ("vertex_index",)}


def recognises(path: Path) -> bool:
    """Whether a CSV, or one in a folder, has napari's axes."""
    return any(_fits(file) for file in files_of(path, ".csv"))


def read(path: Path, images: Path | None) -> list[Clicks]:
    """Read the clicks of each file's image."""
    root = path if path.is_dir() else path.parent
    sizes = ImageSizes(images or root)
    return settle_classes(read_each(path, (".csv",), _fits, lambda file: [_read_file(file, root, sizes)]))


def _fits(file: Path) -> bool:
    header = [name.strip(' "') for name in first_line(file).split(",")]
    return {"axis-0", "axis-1"} <= set(header)


def _read_file(file: Path, root: Path, sizes: ImageSizes) -> Clicks:
    clicks = Clicks(named_after(file, root))
    for amount, (where, row) in enumerate(read_table(file, COLUMNS, needed=("axis_0", "axis_1")), start=1):
        check_amount(amount, file)
        if "vertex" in row:
            raise AnnotationError(f"{file} holds shapes, not points: save a layer of points")
        *others, y, x = (number(row[axis], file, f"{axis} of {where}") for axis in AXES if axis in row)
        is_channel = len(others) == 1 and round(others[0]) and sizes.has_channels_alone(clicks.image)
        if any(round(other) for other in others) and not is_channel:
            clicks.dropped[OTHER_SLICE] += 1
        else:
            clicks.xy.append(Click(x + 0.5, y + 0.5, class_name(row.get("class", ""))))
    return clicks
