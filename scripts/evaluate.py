"""Score counts and locations on a split: of an experiment's best network, ready weights, or any tool's points.csv.

python scripts/evaluate.py -sb SAVEDIR_BASE -ei EXP_ID -d DATADIR --split test
python scripts/evaluate.py -c NAME|CHECKPOINT -d DATADIR --split test -o OUT
python scripts/evaluate.py --predictions points.csv -d DATADIR --dataset points --split test -o OUT
"""

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402
from lcfcn.counting.defaults import CHECKPOINT_HELP, PRECISIONS  # noqa: E402

DATASETS = ("points", "shanghai", "synthetic", "trancos")
PER_OBJECT, SIGMAS = "object", (4.0, 8.0)
EPILOG = """Nothing is chosen by what is scored here: there is no option that tunes, and each row of a points.csv
counts, whatever its score. model_best.pth was chosen by the count error on validation images, so their scores flatter
it: score test images once, when everything is settled. An image without a row in points.csv has no predictions; rows of
images of other splits are left out. It writes scores_SPLIT.json, scores_SPLIT.md, images_SPLIT.csv, scatter_SPLIT.png
and worst/ into the experiment's folder, under evaluation/, or into -o."""


def sigma(text: str) -> float | str:
    """A reach of the command line: pixels, or the word for each object's own."""
    if text == PER_OBJECT:
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no reach; expected pixels, or {PER_OBJECT}")
    return value


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-sb", "--savedir_base", type=Path, help="where experiments are saved")
    parser.add_argument("-ei", "--exp_id", help="the experiment, by the name of its folder there")
    parser.add_argument("-c", "--checkpoint", type=Path, help=CHECKPOINT_HELP)
    parser.add_argument("--predictions", type=Path, metavar="CSV", help="points of any tool: image,x,y,class")
    parser.add_argument("--counts", type=Path, metavar="CSV", help="counts to score instead: image,class,count")
    parser.add_argument("--dataset", choices=DATASETS, help="the kind of data, with --predictions")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="what the data takes, such as dataset.part=A"
    )
    parser.add_argument("-d", "--datadir", help="where the data set lies")
    parser.add_argument("--split", choices=("val", "test"), required=True, help="the images to score")
    parser.add_argument("-o", "--out", type=Path, help="the folder to write into")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="32", help="of the network (default 32)")
    parser.add_argument(
        "--sigmas",
        nargs="+",
        type=sigma,
        default=list(SIGMAS),
        metavar="PIXELS",
        help="how far a point may be off (default 4 8); 'object' is each object's own, where the data has sizes",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the intervals (default 0)")
    args = parser.parse_args(argv)
    check_args(parser, args)
    return args


def check_args(parser: Parser, args: argparse.Namespace) -> None:
    """Exit with one line if the arguments do not go together."""
    is_experiment = args.savedir_base is not None and args.exp_id is not None
    if [is_experiment, args.checkpoint is not None, args.predictions is not None].count(True) != 1:
        parser.error(
            "say what to score, one thing: -sb SAVEDIR_BASE with -ei EXP_ID, -c NAME|CHECKPOINT, or --predictions CSV"
        )
    if args.predictions is None and (args.counts or args.dataset or args.set):
        parser.error("--counts, --dataset and --set go with --predictions: an experiment knows its data")
    if not is_experiment and (args.savedir_base or args.exp_id):
        other = "-c" if args.predictions is None else "--predictions"
        parser.error(f"-sb and -ei do not go with {other}: leave one of both out")
    if args.predictions is not None and not (args.dataset and args.out):
        parser.error("--predictions needs --dataset NAME and -o OUT")
    if args.checkpoint is not None and not args.out:
        parser.error("-c needs -o OUT")
    if args.seed < 0:
        parser.error(f"--seed is {args.seed}; expected 0 or more")


def run(args: argparse.Namespace) -> None:
    """Score, write and print."""
    from src.evaluation import evaluate  # torch takes seconds, and --help need not wait for it

    evaluate.run(args)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 is well, 2 a user's mistake."""
    args = parse_args(argv)
    return run_main("evaluate.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
