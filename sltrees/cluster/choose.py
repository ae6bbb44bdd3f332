"""Which executor a name, or an executor that is given, stands for."""

from __future__ import annotations

from sltrees._validation import as_choice
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor

LOCAL_EXECUTORS = ("threads", "inline")
EXECUTORS = (*LOCAL_EXECUTORS, "dask")


def as_executor(value, name="executor"):
    """One of `EXECUTORS`, or a `sltrees.cluster.protocol.Cluster`.

    Parameters
    ----------
    value : str or Cluster
    name : str

    Returns
    -------
    str or Cluster

    Raises
    ------
    ValueError
        If it is neither.

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> as_executor("inline")
    'inline'
    """
    is_cluster = value is not None and getattr(value, "cluster", None) is value
    return value if is_cluster else as_choice(value, name, EXECUTORS)


def make_executor(name, n_threads=None):
    """The executor of a name; one that is given is itself.

    Parameters
    ----------
    name : {"threads", "inline", "dask"} or Cluster
        "dask" starts a cluster of processes on this machine when it is opened.
    n_threads : int, optional
        Of "threads", and of this process with "dask".

    Returns
    -------
    ThreadExecutor, InlineExecutor or Cluster

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> make_executor("threads", 2).n_threads, make_executor("inline").n_threads
    (2, 1)
    """
    if not isinstance(name, str):
        return name
    if name == "dask":
        from sltrees.cluster.dask.executor import DaskExecutor  # an extra

        return DaskExecutor(n_threads=n_threads)
    return InlineExecutor() if name == "inline" else ThreadExecutor(n_threads)
