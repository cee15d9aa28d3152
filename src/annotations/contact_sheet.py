"""One picture of many annotated images, so that swapped x and y or swapped images are seen at once."""

from collections import Counter

import numpy as np
from PIL import Image

from lcfcn.counting.drawing import TRUE_COLOUR, marked
from lcfcn.counting.image_files import read_image
from src.annotations.own_dataset import OwnImage

MAX_IMAGES, N_COLUMNS = 12, 4
CELL = 420
"""The side of the square for each image, in pixels."""


def contact_sheet(images: list[OwnImage]) -> np.ndarray:
    """Draw up to 12 images with their clicks, spread evenly over the list, and over those that have clicks if any do.

    Returns
    -------
    sheet : (H, W, 3) uint8 ndarray
    """
    chosen = [image for image in images if image.xy] or images
    places = np.linspace(0, len(chosen) - 1, min(MAX_IMAGES, len(chosen))).round().astype(int)
    cells = [_cell(chosen[place]) for place in places]
    n_columns = min(N_COLUMNS, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % n_columns)
    rows = [np.concatenate(cells[start : start + n_columns], axis=1) for start in range(0, len(cells), n_columns)]
    return np.concatenate(rows)


def _cell(image: OwnImage) -> np.ndarray:
    """Return one image, shrunk if it is too large, with its clicks and its name, (CELL, CELL, 3) uint8."""
    pixels = read_image(image.file)
    factor = min(1.0, CELL / max(pixels.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    point_list = np.array([(click.y, click.x) for click in image.xy], dtype=float).reshape(-1, 2)
    counts = Counter(click.class_name for click in image.xy)
    caption = f"{image.name}: " + (", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "no object")
    picture = Image.fromarray(marked(small, point_list * (height, width) / pixels.shape[:2], TRUE_COLOUR, caption))
    picture.thumbnail((CELL, CELL))
    cell = Image.new("RGB", (CELL, CELL), (20, 20, 20))
    cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return np.asarray(cell)
