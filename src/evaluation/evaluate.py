"""Score a network, or any tool's predictions, on a split, and write the report."""

import argparse

from lcfcn.counting.weight_files import find_checkpoint
from lcfcn.files import make_folder
from src.datasets import PointDataset, get_dataset
from src.evaluation import pairing, scoring
from src.experiments.schema import override
from src.training.runtime import Runtime


def of_network(args: argparse.Namespace) -> tuple[PointDataset, list[pairing.ScoredImage], dict]:
    """Predict the split with the experiment's best network, or with that of the checkpoint."""
    runtime = Runtime(args.device, args.precision)
    if args.checkpoint is None:
        experiment = {"exp_id": args.exp_id}
        exp_dict, model, about = pairing.load_best(args.savedir_base, args.exp_id, runtime)
    else:
        experiment = {}
        exp_dict, model, about = pairing.load_network(find_checkpoint(args.checkpoint), runtime)
    dataset = pairing.open_known_split(exp_dict, args.split, args.datadir, about.pop("class_names"))
    make_folder(args.out)
    images = pairing.predict_split(model, dataset, runtime)
    source = {**experiment, **about, "precision": args.precision, "device": runtime.device.type}
    return dataset, images, {"source": source, "dataset": exp_dict["dataset"]}


def of_predictions(args: argparse.Namespace) -> tuple[PointDataset, list[pairing.ScoredImage], dict]:
    """Put the points of a file beside the split's clicks."""
    dataset_dict = override({"dataset": {"name": args.dataset}}, args.set)["dataset"]
    dataset = get_dataset(dataset_dict, args.split, args.datadir)
    files = {"predictions": (args.predictions, ("x", "y")), "counts": (args.counts, ("count",))}
    source, tables = {}, {}
    for key, (path, columns) in files.items():
        if path is None:
            continue
        tables[key] = pairing.read_table(path, columns, dataset.class_names)
        tables[key], n_other = pairing.drop_other_splits(tables[key], dataset, dataset_dict)
        n_without = len(set(dataset.names) - set(tables[key].rows))
        source |= {key: path.name, f"{key}_sha256": pairing.sha256(path)}
        source |= {f"{key}_rows_of_other_splits": n_other, f"{key}_images_without_row": n_without}
    images = pairing.join_predictions(dataset, tables["predictions"], tables.get("counts"))
    return dataset, images, {"source": source, "dataset": dataset_dict}


def run(args: argparse.Namespace) -> None:
    """Score, write and print."""
    sigmas = list(dict.fromkeys(args.sigmas))
    if args.out is None:
        args.out = args.savedir_base / args.exp_id / "evaluation"
    dataset, images, about = of_network(args) if args.predictions is None else of_predictions(args)
    found = scoring.tally(images, dataset.n_classes, sigmas)
    report = {**about, "split": args.split, **scoring.score(found, dataset.class_names, sigmas, args.seed)}
    make_folder(args.out)
    scoring.write_report(args.out, report, images, found, dataset)
    print(scoring.score_table(report), end="")
    print(f"\nWritten into {args.out}")
