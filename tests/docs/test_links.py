"""Links and paths in Markdown files of the repository: what they name is there."""

import re
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))  # none where tests were installed
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?\)")
PATH = re.compile(r"`((?:docs|tests|sltrees|asv_benchmarks|\.ci)/[\w./*-]+)`")
FILE = re.compile(r"`(\w+\.(?:py|pyx|pxd|h))`")
FOLDERS = ("asv_benchmarks", "docs", "sltrees", "tests")
GENERATED = ("docs/_build",)  # by commands that the pages name
OF_READERS = {"alarms.pyx"}  # files that they make of an example


def prose(page):
    """The text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page):
    """Targets of links to files or headings that are not there."""
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):  # of another site
            continue
        name, _, anchor = target.partition("#")
        other = page if not name else page.parent / name
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_within_the_repository_lead_somewhere(page):
    assert broken_links(page) == []


def links_elsewhere(page):
    """Addresses on other sites."""
    return {target for target in LINK.findall(prose(page)) if target.startswith("http")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_other_sites_are_linked_to_for_papers_of_the_bibliography_and_little_else(page):
    known = links_elsewhere(ROOT / "docs/background/bibliography.md")
    assert len(known) >= 20
    others = {"https://asv.readthedocs.io", "https://keepachangelog.com"}
    assert links_elsewhere(page) - known <= others
    assert {urllib.parse.urlsplit(link).netloc for link in known} == {"arxiv.org", "doi.org"}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_in_the_text_exist(page):
    paths = [path for path in PATH.findall(prose(page)) if not path.startswith(GENERATED)]
    assert [path for path in paths if not list(ROOT.glob(path))] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_in_the_text_exist(page):
    names = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")} | {"setup.py"}
    assert set(FILE.findall(prose(page))) - OF_READERS - names == set()


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One heading\n\n[a](page.md#one-heading) [b](gone.md) [c](#none) [d](https://example.org/gone)\n")
    assert broken_links(page) == ["gone.md", "#none"]


def test_scripts_of_the_workflows_are_there():
    called = {
        name
        for workflow in (ROOT / ".github" / "workflows").glob("*.yml")
        for name in re.findall(r"\.ci/[\w-]+", workflow.read_text(encoding="utf-8"))
    }
    assert [name for name in sorted(called) if not (ROOT / name).is_file()] == []
