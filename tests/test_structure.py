"""Who may import whom, and habits that bite later: read from the source, nothing is run."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("lcfcn", "src", "scripts", "benchmarks")


def python_files(*folders):
    """Relative paths; "" is the top level alone."""
    found = []
    for folder in folders:
        found += sorted((ROOT / folder).rglob("*.py")) if folder else sorted(ROOT.glob("*.py"))
    return [path.relative_to(ROOT).as_posix() for path in found]


ALL_FILES = python_files("", *FOLDERS)


def imported(source, module):
    """Full names of what a module's source imports, wherever in the file; `from a import b` is both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *filter(None, [node.module])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def imports_of(path):
    module = path.removesuffix(".py").replace("/", ".")
    return imported((ROOT / path).read_text(encoding="utf-8"), module)


def within(names, *packages):
    """Those of the names that are, or lie in, one of the packages."""
    return {name for name in names if any(f"{name}.".startswith(f"{package}.") for package in packages)}


def test_the_reader_of_imports_reads():
    source = "import a.b\nfrom c import d\nfrom . import e\nfrom .f import g\nfrom ..h import i\ndef k():\n    import l"
    names = imported(source, "pack.sub.module")
    assert names == {
        "a.b",
        "c",
        "c.d",
        "pack.sub",
        "pack.sub.e",
        "pack.sub.f",
        "pack.sub.f.g",
        "pack.h",
        "pack.h.i",
        "l",
    }
    assert within({"src", "src.a", "srcs", "a.src"}, "src") == {"src", "src.a"}


def test_there_is_something_to_read():
    known = {"trainval.py", "exp_configs.py", "lcfcn/lcfcn_loss.py", "lcfcn/counting/counter.py", "src/models/lcfcn.py"}
    assert known <= set(ALL_FILES)


OUTSIDE = ("trainval", "exp_configs", "job_configs", "scripts", "benchmarks", "tests")
"""What runs the code. Nothing that it runs imports it."""


@pytest.mark.parametrize("path", python_files("lcfcn"))
def test_the_library_knows_nothing_of_the_experiments(path):
    assert not within(imports_of(path), "src", "haven", *OUTSIDE)


@pytest.mark.parametrize("path", python_files("src"))
def test_src_never_imports_what_runs_it(path):
    assert not within(imports_of(path), *OUTSIDE)


LIBRARY = {
    "launch": {"errors", "stopping"},
    "names": set(),
    "memory": set(),
    "terms": set(),
    "errors": {"names"},
    "union_find": set(),
    "components": set(),
    "stopping": set(),
    "metrics": set(),
    "inputs": set(),
    "top_hat": set(),
    "watershed": set(),
    "files": {"errors", "names"},
    "subflood": {"union_find", "watershed"},
    "split_lines": {"subflood", "top_hat", "watershed"},
    "decoding": {"union_find"},
    "decoding_search": {"decoding", "union_find"},
    "blobs": {"components", "decoding"},
    "targets": {"blobs", "components", "split_lines", "terms"},
    "lcfcn_loss": {"blobs", "inputs", "metrics", "targets", "terms"},
    "heatmap": {"inputs"},
}
"""What each module of the library's ground floor may import of it."""


def library_imports(path):
    """The modules of the library that a file imports, such as blobs or counting.counter."""
    modules = {name.removesuffix(".py").replace("/", ".") for name in python_files("lcfcn")}
    found = {name for name in within(imports_of(path), "lcfcn") if name in modules}
    return {name.removeprefix("lcfcn.") for name in found}


@pytest.mark.parametrize(("module", "allowed"), LIBRARY.items())
def test_imports_inside_the_library_point_one_way(module, allowed):
    assert library_imports(f"lcfcn/{module}.py") <= allowed


def test_every_module_of_the_library_has_its_place():
    found = {Path(path).stem for path in python_files("lcfcn") if Path(path).parent == Path("lcfcn")}
    assert found == {*LIBRARY, "__init__", "cli"}


