"""Haven's dashboard in a browser: each button is pressed, and what it shows is read."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from urllib.parse import urljoin, urlsplit

import nbformat
import numpy as np
import pytest
from helpers_data import ROOT
from helpers_runs import PAINT, make_run
from PIL import Image
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / "results" / "dashboard.ipynb"
PATIENCE = 40  # seconds that anything may take on a busy machine
DRAWN = """
import json
axes = rm.fig_list[0].axes[0]
texts = [axes.get_xlabel(), axes.get_ylabel(), axes.get_title(), *(t.get_text() for t in axes.get_legend().get_texts())]
print("drawn", json.dumps([texts, [line.get_xydata().tolist() for line in axes.lines]]))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three experiments, the third on other data, with the folders of the first two."""
    folder = tmp_path_factory.mktemp("runs")
    savedirs = [make_run(folder, maes=[9.0, 3.5]), make_run(folder, "model.base=fcn8_resnet18", maes=[8.0, 2.25])]
    make_run(folder, group="demo", maes=[1.0])
    return folder, savedirs


def write_notebook(path, runs):
    """The project's notebook with the path filled in, and a cell that tells what was drawn."""
    notebook = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    cell = notebook.cells[-1]
    assert cell.source.count("<savedir_base>") == 1
    cell.source = cell.source.replace("<savedir_base>", str(runs))
    notebook.cells = [cell, nbformat.v4.new_code_cell(DRAWN)]
    nbformat.write(notebook, path)


