"""The command `lcfcn`, and what all command lines of the project share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lcfcn import __version__
from lcfcn.counting.defaults import CHECKPOINT_HELP, EXPORTS, MAX_PIXELS, PRECISIONS, TILE
from lcfcn.errors import UserError, one_line, suggestion

STOPPED = 130
COUNT_EPILOG = """It prints the counts of each image and of all. With -o it writes counts.csv (image,class,count; a row
also for none), points.csv (image,x,y,class,score,area: the centre of the blob's middle pixel, the mean probability over
the blob, its pixels), overlays/IMAGE.png, what --export names, and failed.csv (image,reason). Exit code: 0 all well, 1
some images failed, 2 none could be done, 130 stopped."""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line, and a mistyped option gets a suggestion."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit with 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split(" ")[0].partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        hint = suggestion(unknown, known) if message.startswith("unrecognized") else ""
        self.exit(2, f"{self.prog}: error: {message}{hint}; see --help\n")


def run_main(name: str, run: Callable[[], int | None]) -> int:
    """Run a command line's work and return its exit code: what `run` returns, or 0, or 2 after a user's mistake.

    `name` stands before the message, as argparse puts it before its own.
    """
    try:
        return run() or 0
    except UserError as error:
        print(f"{name}: error: {one_line(error)}", file=sys.stderr)
        return 2


def add_count_arguments(parser: argparse.ArgumentParser, *, needs_out: bool) -> None:
    """Add the arguments of `lcfcn count` and `predict.py`."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders, or patterns in quotes")
    parser.add_argument("-c", "--checkpoint", required=True, metavar="WEIGHTS", help=CHECKPOINT_HELP)
    out_help = "the folder to write into" + ("" if needs_out else " (default: print the counts only)")
    parser.add_argument("-o", "--out", required=needs_out, type=Path, help=out_help)
    parser.add_argument("--recursive", action="store_true", help="look into sub-folders too")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="32", help="of the network (default 32)")
    parser.add_argument("--batch-size", type=_at_least_one, default=1, help="images of one size at once (default 1)")
    parser.add_argument("--tile", type=int, default=TILE, help=f"larger images run in tiles of this (default {TILE})")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help=f"larger images are refused (default {MAX_PIXELS:,})"
    )
    parser.add_argument("--frame", type=int, default=0, help="which frame of multi-frame files, from 0 (default 0)")
    parser.add_argument("--export", nargs="+", default=[], choices=EXPORTS, help="files for annotation tools")
    parser.add_argument("--no-overlays", action="store_true", help="draw no overlays")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text}; expected 1 or more")
    return int(text)


def run_count(args: argparse.Namespace, program: str) -> int:
    """Count on what the command line names, print the counts, and return the exit code."""
    from tqdm import tqdm

    from lcfcn.counting.counter import load  # torch takes seconds, and --help need not wait for it
    from lcfcn.counting.file_lists import find_images
    from lcfcn.counting.folders import Outputs, count_files
    from lcfcn.files import make_folder
    from lcfcn.stopping import Stopped, StopRequest

    files = find_images(args.images, out=args.out, recursive=args.recursive)
    stopped = False
    with StopRequest() as stop:
        counter = load(args.checkpoint, device=args.device, precision=args.precision, tile=args.tile, check=stop.check)
        if args.out is not None:
            make_folder(args.out)
        outputs = Outputs(
            args.out,
            counter.class_names,
            draws=not args.no_overlays,
            exports=args.export,
            program=program,
            on_result=lambda result: tqdm.write(_counts_text(result.name, result.counts), file=sys.stdout),
        )
        try:
            count_files(
                files, counter, outputs, batch_size=args.batch_size, frame=args.frame, max_pixels=args.max_pixels
            )
        except (Stopped, KeyboardInterrupt):
            stopped = True
        outputs.write_tables()
    if len(files) > 1:
        print(_counts_text("all images", outputs.totals()))
    where = "" if args.out is None else f"; files in {args.out}"
    print(f"{outputs.n_done} of {len(files)} images done, {len(outputs.failed)} failed{where}")
    if stopped:
        return STOPPED
    return 0 if not outputs.failed else 1 if outputs.n_done else 2


def _counts_text(name: str, counts: dict[str, int]) -> str:
    """Return one line: the name of an image and its count, or the count of each class.

    >>> _counts_text("a.jpg", {"person": 24})
    'a.jpg: 24 person'
    """
    return f"{name}: " + ", ".join(f"{count} {label}" for label, count in counts.items())


def run_weights() -> None:
    """Print the ready weights, one a line."""
    from lcfcn.counting.weight_files import ready_weights

    for name, about in ready_weights().items():
        print(f"{name}: {about['counts']} (data: {about['data']})")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line of `lcfcn`."""
    parser = Parser(prog="lcfcn", description="Count and locate objects on images.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"lcfcn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    count = commands.add_parser(
        "count",
        help="count and locate objects on images",
        description="Count and locate objects on images with a trained network.",
        epilog=COUNT_EPILOG,
        allow_abbrev=False,
    )
    add_count_arguments(count, needs_out=False)
    commands.add_parser("weights", help="list the ready weights", description="List the ready weights.")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command `lcfcn`; return 0 if all is well, 2 after a user's mistake, else see `lcfcn count --help`."""
    args = parse_args(argv)
    if args.command == "weights":
        return run_main("lcfcn weights", run_weights)
    return run_main("lcfcn count", lambda: run_count(args, "lcfcn count"))


if __name__ == "__main__":
    sys.exit(main())
