"""Start a SLURM cluster on this machine alone, to try jobs: python scripts/local_slurm.py start|stop|status."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from lcfcn.cli import Parser, run_main  # noqa: E402
from src.experiments import local_slurm  # noqa: E402


def run(args: argparse.Namespace) -> int:
    """Start or stop the cluster, and print its state."""
    folder = args.folder.absolute()
    if args.action == "start":
        configuration = local_slurm.start(folder)
        print(f"{local_slurm.status(folder)} To use it, run\nexport SLURM_CONF={configuration}")
        return 0
    if args.action == "stop":
        local_slurm.stop(folder)
    print(local_slurm.status(folder))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if all is well, 2 after a user's mistake."""
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument(
        "--folder",
        type=Path,
        default=local_slurm.default_folder(),
        help="the cluster's own folder, for configuration, state and logs (default %(default)s)",
    )
    args = parser.parse_args(argv)
    return run_main("local_slurm.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
