"""Draw objects on an image: tinted blobs, points, and a caption."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from lcfcn.components import blob_points, label_blobs
from lcfcn.files import write_whole

TRUE_COLOUR, PREDICTED_COLOUR = (255, 40, 40), (255, 225, 0)
OVERLAY_SIDE = 2048
"""Longest side of an overlay, in pixels."""
MIN_SIDE = 320
"""Images whose longest side is shorter are enlarged, so that markers and captions are legible."""


def overlay(image: np.ndarray, class_map: np.ndarray, xy: np.ndarray, caption: str) -> np.ndarray:
    """Draw an image with tinted blobs, marked points, and a caption above it.

    Parameters
    ----------
    image : (H, W, 3) uint8 ndarray
    class_map : (H, W) uint ndarray
        The class of each pixel, 0 = background.
    xy : (n, 2) float ndarray
        x and y of the points.
    caption : str
        One line of text.

    Returns
    -------
    picture : (H', W', 3) uint8 ndarray
        If the image is larger than `OVERLAY_SIDE`, it has every second (third, ...) pixel only.
    """
    step = -(-max(image.shape[:2]) // OVERLAY_SIDE)
    small = class_map[::step, ::step]
    present = np.unique(small[small > 0])
    blobs = np.stack([label_blobs(small == k) for k in present] or [np.zeros(small.shape, dtype=np.int32)])
    tinted = blob_overlay(image[::step, ::step], blobs)
    return marked(tinted, xy[:, ::-1] / step, PREDICTED_COLOUR, caption)


def count_text(blobs: np.ndarray) -> str:
    """Return the number of blobs in each class of a (K, H, W) label image, such as "3 + 5"."""
    return " + ".join(str(int(plane.max(initial=0))) for plane in blobs)


def blob_overlay(image: np.ndarray, blobs: np.ndarray) -> np.ndarray:
    """Return the image with each blob of a (K, H, W) label image outlined, and tinted in a colour of its own."""
    merged = np.where(blobs > 0, blobs + np.cumsum([0, *blobs.max(axis=(1, 2))])[:-1, None, None], 0).max(axis=0)
    colours = label2rgb(merged, image, bg_label=0, alpha=0.45, saturation=1)
    tinted = np.where(merged[..., None] > 0, colours, image / 255)  # label2rgb also darkens the background
    tinted[find_boundaries(merged, mode="inner")] = 1
    return (tinted * 255).astype(np.uint8)


def marked(image: np.ndarray, point_list: np.ndarray, colour: tuple[int, int, int], caption: str) -> np.ndarray:
    """Return the image with a ringed dot at each (row, col) and a caption."""
    factor = scale_factor(image.shape)
    canvas = Image.fromarray(enlarged(image))
    draw = ImageDraw.Draw(canvas)
    radius = max(3, min(canvas.size) // 110)
    for row, col in np.asarray(point_list, dtype=float) * factor:
        box = (col - radius, row - radius, col + radius, row + radius)
        draw.ellipse(box, fill=colour, outline=(0, 0, 0))
    return captioned(np.asarray(canvas), caption)


def predicted_points(blobs: np.ndarray) -> np.ndarray:
    """Return the points of a (K, H, W) label image as (n, 2) rows and columns of pixel centres."""
    return np.concatenate([blob_points(plane) for plane in blobs]) + 0.5


def scale_factor(shape: tuple[int, ...]) -> int:
    """Return the factor by which an image of this shape is enlarged."""
    return max(1, -(-MIN_SIDE // max(shape[:2])))


def enlarged(image: np.ndarray) -> np.ndarray:
    """Return a small image with each pixel repeated; see `scale_factor`."""
    factor = scale_factor(image.shape)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def captioned(image: np.ndarray, caption: str) -> np.ndarray:
    """Return the image with a caption on a dark strip above it."""
    height = max(24, image.shape[0] // 14)
    canvas = Image.new("RGB", (image.shape[1], image.shape[0] + height), (20, 20, 20))
    canvas.paste(Image.fromarray(image), (0, height))
    font = ImageFont.load_default(size=int(height * 0.62))
    ImageDraw.Draw(canvas).text((8, height // 2), caption, fill=(255, 255, 255), font=font, anchor="lm")
    return np.asarray(canvas)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 image as PNG."""
    write_whole(Path(path), lambda file: Image.fromarray(image).save(file, format="PNG"))
