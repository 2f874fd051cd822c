"""The documents tell the truth: code runs and prints what they show, and pictures exist."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import math
import pkgutil
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import pyestim

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Lines of a report that tell of time, machine or rounding begin with one of these words.
VOLATILE = ("work", "backend", "remaining", "pyestim")
# Documents show rounded numbers; the last shown digit may differ between instruction sets.
RTOL = 2e-3


@dataclass(frozen=True)
class Block:
    """A code block, and the output that the document shows below it."""

    line: int
    code: str
    output: str | None


def blocks_of(text: str) -> list[Block]:
    """Fenced python blocks; a text block that follows one directly is its output."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = list(fence.finditer(text))
    blocks = []
    for i, match in enumerate(found):
        if match[1] != "python":
            continue
        after = found[i + 1] if i + 1 < len(found) else None
        adjacent = after is not None and not text[match.end() : after.start()].strip()
        output = after[2] if after is not None and adjacent and after[1] == "text" else None
        blocks.append(Block(text[: match.start()].count("\n") + 1, match[2], output))
    return blocks


def is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def differences(shown: str, printed: str) -> list[str]:
    """Lines that differ by more than the last digits of their numbers."""
    shown_lines = [line for line in shown.splitlines() if line.strip()]
    printed_lines = [line for line in printed.splitlines() if line.strip()]
    if len(shown_lines) != len(printed_lines):
        return [f"expected {len(shown_lines)} lines, got {len(printed_lines)}:\n{printed}"]
    wrong = []
    for left, right in zip(shown_lines, printed_lines, strict=True):
        if left.split()[0] in VOLATILE and left.split()[0] == right.split()[0]:
            continue
        a = re.split(r"[\s,()\[\]%]+", left.strip())
        b = re.split(r"[\s,()\[\]%]+", right.strip())
        same = len(a) == len(b) and all(
            math.isclose(float(x), float(y), rel_tol=RTOL, abs_tol=1e-6)
            if is_number(x) and is_number(y)
            else x == y
            for x, y in zip(a, b, strict=True)
        )
        if not same:
            wrong.append(f"shown:   {left}\nprinted: {right}")
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_blocks_run_and_print_what_is_shown(document, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib", reason="documents draw: extra 'plot'")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(document.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, f"{document.name}:{block.line}", "exec"), namespace)
        if block.output is not None:
            wrong = differences(block.output, printed.getvalue())
            assert not wrong, f"{document.name}, block at line {block.line}:\n" + "\n".join(wrong)


def family_pages() -> list[Path]:
    """README, and the pages that the index of the documents lists."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    return [
        ROOT / "README.md",
        *(ROOT / "docs" / name for name in re.findall(r"\((\w+\.md)\)", index)),
    ]


@pytest.mark.parametrize("document", family_pages(), ids=lambda path: path.name)
def test_a_family_page_has_code_and_a_picture(document):
    text = document.read_text(encoding="utf-8")
    assert blocks_of(text)
    assert re.search(r"!\[[^]]+\]\([^)]+\.png\)", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_pictures_and_links_exist(document):
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_readme_shows_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python -m pip install '.[plot]' && python examples/quickstart.py" in text
    assert "python -m pip install '.[test]' && python -m pytest" in text
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8") if (ROOT / ".ci").exists() else text
    assert "python -m pip install '.[plot]' && python examples/quickstart.py" in script
    assert "python -m pip install '.[test]' && python -m pytest" in script


def test_quickstart_reports_and_draws(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the quick start draws: extra 'plot'")
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", ["quickstart.py", str(picture)])
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "Fit: OK" in printed
    assert "2 groups" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(pyestim.__path__, prefix="pyestim.")
    return ["pyestim", *(module.name for module in found if "_native" not in module.name)]


@pytest.mark.parametrize("name", public_modules())
def test_examples_of_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=options)
    assert result.failed == 0


@pytest.mark.parametrize(
    ("shown", "printed", "equal"),
    [
        ("a 1.234", "a 1.2341", True),
        ("a 1.234", "a 1.25", False),
        ("[1.0, 2.0]", "[1.0, 2.0]", True),
        ("a 1", "b 1", False),
        ("work 3 sweeps in 1 ms", "work 7 sweeps in 9 ms", True),
        ("work 3", "walk 3", False),
        ("a\nb", "a", False),
    ],
)
def test_the_comparison_itself(shown, printed, equal):
    assert (differences(shown, printed) == []) is equal


def test_blocks_are_found_with_their_output():
    text = (
        "```python\na\n```\n\n```text\nb\n```\nwords\n```python\nc\n```\nwords\n```text\nd\n```\n"
    )
    assert blocks_of(text) == [Block(1, "a\n", "b\n"), Block(9, "c\n", None)]