def test_the_cell_runs_without_a_browser(runs, tmp_path):
    write_notebook(tmp_path / "dashboard.ipynb", runs[0])
    options = ["--to", "notebook", "--execute", "--ExecutePreprocessor.allow_errors=True", "--output", "done"]
    command = [sys.executable, "-m", "nbconvert", *options, "dashboard.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=2 * PATIENCE)
    done = nbformat.reads((tmp_path / "done.ipynb").read_text(encoding="utf-8"), as_version=4)
    assert not [o for o in done.cells[0].outputs if o.output_type in ("error", "stream")]
    states = done.metadata.widgets["application/vnd.jupyter.widget-state+json"].state.values()
    loaded = f'Dashboard loaded (ver: 0.7.3). 2 experiments selected from "{runs[0]}"'
    assert loaded in [s.state.get("value") for s in states]


@pytest.fixture(scope="module")
def server(tmp_path_factory, runs):
    """Address, token and folder of a Jupyter server on a free port, which can reach no scheduler."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "notebooks").mkdir()
    for name in ("lab", "notebook"):
        write_notebook(home / "notebooks" / f"{name}.ipynb", runs[0])
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    environment = {**os.environ, **folders, "IPYTHONDIR": str(home / "ipython"), "PATH": str(home)}
    options = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1"]
    options += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home / "notebooks", env=environment, stdout=log, stderr=log)
    try:
        information = home / "RUNTIME" / f"jpserver-{process.pid}.json"
        wait_for(lambda: information.exists() and information.stat().st_size or process.poll() is not None)
        assert process.poll() is None, (home / "log").read_text()
        told = json.loads(information.read_text())
        yield told["url"], told["token"], home / "notebooks"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


class Dashboard:
    """A page with the notebook, its first cell run."""

    def __init__(self, page, url):
        self.page = page
        self.hosts = set()
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        page.goto(url)
        self.run_cell(0)
        expect(page.get_by_text("Dashboard loaded (ver: 0.7.3). 2 experiments selected")).to_be_visible()

    def run_cell(self, index):
        expect(self.page.get_by_role("button", name=re.compile("^Python 3 .ipykernel.$"))).to_be_visible()
        expect(self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_be_visible()
        self.page.locator(".jp-CodeCell").nth(index).locator(".jp-InputArea-prompt").click()
        self.page.get_by_role("button", name="Run this cell and advance (Shift+Enter)").click()

    def press(self, tab, button):
        """Press a button of a tab, and return the tab."""
        self.page.locator(".widget-tab > .lm-TabBar .lm-TabBar-tab").filter(has_text=tab).click()
        shown = self.page.locator(".widget-tab-contents > :not(.lm-mod-hidden)")
        shown.get_by_role("button", name=button, exact=True).click()
        return shown


def colours(picture):
    """All colours of an <img> that carries its PNG."""
    data = picture.get_attribute("src").partition("base64,")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return {tuple(c) for c in np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_every_button_shows_what_it_says(front_end, server, browser, runs):
    url, token, folder = server
    path = {"lab": "lab/tree", "notebook": "notebooks"}[front_end]
    page = browser.new_page(viewport={"width": 1500, "height": 1200})
    dashboard = Dashboard(page, f"{url}{path}/{front_end}.ipynb?token={token}")
    check_tables(dashboard)
    check_plots(dashboard)
    check_images(dashboard)
    check_texts(dashboard, runs[1])
    check_share(dashboard, runs[1], folder)
    assert dashboard.hosts <= {"127.0.0.1", None}
    page.close()


def check_tables(dashboard):
    shown = dashboard.press("Tables", "Display Table")
    rows = shown.locator("table tbody tr").filter(visible=True)
    expect(rows).to_have_count(2)
    heads = shown.locator("table thead").filter(visible=True)
    for name in ("started_at", "model.base", "val_mae", "val_mae (max)", "val_mae (min)"):
        expect(heads.get_by_text(name, exact=True)).to_be_visible()
    sort = heads.get_by_role("button", name=re.compile("^val_mae: Activate"))
    sort.click()
    expect(rows.first).to_contain_text(re.compile(r"fcn8_resnet18\s*2\.25"))
    sort.click()
    expect(rows.first).to_contain_text(re.compile(r"fpn_mobilenet_v2\s*3\.5"))
    told = shown.get_by_text("No scheduler on this machine (no squeue). Jobs of these 2 experiments: none.")
    for button in ("Jobs Status", "Jobs Logs", "Jobs Failed", "Download Logs"):
        dashboard.press("Tables", button)
        expect(told).to_have_count(1)
        expect(shown.get_by_text("Traceback")).to_have_count(0)
        dashboard.press("Tables", "Display Table")
        expect(told).to_have_count(0)


def check_plots(dashboard):
    shown = dashboard.press("Plots", "Display Plot")
    expect(shown.locator("img")).to_have_count(1)
    assert {(31, 119, 180), (255, 127, 14)} <= colours(shown.locator("img"))
    dashboard.run_cell(1)
    told = dashboard.page.get_by_text(re.compile(r"^drawn "))
    texts, lines = json.loads(told.inner_text().removeprefix("drawn "))
    assert texts[:2] == ["epoch", "val_mae"]
    assert re.fullmatch(r"trancos\s*\| *lcfcn", texts[2])
    bases = [text.split("\n")[-1] for text in texts[3:]]
    assert texts[3].startswith("model.base\n")
    curves = {"fpn_mobilenet_v2": [[0, 9], [1, 3.5]], "fcn8_resnet18": [[0, 8], [1, 2.25]]}
    assert dict(zip(bases, lines, strict=True)) == curves
    shown = dashboard.press("Plots", "Download Plots")
    expect(shown.get_by_role("link", name="plots.pdf")).to_be_visible()


def check_images(dashboard):
    shown = dashboard.press("Images", "Display Images")
    expect(shown.locator("img")).to_have_count(2)
    for picture in shown.locator("img").all():
        assert PAINT in colours(picture)
    shown = dashboard.press("Images", "Download Images zipped")
    expect(shown.get_by_role("link", name="results.zip")).to_be_visible()
    shown = dashboard.press("Images", "Download Images")
    expect(shown.get_by_role("link", name="images")).to_be_visible()


def check_texts(dashboard, savedirs):
    shown = dashboard.press("Text", "Get Predictions")
    for savedir in savedirs:
        expect(shown.get_by_text(f"Experiment {savedir.name}")).to_be_visible()
    expect(shown).to_contain_text("'val_mae': 2.25")
    expect(shown).to_contain_text("No text/*.json.")
    shown = dashboard.press("Latex", "Display Latex Table")
    expect(shown).to_contain_text(r"model.base & val\_mae \\")
    expect(shown).to_contain_text(re.compile(r"fcn8\\_resnet18 & 2\.250* \\\\"))
    expect(shown).to_contain_text(re.compile(r"fpn\\_mobilenet\\_v2 & 3\.50* \\\\"))


def check_share(dashboard, savedirs, folder):
    (folder / "results.zip").unlink()  # of the images
    shown = dashboard.press("Share", "Download Results")
    link = shown.get_by_role("link", name="results.zip")
    expect(link).to_be_visible()
    with zipfile.ZipFile(folder / "results.zip") as archive:
        names = {f"results/{s.name}/{file}" for s in savedirs for file in ("score_list.pkl", "exp_dict.json")}
        assert set(archive.namelist()) == names
    expect(link).to_have_attribute("href", re.compile("/files/results.zip"))
    answer = dashboard.page.request.get(urljoin(dashboard.page.url, link.get_attribute("href")))
    assert answer.body() == (folder / "results.zip").read_bytes()
