"""The command line of trainval.py. It imports no torch, so that an error is printed at once."""

import argparse
from pathlib import Path

from lcfcn.cli import Parser
from lcfcn.counting.defaults import PRECISIONS

MOST_WORKERS = 1000


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="trainval.py",
        description="Train and validate experiments: python trainval.py -e trancos -d DATADIR -sb SAVEDIR_BASE.",
        allow_abbrev=False,
    )
    parser.add_argument("-e", "--exp_group_list", nargs="+", metavar="GROUP", help="groups of exp_configs.py to run")
    parser.add_argument("-d", "--datadir", help="where the data set is; the demo needs none")
    parser.add_argument("-sb", "--savedir_base", required=True, type=Path, help="where experiments are saved")
    parser.add_argument("-r", "--reset", type=int, choices=(0, 1), default=0, help="1: back up and restart; 0: resume")
    parser.add_argument("-ei", "--exp_id", help="run this experiment only")
    parser.add_argument("-nw", "--num_workers", type=int, default=0, help="processes that load data (default 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument(
        "--precision", choices=tuple(PRECISIONS), default="32", help="precision of the network (default 32)"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override settings",
    )
    parser.add_argument(
        "--micro_batches",
        type=int,
        metavar="N",
        help="parts of a batch, so that a GPU need not wait for the loss (default: chosen from batch and device)",
    )
    parser.add_argument("--tensorboard", action="store_true", help="write the scores for TensorBoard too")
    parser.add_argument(
        "-j",
        "--job",
        choices=("slurm", "status", "logs", "cancel"),
        help="slurm: submit each experiment as a job; status, logs, cancel: act on these jobs",
    )
    parser.add_argument(
        "-jc", "--job_config", metavar="NAME", help="the settings of the jobs, from job_configs.py (default: the first)"
    )
    args = parser.parse_args(argv)
    if not 0 <= args.num_workers <= MOST_WORKERS:
        parser.error(f"-nw is {args.num_workers}; expected 0 to {MOST_WORKERS}")
    if args.micro_batches is not None and args.micro_batches < 1:
        parser.error(f"--micro_batches is {args.micro_batches}; expected 1 or more")
    return args
