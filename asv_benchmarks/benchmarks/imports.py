"""Imports, each in a process of its own, without the start of the interpreter."""

import importlib.util


class Import:
    number = 1  # in the same process a second import would find everything there
    param_names = ("module",)
    params = (["sltrees", "sltrees.__main__"],)

    def setup(self, module):
        if importlib.util.find_spec(module) is None:
            raise NotImplementedError(f"this commit has no {module}")

    def timeraw_import(self, module):
        return f"import {module}"


class Others:
    """The floor: what the package imports of others."""

    number = 1

    def timeraw_import_numpy_and_scipy(self):
        return "import numpy, scipy.linalg, scipy.sparse, scipy.special, threadpoolctl"
