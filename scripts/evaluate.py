"""Score counts and locations on a split: of an experiment's best network, of ready weights, or of any tool.

python scripts/evaluate.py -sb SAVEDIR_BASE -ei EXP_ID -d DATADIR --split test
python scripts/evaluate.py -c NAME|CHECKPOINT -d DATADIR --split test -o OUT
python scripts/evaluate.py --predictions points.csv -d DATADIR --dataset points --split test -o OUT
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lcfcn.cli import Parser, run_main  # noqa: E402
from lcfcn.counting.defaults import CHECKPOINT_HELP, PRECISIONS  # noqa: E402
from src.evaluation.reach import PER_OBJECT, SIGMAS, name_of, read_sigma  # noqa: E402
from src.readers.command_line import add_source_options, source_options  # noqa: E402
from src.readers.layout import DATASET_NAMES  # noqa: E402

EPILOG = """No option here tunes anything, and each row of a points.csv counts, whatever its score. Validation images
chose model_best.pth by its count error, so its scores on them are too good: score test images once, when everything is
settled. An image without a row in points.csv has no predictions. Rows of images of other splits are left out. The files
are scores_SPLIT.json, scores_SPLIT.md, images_SPLIT.csv, scatter_SPLIT.png and worst/, in the folder evaluation/ of the
experiment or in -o."""


def sigma(text: str) -> float | str:
    """Read a reach from the command line."""
    try:
        return read_sigma(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a reach; expected pixels, or {PER_OBJECT}") from None


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-sb", "--savedir_base", type=Path, help="where experiments are saved")
    parser.add_argument("-ei", "--exp_id", help="the experiment, by the name of its folder there")
    parser.add_argument("-c", "--checkpoint", type=Path, help=CHECKPOINT_HELP)
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="CSV",
        help="points of any tool: image,x,y,class, or any format of import_points.py",
    )
    parser.add_argument("--counts", type=Path, metavar="CSV", help="counts to score instead: image,class,count")
    parser.add_argument("--dataset", choices=sorted(DATASET_NAMES), help="the kind of data, with --predictions")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of the data, such as dataset.part=A"
    )
    parser.add_argument("-d", "--datadir", help="where the data set is")
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
        help=f"how far a point may be off (default {' '.join(map(name_of, SIGMAS))}); {PER_OBJECT!r} is half of each "
        "object's size, if the data has sizes",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the intervals (default 0)")
    add_source_options(parser)
    args = parser.parse_args(argv)
    check_args(parser, args)
    return args


def check_args(parser: Parser, args: argparse.Namespace) -> None:
    """Exit with one line if the arguments do not go together."""
    is_experiment = args.savedir_base is not None and args.exp_id is not None
    if [is_experiment, args.checkpoint is not None, args.predictions is not None].count(True) != 1:
        parser.error(
            "expected one thing to score: -sb SAVEDIR_BASE with -ei EXP_ID, -c NAME|CHECKPOINT, or --predictions CSV"
        )
    if args.predictions is None and (args.counts or args.dataset or args.set):
        parser.error("--counts, --dataset and --set go with --predictions: an experiment knows its data")
    said = [name for name, value in source_options(args).items() if value is not None]
    if args.predictions is None and said:
        parser.error(f"--{said[0].replace('_', '-')} goes with --predictions: leave it out")
    if not is_experiment and (args.savedir_base or args.exp_id):
        other = "-c" if args.predictions is None else "--predictions"
        parser.error(f"-sb and -ei do not go with {other}: leave one of them out")
    if args.predictions is not None and not (args.dataset and args.out):
        parser.error("--predictions needs --dataset NAME and -o OUT")
    if args.checkpoint is not None and not args.out:
        parser.error("-c needs -o OUT")
    if args.seed < 0:
        parser.error(f"--seed is {args.seed}; expected 0 or more")


def run(args: argparse.Namespace) -> None:
    """Score, write the report, and print the scores."""
    # Importing torch takes seconds: --help does not wait for it, nor a wrong path.
    from lcfcn.counting.weight_files import find_checkpoint
    from src.readers.datadir import check_datadir

    checkpoint = find_checkpoint(args.checkpoint) if args.checkpoint else None
    if args.datadir is not None:
        check_datadir(args.datadir)

    from src.annotations.base import Options
    from src.evaluation.evaluate import Task, evaluate_best, evaluate_network, evaluate_predictions
    from src.evaluation.report import score_table
    from src.experiments.schema import override
    from src.training.runtime import Runtime

    out = args.out or args.savedir_base / args.exp_id / "evaluation"
    task = Task(args.split, args.datadir, out, args.sigmas, args.seed)
    if args.predictions is not None:
        dataset_dict = override({"dataset": {"name": args.dataset}}, args.set)["dataset"]
        options = Options(**source_options(args))
        report = evaluate_predictions(args.predictions, args.counts, dataset_dict, task, options)
    elif checkpoint is not None:
        runtime = Runtime(args.device, args.precision)
        report = evaluate_network(checkpoint, task, runtime)
    else:
        report = evaluate_best(args.savedir_base, args.exp_id, task, Runtime(args.device, args.precision))
    print(score_table(report), end="")
    print(f"\nWrote {out}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if all is well, 2 after a user's mistake."""
    args = parse_args(argv)
    return run_main("evaluate.py", lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
