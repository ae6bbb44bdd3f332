"""What the documentation promises: examples that run, and docstrings that say what they must."""

import csv
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from numpydoc.docscrape import FunctionDoc, NumpyDocString

import sltrees

ROOT = Path(__file__).parents[2]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = ["sltrees"] + [
    module.name
    for module in pkgutil.walk_packages(sltrees.__path__, "sltrees.")
    if not module.name.endswith("__main__")  # importing it would run the command line
]
# what some modules, or their examples, need beyond the extra "test": without it they are skipped
OPTIONAL = {
    "sltrees.cluster.dask.connection": ("dask", "distributed"),
    "sltrees.cluster.dask.executor": ("dask", "distributed"),
    "sltrees.cluster.dask.hosts": ("dask", "distributed"),
    "sltrees.estimators.parted.collections": ("dask",),
    "sltrees.export.exports": ("torch", "onnx", "onnxruntime"),
    "sltrees.export.torch_network": ("torch",),
}
MARKERS = ("dask", "onnx", "torch")


def finder_of_compiled_too():
    """A finder that also enters what Cython compiled: its functions and methods are no Python functions."""

    class Finder(doctest.DocTestFinder):
        def _from_module(self, module, thing):
            return getattr(thing, "__module__", None) == module.__name__ or super()._from_module(module, thing)

    return Finder(exclude_empty=True)


def examples_of(module):
    """The doctests of a module, those of compiled functions and methods included."""
    tests = {test.name: test for test in finder_of_compiled_too().find(module, module.__name__)}
    parser = doctest.DocTestParser()
    for name, thing in vars(module).items():
        if name.startswith("__") or getattr(thing, "__module__", None) != module.__name__:
            continue
        members = [(name, thing)]
        if inspect.isclass(thing):
            members += [(f"{name}.{key}", member) for key, member in vars(thing).items()]
        for label, member in members:
            doc = getattr(member, "__doc__", None)
            label = f"{module.__name__}.{label}"
            if isinstance(doc, str) and ">>>" in doc and label not in tests:
                tests[label] = parser.get_doctest(doc, dict(vars(module)), label, None, None)
    return [test for test in tests.values() if test.examples]


def with_marks(name):
    """A module as a parameter, with the markers of what its examples need."""
    markers = [getattr(pytest.mark, package) for package in OPTIONAL.get(name, ()) if package in MARKERS]
    return pytest.param(name, marks=markers)


@pytest.mark.parametrize("name", [with_marks(name) for name in MODULES])
def test_examples_of_every_module_run(name):
    for package in OPTIONAL.get(name, ()):
        pytest.importorskip(package)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    report = []
    for test in examples_of(module):
        with np.printoptions():
            runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_examples_of_compiled_classes_are_found():
    modules = ("sltrees._core._threshold_tree", "sltrees._core._tree_queries", "sltrees._core._tree_writes")
    names = {test.name for name in modules for test in examples_of(importlib.import_module(name))}
    assert any(name.endswith("TreeWrites.update") for name in names)
    assert any(name.endswith("TreeQueries.query") for name in names)
    assert len(names) >= 5


def test_examples_of_the_readme_run():
    readme = ROOT / "README.md"
    if not readme.exists():  # tests that were installed have none beside them
        return
    # a fence ends an example; doctest does not know that
    text = readme.read_text(encoding="utf-8").replace("```", "\n")
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", str(readme), 0)
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_the_readme_says_of_queries_what_was_measured():
    readme, measured = ROOT / "README.md", ROOT / "docs" / "figures" / "query_curve.csv"
    if not readme.exists():
        return
    with measured.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["n"] == "1000000" and row["timing"] == "cold"]
    rows = [row for row in rows if row["share"] == "0.0001"]
    seconds = {row["method"]: float(row["seconds"]) for row in rows}
    for page in (readme, ROOT / "docs" / "index.md"):
        assert "about 100 times faster" in " ".join(page.read_text(encoding="utf-8").split())
    assert 80 < seconds["numpy"] / seconds["sltrees"] < 125


def test_commands_of_the_readme_are_what_a_commit_must_pass():
    readme, checks = ROOT / "README.md", ROOT / ".ci" / "run"
    if not readme.exists():
        return
    commands = [line.strip() for line in readme.read_text(encoding="utf-8").splitlines() if line.startswith("    ")]
    assert len(commands) == 2
    checked = checks.read_text(encoding="utf-8").replace("pip install -q ", "pip install ")
    assert set(commands) < set(checked.splitlines())