@pytest.mark.parametrize("path", python_files("lcfcn/networks"))
def test_networks_know_the_errors_and_files_and_nothing_of_loss_or_counting(path):
    found = library_imports(path)
    assert {name for name in found if not name.startswith("networks.")} <= {"errors", "files"}


@pytest.mark.parametrize("path", python_files("lcfcn/counting"))
def test_counting_knows_the_networks_and_no_loss(path):
    losses = {"lcfcn_loss", "heatmap", "targets", "split_lines", "inputs", "decoding_search"}
    assert not library_imports(path) & losses


def test_only_the_public_names_stand_in_the_library_itself():
    """What is inside imports the modules, never `lcfcn` itself: only the version is there without a detour."""
    users = [path for path in python_files("lcfcn") if "lcfcn" in imports_of(path)]
    assert users == ["lcfcn/cli.py"]
    assert {name for name in imports_of("lcfcn/cli.py") if name.startswith("lcfcn.__")} == {"lcfcn.__version__"}


# The experiments

ROOMS = {
    "readers": set(),
    "annotations": {"readers"},
    "datasets": {"readers"},
    "experiments.schema": set(),
    "experiments.command_line": set(),
    "experiments.haven": set(),
    "experiments.local_slurm": set(),
    "experiments.lock": set(),
    "experiments.folders": {"experiments.haven", "experiments.lock", "experiments.schema"},
    "experiments.recipe": {"datasets", "experiments.schema"},
    "experiments.prepare": {"datasets", "experiments", "models", "training"},
    "experiments.standings": {"experiments.folders", "training.checkpoints"},
    "experiments.jobs": {"experiments", "training"},
    "training": {"datasets", "experiments.schema", "experiments.command_line", "models"},
    "models": {"datasets", "experiments.schema", "training"},
    "evaluation": {
        "annotations",
        "datasets",
        "experiments.folders",
        "experiments.schema",
        "models",
        "readers",
        "training",
    },
    "release": {"experiments.schema", "training.checkpoints"},
    "dashboard": set(),
}
"""What each room of src may import of it. Models and training meet in `training.run`, which drives both."""


