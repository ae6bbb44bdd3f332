"""Imports, each in a process of its own, without the start of the interpreter.

The package imports its names when they are asked for, so that importing it alone says little: each name is measured,
too, and all of them, which is what importing the package once took.
"""

import importlib.util

from .common import found


class Import:
    number = 1  # in the same process a second import would find everything there
    param_names = ("module",)
    params = (["sltrees", "sltrees.__main__"],)

    def setup(self, module):
        if importlib.util.find_spec(module) is None:
            raise NotImplementedError(f"this commit has no {module}")

    def timeraw_import(self, module):
        return f"import {module}"


class Name:
    number = 1
    param_names = ("name",)
    params = (["*", "ThresholdTree", "load_digits", "CorrelationTrees", "ShiftedReLUNetwork", "NewtonTrainer"],)

    def setup(self, name):
        if name != "*" and found(name) is None:
            raise NotImplementedError(f"this commit has no {name}")

    def timeraw_import(self, name):
        return f"exec('from sltrees import {name}', {{}})"  # timeit calls it in a function, where there is no "*"


class Others:
    """The floor: what the package imports of others."""

    number = 1

    def timeraw_import_numpy(self):
        return "import numpy"

    def timeraw_import_numpy_and_scipy(self):
        return "import numpy, scipy.linalg, scipy.sparse, scipy.special, threadpoolctl"
