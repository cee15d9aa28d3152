"""The command `lcfcn`, and what all command lines of the project share."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lcfcn import __version__
from lcfcn.counting.defaults import CHECKPOINT_HELP, EXPORTS, MAX_PIXELS, PRECISIONS, TILE
from lcfcn.errors import UserError, one_line, suggestion
from lcfcn.names import printable

if TYPE_CHECKING:
    from lcfcn.counting.folders import Outputs
    from lcfcn.counting.journal import Journal

MISTAKE, STOPPED, CLOSED = 2, 130, 141
"""Exit codes: a user's mistake, stopped by a signal, and, as shells have it, an output that nobody reads any more."""
ALL_FRAMES = "all"
"""What `--frame` takes beside a number."""
COUNT_EPILOG = """It prints the counts of each image and of all. With -o it writes counts.csv (image,class,count; a row
also for none), points.csv (image,x,y,class,score,area: the centre of the blob's middle pixel, the mean probability over
the blob, its pixels), overlays/IMAGE.png, what --export names, and failed.csv (image,reason). A run that was stopped or
killed goes on with the same command. Exit code: 0 all well, 1 some images failed, 2 none could be done, 130 stopped."""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one line, and a mistyped option gets a suggestion."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit with 2."""
        message = one_line(ValueError(message))
        unknown = message.removeprefix("unrecognized arguments: ").split(" ")[0].partition("=")[0]
        hint = suggestion(unknown, self._all_options()) if message.startswith("unrecognized") else ""
        self.exit(MISTAKE, f"{self.prog}: error: {message}{hint}; see --help\n")

    def _all_options(self) -> list[str]:
        """Return its options and those of its commands, whose unknown options argparse reports here."""
        commands = [action.choices.values() for action in self._actions if isinstance(action.choices, dict)]
        inner = [option for parsers in commands for parser in parsers for option in parser._all_options()]
        return [option for action in self._actions for option in action.option_strings] + inner


def run_main(name: str, run: Callable[[], int | None]) -> int:
    """Run a command line's work and return its exit code: what `run` returns, or one of `MISTAKE`, `STOPPED`, `CLOSED`.

    `name` stands before the message, as argparse puts it before its own.
    """
    _prepare_streams()
    try:
        code = run() or 0
    except UserError as error:
        code = _complain(name, f"error: {one_line(error)}", MISTAKE)
    except KeyboardInterrupt:
        code = _complain(name, "stopped", STOPPED)
    except BrokenPipeError:
        code = _complain(name, "stopped, since nobody reads the output any more", CLOSED)
    return code if _flush() else code or CLOSED


def _prepare_streams() -> None:
    """Have names that are no text printed with escapes, and open what the caller has closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Otherwise the next file that is opened would get the place of the closed stream.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def print_last(line: str, *, error: bool = False) -> None:
    """Print a line unless nobody reads any more, as where the terminal was closed."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr if error else sys.stdout, flush=True)


def _complain(name: str, what: str, code: int) -> int:
    print_last(f"{name}: {what}", error=True)
    return code


def _flush() -> bool:
    """Write out what was printed; return whether that was possible."""
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


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
    parser.add_argument(
        "--processes", type=_at_least_one, default=1, help="processes that share the images; needs -o (default 1)"
    )
    parser.add_argument("--tile", type=int, default=TILE, help=f"larger images run in tiles of this (default {TILE})")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help=f"larger images are refused (default {MAX_PIXELS:,})"
    )
    frame_help = "which page, slice or time of a file, from 0, or all: a row each, named IMAGE#0 and so on (default 0)"
    parser.add_argument("--frame", type=_frame, metavar="N", help=frame_help)
    channels_help = "one to three channels, from 0: grey, red and green, or red, green and blue (default the first 3)"
    parser.add_argument("--channels", nargs="+", type=int, metavar="N", help=channels_help)
    parser.add_argument("--export", nargs="+", default=[], choices=EXPORTS, help="files for annotation tools")
    parser.add_argument("--no-overlays", action="store_true", help="draw no overlays")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text}; expected 1 or more")
    return int(text)


def _frame(text: str) -> int | str:
    if text != ALL_FRAMES and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"it is {text}; expected a number from 0, or {ALL_FRAMES}")
    return text if text == ALL_FRAMES else int(text)


