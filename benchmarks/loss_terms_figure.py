"""Draw which pixels of a real image each term of the loss selects, and in which direction it pushes them.

python -m benchmarks.loss_terms_figure -d DATADIR -c CHECKPOINT --image image-1-000042.jpg --corner 65 160 \\
    -o results/loss_terms.png
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from skimage.color import rgb2gray

from lcfcn.counting import drawing
from lcfcn.counting.pixels import denormalize
from lcfcn.lcfcn_loss import get_blobs
from lcfcn.targets import PixelSet, find_pixel_sets
from src.datasets import collate, get_dataset
from src.evaluation import pairing
from src.training.runtime import Runtime

MEANINGS = {
    "image_level": "One pixel is surely object, one is surely background.",
    "point_level": "Each click is an object.",
    "split_level": "Lines between clicks are background: over the image,\nand inside each blob with several clicks.",
    "false_positive": "A blob without a click is background.",
}
# From the palette of Okabe and Ito, which colour-blind people can distinguish too.
OBJECT, BACKGROUND = "#e69f00", "#56b4e9"
PAPER = "#141414"
CLICK = {"marker": "o", "linestyle": "", "color": "white", "markeredgecolor": "black", "markersize": 5}
SINGLE_PIXELS = ("image_level", "point_level")
"""Terms of single pixels, which are drawn larger than they are."""
WIDTH = 11.6
"""The width of the figure in hundreds of pixels."""


def main() -> None:
    """Run a network on one validation image, and draw the four terms on a crop of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--datadir")
    parser.add_argument("-c", "--checkpoint", type=Path, required=True, help="model.pth or model_best.pth")
    parser.add_argument("--image", help="name of the validation image; the first by default")
    parser.add_argument(
        "--corner", type=int, nargs=2, default=(0, 0), metavar=("ROW", "COL"), help="corner of the crop"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(180, 240), metavar=("H", "W"), help="size of the crop")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    image, probs, points, roi = read_sample(args.checkpoint, args.datadir, args.image)
    rows, cols = (slice(start, start + side) for start, side in zip(args.corner, args.size, strict=True))
    # The crop counts as the whole image, so that the two pixels of the image level are inside it.
    picture = draw_terms(image[rows, cols], probs[:, rows, cols], points[rows, cols], roi[rows, cols])
    drawing.save_png(args.output, picture)


def read_sample(
    checkpoint: Path, datadir: str | None, name: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a validation image (H, W, 3) uint8, its probabilities (C, H, W), clicks (H, W) int, region (H, W) bool."""
    exp_dict, model, _ = pairing.load_network(checkpoint, Runtime())
    model.model_base.eval()
    dataset = get_dataset(exp_dict["dataset"], "val", datadir)
    sample = dataset[dataset.names.index(name) if name else 0]
    probs = model.predict_probs(collate([sample]))[0]
    image = denormalize(sample["images"], exp_dict["dataset"]["transform"])
    return image, probs, sample["points"].numpy(), sample["roi"].numpy()


def draw_terms(image: np.ndarray, probs: np.ndarray, points: np.ndarray, roi: np.ndarray) -> np.ndarray:
    """Draw a panel for each term, two by two, as an (H, W, 3) uint8 picture, from what `read_sample` returns."""
    pixel_sets = find_pixel_sets(probs, points, roi)
    mask = get_blobs(probs[None], roi[None])[0].any(axis=0)
    # Grey and dim, so that the colours stand out.
    ground = np.repeat(rgb2gray(image)[..., None], 3, axis=2) * 0.75
    height = WIDTH * image.shape[0] / image.shape[1] + 1.8
    figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained", facecolor=PAPER)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    canvas = FigureCanvasAgg(figure)
    for axes, (term, meaning) in zip(figure.subplots(2, 2).flat, MEANINGS.items(), strict=True):
        draw_panel(axes, ground, mask, points, [s for s in pixel_sets if s.term == term])
        name = term.replace("_", "~").capitalize()
        axes.set_title(f"$\\bf{{{name}}}$\n{meaning}", color="white", fontsize=12, loc="left")
    figure.legend(
        handles=legend_handles(), loc="outside lower center", ncols=4, fontsize=12, frameon=False, labelcolor="white"
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_panel(axes: Axes, ground: np.ndarray, mask: np.ndarray, points: np.ndarray, chosen: list[PixelSet]) -> None:
    """Draw the pixels of one term over the image, with the outlines of the blobs and the clicks."""
    picture = ground.copy()
    for pixel_set in chosen:
        picture.reshape(-1, 3)[pixel_set.pixels] = to_rgb(colour_of(pixel_set))
    axes.imshow(picture, interpolation="nearest")
    axes.contour(mask, levels=[0.5], colors="white", linewidths=1)
    for pixel_set in chosen:
        if pixel_set.term in SINGLE_PIXELS:
            rows, cols = np.unravel_index(pixel_set.pixels, mask.shape)
            axes.plot(cols, rows, **{**CLICK, "markersize": 14, "color": colour_of(pixel_set)})
    rows, cols = np.nonzero(points)
    axes.plot(cols, rows, **CLICK)
    axes.set_axis_off()


def colour_of(pixel_set: PixelSet) -> str:
    """Return the colour for the direction in which a set pushes its pixels, for a network with one channel."""
    return OBJECT if pixel_set.towards else BACKGROUND


def legend_handles() -> list[Line2D]:
    """Return the legend of the colours and marks."""
    square = {"marker": "s", "linestyle": "", "markersize": 11}
    return [
        Line2D([], [], color=OBJECT, label="pushed to object", **square),
        Line2D([], [], color=BACKGROUND, label="pushed to background", **square),
        Line2D([], [], color="white", linewidth=1, label="blob of the network"),
        Line2D([], [], label="click", **CLICK),
    ]


if __name__ == "__main__":
    main()
