"""The documentation: its parts from the code, its links, and the length of the README."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages():
    """All Markdown files, as posix paths from the root."""
    folders = ("", "docs", "docs/howto", "docs/api", "results", "lcfcn/weights")
    found = [path for folder in folders for path in sorted((ROOT / folder).glob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


@pytest.mark.parametrize("path", pages())
def test_links_lead_to_files(hooks, path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert hooks.with_site_links(text, path)


def test_a_link_to_nothing_is_noticed(hooks):
    with pytest.raises(FileNotFoundError, match=r"docs/faq\.md links to train\.md"):
        hooks.with_site_links("[train](train.md)", "docs/faq.md")


@pytest.mark.parametrize(
    ("link", "path", "expected"),
    [
        ("![a](../results/demo.png)", "docs/faq.md", "![a](results/demo.png)"),
        ("![a](../../results/demo.png)", "docs/howto/train.md", "![a](../results/demo.png)"),
        ("[a](../results/README.md#x)", "docs/faq.md", "[a](results/figures.md#x)"),
        ("[a](../docs/faq.md)", "results/README.md", "[a](../faq.md)"),
        ("[`a`](../../exp_configs.py)", "docs/howto/train.md", "`a`"),
        ("[a](https://arxiv.org/abs/1807.09856)", "docs/faq.md", "[a](https://arxiv.org/abs/1807.09856)"),
        ("```\n[a](nothing.md)\n```", "docs/faq.md", "```\n[a](nothing.md)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(hooks, link, path, expected):
    assert hooks.with_site_links(link, path) == expected


@pytest.mark.parametrize("path", pages())
def test_parts_from_the_code_are_filled_in(hooks, path):
    text = hooks.with_parts((ROOT / path).read_text(encoding="utf-8"))
    assert not hooks.PART.search(text)


def test_the_tree_names_each_package(hooks):
    tree = hooks.tree()
    for folder in ("lcfcn", "src"):
        packages = [path.parent.name for path in sorted((ROOT / folder).glob("*/__init__.py"))]
        assert [name for name in packages if f"    {name}/ " not in tree] == []


def test_a_function_is_shown_as_its_file_has_it(hooks):
    shown = hooks.source("trainval.py", "trainval").splitlines()[1:-1]
    assert "\n".join(shown) in (ROOT / "trainval.py").read_text(encoding="utf-8")
    assert shown[0].startswith("def trainval(")
    with pytest.raises(LookupError):
        hooks.source("trainval.py", "nothing")


def test_the_model_zoo_checks_the_hash_of_each_file(hooks, tmp_path, monkeypatch):
    assert "| 9.85 (7.9 to 12.0) | 0.658 / 0.825 | 4.1 MB |" in hooks.model_zoo()
    weights = tmp_path / "lcfcn" / "weights"
    weights.mkdir(parents=True)
    for name in ("index.json", "shanghai_B.md"):
        (weights / name).write_bytes((ROOT / "lcfcn" / "weights" / name).read_bytes())
    (weights / "shanghai_B.pth").write_bytes(b"other weights")
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="its card says otherwise"):
        hooks.model_zoo()


def test_each_public_name_is_in_the_reference():
    from lcfcn import __all__ as names

    shown = re.findall(
        r"^::: lcfcn\.(\w+)$", "\n".join(p.read_text() for p in sorted((ROOT / "docs/api").glob("*.md"))), re.M
    )
    assert sorted({*names} - {*shown}) == ["__version__"]


def test_the_readme_fits_on_a_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1200


def test_the_readme_shows_the_dashboards_cell():
    import json

    notebook = json.loads((ROOT / "results" / "dashboard.ipynb").read_text(encoding="utf-8"))
    assert notebook["cells"]
    page = (ROOT / "docs" / "howto" / "dashboard.md").read_text(encoding="utf-8")
    cell = re.search(r"```python\n(from haven.*?)```", page, re.DOTALL)[1]
    assert cell in (ROOT / "README.md").read_text(encoding="utf-8")
