"""Draw docs/images/flood_example.png: one flood of 8x8 pixels, step by step, computed by the kernels of the loss.

python -m benchmarks.flood_figure -o docs/images/flood_example.png

Prints how the label of one pixel in a blob's own flood is found, and what the lines weigh. docs/loss.md quotes this.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from lcfcn.components import label_blobs
from lcfcn.counting.drawing import save_png
from lcfcn.split_lines import SplitLines, split_lines
from lcfcn.subflood import Flooded, Tree, arrival_level, choose, first_neighbour, join_regions, label_of, new_lake
from lcfcn.top_hat import black_top_hat
from lcfcn.watershed import AT_ONCE, inner, new_queue, places, rank_pixels, run_flood

# fmt: off
PERCENT = np.array([
    [20, 31, 46, 30, 22, 35, 29, 18],
    [42, 76, 87, 56, 54, 80, 75, 28],
    [48, 84, 97, 66, 62, 92, 83, 38],
    [30, 59, 63, 59, 53, 72, 65, 28],
    [11, 25, 29, 36, 41, 47, 26, 13],
    [19, 67, 79, 70, 61, 53, 21,  8],
    [15, 65, 90, 75, 58, 43, 14,  5],
    [ 7, 31, 40, 34, 24, 16,  9,  3],
])
# fmt: on
"""Probabilities of an object. No two heights of their relief are equal, except 0."""
CLICKS = np.array([[2, 2], [2, 5], [6, 2]])
"""Row and column of the clicks 1, 2 and 3 in raster order."""
BLOB, BLOB_NAMES = 1, "AB"
"""The blob with two clicks, whose own flood is explained, and the names of the blobs in the figure."""
TRACED = (4, 2)
"""The pixel below blob A whose label in A's own flood is traced."""
SHAPE = PERCENT.shape
STRIDE = SHAPE[1] + 2
# Of the palette of Okabe and Ito, lightened: the colour-blind can tell them apart too.
LABEL_COLOURS = ("#ffffff", "#f5c56b", "#9fd3f2", "#8fd6bd")
INK, ACCENT = "#1a1a1a", "#c0392b"
PANEL, TITLE, MARGIN = 4.9, 0.55, 0.45
"""Side of a panel with its margins, height of its title, and margin, in inches."""


@dataclass(frozen=True)
class Example:
    """Everything that the figure shows, as the kernels compute it; arrays are (8, 8)."""

    relief: np.ndarray
    blobs: np.ndarray
    order: np.ndarray
    flooded: Flooded
    tree: Tree
    lines: SplitLines
    labels: np.ndarray
    own_labels: np.ndarray
    trace: list[tuple[int, int]]
    steps: list[str]


class OrderedLevels:
    """Stands for the array of levels of a flood, and notes in which order the pixels are written."""

    def __init__(self, levels: np.ndarray) -> None:
        self.levels = levels
        self.order = np.zeros_like(levels)
        self.n = 0

    def __setitem__(self, place: int, level: int) -> None:
        self.n += 1
        self.levels[place], self.order[place] = level, self.n


