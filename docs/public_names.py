"""What the package exports: the pages of the API, and the test that none is missing, are made from it."""

import importlib
import inspect
import pkgutil

import sltrees


def public_modules():
    """Names of the modules without a leading underscore anywhere in their names.

    Returns
    -------
    list of str
    """
    names = ["sltrees"] + [module.name for module in pkgutil.walk_packages(sltrees.__path__, "sltrees.")]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


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
