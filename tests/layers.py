"""The layers of sltrees, and what the files of a package say of each other: imports, names with an underscore.

Read from the source alone, by `ast`: nothing is imported. `tests/test_layers.py` has the rules.
"""

import ast
import dataclasses
import functools
import re
import sys
from pathlib import Path

# lowest first; docs/development/architecture.md shows them
LAYERS = [
    ["_memory"],
    ["_core"],
    ["_validation", "_moved", "records"],
    ["files", "linalg", "execution", "losses", "tables", "preprocessing", "callbacks", "plotting"],
    ["network", "gram", "trees", "kernels", "datasets", "_versions"],
    ["methods"],
    ["cluster"],
    ["training"],
    ["estimators", "reference", "export"],
    ["_command_line"],
    ["__main__"],
]

REQUIRED = {"numpy", "scipy", "threadpoolctl"}  # besides the standard library: all else is an extra
COMPILED = re.compile(r"^\s*(?:def|cpdef|cdef (?:readonly|public))\b.*?\b(_\w+)", re.MULTILINE)
REACHING = {"getattr", "setattr", "hasattr", "delattr"}


@dataclasses.dataclass(frozen=True)
class Import:
    """One module that a file imports, or takes names from."""

    line: int
    target: str  # full name of the module
    names: tuple  # what is taken from it
    inside: bool  # of a function
    guarded: bool  # by an `except ImportError` that goes on without


class Source:
    """The Python files of a package.

    Parameters
    ----------
    folder : pathlib.Path
        Of the package: its name is that of the folder.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.name = self.folder.name
        self.files = {self._module(path): path for path in sorted(self.folder.rglob("*.py"))}
        self.trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in self.files.items()}

    def _module(self, path):
        parts = path.relative_to(self.folder.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def part(self, module):
        """The first name below the package: a folder, or a file beside the folders; "" for the package itself."""
        return module.split(".")[1] if "." in module else ""

    def label(self, module):
        """The path of a module's file from the folder of the package."""
        return self.files[module].relative_to(self.folder).as_posix()

    # ------------------------------------------------------------------ imports

    @functools.cached_property
    def imports(self):
        """Lists of `Import` by module."""
        return {module: list(self._imports_of(module)) for module in self.files}

    def _imports_of(self, module):
        parents = {child: node for node in ast.walk(self.trees[module]) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(self.trees[module]):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            around, inside, guarded = node, False, False
            while around in parents:
                child, around = around, parents[around]
                inside |= isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                guarded |= isinstance(around, ast.Try) and child in around.body and _catches_missing(around)
            for target, names in self._targets(module, node):
                yield Import(node.lineno, target, names, inside, guarded)

    def _targets(self, module, node):
        if isinstance(node, ast.Import):
            return [(alias.name, ()) for alias in node.names]
        base = node.module or ""
        if node.level:  # relative
            parts = module.split(".")
            if self.files[module].name != "__init__.py":
                parts = parts[:-1]
            parts = parts[: len(parts) - (node.level - 1)]
            base = ".".join([*parts, *([base] if base else [])])
        names = tuple(alias.name for alias in node.names)
        modules = [name for name in names if self.has(f"{base}.{name}")]
        others = tuple(name for name in names if name not in modules)
        return [(f"{base}.{name}", ()) for name in modules] + ([(base, others)] if others else [])

    def has(self, module):
        """Whether there is such a module, compiled ones included."""
        path = self.folder.parent.joinpath(*module.split("."))
        return module in self.files or (module.startswith(f"{self.name}.") and path.with_suffix(".pyx").exists())

    def is_own(self, target):
        """Whether a module belongs to the package."""
        return target.split(".")[0] == self.name

    @functools.cached_property
    def needing_extras(self):
        """Modules that cannot be imported without an extra, as they import it, or one of these, outside functions."""
        found, grew = set(), True
        while grew:
            grew = False
            for module, imports in self.imports.items():
                targets = {module} | {each.target for each in imports if not each.inside and not each.guarded}
                if module not in found and any(self.needs(target, found) for target in targets):
                    found.add(module)
                    grew = True
        return found

    def needs(self, target, modules):
        """Whether importing a module takes an extra, as these do: it runs what the packages around it say, too."""
        parts = target.split(".")
        around = {".".join(parts[:k]) for k in range(2, len(parts) + 1)}  # not the package itself, which is there
        return self.is_extra(target) or not around.isdisjoint(modules)

    def is_extra(self, target):
        """Whether a module comes with neither the package nor Python nor what the package requires."""
        root = target.split(".")[0]
        return root != self.name and root not in REQUIRED and root not in sys.stdlib_module_names

    # ------------------------------------------------------------------ names with an underscore

    @functools.cached_property
    def defined(self):
        """Sets of the names with an underscore that are defined, by part."""
        found = {}
        for module, tree in self.trees.items():
            found.setdefault(self.part(module), set()).update(_defined_in(tree))
        for path in self.folder.rglob("*.py[xi]"):  # compiled
            part, text = path.relative_to(self.folder).parts[0], path.read_text(encoding="utf-8")
            found.setdefault(part, set()).update(filter(_is_private, COMPILED.findall(text)))
        return found

    def reached(self, module):
        """Names with an underscore that a file reaches: by a dot, by `getattr` and its like, or by an import.

        Yields (what, name); what is the expression as it is written. Those of `self` and `cls` are among them, as they
        may be inherited; those of modules from elsewhere, such as `os._exit`, are not.
        """
        foreign = {
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(self.trees[module])
            if isinstance(node, ast.Import)
            for alias in node.names
            if not self.is_own(alias.name)
        }
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Attribute) and _is_private(node.attr):
                if getattr(node.value, "id", None) not in foreign:
                    yield f"{ast.unparse(node.value)}.{node.attr}", node.attr
            elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in REACHING and len(node.args) > 1:
                name = getattr(node.args[1], "value", None)
                if isinstance(name, str) and _is_private(name):
                    yield f"{ast.unparse(node.args[0])}.{name}", name
        for each in self.imports[module]:
            if self.is_own(each.target) and self.part(each.target) != self.part(module):
                yield from ((f"{each.target}.{name}", name) for name in each.names if _is_private(name))


def _is_private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def _catches_missing(node):
    """Whether a `try` goes on without what it could not import."""
    if any(isinstance(child, ast.Raise) for handler in node.handlers for child in ast.walk(handler)):
        return False
    caught = [handler.type for handler in node.handlers]
    names = [part for kind in caught for part in (kind.elts if isinstance(kind, ast.Tuple) else [kind])]
    return any(getattr(name, "id", None) in ("ImportError", "ModuleNotFoundError") for name in names)


def _defined_in(tree):
    """Names with an underscore that a file defines: functions, classes, attributes, slots, fields, global names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in ("self", "cls"):
            found.update([node.attr] if isinstance(node.ctx, ast.Store) else [])
        if isinstance(node, ast.Module | ast.ClassDef):
            targets = [target for child in node.body for target in _assigned(child)]
            found.update(target.id for target in targets if isinstance(target, ast.Name))
            if any(getattr(target, "id", None) == "__slots__" for target in targets):
                found.update(text for child in node.body for text in _texts(child) if isinstance(text, str))
    return set(filter(_is_private, found))


def _assigned(node):
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [part for target in targets for part in getattr(target, "elts", [target])]


def _texts(node):
    if "__slots__" not in [getattr(target, "id", None) for target in _assigned(node)]:
        return []
    return [child.value for child in ast.walk(node) if isinstance(child, ast.Constant)]
