"""Who may import whom, and habits that bite later: read from the source, nothing is run."""

import ast
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
    assert {"trainval.py", "exp_configs.py", "lcfcn/lcfcn_loss.py", "src/runtime.py"} <= set(ALL_FILES)


@pytest.mark.parametrize("path", python_files("lcfcn"))
def test_the_library_knows_nothing_of_the_training(path):
    outsiders = (
        "src",
        "trainval",
        "exp_configs",
        "job_configs",
        "scripts",
        "benchmarks",
        "tests",
        "haven",
        "torchvision",
    )
    assert not within(imports_of(path), *outsiders)


@pytest.mark.parametrize("path", python_files("src/dashboard"))
def test_what_repairs_haven_knows_nothing_else_of_the_project(path):
    assert not within(imports_of(path), "lcfcn", "src", "trainval", "exp_configs", "scripts", "benchmarks", "tests")


def test_what_every_kernel_runs_imports_python_alone():
    (start,) = [path for path in python_files("src/dashboard") if "/startup/" in path]
    names = imports_of(start) | imports_of("src/dashboard/lcfcn_haven/__init__.py")
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("__init__", set()),
        ("watershed", set()),
        ("metrics", set()),
        ("decoding", set()),
        ("choice", {"decoding"}),
        ("subflood", {"watershed"}),
        ("blobs", {"decoding", "subflood", "watershed"}),
        ("targets", {"blobs"}),
        ("lcfcn_loss", {"blobs", "metrics", "targets"}),
        ("heatmap_weight", {"lcfcn_loss"}),
    ],
)
def test_imports_inside_the_library_point_one_way(module, allowed):
    names = within(imports_of(f"lcfcn/{module}.py"), "lcfcn")
    assert {name.split(".")[1] for name in names if "." in name} <= allowed
    assert "lcfcn" not in names


def test_every_module_of_the_library_has_its_place():
    named = {"__init__", "watershed", "subflood", "metrics", "decoding", "choice", "blobs", "targets", "lcfcn_loss"}
    named |= {"heatmap_weight"}
    assert {Path(path).stem for path in python_files("lcfcn")} == named


def test_only_those_who_ask_for_jobs_wait_for_submitit():
    files = [path for path in ALL_FILES if within(imports_of(path), "submitit", "src.experiments.jobs")]
    assert files == ["trainval.py", "src/jobs.py"]
    body = ast.parse((ROOT / "trainval.py").read_text(encoding="utf-8")).body
    at_once = "\n".join(ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    assert not within(imported(at_once, "trainval"), "submitit", "src.experiments.jobs")


def test_scores_need_no_torch():
    assert not within(imports_of("lcfcn/metrics.py"), "torch")


@pytest.mark.parametrize("path", python_files("src"))
def test_src_never_imports_what_runs_it(path):
    assert not within(imports_of(path), "trainval", "exp_configs", "job_configs", "scripts", "benchmarks", "tests")


def test_scoring_knows_the_pairing_and_not_the_other_way_round():
    assert "src.evaluation.pairing" in imports_of("src/scoring.py")
    assert not within(
        imports_of("src/scoring.py"), "torch", "src.models", "src.training.runtime", "src.training.checkpoints"
    )
    assert "src.evaluation.scoring" not in imports_of("src/pairing.py")


@pytest.mark.parametrize("path", ["src/schema.py", "src/predictor.py", "src/counting.py", "src/release.py"])
def test_predicting_does_not_wait_for_haven(path):
    assert not within(imports_of(path), "haven", "src.experiments.folders")


@pytest.mark.parametrize("script", ["predict", "export"])
def test_help_and_wrong_arguments_wait_for_nothing_slow(script):
    source = (ROOT / f"scripts/{script}.py").read_text(encoding="utf-8")
    at_start = "\n".join(line for line in source.splitlines() if not line.startswith("    from src"))
    names = imported(at_start, f"scripts.{script}") | imports_of("src/cli.py") | imports_of("src/defaults.py")
    slow = (
        "torch",
        "numpy",
        "lcfcn",
        "lcfcn.counting.folders",
        "src.release.export",
        "src.training.runtime",
        "lcfcn.counting.predictor",
        "lcfcn.counting.image_files",
    )
    assert not within(names, *slow)


def test_the_configurations_are_only_data():
    allowed = {"src.experiments.folders", "src.experiments.folders.haven_utils"}  # the one module that imports Haven
    assert not within(imports_of("exp_configs.py"), "src", "lcfcn", "trainval", "scripts") - allowed
    assert not imports_of("job_configs.py")


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
