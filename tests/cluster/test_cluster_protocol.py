"""What an executor of a cluster has to do is written down once, and the executors there are do it."""

import copy
import inspect

import pytest
from in_process_cluster import InProcessCluster

from sltrees.cluster.choose import as_executor, make_executor
from sltrees.cluster.protocol import Cluster
from sltrees.execution.inline import InlineExecutor
from sltrees.execution.threads import ThreadExecutor

# what every executor does, in this process
LOCAL = ("__enter__", "__exit__", "map", "run_all", "run", "place")


def members_of_protocol():
    """Methods and properties that are written in the protocol, by name."""
    return {
        name: member
        for name, member in vars(Cluster).items()
        if isinstance(member, property) or getattr(member, "__module__", None) == Cluster.__module__
    }


MEMBERS = members_of_protocol()


def test_members_are_found_and_documented():
    assert {"__enter__", "__deepcopy__", "call", "deposit", "forget", "memory", "workers", *LOCAL} <= set(MEMBERS)
    assert all(inspect.getdoc(member) for member in MEMBERS.values())
    assert list(Cluster.__annotations__) == ["n_threads"]


@pytest.fixture(params=[pytest.param("dask", marks=pytest.mark.dask), "in process"])
def executor(request):
    """The class of an executor of a cluster."""
    if request.param == "in process":
        return InProcessCluster
    pytest.importorskip("distributed")
    from sltrees.cluster.dask.executor import DaskExecutor

    return DaskExecutor


@pytest.mark.parametrize("name", MEMBERS)
def test_executors_of_clusters_have_all_members(name, executor):
    member, found = MEMBERS[name], vars(executor)[name]
    assert type(found) is type(member)
    if not isinstance(member, property):
        assert inspect.signature(found) == inspect.signature(member)


@pytest.mark.parametrize("executor", [ThreadExecutor, InlineExecutor])
@pytest.mark.parametrize("name", LOCAL)
def test_executors_of_this_process_have_what_they_share(name, executor):
    assert inspect.signature(vars(executor)[name]) == inspect.signature(MEMBERS[name])
    assert executor.cluster is None


def test_a_cluster_is_an_executor_to_choose():
    cluster = InProcessCluster(1)
    assert as_executor(cluster) is cluster.cluster is cluster
    assert make_executor(cluster) is cluster
    assert copy.deepcopy([cluster])[0] is cluster
    with pytest.raises(ValueError, match="executor must be"):
        as_executor(ThreadExecutor(1))
