"""Pictures of what a network sees."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from lcfcn.blobs import blob_points
from src.files import write_whole

TRUE_COLOUR, PREDICTED_COLOUR = (255, 40, 40), (255, 225, 0)
MIN_SIDE = 320
"""Smaller images are enlarged, so that markers and captions are legible."""


def result_sheet(image: np.ndarray, point_list: np.ndarray, blobs: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Image with true points | predicted blobs with their count | heat map, side by side.

    Parameters
    ----------
    image : (H, W, 3) uint8 ndarray
    point_list : (n, 2) float ndarray
        Rows and columns of the clicks.
    blobs : (K, H, W) int ndarray
        Label image of each class.
    heat : (H, W) float ndarray
        Probability of any object, 0 to 1.

    Returns
    -------
    sheet : (H', W', 3) uint8 ndarray
    """
    truth = marked(image, point_list, TRUE_COLOUR, f"true: {len(point_list)}")
    predicted = captioned(enlarged(blob_overlay(image, blobs)), f"predicted: {count_text(blobs)}")
    heat_map = (matplotlib.colormaps["inferno"](heat)[..., :3] * 255).astype(np.uint8)
    return np.concatenate([truth, predicted, captioned(enlarged(heat_map), "probability")], axis=1)


def count_text(blobs: np.ndarray) -> str:
    """How many blobs each class of a (K, H, W) label image has."""
    return " + ".join(str(int(plane.max(initial=0))) for plane in blobs)


def blob_overlay(image: np.ndarray, blobs: np.ndarray) -> np.ndarray:
    """The image with each blob tinted in a colour of its own and outlined."""
    merged = np.where(blobs > 0, blobs + np.cumsum([0, *blobs.max(axis=(1, 2))])[:-1, None, None], 0).max(axis=0)
    colours = label2rgb(merged, image, bg_label=0, alpha=0.45, saturation=1)
    tinted = np.where(merged[..., None] > 0, colours, image / 255)  # label2rgb darkens the background too
    tinted[find_boundaries(merged, mode="inner")] = 1
    return (tinted * 255).astype(np.uint8)


def marked(image: np.ndarray, point_list: np.ndarray, colour: tuple[int, int, int], caption: str) -> np.ndarray:
    """The image with a ringed dot at each (row, col) and a caption."""
    factor = scale_factor(image.shape)
    canvas = Image.fromarray(enlarged(image))
    draw = ImageDraw.Draw(canvas)
    radius = max(3, min(canvas.size) // 110)
    for row, col in np.asarray(point_list, dtype=float) * factor:
        box = (col - radius, row - radius, col + radius, row + radius)
        draw.ellipse(box, fill=colour, outline=(0, 0, 0))
    return captioned(np.asarray(canvas), caption)


def predicted_points(blobs: np.ndarray) -> np.ndarray:
    """(n, 2) pixel centres of the points of a (K, H, W) label image."""
    return np.concatenate([blob_points(plane) for plane in blobs]) + 0.5


def scale_factor(shape: tuple[int, ...]) -> int:
    """How often an image of this shape is enlarged."""
    return max(1, -(-MIN_SIDE // max(shape[:2])))


def enlarged(image: np.ndarray) -> np.ndarray:
    """A small image with each pixel repeated."""
    factor = scale_factor(image.shape)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def captioned(image: np.ndarray, caption: str) -> np.ndarray:
    """The image with a strip above that carries the caption."""
    height = max(24, image.shape[0] // 14)
    canvas = Image.new("RGB", (image.shape[1], image.shape[0] + height), (20, 20, 20))
    canvas.paste(Image.fromarray(image), (0, height))
    font = ImageFont.load_default(size=int(height * 0.62))
    ImageDraw.Draw(canvas).text((8, height // 2), caption, fill=(255, 255, 255), font=font, anchor="lm")
    return np.asarray(canvas)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 image as PNG."""
    write_whole(Path(path), lambda file: Image.fromarray(image).save(file, format="PNG"))
