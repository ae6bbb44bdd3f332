"""Going through parts: here, one group after the other, or on the workers of a cluster that there is a client of.

Sums over groups are added in pairs, these in pairs, and so on: the result does not depend on who added what.
"""

from __future__ import annotations

import sys

from sltrees.cluster.arithmetic import refuse_unlike


def passed(parts, groups, work, arguments, shared):
    """What a function returns for each group of parts, a list.

    Parameters
    ----------
    parts : list of tuple of dask.delayed.Delayed
    groups : list of range
        Of parts.
    work : callable
        ``work(parts of the group, *arguments of the group, *shared)``.
    arguments : list of tuple
        For each group.
    shared : tuple

    Notes
    -----
    For results that are small: all come here.
    """
    import dask

    client = cluster_client()
    if client is None:
        return [work(*_loaded(parts, group), *own, *shared) for group, own in _pairs(groups, arguments)]
    return _computed(client, [_task(dask, parts, group, work, own, shared) for group, own in _pairs(groups, arguments)])


def summed(parts, groups, work, arguments, shared, n_threads, advance=None):
    """The sum of what a function returns for groups of parts: `Sums`, or what else has a method `plus`.

    Parameters
    ----------
    parts, groups, work, arguments, shared
        As of `passed`; `work` takes a number of threads, too.
    n_threads : int
        Here. On a cluster each group has one.
    advance : callable, optional
        advance(done, total), in groups; not called on a cluster.

    Raises
    ------
    sltrees.cluster.arithmetic.UnlikeWorkerError
        If a worker rounds otherwise than this process.
    """
    import dask

    client = cluster_client()
    if client is None:
        stack = []  # of sums of 2^k groups each, as a binary counter has digits
        for at, (group, own) in enumerate(_pairs(groups, arguments)):
            stack.append((1, work(*_loaded(parts, group), *own, *shared, n_threads)))
            while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
                _join(stack)
            if advance is not None:
                advance(at + 1, len(groups))
        while len(stack) > 1:
            _join(stack)
        return stack[0][1]
    # a node of the graph, and not data of a worker, so that a worker that is lost takes nothing with it
    common = [dask.delayed(value, pure=False, traverse=False) for value in shared]
    sums = [_task(dask, parts, group, work, own, (*common, 1)) for group, own in _pairs(groups, arguments)]
    while len(sums) > 1:
        joined = [dask.delayed(_plus, pure=False)(a, b) for a, b in zip(sums[::2], sums[1::2], strict=False)]
        sums = joined + sums[len(joined) * 2 :]
    (total,) = _computed(client, sums)
    for address, arithmetic in sorted(total.rounded_by.items()):
        refuse_unlike(address, arithmetic)
    return total


def cluster_client():
    """The client of a cluster that Dask computes with; None if there is none. Cost: O(1)."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _pairs(groups, arguments):
    return zip(groups, arguments, strict=True)


def _loaded(parts, group):
    """The parts of a group, in this process: arguments of a function."""
    import dask

    return dask.compute([parts[at] for at in group])


def _task(dask, parts, group, work, own, shared):
    return dask.delayed(work, pure=False, traverse=True)([parts[at] for at in group], *own, *shared)


def _plus(one, other):
    return one.plus(other)


def _join(stack):
    (n, one), (k, other) = stack[-2:]
    stack[-2:] = [(n + k, one.plus(other))]


def _computed(client, tasks):
    """What a cluster computes; whatever interrupts it, what has not begun does not begin."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
        futures = client.compute(tasks)
    try:
        return client.gather(futures)
    except BaseException:
        client.cancel(futures)
        raise