def run_count(args: argparse.Namespace, program: str) -> int:
    """Count on what the command line names, print the counts, and return the exit code."""
    # Importing torch takes seconds: --help does not wait for it, nor a wrong path or name.
    from lcfcn.counting.weight_files import find_checkpoint
    from lcfcn.launch import Launch, run_here
    from lcfcn.stopping import Stopped, StopRequest

    launch = Launch.from_environment()
    n_processes = max(launch.world_size, args.processes)
    if n_processes > 1 and args.out is None:
        raise UserError(f"{n_processes} processes share the images, so -o is needed: give a folder that all can see")
    if n_processes > launch.world_size:
        return run_here(["-m", "lcfcn.cli", "count", *args.argv, "--processes", "1"], n_processes)
    files, frames = _find_files(args, program, launch.rank)
    weights = find_checkpoint(args.checkpoint)

    from lcfcn.counting.compiling import DECODING, announce_compiling
    from lcfcn.counting.counter import load
    from lcfcn.counting.folders import Outputs, Reading, count_files

    stopped = False
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopRequest(alone=launch.world_size == 1))
        stack.enter_context(announce_compiling(DECODING))
        counter = load(
            args.checkpoint,
            device=launch.device(args.device),
            precision=args.precision,
            tile=args.tile,
            check=stop.check,
        )
        journal = _open_journal(args, weights, counter.class_names, launch.rank)
        if journal is not None:
            stack.callback(journal.close)
        outputs = Outputs(
            files,
            counter.class_names,
            args.out,
            journal,
            draws=not args.no_overlays,
            exports=args.export,
            program=program,
            on_result=lambda result: print_above_bar(_counts_text(result.name, result.counts)),
        )
        todo = outputs.to_do(launch.rank, launch.world_size)
        try:
            reading = Reading(frames, args.channels, args.max_pixels)
            count_files(todo, counter, outputs, reading, batch_size=args.batch_size)
        except (Stopped, KeyboardInterrupt):
            stopped = True
        return _finish(args, outputs, launch.world_size, stopped=stopped)


def _find_files(args: argparse.Namespace, program: str, rank: int) -> tuple[dict[str, Path], dict[str, int]]:
    """Return the images to count by their names, and for some of them which frame; print what is left out."""
    from lcfcn.counting.file_lists import all_frames, find_images

    remarks: list[str] = []
    files = find_images(args.images, out=args.out, recursive=args.recursive, remarks=remarks)
    for remark in remarks if rank == 0 else ():
        print(f"{program}: {remark}", file=sys.stderr)
    if args.frame == ALL_FRAMES:
        return all_frames(files)
    return files, {} if args.frame is None else dict.fromkeys(files, args.frame)


def _open_journal(args: argparse.Namespace, weights: Path, class_names: list[str], rank: int) -> "Journal | None":
    """Open the journal of the output folder, and refuse one that another command began."""
    from lcfcn.counting.journal import Journal
    from lcfcn.files import make_folder, sha256

    if args.out is None:
        return None
    make_folder(args.out)
    about = {"weights": sha256(weights), "classes": class_names, "precision": args.precision, "frame": args.frame}
    about |= {"channels": args.channels, "tile": args.tile, "exports": sorted(args.export)}
    about |= {"overlays": not args.no_overlays}
    return Journal(args.out, about, rank)


def _finish(args: argparse.Namespace, outputs: "Outputs", world_size: int, *, stopped: bool) -> int:
    """Write the tables where all images are done, print the sums, and return the exit code."""
    if outputs.journal is not None:
        is_complete = outputs.is_complete() and not stopped and outputs.journal.claim()
        if world_size > 1 and not is_complete and not stopped:
            print(f"This process has done its share, {outputs.n_done} images. The last one to end writes the tables.")
            return 0  # another code would make torchrun end the others
        if is_complete or world_size == 1:
            outputs.write_tables()
            outputs.count_again()
        if is_complete:
            outputs.journal.remove()
    n_files = len(outputs.files)
    if n_files > 1:
        print(_counts_text("all images", outputs.totals))
    where = "" if args.out is None else f"; files in {args.out}"
    print(f"{outputs.n_done} of {n_files} images done, {outputs.n_failed} failed{where}")
    if stopped:
        print("Stopped. The same command goes on from here." if args.out else "Stopped.")
        return STOPPED
    return 0 if not outputs.n_failed else 1 if outputs.n_done else 2


def print_above_bar(line: str) -> None:
    """Print a line without breaking a progress bar."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def _counts_text(name: str, counts: dict[str, int]) -> str:
    """Return one line: the name of an image and its count, or the count of each class.

    >>> _counts_text("a.jpg", {"person": 24})
    'a.jpg: 24 person'
    """
    return f"{printable(name)}: " + ", ".join(f"{count} {label}" for label, count in counts.items())


def run_weights() -> None:
    """Print the ready weights, one a line."""
    from lcfcn.counting.weight_files import ready_weights

    for name, about in ready_weights().items():
        print(f"{name}: {about['counts']} (data: {about['data']})" if about else name)


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
    args = parser.parse_args(argv)
    args.argv = (sys.argv[1:] if argv is None else argv)[1:]  # without the name of the command
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command `lcfcn`; return 0 if all is well, 2 after a user's mistake, else see `lcfcn count --help`."""
    args = parse_args(argv)
    if args.command == "weights":
        return run_main("lcfcn weights", run_weights)
    return run_main("lcfcn count", lambda: run_count(args, "lcfcn count"))


if __name__ == "__main__":
    sys.exit(main())
