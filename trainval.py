"""Train and validate experiments: python trainval.py -e trancos -d DATADIR -sb SAVEDIR_BASE."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lcfcn.cli import STOPPED, print_last, run_main
from lcfcn.launch import Launch
from lcfcn.memory import keep_freed_memory
from lcfcn.stopping import TIME_IS_UP, Stopped, StopRequest
from src.experiments.command_line import parse_args

# These take seconds to import, and an error on the command line need not wait for them.
if TYPE_CHECKING:
    from src.datasets.base import PointDataset
    from src.training.processes import Processes
    from src.training.runtime import Runtime


def trainval(
    exp_dict: dict,
    savedir: Path,
    datasets: "dict[str, PointDataset]",
    runtime: "Runtime",
    workers: int = 0,
    tensorboard: bool = False,
    micro_batches: int | None = None,
) -> None:
    """Train one experiment to its last epoch, from the start or from its last checkpoint.

    Raises
    ------
    Stopped
        If Ctrl-C or SIGTERM came. The checkpoint is written.
    UserError
        If the loss is not finite, or a file is damaged. The last checkpoint stays.
    """
    from src.datasets import collate
    from src.models import LCFCN
    from src.training.loaders import EpochBatches, make_loader
    from src.training.run import Run

    processes = runtime.processes
    batches = EpochBatches(
        len(datasets["train"]), exp_dict["batch_size"], exp_dict["seed"], processes, repeats=exp_dict["repeats"]
    )
    train_loader = make_loader(datasets["train"], collate, runtime, workers=workers, batches=batches)
    val_loader = make_loader(datasets["val"], collate, runtime, workers=workers)

    with StopRequest(alone=processes.world_size == 1) as stop:
        runtime.reset_peak_memory()
        n_steps = exp_dict["max_epoch"] * len(batches)
        with processes.together():
            model = LCFCN(exp_dict, runtime, n_steps=n_steps, stop=stop, micro_batches=micro_batches)
        run = Run(exp_dict, savedir, model, datasets, tensorboard=tensorboard)
        while not run.is_over:
            batches.set_epoch(model.progress.epoch, first_batch=model.progress.step_in_epoch)
            try:
                scores = {**model.train_on_loader(train_loader), **model.val_on_loader(val_loader)}
            except Stopped:
                run.save_last()
                raise
            run.end_of_epoch(scores)
            with processes.together():
                stop.check()


def find_experiments(args: argparse.Namespace) -> list[dict]:
    """Return the experiments that the command line names."""
    from exp_configs import EXP_GROUPS
    from src.experiments import folders
    from src.readers.datadir import check_datadir

    if args.datadir is not None:
        check_datadir(args.datadir)
    return folders.find_experiments(EXP_GROUPS, args.exp_group_list, args.exp_id, args.savedir_base, args.set)


def run_experiments(args: argparse.Namespace, processes: "Processes") -> None:
    """Run the experiments that the command line names, one after the other, or handle their jobs."""
    from src.experiments import folders
    from src.experiments.prepare import check_networks, prepare
    from src.training.runtime import Runtime

    keep_freed_memory()
    with processes.together():
        exp_list = find_experiments(args)
        if args.job and processes.is_main:
            handle_jobs(args, exp_list)
    if args.job:
        return
    with processes.together():
        runtime = Runtime(args.device, args.precision, processes)
        folders.check_writable(args.savedir_base)
        if processes.is_main:
            folders.check_free(exp_list, args.savedir_base)
        prepared = [prepare(e, args.datadir, args.savedir_base, reset=bool(args.reset)) for e in exp_list]
        check_networks(exp_list, runtime)
    for number, (exp_dict, (chosen, datasets)) in enumerate(zip(exp_list, prepared, strict=True), start=1):
        savedir = args.savedir_base / folders.experiment_id(exp_dict)
        with processes.by_main(folders.held_experiment(exp_dict, args.savedir_base, reset=bool(args.reset))):
            print(f"Experiment {number} of {len(exp_list)}: {savedir}\n{json.dumps(chosen)}", flush=True)
            trainval(chosen, savedir, datasets, runtime, args.num_workers, args.tensorboard, args.micro_batches)
            print(f"Done. Scores: {savedir / 'score_list.pkl'}  Pictures: {savedir / 'images'}", flush=True)


def handle_jobs(args: argparse.Namespace, exp_list: list[dict]) -> None:
    """Submit the experiments as SLURM jobs, or print the state or the logs of those jobs, or cancel them."""
    from job_configs import JOB_CONFIGS
    from src.experiments import jobs

    jobs.handle(args, exp_list, JOB_CONFIGS, entry="trainval:main")


def run_until_stopped(args: argparse.Namespace, processes: "Processes") -> int:
    """Run or handle the experiments, and return the exit code: see `main`."""
    from src.training.shortage import told_if_short

    try:
        with told_if_short(args.num_workers):
            run_experiments(args, processes)
    except Stopped as stopped:
        print_last("Stopped after the current batch, and saved. The same command without -r 1 goes on from here.")
        return 128 + TIME_IS_UP if stopped.number == TIME_IS_UP else STOPPED
    except KeyboardInterrupt:
        print_last("Stopped at once. The same command without -r 1 goes on from the last checkpoint.")
        return STOPPED
    return 0


def connect_and_run(argv: list[str] | None) -> int:
    """Read the command line, find the other processes, and run; return the exit code: see `main`."""
    if Launch.from_environment().world_size == 1:
        # Print an error in a group or key at once. Several processes do so below, so that only one of them prints.
        find_experiments(parse_args(argv))
    from src.training.processes import Processes

    with Processes.connect() as processes:
        with processes.together(), processes.quiet():
            args = parse_args(argv)
        return run_main("trainval.py", lambda: run_until_stopped(args, processes))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if all is well, 2 after a user's mistake, 130 stopped, 140 when time is up."""
    return run_main("trainval.py", lambda: connect_and_run(argv))


if __name__ == "__main__":
    sys.exit(main())
