"""The pages in docs: their examples run, and their Cython example builds and says what the page says."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(text, language):
    """The contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_of_the_page_run(page):
    # a fence ends an example; doctest does not know that
    text = page.read_text(encoding="utf-8").replace("```", "\n")
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert test.examples or not any(">>>" in block for block in blocks(page.read_text(encoding="utf-8"), "python"))
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_are_short(page):
    assert max(map(len, page.read_text(encoding="utf-8").splitlines())) <= 120


@pytest.mark.slow
def test_cython_example_builds_and_prints_what_the_page_says(tmp_path):
    text = (DOCS / "guide" / "threshold_trees.md").read_text(encoding="utf-8")
    (source,) = blocks(text, "cython")
    setup, use = (block for block in blocks(text, "python") if ">>>" not in block)
    for name, content in (("alarms.pyx", source), ("setup.py", setup), ("use.py", use)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(sltrees.__file__).parent.parent)}
    for command in (["setup.py", "build_ext", "--inplace"], ["use.py"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.strip()
    assert f"prints `{said}`" in text
