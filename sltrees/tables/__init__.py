"""Tables as people keep them, in CSV files, and what it takes to turn them into numbers.

`read_table` reads a file into a `Table` of text, `TableEncoder` turns the columns into numbers, and `detect_task` says
whether a target column asks for regression or classification. NumPy and the standard library are all that is needed.
"""

from sltrees.tables._cells import MISSING, as_number, is_missing
from sltrees.tables._encoding import TableEncoder
from sltrees.tables._reading import read_table
from sltrees.tables._table import Table
from sltrees.tables._targets import Target, detect_task, encode_target

__all__ = [
    "MISSING",
    "Table",
    "TableEncoder",
    "Target",
    "as_number",
    "detect_task",
    "encode_target",
    "is_missing",
    "read_table",
]
