"""What a contender returns, and the clock that it reads."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass
class Outcome:
    """How a run went.

    Attributes
    ----------
    points : list of (float, float)
        Seconds since the run began, and the training RMSE then; the last is that at the end.
    iterations : int
    seconds, setup : float
    status : str
        "reached", "limit", or why it stopped before both.
    predict : callable
        Outputs for samples.
    shift : float
        b of the network; NaN without one.
    phases : dict of str to float
        Mean seconds of an iteration by phase, of methods that tell.
    """

    points: list[tuple[float, float]]
    iterations: int
    seconds: float
    setup: float
    status: str
    predict: Callable[[np.ndarray], np.ndarray]
    shift: float = math.nan
    phases: dict[str, float] = dataclasses.field(default_factory=dict)


class Stopwatch:
    """Seconds since it was made, but for those in which it was held."""

    def __init__(self):
        self._began, self._held = time.perf_counter(), 0.0

    def seconds(self):
        return time.perf_counter() - self._began - self._held

    def hold(self, function, *arguments):
        """Call, and do not count the time."""
        begin = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self._held += time.perf_counter() - begin
