"""Who may import whom in sltrees, and what stays inside a package.

A file imports from lower layers or from its own package, never upwards, never sideways, and no two files import each
other, however long the way round. Names that begin with an underscore are reached in the package that defines them.
docs/development/architecture.md says what the packages are.
"""

import graphlib
import re
from pathlib import Path

import pytest
from layers import LAYERS, Source

import sltrees

# Of objects of the package's own, whose names another package has for something of its own, too.
ALIKE = [
    "methods/certified/group.py: shard._copies",
    "methods/certified/method.py: method._install",
    "tables/_encoding.py: encoder._install",
    "training/run.py: trainer._samples",
    "training/softmax.py: trainer._samples",
    "training/trainer.py: trainer._samples",
]

HOOKS = {"_check"}  # asserts the invariants of a structure, and of the structures that it is made of

# ---------------------------------------------------------------------- the rules


def ranks(layers):
    return {part: rank for rank, parts in enumerate(layers) for part in parts}


def without_a_layer(source, layers):
    """Files and folders that no layer has."""
    return sorted({source.part(module) for module in source.files} - {"", *ranks(layers)})


def not_downwards(source, layers):
    """Imports of packages that are not lower. The face, which imports from all, is for `__main__` alone."""
    rank = ranks(layers)
    found = set()
    for module, imports in source.imports.items():
        here = source.part(module)
        for each in filter(lambda each: source.is_own(each.target), imports):
            there = source.part(each.target)
            if here in ("", there) or (here, there) == ("__main__", ""):
                continue
            if there == "" or rank[there] >= rank[here]:
                found.add(f"{source.label(module)} imports {each.target}")
    return sorted(found)


def circle(source):
    """Modules that import each other in a circle; None if there are none."""
    graph = {
        module: {each.target for each in imports if each.target in source.files} - {module}
        for module, imports in source.imports.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def hidden_in_functions(source):
    """Imports inside functions of what could be imported at the top: it is no extra, and needs none."""
    found = set()
    for module, imports in source.imports.items():
        for each in imports:
            if each.inside and not each.guarded and not source.needs(each.target, source.needing_extras):
                found.add(f"{source.label(module)} imports {each.target}")
    return sorted(found)


def reached_from_elsewhere(source):
    """Names with an underscore that a file reaches although another package defines them.

    What a package reaches of itself by `self` or `cls` is fine; by another expression it cannot be told whose object
    that is, where both define the name.
    """
    found = set()
    for module in source.files:
        own = source.defined[source.part(module)]
        for what, name in source.reached(module):
            elsewhere = any(name in names for part, names in source.defined.items() if part != source.part(module))
            is_own = name in own and what in (f"self.{name}", f"cls.{name}")
            if elsewhere and not is_own and name not in HOOKS:
                found.add(f"{source.label(module)}: {what}")
    return sorted(found)


def taken_by_compiled_files(source, layers):
    """What compiled files import or cimport from the package, but not from its compiled part or what is below that."""
    (own,) = (place for place, layer in enumerate(layers) if "_core" in layer)
    allowed = tuple(f"{source.name}.{part}." for layer in layers[: own + 1] for part in layer)
    pattern = re.compile(rf"^\s*(?:from|c?import)\s+({source.name}\b[.\w]*)", re.MULTILINE)
    found = set()
    for path in source.folder.rglob("*.p[yx][xd]"):
        for target in pattern.findall(path.read_text(encoding="utf-8")):
            if not f"{target}.".startswith(allowed):
                found.add(f"{path.relative_to(source.folder).as_posix()} takes from {target}")
    return sorted(found)


# ---------------------------------------------------------------------- the package


@pytest.fixture(scope="module")
def package():
    return Source(Path(sltrees.__file__).parent)


def test_everything_has_a_layer(package):
    assert without_a_layer(package, LAYERS) == []
    assert {package.part(module) for module in package.files} >= {part for layer in LAYERS for part in layer}


def test_imports_lead_downwards(package):
    assert not_downwards(package, LAYERS) == []


def test_no_files_import_each_other(package):
    assert circle(package) is None


def test_only_extras_are_imported_inside_functions(package):
    assert hidden_in_functions(package) == []


def test_names_with_an_underscore_stay_in_their_package(package):
    assert reached_from_elsewhere(package) == ALIKE


def test_compiled_files_take_from_compiled_files_and_from_below_alone(package):
    assert taken_by_compiled_files(package, LAYERS) == []


# ---------------------------------------------------------------------- the rules find what breaks them

FLOORS = [["_core"], ["base", "side"], ["top"], ["__main__"]]
FINE = {
    "__init__.py": "from house.top.roof import Roof",
    "__main__.py": "import house",
    "_core/__init__.py": "",
    "_core/_trees.pyx": "from house._core._bank cimport Bank\nimport numpy\n\nclass Tree:\n    def _grow(self): pass",
    "base/__init__.py": "from house.base.beams import Beam",
    "base/beams.py": "import os\nclass Beam:\n    def _fell(self):\n        self._length = os._exit(0)",
    "side/__init__.py": "",
    "side/wall.py": "from house import _core\ndef build():\n    import torch\n    from house.side.glass import pane",
    "side/glass/__init__.py": "import torch",
    "side/glass/pane.py": "",
    "top/__init__.py": "",
    "top/roof.py": "from . import ridge\nclass Roof:\n    __slots__ = ('_tiles',)\n    def f(self): return self._tiles",
    "top/ridge.py": "def point():\n    try:\n        import resource\n    except ImportError:\n        return None",
}


@pytest.fixture
def house(tmp_path):
    """house(files): what a package says, with some of its files changed, or more of them."""

    def build(files):
        for name, text in (FINE | files).items():
            path = tmp_path / "house" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Source(tmp_path / "house")

    return build


def test_a_package_in_order_passes(house):
    source = house({})
    assert without_a_layer(source, FLOORS) == not_downwards(source, FLOORS) == hidden_in_functions(source) == []
    assert reached_from_elsewhere(source) == taken_by_compiled_files(source, FLOORS) == []
    assert circle(source) is None


@pytest.mark.parametrize("part", ["attic.py", "attic/floor.py"])
def test_a_part_without_a_layer_is_found(house, part):
    assert without_a_layer(house({part: ""}), FLOORS) == ["attic"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        pytest.param("from house.top import roof", "house.top.roof", id="upwards"),
        pytest.param("from ..top.roof import Roof", "house.top.roof", id="relative"),
        pytest.param("def late():\n    import house.top.roof", "house.top.roof", id="in a function"),
        pytest.param("from house import side", "house.side", id="sideways"),
        pytest.param("from house import Roof", "house", id="the face"),
    ],
)
def test_imports_that_do_not_lead_downwards_are_found(house, text, target):
    assert not_downwards(house({"base/beams.py": text}), FLOORS) == [f"base/beams.py imports {target}"]


