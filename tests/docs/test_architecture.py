"""The page about the architecture: its layers are those that are tested, and all that it names is there."""

import importlib.util
import re
from pathlib import Path

import pytest
from layers import LAYERS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sltrees"
PAGE = ROOT / "docs" / "development" / "architecture.md"
SOURCES = ("*.py", "*.pyx", "*.pxd", "*.h")


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figure():
    """The script that draws the layers."""
    specification = importlib.util.spec_from_file_location(
        "make_layers_figure", ROOT / "docs" / "figures" / "make_layers_figure.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def section(page, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL).group(1)


def quoted(page):
    """What stands between backticks, fenced blocks apart."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)))


def is_path(text):
    return re.fullmatch(r"[\w./]+\.(py|pyx|pxd|pyi|h|toml)|\w+(/\w+)+", text) is not None


def missing_files(page):
    """Paths on the page that are neither in the package nor in the repository."""
    paths = {text for text in quoted(page) if is_path(text)}
    return sorted(path for path in paths if not (PACKAGE / path).exists() and not (ROOT / path).exists())


def missing_names(page, source):
    """Names on the page that do not occur in the source, of which each part is looked for."""
    names = {text for text in quoted(page) if not is_path(text) and not text.startswith(".")}  # .pyx, ...
    parts = {part for name in names for part in re.findall(r"[A-Za-z_]\w+", name)}
    return sorted(part for part in parts if not re.search(rf"\b{part}\b", source))


def without_a_paragraph(page, parts):
    """Folders that no paragraph begins with, and files that none names."""
    text = section(page, "Packages")
    begun = set(re.findall(r"^\*\*`(\w+)`\*\*", text, flags=re.MULTILINE))
    named = {name.removesuffix(".py") for name in quoted(text)}
    return sorted(part for part in parts if part not in (begun if (PACKAGE / part).is_dir() else begun | named))


@pytest.fixture(scope="module")
def source():
    files = [path for pattern in SOURCES for path in PACKAGE.rglob(pattern)] + [ROOT / "setup.py"]
    return "\n".join([path.read_text(encoding="utf-8") for path in files] + [path.stem for path in files])


def test_layers_are_those_that_are_tested(page, figure):
    layers, remarks = figure.layers_of(page)
    assert layers == LAYERS
    assert len(remarks) == len(layers)


def test_figure_is_that_of_the_page(page, figure):
    assert figure.FIGURE.read_text(encoding="utf-8") == figure.draw(*figure.layers_of(page))


def test_files_on_the_page_exist(page):
    assert len([text for text in quoted(page) if is_path(text)]) > 60
    assert missing_files(page) == []


def test_names_on_the_page_are_in_the_source(page, source):
    assert missing_names(page, source) == []


def test_every_package_has_its_paragraph(page):
    assert without_a_paragraph(page, [part for layer in LAYERS for part in layer]) == []


def test_what_is_not_there_is_found():
    text = "## Packages\n\n**`gram`** has `gram/gone.py`, `_core/no`, `records.py`, `.pyx`, `Box.lost`."
    assert missing_files(text) == ["_core/no", "gram/gone.py"]
    assert missing_names(text, "class Box: ...") == ["gram", "lost"]
    assert without_a_paragraph(text, ["gram", "network", "records", "preprocessing"]) == ["network", "preprocessing"]