def room_of(path):
    """The longest entry of ROOMS that a file of src belongs to."""
    module = path.removeprefix("src/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    rooms = [room for room in ROOMS if f"{module}.".startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


EMPTY = [path for path in python_files("src") if path.endswith("/__init__.py") and not imports_of(path)]
GROUPING = {path.removesuffix("/__init__.py").replace("/", ".") for path in EMPTY}
"""Packages that only group: `from src.training import checkpoints` imports nothing else."""


@pytest.mark.parametrize("path", sorted(set(python_files("src")) - set(EMPTY)))
def test_rooms_of_src_point_one_way(path):
    room = room_of(path)
    assert room is not None, "a new room: name it in ROOMS"
    modules = {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in python_files("src")}
    found = {name for name in within(imports_of(path), "src") if name in modules}
    allowed = [f"src.{name}" for name in (room, *ROOMS[room])]
    assert not found - within(found, *allowed) - GROUPING


def test_these_packages_only_group():
    assert {"src", "src.experiments", "src.evaluation", "src.readers", "src.release", "src.training"} <= GROUPING


def test_only_the_run_joins_training_and_models():
    files = [path for path in python_files("src/training") if within(imports_of(path), "src.models")]
    assert files == ["src/training/run.py"]
    used = {name for path in python_files("src/models") for name in within(imports_of(path), "src.training")}
    assert "src.training.run" not in used


def test_only_one_module_imports_haven():
    files = [path for path in ALL_FILES if within(imports_of(path), "haven")]
    assert [path for path in files if not path.startswith("src/dashboard/")] == ["src/experiments/haven.py"]


def test_only_those_who_ask_for_jobs_wait_for_submitit():
    assert [path for path in ALL_FILES if within(imports_of(path), "submitit")] == ["src/experiments/jobs.py"]
    assert [path for path in ALL_FILES if within(imports_of(path), "src.experiments.jobs")] == ["trainval.py"]
    assert not within(at_once("trainval.py"), "submitit", "src.experiments.jobs")


def test_scoring_knows_the_pairing_and_not_the_other_way_round():
    scoring = imports_of("src/evaluation/scoring.py")
    assert "src.evaluation.pairing" in scoring
    assert not within(scoring, "torch", "src.models", "src.training")
    assert "src.evaluation.scoring" not in imports_of("src/evaluation/pairing.py")


@pytest.mark.parametrize("path", python_files("src/dashboard"))
def test_what_repairs_haven_knows_nothing_else_of_the_project(path):
    assert not within(imports_of(path), "lcfcn", "src", *OUTSIDE)


def test_what_every_kernel_runs_imports_python_alone():
    (start,) = [path for path in python_files("src/dashboard") if "/startup/" in path]
    names = imports_of(start) | imports_of("src/dashboard/lcfcn_haven/__init__.py")
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_configurations_are_only_data():
    allowed = {"src.experiments.haven", "src.experiments.haven.haven_utils"}  # the one module that imports Haven
    assert not within(imports_of("exp_configs.py"), "src", "lcfcn", "trainval", "scripts") - allowed
    assert not imports_of("job_configs.py")


# What is slow to import, and who does not wait for it


def at_once(path):
    """What importing a file imports at once: nothing inside functions, and nothing for the type checker alone."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kept = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    source = "\n".join(ast.unparse(node) for node in kept if not isinstance(node, ast.FunctionDef))
    return imported(source, path.removesuffix(".py").replace("/", "."))


def loaded_by(statement, *packages):
    """Which of the packages a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint([name for name in {packages!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "module",
    [
        "lcfcn",
        "lcfcn.cli",
        "lcfcn.errors",
        "lcfcn.files",
        "lcfcn.stopping",
        "lcfcn.counting.defaults",
        "src.experiments.command_line",
        "trainval",
        *(f"scripts.{name}" for name in ("evaluate", "export", "import_points", "predict", "local_slurm")),
    ],
)
def test_help_and_wrong_arguments_wait_for_nothing_slow(module):
    slow = ("torch", "numpy", "numba", "scipy", "pandas", "matplotlib", "haven", "lightning_fabric", "submitit")
    assert loaded_by(f"import {module}", *slow) == []


@pytest.mark.parametrize(
    "module",
    [
        "lcfcn.metrics",
        "lcfcn.counting.file_lists",
        "lcfcn.counting.image_files",
        "lcfcn.counting.settings",
        "src.experiments.folders",
        "src.experiments.schema",
        "src.readers.tables",
        "src.annotations",
        "src.annotations.importing",
    ],
)
def test_what_needs_no_network_imports_no_torch(module):
    assert loaded_by(f"import {module}", "torch", "torchvision", "nbformat", "lightning_fabric") == []


def test_a_wrong_group_is_told_without_torch():
    statement = "import trainval\nassert trainval.main(['-e', 'tranco', '-sb', 'runs']) == 2"
    assert loaded_by(statement, "torch", "nbformat") == []


def test_the_public_names_are_loaded_when_asked_for():
    assert loaded_by("import lcfcn\nlcfcn.match_points", "numpy", "torch") == ["numpy"]
    assert loaded_by("import lcfcn\nlcfcn.compute_lcfcn_loss", "torch", "torchvision", "PIL", "pydicom") == ["torch"]


def test_training_alone_imports_no_engine_of_several_processes():
    assert loaded_by("import src.training.run", "lightning_fabric", "tensorboard", "submitit") == []


# Where a module is tested

ELSEWHERE = {
    "lcfcn/counting/dicom_codecs.py": "tests/lcfcn/counting/test_dicom_files.py",
    "lcfcn/counting/raster.py": "tests/lcfcn/counting/test_image_files.py",
    "lcfcn/counting/tiff_files.py": "tests/lcfcn/counting/test_image_files.py",
    "lcfcn/launch.py": "tests/lcfcn/counting/test_journal.py",
    "lcfcn/names.py": "tests/lcfcn/test_files.py",
    "scripts/export.py": "tests/src/release/test_export.py",
    "scripts/import_points.py": "tests/src/annotations/test_importing.py",
    "scripts/local_slurm.py": "tests/src/experiments/test_jobs.py",
    "src/annotations/cell_counter.py": "tests/src/annotations/test_further_formats.py",
    "src/annotations/columns.py": "tests/src/annotations/test_tables.py",
    "src/annotations/common.py": "tests/src/annotations/test_init.py",
    "src/annotations/dotdotgoose.py": "tests/src/annotations/test_tables.py",
    "src/annotations/image_metadata.py": "tests/src/annotations/test_image_names.py",
    "src/annotations/image_sizes.py": "tests/src/annotations/test_orientation.py",
    "src/annotations/imagej_results.py": "tests/src/annotations/test_imagej.py",
    "src/annotations/jhu.py": "tests/src/annotations/test_further_formats.py",
    "src/annotations/label_studio_images.py": "tests/src/annotations/test_label_studio.py",
    "src/annotations/p2pnet.py": "tests/src/annotations/test_further_formats.py",
    "src/annotations/qnrf.py": "tests/src/annotations/test_further_formats.py",
    "src/annotations/qupath_tables.py": "tests/src/annotations/test_tables.py",
    "src/annotations/unknown.py": "tests/src/annotations/test_init.py",
    "src/annotations/via3.py": "tests/src/annotations/test_further_formats.py",
    "src/annotations/yolo_lines.py": "tests/src/annotations/test_yolo.py",
    "src/annotations/yolo_names.py": "tests/src/annotations/test_yolo.py",
    "src/dashboard/lcfcn_haven/__init__.py": "tests/src/dashboard/lcfcn_haven/test_repairs.py",
    "src/experiments/local_slurm.py": "tests/src/experiments/test_jobs.py",
    "src/experiments/standings.py": "tests/src/experiments/test_jobs.py",
    "src/readers/command_line.py": "tests/src/evaluation/test_any_format.py",
    "src/readers/datadir.py": "tests/src/datasets/test_init.py",
    "src/readers/errors.py": "tests/src/datasets/test_init.py",
    "src/readers/matlab.py": "tests/src/datasets/test_shanghai.py",
    "src/readers/numbers.py": "tests/src/annotations/test_tables.py",
    "src/readers/tables.py": "tests/src/datasets/test_points.py",
    "src/release/model_card.py": "tests/src/release/test_export.py",
    "src/release/onnx_file.py": "tests/src/release/test_export.py",
    "src/training/curves.py": "tests/test_trainval.py",
}
"""Modules that are tested through the door of another, as a reader's helpers and a script's work are."""
ACROSS = {
    "tests/src/annotations/test_broken_files.py",
    "tests/src/annotations/test_further_formats.py",
    "tests/src/annotations/test_image_names.py",
    "tests/src/annotations/test_objects.py",
    "tests/src/annotations/test_tables.py",
    "tests/test_docs.py",
    "tests/test_old_files.py",
    "tests/test_packaging.py",
    "tests/test_structure.py",
}
"""Tests of many modules at once."""


def mirror_of(path):
    """The file that mirrors a module: tests/lcfcn/test_blobs.py for lcfcn/blobs.py; of a package test_init.py."""
    folder, _, name = f"tests/{path}".rpartition("/")
    return f"{folder}/test_{'init.py' if name == '__init__.py' else name}"


def has_code(path):
    """Whether a file defines functions or classes; others hold texts and numbers, or pass names on."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.With) for node in body)


def test_every_module_has_its_test_file_or_is_tested_elsewhere():
    modules = [path for path in python_files("lcfcn", "src", "scripts") if has_code(path)]
    missing = [path for path in modules if not (ROOT / mirror_of(path)).is_file() and path not in ELSEWHERE]
    assert not missing, f"write {mirror_of(missing[0])}, or say in ELSEWHERE which file tests it"
    for path, where in ELSEWHERE.items():
        assert path in modules, f"{path} is gone"
        assert (ROOT / where).is_file(), where
        assert not (ROOT / mirror_of(path)).exists(), f"{path} has its own test file: take it out of ELSEWHERE"


def test_every_test_file_mirrors_a_module_or_is_known_to_test_many():
    tests = {path for path in python_files("tests") if "/test_" in path}
    mirrors = {mirror_of(path) for path in ALL_FILES}
    assert tests - mirrors == ACROSS


LISTINGS = {"listdir", "scandir", "glob", "rglob", "iglob", "iterdir"}
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def called(node):
    """Last name of what a call calls: f(), a.f()."""
    return getattr(node.func, "attr", getattr(node.func, "id", None)) if isinstance(node, ast.Call) else None


def habits(source):
    """(line, what) of each bad habit in the source."""
    found = []

    def visit(node, ordered):
        name = called(node)
        if name == "squeeze" and len(node.args) + len(node.keywords) == (1 if _is_function(node) else 0):
            found.append((node.lineno, "squeeze without a dimension"))
        if name == "cuda" and isinstance(node.func, ast.Attribute):
            found.append((node.lineno, ".cuda(), where .to(device) belongs"))
        if name == "load" and ast.unparse(node.func) == "torch.load" and not _weights_only(node):
            found.append((node.lineno, "torch.load without weights_only=True"))
        if name in LISTINGS and not ordered:
            found.append((node.lineno, f"{name} in no particular order"))
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append((node.lineno, "bare except"))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            if any(isinstance(d, MUTABLE) or called(d) in {"list", "dict", "set"} for d in defaults):
                found.append((node.lineno, "a default that can change"))
        for child in ast.iter_child_nodes(node):
            # Whether there is anything at all does not depend on the order.
            is_condition = child is getattr(node, "test", None) or isinstance(node, ast.BoolOp | ast.UnaryOp)
            visit(child, ordered or name == "sorted" or (is_condition and called(child) == "listdir"))

    visit(ast.parse(source), False)
    return found


def _is_function(node):
    """squeeze(x) or torch.squeeze(x), not x.squeeze()."""
    return isinstance(node.func, ast.Name) or getattr(node.func.value, "id", None) in {"torch", "np", "numpy"}


def _weights_only(node):
    return any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)


@pytest.mark.parametrize(
    "source",
    [
        "x.squeeze()",
        "torch.squeeze(x)",
        "squeeze(x)",
        "model.cuda()",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "for f in os.listdir(path): pass",
        "files = list(path.glob('*.jpg'))",
        "files = [f for f in path.iterdir() if f]",
        "glob('*')",
        "if os.listdir(path)[0] == 'a': pass",
        "try:\n    pass\nexcept:\n    pass",
        "def f(a=[]): pass",
        "def f(*, a={}): pass",
        "lambda a=set(): a",
    ],
)
def test_a_bad_habit_is_seen(source):
    assert len(habits(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x.squeeze(1)",
        "x.squeeze(dim=1)",
        "torch.squeeze(x, 1)",
        "torch.cuda.is_available()",
        "torch.load(path, map_location='cpu', weights_only=True)",
        "json.load(file)",
        "sorted(path.glob('*.jpg'))",
        "if a and os.listdir(path): pass",
        "empty = not os.listdir(path)",
        "sorted(f.name for f in os.scandir(path))",
        "try:\n    pass\nexcept OSError:\n    pass",
        "def f(a=(), *, b=None): pass",
    ],
)
def test_a_good_habit_passes(source):
    assert habits(source) == []


@pytest.mark.parametrize("path", ALL_FILES)
def test_house_style(path):
    assert habits((ROOT / path).read_text(encoding="utf-8")) == []
