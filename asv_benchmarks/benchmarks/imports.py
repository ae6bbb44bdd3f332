"""Imports, each in a process of its own, without the start of the interpreter."""


def timeraw_import():
    return "import sltrees"


def timeraw_import_numpy_and_scipy():
    """The floor: what the package imports of others."""
    return "import numpy, scipy.linalg, scipy.sparse, scipy.special, threadpoolctl"


def timeraw_import_command_line():
    return "import sltrees.__main__"


# in the same process a second import would find everything there
timeraw_import.number = timeraw_import_numpy_and_scipy.number = timeraw_import_command_line.number = 1