def main() -> None:
    """Compute the example, print its numbers, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    example = compute_example()
    print("\n".join([*example.steps, *weight_lines(example)]))
    save_png(args.output, draw(example))


def compute_example() -> Example:
    """Flood the example and label each pixel as the own flood of blob A would."""
    probs = (PERCENT / 100).astype(np.float32)
    everywhere = np.ones(SHAPE, dtype=bool)
    relief, blobs = black_top_hat(probs, everywhere), label_blobs(probs > 0.5)
    lines = split_lines(probs, np.ravel_multi_index(CLICKS.T, SHAPE), blobs, everywhere)
    ranks = rank_pixels(relief, everywhere)
    queue, seeds, cells = new_queue(ranks), places(*CLICKS.T, SHAPE[1]), ranks.cells.copy()
    levels = OrderedLevels(np.empty_like(cells))
    run_flood.py_func(cells, levels, seeds, np.arange(1, len(seeds) + 1), queue, STRIDE)
    groups = blobs[tuple(CLICKS.T)]
    flooded = Flooded(cells, levels.levels, ranks.cells, queue.pixels, seeds, groups, STRIDE)
    tree = join_regions(flooded, places(*np.nonzero(lines.all_clicks), SHAPE[1]))
    own_labels, trace, steps = own_flood(flooded, tree, relief)
    order = inner(levels.order, SHAPE)
    return Example(relief, blobs, order, flooded, tree, lines, inner(cells, SHAPE), own_labels, trace, steps)


def own_flood(flooded: Flooded, tree: Tree, relief: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]], list[str]]:
    """Return the labels of blob A's own flood, and how one pixel gets its label: the pixels looked at, and the steps.

    The steps are those of `lcfcn.subflood.label_of`.
    """
    lake = new_lake(len(flooded.cells))
    choose(BLOB, np.flatnonzero(flooded.groups == BLOB), flooded, tree, lake)
    labels = np.zeros(SHAPE, dtype=np.int32)
    for pixel in np.ndindex(SHAPE):
        labels[pixel] = label_of(place_of(pixel), BLOB, flooded, tree, lake)

    trace, steps, place = [TRACED], [], place_of(TRACED)
    while flooded.groups[flooded.cells[place] - 1] != BLOB:
        level = arrival_level(place, BLOB, flooded, tree)
        over = flooded.pixels[level]
        steps.append(
            f"{text_of(place)} belongs to click {flooded.cells[place]}. A's water arrives there at height "
            f"{height_of(level, flooded, relief)}, over the pass {text_of(over)}."
        )
        place = over
        if flooded.groups[flooded.cells[over] - 1] != BLOB:
            place = first_neighbour(over, BLOB, flooded, tree, lake)
            steps.append(f"The first neighbour of this pass that A's water reaches is {text_of(place)}.")
        trace.append(pixel_of(place))
    steps.append(f"{text_of(place)} belongs to click {flooded.cells[place]}, a click of A: this is the label.")
    return labels, trace, steps


def weight_lines(example: Example) -> list[str]:
    """Return what each pixel of the split lines weighs in the loss, as sentences."""
    n_global, n_local = int(example.lines.all_clicks.sum()), int(example.lines.in_blobs.sum())
    n_clicks, n_in_blob = len(CLICKS), int((example.flooded.groups == BLOB).sum())
    return [
        f"Lines of the whole image: {n_clicks} clicks, {n_global} pixels, weight {n_clicks - 1}/{n_global} each.",
        f"Lines in blob A: {n_in_blob} clicks, {n_local} pixels, weight {n_in_blob - 1}/{n_local} each.",
    ]


def place_of(pixel: tuple[int, int]) -> int:
    """Return the place of a pixel in the cells."""
    return (pixel[0] + 1) * STRIDE + pixel[1] + 1


def pixel_of(place: int) -> tuple[int, int]:
    """Return row and column of a place."""
    return int(place) // STRIDE - 1, int(place) % STRIDE - 1


def text_of(place: int) -> str:
    """Return a place as text, such as "(4, 2)": row and column."""
    return str(pixel_of(place))


def height_of(level: int, flooded: Flooded, relief: np.ndarray) -> int:
    """Return the height of a level in hundredths."""
    return 0 if level == AT_ONCE else round(100 * relief[pixel_of(flooded.pixels[level])])


def draw(example: Example) -> np.ndarray:
    """Draw six panels, three by two, as an (H, W, 3) uint8 picture."""
    figure = Figure(figsize=(2 * PANEL, 3 * (PANEL + TITLE)), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panels = (draw_probability, draw_relief, draw_order, draw_lines, draw_tree, draw_own)
    for number, draw_panel in enumerate(panels):
        bottom = (2 - number // 2) * (PANEL + TITLE) + MARGIN / 2
        box = np.array([number % 2 * PANEL + MARGIN, bottom, PANEL - 1.4 * MARGIN, PANEL - 1.4 * MARGIN])
        draw_panel(figure.add_axes(box / np.tile(figure.get_size_inches(), 2)), example)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_probability(axes: Axes, example: Example) -> None:
    """Panel 1: the input."""
    grey = np.repeat(0.35 + 0.65 * (PERCENT / 100)[..., None], 3, axis=2)
    draw_grid(axes, grey, PERCENT)
    draw_blobs(axes, example.blobs, names=True)
    draw_clicks(axes)
    title(
        axes,
        1,
        "Input: probability of an object, in %",
        "Bold: blobs A and B (above 50 %). Ringed: clicks 1, 2, 3.",
    )


def draw_relief(axes: Axes, example: Example) -> None:
    """Panel 2: the black top-hat."""
    heights = np.rint(100 * example.relief).astype(int)
    share = (heights / heights.max())[..., None]
    draw_grid(axes, (1 - share) * np.array(to_rgb("#ffffff")) + share * np.array(to_rgb("#b98a5a")), heights)
    draw_clicks(axes)
    title(axes, 2, "Relief: black top-hat, in %", "High where the map is darker than around it.")


def draw_order(axes: Axes, example: Example) -> None:
    """Panel 3: the order of the flood."""
    draw_grid(axes, coloured(example.labels), example.order)
    draw_clicks(axes)
    title(axes, 3, "One flood from all clicks", "Number: the order. Next is the lowest pixel at the water.")


def draw_lines(axes: Axes, example: Example) -> None:
    """Panel 4: the labels and the lines over the whole image."""
    draw_grid(axes, coloured(example.labels), example.labels)
    hatch(axes, example.lines.all_clicks)
    draw_blobs(axes, example.blobs)
    title(axes, 4, "Its labels and split lines", "Hatched: split lines. A neighbour has another label.")


def draw_tree(axes: Axes, example: Example) -> None:
    """Panel 5: the spanning tree. A node stands at the height at which the water of its two children meets."""
    tree, n = example.tree, len(CLICKS)
    x, y = list(range(n)), [0] * n
    for node in range(n, 2 * n - 1):
        one, other = np.flatnonzero(tree.parents == node)
        x.append((x[one] + x[other]) / 2)
        y.append(height_of(tree.levels[node], example.flooded, example.relief))
        axes.plot([x[one], x[one], x[other], x[other]], [y[one], y[node], y[node], y[other]], color=INK, linewidth=2)
        note = f"height {y[node]},\npixel {text_of(example.flooded.pixels[tree.levels[node]])}"
        axes.text(x[node] + 0.06, y[node] + 0.5, note, va="bottom", fontsize=11)
    for click in range(n):
        axes.plot(click, 0, "o", markersize=27, color=LABEL_COLOURS[click + 1], markeredgecolor=INK, clip_on=False)
        axes.text(click, 0, click + 1, ha="center", va="center", fontsize=13, weight="bold")
    axes.set(xlim=(-0.5, n - 0.5), ylim=(-1.5, max(y) + 5), xticks=[])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    title(axes, 5, "Spanning tree of the regions", "Upwards: height of the water when it joins two regions.")


def draw_own(axes: Axes, example: Example) -> None:
    """Panel 6: the own flood of blob A."""
    draw_grid(axes, coloured(example.own_labels), example.own_labels)
    hatch(axes, example.lines.in_blobs)
    draw_blobs(axes, np.where(example.blobs == BLOB, BLOB, 0))
    axes.add_patch(Circle(TRACED[::-1], 0.36, fill=False, linewidth=2.5, edgecolor=ACCENT, zorder=4))
    for start, end in zip(example.trace, example.trace[1:], strict=False):
        arrow = {"arrowstyle": "-|>", "lw": 2.5, "color": ACCENT, "shrinkA": 11, "shrinkB": 10, "mutation_scale": 16}
        axes.annotate("", xy=end[::-1], xytext=start[::-1], arrowprops=arrow)
    title(
        axes,
        6,
        "Blob A's own flood (clicks 1 and 2)",
        "Read off panels 4 and 5. Red: why (4, 2) gets label 2.",
    )


def coloured(labels: np.ndarray) -> np.ndarray:
    """Return the colours (8, 8, 3) of labels."""
    return np.array([to_rgb(colour) for colour in LABEL_COLOURS])[labels]


def draw_grid(axes: Axes, colours: np.ndarray, numbers: np.ndarray) -> None:
    """Draw the pixels as cells with a number each."""
    axes.imshow(colours, interpolation="nearest")
    for (row, col), number in np.ndenumerate(numbers):
        axes.text(col, row, number, ha="center", va="center", fontsize=11, color=INK)
    axes.set_xticks(np.arange(-0.5, SHAPE[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, SHAPE[0]), minor=True)
    axes.set_xticks(range(SHAPE[1]))
    axes.set_yticks(range(SHAPE[0]))
    axes.grid(which="minor", color="#00000030", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=9, labelcolor="#666666", labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def draw_blobs(axes: Axes, blobs: np.ndarray, names: bool = False) -> None:
    """Draw the outline of each blob."""
    padded = np.pad(blobs, 1)
    across = [[(c - 0.5, r - 0.5), (c + 0.5, r - 0.5)] for r, c in np.argwhere(np.diff(padded, axis=0)[:, 1:-1])]
    down = [[(c - 0.5, r - 0.5), (c - 0.5, r + 0.5)] for r, c in np.argwhere(np.diff(padded, axis=1)[1:-1])]
    axes.add_collection(LineCollection(across + down, colors=INK, linewidths=3, capstyle="round", zorder=3))
    for blob in np.unique(blobs[blobs > 0]) if names else ():
        row, col = np.argwhere(blobs == blob).min(axis=0)
        tag(axes, col - 0.5, row - 0.5, BLOB_NAMES[blob - 1], size=12)


def draw_clicks(axes: Axes) -> None:
    """Ring the clicked pixels and tag them with the click's number."""
    for number, (row, col) in enumerate(CLICKS, start=1):
        axes.add_patch(Circle((col, row), 0.36, fill=False, linewidth=2, edgecolor=INK, zorder=4))
        tag(axes, col - 0.38, row - 0.38, str(number), size=8)


def tag(axes: Axes, x: float, y: float, text: str, size: int) -> None:
    """Write white on a black square."""
    square = {"boxstyle": "square,pad=0.2", "facecolor": "black", "edgecolor": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=size, weight="bold", color="white", zorder=5, bbox=square)


def hatch(axes: Axes, mask: np.ndarray) -> None:
    """Hatch the pixels of a mask."""
    for row, col in np.argwhere(mask):
        cell = Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#00000080", linewidth=0)
        axes.add_patch(cell)


def title(axes: Axes, number: int, name: str, meaning: str) -> None:
    """Write the title of a panel, and below it one line that says what to see."""
    for text, height, style in (
        (f"{number}  {name}", 38, {"fontsize": 13, "weight": "bold"}),
        (meaning, 21, {"fontsize": 10.5}),
    ):
        axes.annotate(
            text, (0, 1), (0, height), xycoords="axes fraction", textcoords="offset points", color=INK, **style
        )


if __name__ == "__main__":
    main()
