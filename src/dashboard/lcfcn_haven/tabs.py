"""The dashboard in JupyterLab 4 and Notebook 7; imported when `haven.haven_jupyter` has loaded."""

import functools
import json
import pprint
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import itables
import matplotlib.pyplot as plt
from IPython.display import HTML, display
from ipywidgets import Button, HBox, Label, Output, Tab, VBox

from lcfcn_haven.repairs import ToldError, score_list

LIKE = {"score_columns": "y_metrics", "latex_columns": "y_metrics", "latex_rows": "legend_list"}
"""What a box selects if the notebook says nothing of it: what another does. It was the first entry."""

ONE_AT_A_TIME = threading.Lock()


def repair(jupyter: ModuleType) -> None:
    """Put what follows in the place of what haven-ai 0.7.3 has."""
    # The tables took their script from a CDN by require.js, which JupyterLab 4 does not have; these carry it.
    jupyter.init_datatable_mode = functools.partial(itables.init_notebook_mode, all_interactive=True)
    plt.switch_backend(plt.get_backend())  # now, because its first use makes pyplot interactive
    modules = {name: sys.modules[f"{jupyter.__name__}.{name}_tab"] for name in ("tables", "plots", "images", "share")}
    boxes = sys.modules[f"{jupyter.__name__}.widgets"]
    boxes.Dropdown = _averageable(boxes.Dropdown)
    for module in modules.values():
        module.show_inline_matplotlib_plots = _show_figures
    tabs = {
        **{name.title(): functools.partial(_of_haven, module) for name, module in modules.items() if name != "share"},
        "Text": _text_tab,
        "Latex": functools.partial(_latex_tab, boxes.SelectMultiple),
        "Share": functools.partial(_of_haven, modules["share"]),
    }
    jupyter.DashboardManager.display = functools.partialmethod(_display, jupyter, tabs)
    jupyter.get_dashboard = functools.partial(_get_dashboard, jupyter.get_dashboard)


