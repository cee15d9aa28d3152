"""What MkDocs does beyond its own: pages and pictures from outside docs/, and parts that are taken from the code.

The Markdown links to files as they lie in the repository, so that it also reads well where no site is built. A comment
such as ``<!-- tree -->`` is replaced by what one of the functions in `PARTS` returns, so a part taken from the code
cannot drift from it. It needs Python's standard library and MkDocs only.
"""

import ast
import csv
import hashlib
import json
import re
import textwrap
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = ("results/README.md", "results/*.png", "lcfcn/weights/*.md")
"""Files outside docs/ that become part of the site, under the same path."""
RENAMED = {"results/README.md": "results/figures.md", "lcfcn/weights/README.md": "lcfcn/weights/terms.md"}
"""Of these, those that have another path in the site. There, README.md would be the front page of its section."""
FOLDERS = ("lcfcn", "src", "scripts", "benchmarks", "examples", "docs", "results", "tests")
"""The folders of the tree, in its order. Those of Python are described by their docstrings, the others by `ABOUT`."""
ABOUT = {
    "docs": "These pages.",
    "examples": "Notebooks that run without data.",
    "lcfcn/weights": "Ready weights with their cards and terms.",
    "results": "The figures of these pages, and the rows of all runs of the benchmark.",
    "scripts": "The commands of a clone.",
    "benchmarks": "What measures the numbers of these pages.",
    "tests": "Tests, a file for each module.",
}
LINK = re.compile(r"\[(?P<text>[^\]\n]*(?:\n[^\]\n]+)?)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
PART = re.compile(r"^(?P<indent> *)<!-- (?P<name>[a-z_]+)(?: (?P<arguments>[^>]*?))? -->$", re.MULTILINE)


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the files outside docs/ to the site."""
    from mkdocs.structure.files import File

    for path, in_site in outside_files().items():
        files.append(File.generated(config, in_site, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Fill in the parts from the code, and turn links of the repository into links of the site."""
    from_outside = {in_site: path for path, in_site in outside_files().items()}
    path = page.file.src_uri
    return with_site_links(with_parts(markdown), from_outside.get(path, f"docs/{path}"))


def outside_files() -> dict[str, str]:
    """Return the files of `OUTSIDE`, as posix paths from the root, with their paths in the site."""
    paths = sorted(path.relative_to(ROOT).as_posix() for pattern in OUTSIDE for path in ROOT.glob(pattern))
    return {path: RENAMED.get(path, path) for path in paths}


def with_site_links(markdown: str, path: str) -> str:
    """Return a page with its links as the site needs them.

    Parameters
    ----------
    markdown : str
        The page. Its links are relative to the file in the repository.
    path : str
        That file, a posix path from the root, such as ``docs/howto/train.md``.

    Returns
    -------
    markdown : str
        A link to a file that is not part of the site has become plain text.

    Raises
    ------
    FileNotFoundError
        If a link leads to no file.
    """
    known = outside_files()
    here = known.get(path, path.removeprefix("docs/"))

    def replaced(match: re.Match) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:", target):
            return match[0]
        found = _normal(PurePosixPath(path).parent / target)
        if not (ROOT / found).exists():
            raise FileNotFoundError(f"{path} links to {target}, which does not exist")
        in_site = found.removeprefix("docs/") if found.startswith("docs/") else known.get(found)
        if in_site is None:
            return match["text"]
        up = "../" * here.count("/")
        return f"[{match['text']}]({up}{in_site}{match['anchor'] or ''})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(replaced, part) for part in parts)


def _normal(path: PurePosixPath) -> str:
    """Return a posix path without its ``..``."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def with_parts(markdown: str) -> str:
    """Replace each comment such as ``<!-- tree -->`` by what the function of that name in `PARTS` returns.

    Raises
    ------
    KeyError
        If there is no such function.
    """

    def replaced(match: re.Match) -> str:
        text = PARTS[match["name"]](*(match["arguments"] or "").split())
        return textwrap.indent(text, match["indent"])

    return PART.sub(replaced, markdown)


def tree() -> str:
    """Return the folders of the repository, each with the first sentence of its docstring."""
    names = [path for folder in FOLDERS for path in [folder, *_packages(folder)]]
    rows = [(f"{'    ' * path.count('/')}{PurePosixPath(path).name}/", _about(path)) for path in names]
    rows += [
        (name, _first_sentence(_docstring(ROOT / name))) for name in ("trainval.py", "exp_configs.py", "job_configs.py")
    ]
    lines = []
    for name, about in rows:
        first, *rest = textwrap.wrap(about, 64)
        lines += [f"{name:<20}{first}", *(" " * 20 + line for line in rest)]
    return "```text\n" + "\n".join(lines) + "\n```"


def modules(*folders: str) -> str:
    """Return a table of the modules of some folders, each with the first sentence of its docstring."""
    rows = ["| module | what it does |", "|---|---|"]
    for folder in folders:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.name != "__init__.py":
                rows.append(f"| `{path.relative_to(ROOT).as_posix()}` | {_first_sentence(_docstring(path))} |")
    return "\n".join(rows)


def source(path: str, name: str) -> str:
    """Return a function or class as its source file has it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if getattr(node, "name", None) == name:
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            return "\n".join([f'```python title="{path}"', *lines, "```"])
    raise LookupError(f"{path} has no {name}")


def rooms() -> str:
    """Return a table of the rooms of src/ and what each may import, from the test that asserts it."""
    allowed = _constant(ROOT / "tests/test_structure.py", "ROOMS")
    rows = ["| `src.` | may import of `src.` |", "|---|---|"]
    rows += [f"| `{room}` | {', '.join(f'`{name}`' for name in sorted(others))} |" for room, others in allowed.items()]
    return "\n".join(rows)


def old_names() -> str:
    """Return a table of the settings that had another name before version 0.2."""
    names = _constant(ROOT / "lcfcn/counting/settings.py", "OLD_NAMES")
    return "\n".join(
        ["| until 0.1 | since 0.2 |", "|---|---|", *(f"| `{old}` | `{new}` |" for old, new in names.items())]
    )


def defaults() -> str:
    """Return a table of the optional settings of an experiment with their defaults."""
    values = _constant(ROOT / "src/experiments/schema.py", "DEFAULTS")
    return "\n".join(
        ["| setting | default |", "|---|---|", *(f"| `{key}` | `{value}` |" for key, value in values.items())]
    )


def model_zoo() -> str:
    """Return a table of the ready weights, from their index and their cards.

    Raises
    ------
    ValueError
        If the hash in a card is not that of the file.
    """
    about = json.loads((ROOT / "lcfcn/weights/index.json").read_text(encoding="utf-8"))
    header = [
        "name",
        "picture",
        "counts",
        "data",
        "MAE (95 %)",
        "F1 within 4 / 8 pixels",
        "size",
        "on a CPU",
        "licence",
    ]
    rows = [header, ["---"] * len(header)]
    hashes = []
    for name, facts in about.items():
        card = (ROOT / f"lcfcn/weights/{name}.md").read_text(encoding="utf-8")
        file = ROOT / f"lcfcn/weights/{name}.pth"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest not in card:
            raise ValueError(f"the sha256 of {file} is {digest}, and its card says otherwise")
        picture = f"![{facts['counts']}](../results/{name}.png)" if (ROOT / f"results/{name}.png").exists() else "none*"
        rows.append(
            [
                f"[`{name}`](../lcfcn/weights/{name}.md)",
                picture,
                facts["counts"],
                facts["data"],
                _fact(card, "MAE"),
                _fact(card, "F1"),
                f"{file.stat().st_size / 1e6:.1f} MB",
                _fact(card, "CPU"),
                "[research only](../lcfcn/weights/README.md)" if "terms" in facts else "Apache-2.0",
            ]
        )
        hashes.append(f"{digest}  {name}.pth")
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return table + '\n\n```text title="sha256"\n' + "\n".join(hashes) + "\n```"


def runs() -> str:
    """Return a table of all runs of the benchmark, from results/accuracy/, with today's names of settings."""
    columns = {
        **{"data": "data", "split": "split", "recipe": "recipe", "settings": "settings", "budget": "budget"},
        **{"n_train": "images", "seed": "seed", "mae": "MAE", "rmse": "RMSE", "bias": "bias", "game_3": "GAME(3)"},
        **{"f1_4": "F1 σ=4", "f1_8": "F1 σ=8", "images": "seen", "minutes": "minutes", "decoding": "decoding"},
    }
    rows = ["| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
    for path in sorted((ROOT / "results/accuracy").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.append("| " + " | ".join(_cell(row[column]) for column in columns) + " |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    """Return a number with two or three digits after the point, settings under today's names, other text as it is."""
    if "=" in text:
        old_names = _constant(ROOT / "lcfcn/counting/settings.py", "OLD_NAMES")
        return "`" + re.sub(r"\b\w+(?==)", lambda match: old_names.get(match[0], match[0]), text) + "`"
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value.is_integer() else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _fact(card: str, name: str) -> str:
    """Return the value of a row of a card's table of facts, or a dash."""
    found = re.search(rf"^\| *{re.escape(name)}[^|]*\| *(.*?) *\|$", card, re.MULTILINE)
    return found[1] if found else "-"


def _packages(folder: str) -> list[str]:
    """Return the folders below a folder that the tree shows, as posix paths from the root."""
    inside = [path.parent for path in (ROOT / folder).glob("*/__init__.py")]
    inside += [ROOT / path for path in ABOUT if path.startswith(f"{folder}/")]
    return sorted({path.relative_to(ROOT).as_posix() for path in inside})


def _about(folder: str) -> str:
    """Return one line about a folder."""
    return ABOUT.get(folder) or _first_sentence(_docstring(ROOT / folder / "__init__.py"))


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _first_sentence(text: str) -> str:
    """Return a docstring's first sentence on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[^.\s][.!?])\s+(?=[A-Z`])", paragraph)[0]


def _constant(path: Path, name: str) -> dict:
    """Return a constant of a module, without importing it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
    raise LookupError(f"{path} has no {name}")


PARTS = {
    "defaults": defaults,
    "model_zoo": model_zoo,
    "modules": modules,
    "old_names": old_names,
    "rooms": rooms,
    "runs": runs,
    "source": source,
    "tree": tree,
}
