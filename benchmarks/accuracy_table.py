"""Print the runs of benchmarks.accuracy as a table: python -m benchmarks.accuracy_table ROWS.csv... [--curve PNG]"""

import argparse
import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lcfcn.errors import UserError
from lcfcn.files import csv_text, markdown_rows, write_bytes, write_whole

Row = dict[str, object]
SAME = ("data", "split", "recipe", "settings", "budget", "n_train")
"""The runs of one line of the table share these columns. They differ in their seeds."""
MEANS = {
    "rmse": "RMSE",
    "bias": "bias",
    **{f"game_{level}": f"GAME({level})" for level in (1, 2, 3)},
    "f1_4": "F1 σ=4",
    "f1_8": "F1 σ=8",
    "images": "images seen",
    "minutes": "minutes",
    "parameters": "parameters",
}
DECIMALS = {"f1_4": 3, "f1_8": 3, "images": 0, "parameters": 0, "minutes": 1}


def read_rows(path: Path) -> list[Row]:
    """Return the runs of a file; none if there is no file yet."""
    if not path.exists():
        return []
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def add_rows(path: Path, rows: list[Row]) -> None:
    """Write runs into a file; raise `UserError` if they do not have the same columns."""
    other = next((row for row in rows if list(row) != list(rows[0])), None)
    if other:
        raise UserError(
            f"{path} has the columns {', '.join(rows[0])}; expected {', '.join(other)}: name another --rows"
        )
    write_bytes(path, csv_text(rows[0], [row.values() for row in rows]).encode())


def grouped(rows: Iterable[Row]) -> list[list[Row]]:
    """Return groups of runs that differ only in their seeds, in the order of the runs."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[key]) for key in SAME), []).append(row)
    return list(groups.values())


def markdown(rows: Iterable[Row]) -> str:
    """Return the table: MAE as mean ± standard deviation over the seeds, and means of all other scores."""
    header = [*SAME, "seeds", "MAE", *MEANS.values(), "zoom", "decoding", "device"]
    lines = [header, *map(_line, grouped(rows))]
    return "\n".join(markdown_rows(lines))


def _line(group: list[Row]) -> list[str]:
    first = group[0]
    values = {key: np.array([float(row[key]) for row in group]) for key in ("mae", *MEANS)}
    maes = values["mae"]
    spread = f" ± {maes.std(ddof=1):.2f}" if len(maes) > 1 else ""
    means = ["-" if np.isnan(values[key]).any() else f"{values[key].mean():,.{DECIMALS.get(key, 2)}f}" for key in MEANS]
    decodings = ", ".join(dict.fromkeys(str(row["decoding"]) for row in group))
    return [
        *(str(first[key]) or "-" for key in SAME),
        " ".join(str(row["seed"]) for row in group),
        f"{maes.mean():.2f}{spread}",
        *means,
        ", ".join(dict.fromkeys(str(row["zoom"]) for row in group)),
        decodings,
        str(first["device"]),
    ]


def _name(group: list[Row]) -> str:
    first = group[0]
    name = f"{first['data']} {first['split']}, {first['recipe']}, {first['budget']}"
    return "\n".join(filter(None, [name, str(first["settings"])]))


def draw_curve(rows: list[Row], path: Path) -> None:
    """Draw MAE over the number of training images, with a line through the means for each data set and recipe."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    by_line = sorted(grouped(rows), key=lambda g: [str(g[0][key]) for key in SAME[:-1]] + [int(g[0]["n_train"])])
    for name, groups in itertools.groupby(by_line, key=_name):
        points = [(int(g[0]["n_train"]), [float(row["mae"]) for row in g]) for g in groups]
        n, means = [n for n, _ in points], [np.mean(maes) for _, maes in points]
        low, high = ([abs(f(maes) - m) for (_, maes), m in zip(points, means, strict=True)] for f in (min, max))
        axes.errorbar(n, means, yerr=[low, high], marker="o", capsize=3, label=name)
    axes.set(xlabel="annotated training images", ylabel="MAE (bars: least and most of the seeds)", ylim=(0, None))
    axes.set_xscale("log")
    ticks = sorted({int(row["n_train"]) for row in rows})
    axes.set_xticks(ticks, [str(n) for n in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", fontsize="small")
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))


def main() -> None:
    """Print the table of the runs in all files, and draw the curve if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="+", type=Path)
    parser.add_argument("--curve", type=Path, help="draw the error over the number of training images")
    args = parser.parse_args()
    rows = [row for path in args.rows for row in read_rows(path)]
    print(markdown(rows))
    if args.curve:
        draw_curve(rows, args.curve)


if __name__ == "__main__":
    main()