# ---------------------------------------------------------------------- numpydoc


# What users import from modules of their own.
ELSEWHERE = {
    "sltrees.estimators": ("NewtonClassifier", "NewtonRegressor"),
    "sltrees.export": ("to_onnx", "to_torch"),
    "sltrees.plotting": (
        "plot_convergence",
        "plot_firing_pattern",
        "plot_importances",
        "plot_iteration_cost",
        "plot_scaling",
    ),
    "sltrees.preprocessing": ("InputScaling",),
    "sltrees.tables": ("read_table",),
}


def public_things():
    """(name, thing) of all that users import."""
    modules = {"sltrees": sltrees.__all__} | ELSEWHERE
    return [
        (name, getattr(importlib.import_module(module), name)) for module, names in modules.items() for name in names
    ]


def public_classes():
    return [(name, thing) for name, thing in public_things() if inspect.isclass(thing)]


def public_callables():
    """Functions, and public methods of classes (not properties, not what Python provides)."""
    found = [(name, thing) for name, thing in public_things() if inspect.isroutine(thing)]
    for name, cls in public_classes():
        if issubclass(cls, str):  # an enumeration: its methods are those of strings
            continue
        for key in vars(cls):
            member = getattr(cls, key)
            # scikit-learn adds the requests
            if not key.startswith("_") and not key.endswith("_request") and inspect.isroutine(member):
                found.append((f"{name}.{key}", member))
    return found


def parameters_of(function):
    """Names of the parameters but `self`; None where a compiled function does not tell."""
    try:
        return [name for name in inspect.signature(function).parameters if name not in ("self", "args", "kwargs")]
    except ValueError:
        return None


def documented(doc, section="Parameters"):
    return [name.strip() for entry in doc[section] for name in entry.name.split(",")]


CALLABLES = public_callables()
METHOD_IDS = [name for name, _ in CALLABLES]


def test_everything_public_exists():
    assert len(CALLABLES) >= 20
    assert sorted(sltrees.__all__) == list(sltrees.__all__)
    assert all(hasattr(sltrees, name) for name in sltrees.__all__)


@pytest.mark.parametrize(("name", "function"), CALLABLES, ids=METHOD_IDS)
def test_public_functions_document_their_parameters(name, function):
    doc = FunctionDoc(function)
    assert "".join(doc["Summary"]).endswith((".", ":"))
    parameters = parameters_of(function)
    if parameters is not None:
        assert documented(doc) == parameters
    for entry in doc["Parameters"]:
        assert entry.type, f"{entry.name} has no type"


@pytest.mark.parametrize(("name", "function"), CALLABLES, ids=METHOD_IDS)
def test_public_functions_document_cost_and_give_an_example(name, function):
    doc = FunctionDoc(function)
    assert ">>>" in "\n".join(doc["Examples"])
    # in the notes, or in the summary of short ones
    if not name.startswith("load_"):
        assert "Cost" in inspect.getdoc(function)


@pytest.mark.parametrize(("name", "function"), CALLABLES, ids=METHOD_IDS)
def test_public_functions_that_return_something_say_what(name, function):
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""  # compiled
    returns = any(line.strip().startswith("return ") and line.strip() != "return None" for line in source.splitlines())
    assert bool(FunctionDoc(function)["Returns"]) or not returns


@pytest.mark.parametrize(("name", "cls"), public_classes(), ids=[name for name, _ in public_classes()])
def test_public_classes_document_parameters_or_attributes(name, cls):
    doc = NumpyDocString(inspect.getdoc(cls))
    assert "".join(doc["Summary"])
    if issubclass(cls, str):
        return
    if hasattr(cls, "__dataclass_fields__"):
        assert documented(doc, "Attributes") == list(cls.__dataclass_fields__)
        return
    parameters = parameters_of(cls)
    if parameters:
        assert documented(doc) == parameters
    assert doc["Parameters"]
    assert ">>>" in "\n".join(doc["Examples"])
    # a reader must learn what it costs, of the class or of its main method
    assert any(word in inspect.getdoc(getattr(cls, "fit", cls)) for word in ("Cost", "Memory"))


@pytest.mark.parametrize(("name", "cls"), public_classes(), ids=[name for name, _ in public_classes()])
def test_public_properties_are_documented(name, cls):
    for key, member in vars(cls).items():
        if not key.startswith("_") and (isinstance(member, property) or inspect.isgetsetdescriptor(member)):
            assert member.__doc__, f"{name}.{key}"
