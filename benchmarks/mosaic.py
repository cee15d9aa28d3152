"""Count on a large mosaic of real images by tiles, and on its parts one by one.

python -m benchmarks.mosaic IMAGES -c CHECKPOINT --side 10000
"""

import argparse
import math
import resource
import time
from pathlib import Path

import numpy as np

from lcfcn.counting.counter import Counter, load
from lcfcn.counting.defaults import IMAGE_SUFFIXES, TILE
from lcfcn.counting.image_files import read_image


def main() -> None:
    """Print the counts, the seconds for a megapixel and the peak memory. Then compare tiles with a single pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of images of one size")
    parser.add_argument("-c", "--checkpoint", type=Path, required=True)
    parser.add_argument("--side", type=int, default=10_000, help="at least so many pixels high and wide")
    parser.add_argument(
        "--corner", type=int, default=3000, help="side of the corner that is also counted in a single pass"
    )
    args = parser.parse_args()
    parts = read_parts(args.images)
    mosaic, chosen = tile_up(parts, args.side)
    counter = load(args.checkpoint)

    start = time.perf_counter()
    count = counter.count(mosaic).count
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    height, width = mosaic.shape[:2]
    print(f"{width} x {height}: {count} by tiles of {TILE}")
    print(f"{seconds:.0f} s, {seconds / (height * width) * 1e6:.2f} a megapixel")
    print(f"peak memory of the process: {peak:.2f} GiB, of which the mosaic {mosaic.nbytes / 2**30:.2f}")

    counts = [counter.count(part).count for part in parts]
    total = sum(counts[i] for i in chosen)
    print(f"sum over its {len(chosen)} parts: {total}; by tiles {100 * (count - total) / total:+.2f} %")

    corner = np.ascontiguousarray(mosaic[: args.corner, : args.corner])
    side = math.ceil(args.corner * counter.trained.settings.zoom)
    at_once = Counter(counter.trained, counter.class_names, tile=side)
    print(f"{args.corner} x {args.corner}: {counter.count(corner).count} by tiles, ", end="")
    print(f"{at_once.count(corner).count} at once")


def read_parts(folder: Path) -> list[np.ndarray]:
    """Return the folder's photographs that have the size of the first one, without TRANCOS's images of dots."""
    paths = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and not p.stem.endswith("dots")]
    images = [read_image(path) for path in paths]
    return [image for image in images if image.shape == images[0].shape]


def tile_up(parts: list[np.ndarray], side: int) -> tuple[np.ndarray, list[int]]:
    """Return a mosaic of whole parts, row by row, and the number of the part at each place."""
    height, width = parts[0].shape[:2]
    rows, columns = -(-side // height), -(-side // width)
    chosen = [i % len(parts) for i in range(rows * columns)]
    mosaic = np.empty((rows * height, columns * width, 3), dtype=np.uint8)
    for place, part in enumerate(chosen):
        top, left = place // columns * height, place % columns * width
        mosaic[top : top + height, left : left + width] = parts[part]
    return mosaic, chosen


if __name__ == "__main__":
    main()
