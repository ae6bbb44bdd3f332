"""What the package exports: the pages of the API, and the test that none is missing, are made from it."""

import importlib
import inspect
import pkgutil

import sltrees

UNLISTED = {"sltrees.export.torch_network"}  # imports PyTorch, which making the pages does not need


def public_modules():
    """Names of the modules without a leading underscore anywhere in their names.

    Returns
    -------
    list of str
    """
    names = ["sltrees"] + [module.name for module in pkgutil.walk_packages(sltrees.__path__, "sltrees.")]
    return [name for name in names if name not in UNLISTED and not any(part[0] == "_" for part in name.split("."))]


def exported_names(module_name):
    """Names that a module exports: those of ``__all__``, or else the public classes and functions that it defines.

    Parameters
    ----------
    module_name : str

    Returns
    -------
    list of str
    """
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isroutine(thing))
        and thing.__module__ == module_name
    ]


def entries():
    """What has an entry in the API reference.

    Returns
    -------
    dict of str to object
        Full names, and what has them. A class or function that several modules export is there once, under the name
        with the fewest parts: that is what users import.
    """
    found, seen = {}, set()
    for module in sorted(public_modules(), key=lambda name: name.count(".")):
        for name in exported_names(module):
            thing = getattr(importlib.import_module(module), name)
            if id(thing) not in seen:
                found[f"{module}.{name}"] = thing
            if inspect.isclass(thing) or inspect.isroutine(thing):
                seen.add(id(thing))
    return found