@pytest.mark.parametrize(
    "text", ["import house.top.roof", "from house.top import roof", "def f():\n    from . import roof"]
)
def test_files_that_import_each_other_are_found(house, text):
    assert set(circle(house({"top/ridge.py": text}))) == {"house.top.roof", "house.top.ridge"}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("def late():\n    from house.base import Beam", "house.base"),
        ("def late():\n    import numpy", "numpy"),
        ("class Late:\n    def later(self):\n        if self:\n            import json", "json"),
        ("def f():\n    try:\n        import json\n    except ImportError:\n        raise SystemExit", "json"),
    ],
)
def test_imports_that_are_hidden_in_functions_are_found(house, text, target):
    assert hidden_in_functions(house({"top/ridge.py": text})) == [f"top/ridge.py imports {target}"]


@pytest.mark.parametrize(
    "definition",
    [
        "def _secret(): pass",
        "class _secret: pass",
        "_secret = 1",
        "class Safe:\n    def _secret(self): pass",
        "class Safe:\n    _secret: int = 1",
        "class Safe:\n    __slots__ = ('open', '_secret')",
        "class Safe:\n    def __init__(self):\n        self.open, self._secret = 1, 2",
    ],
)
@pytest.mark.parametrize(
    ("use", "what"),
    [
        ("def f(safe): return safe.door._secret", "safe.door._secret"),
        ("def f(safe): safe._secret = 1", "safe._secret"),
        ("def f(safe): return getattr(safe, '_secret', None)", "safe._secret"),
        ("class Mine(Safe):\n    def f(self): return self._secret", "self._secret"),
        ("class Own:\n    _secret = 1\n    def f(self, safe): return self._secret + safe._secret", "safe._secret"),
    ],
)
def test_names_reached_from_another_package_are_found(house, definition, use, what):
    assert reached_from_elsewhere(house({"base/beams.py": definition, "top/roof.py": use})) == [f"top/roof.py: {what}"]


def test_imports_of_names_with_an_underscore_are_found(house):
    source = house({"base/beams.py": "_secret = 1", "top/ridge.py": "from house.base.beams import _secret"})
    assert reached_from_elsewhere(source) == ["top/ridge.py: house.base.beams._secret"]


def test_names_of_compiled_files_are_found(house):
    assert reached_from_elsewhere(house({"top/ridge.py": "def f(tree): tree._grow()"})) == ["top/ridge.py: tree._grow"]


@pytest.mark.parametrize(
    "line", ["from house.base cimport beams", "cimport house.base", "from house.base import beams"]
)
def test_what_compiled_files_take_from_others_is_found(house, line):
    source = house({"_core/_trees.pyx": line})
    assert taken_by_compiled_files(source, FLOORS) == ["_core/_trees.pyx takes from house.base"]
    assert taken_by_compiled_files(source, [["base"], *FLOORS]) == []
