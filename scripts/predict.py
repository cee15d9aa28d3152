"""Count and locate objects on pictures with a trained network.

python scripts/predict.py IMAGE|FOLDER|GLOB... -c NAME|CHECKPOINT|EXPERIMENT_DIR -o OUT
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.cli import Parser, run_main  # noqa: E402
from src.defaults import CHECKPOINT_HELP, MAX_PIXELS, PRECISIONS, TILE  # noqa: E402

EPILOG = """It writes counts.csv (image,class,count; a row also for none), points.csv (image,x,y,class,score,area: the
centre of the blob's middle pixel, the mean probability over the blob, its pixels), overlays/IMAGE.png, what --export
names, and failed.csv (image,reason). Exit code: 0 all well, 1 some images failed, 2 none could be done, 130 stopped."""
EXPORTS = ("cvat", "geojson", "labelme")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders, or patterns in quotes")
    parser.add_argument("-c", "--checkpoint", required=True, type=Path, help=CHECKPOINT_HELP)
    parser.add_argument("-o", "--out", required=True, type=Path, help="the folder to write into")
    parser.add_argument("--recursive", action="store_true", help="look into sub-folders too")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="32", help="of the network (default 32)")
    parser.add_argument("--batch-size", type=int, default=1, help="images of one size at once (default 1)")
    parser.add_argument("--tile", type=int, default=TILE, help=f"larger images run in tiles of this (default {TILE})")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help=f"larger images are refused (default {MAX_PIXELS:,})"
    )
    parser.add_argument("--frame", type=int, default=0, help="which frame of multi-frame files, from 0 (default 0)")
    parser.add_argument("--export", nargs="+", default=[], choices=EXPORTS, help="files for annotation tools")
    parser.add_argument("--no-overlays", action="store_true", help="draw no overlays")
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f"--batch-size is {args.batch_size}; expected 1 or more")
    return args


def run(args: argparse.Namespace) -> int:
    """Predict what the command line names, and return the exit code."""
    from src import counting  # torch takes seconds, which --help need not wait for

    return counting.run(args)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; see the epilog for the exit codes."""
    args = parse_args(argv)
    return run_main("predict.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
