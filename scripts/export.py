"""Make ready weights from a trained network: one file that counts, and a card that says what it is.

python scripts/export.py EXPERIMENT_DIR|CHECKPOINT -o NAME.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402
from lcfcn.counting.defaults import CHECKPOINT_HELP  # noqa: E402

EPILOG = """It writes NAME.pth (weights, experiment, class names and validation scores, without the optimizer), NAME.md
(the card), and with --onnx NAME.onnx. predict.py, evaluate.py and lcfcn.load take NAME.pth. predict.py and lcfcn.load
take NAME.onnx too."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help=CHECKPOINT_HELP)
    parser.add_argument("-o", "--out", required=True, type=Path, metavar="NAME.pth", help="the file to write")
    parser.add_argument("--half", action="store_true", help="write weights of 16 bits: half the size")
    parser.add_argument("--onnx", action="store_true", help="write NAME.onnx too")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    args = parser.parse_args(argv)
    if args.out.suffix != ".pth":
        parser.error(f"-o is {args.out}; expected a file that ends in .pth")
    return args


def run(args: argparse.Namespace) -> None:
    """Write the files, and print their sizes."""
    # Importing torch takes seconds: --help does not wait for it, nor a wrong path.
    from lcfcn.counting.weight_files import find_checkpoint

    find_checkpoint(args.source)

    from src.release.export import export

    for file in export(args.source, args.out, half=args.half, onnx=args.onnx, force=args.force):
        print(f"{file}: {file.stat().st_size:,} bytes")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if all is well, 2 after a user's mistake."""
    args = parse_args(argv)
    return run_main("export.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
