"""Count and locate objects on images with a trained network, and write tables and overlays.

python scripts/predict.py IMAGE|FOLDER|GLOB... -c NAME|CHECKPOINT|EXPERIMENT_DIR -o OUT

It does what `lcfcn count` does, and needs -o.
"""

import argparse
import sys

from lcfcn.cli import COUNT_EPILOG, Parser, add_count_arguments, run_count, run_main


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__,
        epilog=COUNT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_count_arguments(parser, needs_out=True)
    args = parser.parse_args(argv)
    args.argv = sys.argv[1:] if argv is None else argv
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code; see the epilog."""
    args = parse_args(argv)
    return run_main("predict.py", lambda: run_count(args, "predict.py"))


if __name__ == "__main__":
    sys.exit(main())
