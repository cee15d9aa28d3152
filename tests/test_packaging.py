"""What is imported is declared, once, and the wheel holds all that the library needs."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

import lcfcn

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")

ROOT = Path(__file__).parents[1]
LIBRARY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HAVEN = tomllib.loads((ROOT / "src/dashboard/pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
TRAINING = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
EXTRAS = LIBRARY["optional-dependencies"]
MODULES = {
    "haven-ai": "haven",
    "lightning-fabric": "lightning_fabric",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}
"""The module of a package, where it has another name."""
BROUGHT_BY = {"llvmlite": "numba", "IPython": "jupyterlab", "nbformat": "nbconvert"}
"""Modules that come with a declared package, in the release that fits it."""
OWN = {path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"} | {"lcfcn_haven"}


def declared(requirements):
    """Return the modules of the packages that some requirements name."""
    found = [match[0] for match in map(re.compile(r"[A-Za-z][\w.-]*").match, requirements) if match]
    return {MODULES.get(name, name) for name in found} - {"lcfcn"}


def imported(files):
    """Return the packages that Python files import, anywhere in them."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    return {BROUGHT_BY.get(name, name) for name in found - OWN - set(sys.stdlib_module_names)}


def python_files(pattern):
    return sorted(ROOT.glob(pattern))


def test_the_loss_imports_what_everyone_gets():
    modules = [path for path in python_files("lcfcn/*.py") if path.name != "cli.py"]
    assert imported(modules) == declared(LIBRARY["dependencies"])


def test_counting_imports_what_its_extra_brings():
    rooms = [*python_files("lcfcn/counting/*.py"), *python_files("lcfcn/networks/*.py"), ROOT / "lcfcn/cli.py"]
    needed = imported(rooms) - declared(LIBRARY["dependencies"])
    # timm and onnxruntime are asked for by name, pillow_heif by a HEIC file; IPython draws in a notebook that runs.
    assert needed - {"timm", "onnxruntime", "pillow_heif", BROUGHT_BY["IPython"]} == declared(EXTRAS["count"])
    assert declared(EXTRAS["timm"]) == {"timm"}
    assert declared(EXTRAS["heic"]) == {"pillow_heif"}
    assert "onnxruntime" in declared(EXTRAS["onnx"])


def test_a_clone_imports_what_its_requirements_bring():
    # The fuzzer of images writes HEIF where the extra for it is installed.
    given = declared([*LIBRARY["dependencies"], *EXTRAS["count"], *EXTRAS["heic"], *TRAINING, *HAVEN])
    files = [*python_files("*.py"), *python_files("src/**/*.py"), *python_files("scripts/*.py")]
    assert imported([*files, *python_files("benchmarks/*.py")]) <= given


def test_the_tests_import_what_their_extra_brings():
    extras = [line for name in ("count", "export", "onnx", "timm", "test") for line in EXTRAS[name]]
    files = python_files("tests/**/*.py")
    given = declared([*LIBRARY["dependencies"], *extras, *TRAINING, *HAVEN])
    assert imported(files) - {path.stem for path in files} <= given


def test_each_lower_bound_is_declared_once():
    lines = [*LIBRARY["dependencies"], *TRAINING, *HAVEN, *(line for extra in EXTRAS.values() for line in extra)]
    bounded = [re.match(r"[\w.-]+", line)[0].lower() for line in lines if re.match(r"\w.*[>=]=", line)]
    assert [name for name, times in Counter(bounded).items() if times > 1] == []
    assert "-e .[count]" in TRAINING
    open_ended = [line for line in lines if re.match(r"\w", line) and not re.search(r"[<>=]", line)]
    assert [line for line in open_ended if not line.startswith("lcfcn[")] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy, in which no earlier build left anything. Without isolation it needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    shutil.copytree(ROOT / "lcfcn", copy / "lcfcn")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    assert path.name == f"lcfcn-{lcfcn.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    about = f"lcfcn-{lcfcn.__version__}.dist-info/"
    held = {name for name in wheel.namelist() if not name.startswith(about)}
    modules = {path.relative_to(ROOT).as_posix() for path in python_files("lcfcn/**/*.py")}
    weights = {f"lcfcn/weights/{path.name}" for path in python_files("lcfcn/weights/*.*")}
    assert held == modules | weights | {"lcfcn/py.typed"}
    assert {"lcfcn/weights/index.json", "lcfcn/weights/shanghai_B.pth", "lcfcn/weights/shanghai_B.md"} <= held
    assert {about + "licenses/LICENSE", about + "licenses/NOTICE"} <= set(wheel.namelist())


@pytest.mark.slow
def test_the_wheel_brings_the_command(wheel):
    entry_points = wheel.read(f"lcfcn-{lcfcn.__version__}.dist-info/entry_points.txt").decode()
    assert "lcfcn = lcfcn.cli:main" in entry_points