def _get_dashboard(original: Callable, rm: Any, vars: dict | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
    if not rm.exp_list:
        raise ToldError(f"filterby_list={rm.filterby_list} chooses none of {rm.n_exp_all} experiments.")
    chosen = dict(vars or {})
    names = ["exp_id", *rm.exp_params]
    for var, offered in {"legend_list": names, "title_list": names, "y_metrics": rm.score_keys}.items():
        if chosen.get(var) and offered:
            chosen[var] = _offered(var, chosen[var], offered)
    for var, other in LIKE.items():
        chosen.setdefault(var, chosen.get(other))
    rm.fig_list, rm.fig_image_list = [], []  # what "Download" finds before anything was displayed
    return original(rm, chosen, **kwargs)


def _offered(var: str, wanted: str | list[str], offered: list[str]) -> list[str]:
    """The names that a box offers; a section stands for its name, or for all that it has if it has none.

    A name that it does not offer silently became the first that it does.
    """
    found = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        inside = [o for o in offered if o.startswith(f"{name}.")]
        same = [o for o in (name, f"{name}.name") if o in offered][:1] or inside
        if not same:
            raise ToldError(f"{var} has {name!r}, which no experiment has; choose from {', '.join(offered)}.")
        found += same
    return found


def _averageable(dropdown: type) -> type:
    # It offered all names to average across, and knows only those that stand in no section.
    class Dropdown(dropdown):
        def __init__(self, header: str, options: list[str], db_vars: dict, var: str) -> None:
            options = [o for o in options if "." not in o] if var == "avg_across" else options
            super().__init__(header=header, options=options, db_vars=db_vars, var=var)

    return Dropdown


def _display(self: Any, jupyter: ModuleType, tabs: dict[str, Callable[[Any], VBox]]) -> None:  # noqa: ANN401
    # It displayed each tab inside an Output inside an Output. A front end answers each with a message of its own, and
    # such answers hang `nbconvert --execute` (nbclient 0.11, jupyter_client 8.10) in one run of five.
    self.update_rm(display_meta=False)
    if self.enable_datatables:
        jupyter.init_datatable_mode()
    n, folder = len(self.rm.exp_list), self.rm_original.savedir_base
    loaded = f'Dashboard loaded (ver: {jupyter.haven.__version__}). {n} experiments selected from "{folder}"'
    display(Label(loaded), Tab([build(self) for build in tabs.values()], titles=list(tabs)))
    if self.wide_display:  # of the page of Notebook 7, whose classes changed
        display(HTML("<style>:root { --jp-notebook-max-width: 100% }</style>"))


def _of_haven(module: ModuleType, db: Any) -> VBox:  # noqa: ANN401
    """A tab that Haven builds, as a widget.

    What a button shows outside an Output, a link or an error, stood below the cell in old notebooks and stands nowhere
    since JupyterLab 4: it gets a place below the tab.
    """
    below, shown = Output(), []

    class HeardButton(Button):
        def on_click(self, callback: Callable, remove: bool = False) -> None:
            super().on_click(_inside(below, callback), remove)

    before = {name: getattr(module, name) for name in ("display", "widgets")}
    module.display = shown.append
    module.widgets = SimpleNamespace(**{**vars(before["widgets"]), "Button": HeardButton})
    try:
        getattr(module, module.__name__.rpartition(".")[2])(db, nullcontext())
    finally:
        vars(module).update(before)
    return VBox([*shown, below])


def _inside(output: Output, callback: Callable) -> Callable:
    # JupyterLab 4.4 and ipykernel 7 answer buttons in several threads, and any message answered shows and closes the
    # figures that pyplot has, half drawn ones too. So one button is answered at a time, and pyplot is not interactive.
    def clicked(button: Button) -> None:
        with ONE_AT_A_TIME:
            output.clear_output()
            with output, plt.ioff():
                callback(button)

    return clicked


def _show_figures() -> None:
    for number in plt.get_fignums():
        display(plt.figure(number))
        plt.close(number)


def _text_tab(db: Any) -> VBox:  # noqa: ANN401
    # It spelled the word None letter by letter for an experiment without texts.
    def show() -> None:
        for exp_dict, savedir in zip(db.rm.exp_list, map(Path, db.rm.get_savedir_list()), strict=True):
            texts = sorted(savedir.glob("text/*.json"))
            print(f"Experiment {savedir.name}\n{pprint.pformat(exp_dict)}")
            print(f"\nLast scores\n{pprint.pformat(score_list(savedir)[-1:])}")
            print(f"\nPredictions\n{pprint.pformat(json.loads(texts[0].read_text())) if texts else 'No text/*.json.'}")
            print("-" * 80)

    return _tab(db, "Get Predictions", [], show)


def _latex_tab(select_multiple: type, db: Any) -> VBox:  # noqa: ANN401
    # Its two boxes went in swapped, into a function that swaps them back, gives experiments of the same label one row,
    # and leaves "_" as it is, which LaTeX refuses.
    legend = select_multiple("Legend:", db.rm.exp_params, db.vars, "latex_rows")
    metrics = select_multiple("Metrics:", db.rm.score_keys, db.vars, "latex_columns")

    def show() -> None:
        columns = {"columns": legend.update(), "score_columns": metrics.update()}
        table = db.rm.get_score_table(show_meta=False, show_max_min=False, **columns)
        print(table.to_latex(index=False, escape=True, caption="Results"))

    return _tab(db, "Display Latex Table", [legend, metrics], show)


def _tab(db: Any, label: str, boxes: list, show: Callable[[], None]) -> VBox:  # noqa: ANN401
    """A tab of some boxes and a button, and of what it shows below them."""
    button, below = Button(description=label, layout=db.layout_button), Output()

    def update_and_show(_: Button) -> None:
        db.update_rm()
        show()

    button.on_click(_inside(below, update_and_show))
    return VBox([HBox([box.get_widget() for box in boxes]), button, below])
