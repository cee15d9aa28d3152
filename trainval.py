"""Train and validate experiments: python trainval.py -e trancos -d DATADIR -sb SAVEDIR_BASE."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from exp_configs import EXP_GROUPS
from job_configs import JOB_CONFIGS
from src import checkpoints, experiments, recipe
from src.cli import Parser, run_main
from src.datasets import collate, get_dataset
from src.datasets.base import PointDataset
from src.distributed import Team
from src.errors import Stopped, UserError
from src.models import LCFCN
from src.runtime import PRECISIONS, START_AGAIN, EpochBatches, Runtime, StopRequest, make_loader

N_PICTURES = 3


def trainval(
    exp_dict: dict,
    savedir: Path,
    datasets: dict[str, PointDataset],
    runtime: Runtime,
    workers: int,
    tensorboard: bool = False,
) -> None:
    """Train one experiment to its last epoch, from the start or from its last checkpoint.

    Raises
    ------
    Stopped
        If Ctrl-C or SIGTERM came; the checkpoint is written.
    UserError
        If the loss is not finite, or a file turns out damaged; the checkpoint before stays.
    """
    team = runtime.team
    batches = EpochBatches(
        len(datasets["train"]), exp_dict["batch_size"], exp_dict["seed"], team, passes=exp_dict.get("passes", 1)
    )
    train_loader = make_loader(datasets["train"], collate, runtime, workers=workers, batches=batches)
    val_loader = make_loader(datasets["val"], collate, runtime, workers=workers)
    with team.together():
        pictured = [collate([datasets["val"][i]]) for i in range(min(N_PICTURES, len(datasets["val"])))]

    def save(write: Callable[..., object]) -> None:
        state = {**model.get_state_dict(), "class_names": datasets["train"].class_names}
        with team.together():
            if team.is_first:
                write(savedir, state, score_list, model.with_reading(exp_dict))

    with StopRequest(team) as stop:
        runtime.reset_peak_memory()
        with team.together():
            model = LCFCN(exp_dict, runtime, n_steps=exp_dict["max_epoch"] * len(batches), stop=stop)
            score_list = resume(model, savedir)
        team.check_alike(
            [len(score_list), int(model.sums.get("n_batches", 0))],
            f"the processes do not find the same checkpoint in {savedir}: choose an -sb that all nodes share",
        )
        show = open_curves(savedir, score_list) if tensorboard and team.is_first else None
        for epoch in range(len(score_list), exp_dict["max_epoch"]):
            if checkpoints.stopped_early(score_list):
                break
            batches.set_epoch(epoch, first_batch=int(model.sums.get("n_batches", 0)))
            try:
                scores = {"epoch": epoch, **model.train_on_loader(train_loader), **model.val_on_loader(val_loader)}
            except Stopped:
                save(checkpoints.save_last)
                raise
            score_list.append({**scores, "peak_memory_gib": runtime.peak_memory()})
            if checkpoints.is_patience_over(score_list, exp_dict.get("patience")):
                score_list[-1]["stopped_early"] = True
            model.start_epoch()
            with team.together():
                if team.is_first and checkpoints.is_best(score_list):
                    model.vis_on_loader(pictured, savedir / "images")
            save(checkpoints.save_epoch)
            if show:
                show(score_list[-1])
            print(summary(score_list), flush=True)
            if checkpoints.stopped_early(score_list):
                print(f"Stopped: val_mae has not improved for {exp_dict['patience']} epochs", flush=True)
            with team.together():
                stop.check()


def open_curves(savedir: Path, score_list: list[dict]) -> Callable[[dict], None]:
    """What sends further score rows to TensorBoard, where those of `score_list` are already."""
    from src.curves import Curves  # not before it is asked for, so that the rest does not wait for it

    return Curves(savedir, score_list).add


def resume(model: LCFCN, savedir: Path) -> list[dict]:
    """Take up the last checkpoint, if there is one, and return its score rows."""
    path = savedir / checkpoints.LAST
    if not path.exists():
        return []
    state = checkpoints.load_run(path)
    model.load_state_dict(state)
    model.take_up_reading(state["exp_dict"])
    score_list = state["score_list"]
    if model.team.is_first:
        checkpoints.save_pickle(savedir / checkpoints.SCORES, score_list)  # a kill may have come between the two files
    print(f"Resumed after epoch {len(score_list) - 1}" if score_list else "Resumed in epoch 0", flush=True)
    return score_list


def summary(score_list: list[dict]) -> str:
    """The last epoch on one line."""
    row, best = score_list[-1], checkpoints.best_row(score_list)
    best_text = f"best {best['val_mae']:.3f} at epoch {best['epoch']}" if best else "no best yet"
    return (
        f"epoch {row['epoch']:3d}  train_loss {row['train_loss']:9.4f}  val_mae {row['val_mae']:7.3f} ({best_text})  "
        f"{row['images_per_second']:.1f} images/s  {row['train_seconds'] + row['val_seconds']:.0f} s"
    )


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("-e", "--exp_group_list", nargs="+", metavar="GROUP", help="groups of exp_configs.py to run")
    parser.add_argument("-d", "--datadir", help="where the data set lies; not needed by the demo")
    parser.add_argument("-sb", "--savedir_base", required=True, type=Path, help="where experiments are saved")
    parser.add_argument("-r", "--reset", type=int, choices=(0, 1), default=0, help="1: back up and restart; 0: resume")
    parser.add_argument("-ei", "--exp_id", help="run this experiment only")
    parser.add_argument("-nw", "--num_workers", type=int, default=0, help="processes that load data (default 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="32", help="of the network (default 32)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override entries of the experiments"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write the scores for TensorBoard too")
    parser.add_argument(
        "-j",
        "--job",
        choices=("slurm", "status", "logs", "cancel"),
        help="slurm: submit each experiment as a job; status, logs, cancel: of these jobs",
    )
    parser.add_argument("-jc", "--job_config", metavar="NAME", help="of job_configs.py (default: the first)")
    args = parser.parse_args(argv)
    if args.num_workers < 0:
        parser.error(f"-nw is {args.num_workers}; expected 0 or more")
    return args


def prepare(exp_dict: dict, args: argparse.Namespace) -> tuple[dict, dict[str, PointDataset]]:
    """Check all that an experiment needs, before anything is written; the experiment with what it leaves to the data
    (told on lines of their own), and its data sets."""

    def open_split(dataset_dict: dict, split: str = "train") -> PointDataset:
        size = exp_dict["dataset_size"][split]
        return get_dataset(dataset_dict, split, args.datadir, seed=exp_dict["seed"], size=size)

    chosen, told = recipe.choose(exp_dict, open_split)
    for line in told:
        print(f"Chosen from the training images: {line}", flush=True)
    n_classes = exp_dict["model"]["n_classes"]
    datasets = {split: open_split(chosen["dataset"], split) for split in ("train", "val")}
    if datasets["train"].n_classes != n_classes:
        raise UserError(
            f"model.n_classes is {n_classes} and the data has {datasets['train'].n_classes} classes: "
            f"--set model.n_classes={datasets['train'].n_classes}"
        )
    last = args.savedir_base / experiments.experiment_id(exp_dict) / checkpoints.LAST
    if os.path.exists(last) and not args.reset:
        recipe.check_same(chosen, checkpoints.load_run(last)["exp_dict"], last.parent)
    return chosen, datasets


def check_networks(exp_list: list[dict], runtime: Runtime) -> None:
    """Build each different network with its optimizer once, so that a wrong choice or missing weights are noticed
    before anything is written."""
    different = {json.dumps([e["model"], e["optimizer"], e.get("schedule"), e.get("mirror")]): e for e in exp_list}
    for exp_dict in different.values():
        LCFCN(exp_dict, runtime)


def run(args: argparse.Namespace, team: Team) -> None:
    """Run the experiments that the command line names, or deal with their jobs."""
    with team.together():
        exp_list = experiments.find_experiments(
            EXP_GROUPS, args.exp_group_list, args.exp_id, args.savedir_base, args.set
        )
        if args.job and team.is_first:
            run_jobs(args, exp_list)
    if args.job:
        return
    with team.together():
        runtime = Runtime(args.device, args.precision, team)
        experiments.check_writable(args.savedir_base)
        prepared = [prepare(exp_dict, args) for exp_dict in exp_list]
        check_networks(exp_list, runtime)
    for number, (exp_dict, (chosen, datasets)) in enumerate(zip(exp_list, prepared, strict=True), start=1):
        savedir = args.savedir_base / experiments.experiment_id(exp_dict)
        with team.together():
            if team.is_first:
                experiments.open_experiment(exp_dict, args.savedir_base, reset=bool(args.reset))
        print(f"Experiment {number} of {len(exp_list)}: {savedir}\n{json.dumps(chosen)}", flush=True)
        trainval(chosen, savedir, datasets, runtime, args.num_workers, args.tensorboard)
        print(f"Done. Scores: {savedir / checkpoints.SCORES}  Pictures: {savedir / 'images'}", flush=True)


def run_jobs(args: argparse.Namespace, exp_list: list[dict]) -> None:
    """Submit the experiments as SLURM jobs, or tell about or cancel those that were submitted."""
    from src import jobs  # not before it is asked for, so that the rest does not wait for it

    savedir_base = args.savedir_base.absolute()
    if args.job != "slurm":
        {"status": jobs.print_status, "logs": jobs.print_logs, "cancel": jobs.cancel}[args.job](exp_list, savedir_base)
        return
    config = jobs.choose_config(JOB_CONFIGS, args.job_config)
    experiments.check_writable(savedir_base)
    standings = jobs.find_standings(exp_list, savedir_base)
    wanted = jobs.to_submit(standings, reset=bool(args.reset))
    for standing in wanted:
        prepare(standing.exp_dict, args)
    check_networks([standing.exp_dict for standing in wanted], Runtime("cpu", args.precision))
    for number, standing in enumerate(standings, start=1):
        if standing in wanted:
            told = f"job {jobs.submit(standing, args, config, 'trainval:main')} submitted"
        else:
            told = f"not submitted, {f'job {standing.job_id} is {standing.state}' if standing.is_alive else 'is done'}"
        print(f"Experiment {number} of {len(standings)}: {standing.savedir}: {told}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 is well, 2 a user's mistake, 130 stopped by the user, 140 by SIGUSR2 (its time is up)."""
    with Team.connect() as team:
        with team.together(), team.quiet():
            args = parse_args(argv)
        try:
            return run_main("trainval.py", lambda: run(args, team))
        except Stopped as stopped:
            print(
                "Stopped after the batch in hand, and saved: the same command without -r 1 goes on from here.",
                flush=True,
            )
            if stopped.number == signal.SIGUSR2:
                return START_AGAIN
        except KeyboardInterrupt:
            print("Stopped at once: the last checkpoint stays, and the same command without -r 1 goes on from it.")
    return 130


if __name__ == "__main__":
    sys.exit(main())
