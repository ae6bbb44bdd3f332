"""What a process and the hosts of its neurons say to each other, and what goes wrong between them."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np


class Request(typing.NamedTuple):
    """A call of a method of a `ShardHost`, without the number of the call."""

    address: str
    method: str
    arguments: tuple


class Deposited(typing.NamedTuple):
    """Stands in instructions for samples that were deposited: a claim check."""

    fingerprint: str


class LostError(RuntimeError):
    """A worker does not answer any more, or has no host that knows what it is asked."""


class NotHeldError(LookupError):
    """The host does not hold what it was asked for: it has to be told the recipe."""


class StoppedError(RuntimeError):
    """The call was stopped by `ShardHost.stop`."""


class ClusterLostError(RuntimeError):
    """A cluster is not there, or does not answer any more, or its workers cannot hold what they are given."""


def payload_bytes(message):
    """Bytes of the arrays in a message, wherever they are in it. Cost: O(parts).

    Examples
    --------
    >>> payload_bytes([np.zeros(3), {"x": (np.zeros(2, np.float32), None)}])
    32
    """
    if isinstance(message, np.ndarray):
        return message.nbytes
    if isinstance(message, dict):
        return sum(payload_bytes(part) for part in message.values())
    if isinstance(message, (tuple, list)):
        return sum(payload_bytes(part) for part in message)
    return payload_bytes(vars(message)) if dataclasses.is_dataclass(message) else 0
