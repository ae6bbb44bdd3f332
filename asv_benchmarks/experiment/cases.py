"""What is trained on what: data, networks, and the sweeps over them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from asv_benchmarks.compare.parts.synthetic_data import gaussian_directions
from sltrees import ShiftedReLUNetwork
from sltrees.datasets.parity import digits_parity

LOOSE, TIGHT = 1e-3, 1e-6  # the training RMSEs to which times are read
N_TEST = 1000  # of synthetic data
N_SYNTHETIC = 4000  # the most samples that a sweep trains on


@dataclasses.dataclass(frozen=True)
class Problem:
    """Samples and targets, to train on and to test with."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def is_classification(self):
        return bool(np.all(np.abs(self.y_test) == 1.0))


@dataclasses.dataclass(frozen=True)
class Case:
    """A network to train, and on what.

    Attributes
    ----------
    data : str
        "digits" (parity), "gaussian" (a smooth function of random directions), or "digits+" and a number: digits made
        alike by that `bias` of `InputScaling`, a constant column appended before rows are brought to unit norm.
    n, d : int
        Samples trained on, and features.
    width : int
    shift : str
        A policy, or a number.
    """

    data: str
    n: int
    d: int
    width: int
    shift: str

    def problem(self):
        return _problem(self.data, self.n, self.d)

    def network(self):
        """The network, not drawn yet: the same each time."""
        try:
            shift = float(self.shift)
        except ValueError:
            shift = self.shift
        return ShiftedReLUNetwork(self.width, shift=shift, random_state=0)

    def __str__(self):
        return f"{self.data}, n={self.n}, d={self.d}, m={self.width}, shift {self.shift}"


@functools.lru_cache(maxsize=2)
def _problem(data, n, d):
    if data == "gaussian":
        X, y = gaussian_directions(N_SYNTHETIC + N_TEST, d, smooth=True)
        parts = X[:n], y[:n], X[N_SYNTHETIC:], y[N_SYNTHETIC:]
    else:
        X, y, X_test, y_test = digits_parity(float(data.removeprefix("digits") or 0))
        parts = X[:n], y[:n], X_test, y_test
    X, y, X_test, y_test = parts
    if X.shape != (n, d):
        raise ValueError(f"{data} must have {n} samples of {d} features, got {X.shape}")
    return Problem(X.astype(np.float32), y, X_test.astype(np.float32), y_test)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Cases that differ in one thing.

    Attributes
    ----------
    name : str
    title : str
        What the table and the plot of it are headed by.
    varies : str
        The field of `Case` that differs.
    cases : tuple of Case
        Where `grows`, from the cheap to the dear.
    grows : bool
        Whether cases become dearer, so that who hits the limit at one is not run at later ones.
    contenders : tuple of str or None
        Who takes part; None: all.
    target : float
        RMSE at which runs of Newton methods end. Others end at `LOOSE`.
    """

    name: str
    title: str
    varies: str
    cases: tuple[Case, ...]
    grows: bool
    contenders: tuple[str, ...] | None
    target: float


NEWTON_METHODS = ("certified", "trees", "dense", "bpsw", "kernel-ridge")
# Others take so long that one sweep of the width has to tell enough of them.
QUICK_METHODS = (*NEWTON_METHODS, "torch-lbfgs")


def sweeps(quick=False):
    """All sweeps by name; with `quick`, tiny ones that only show that everything runs.

    Returns
    -------
    dict of str to Sweep
    """
    n, width = (60, 2**8) if quick else (1000, 2**14)
    widths = [2**k for k in ((8, 9) if quick else range(12, 23))]
    samples = (20, 40) if quick else (50, 100, 250, 500, 1000, 2000, 4000)
    features = (8, 16) if quick else (8, 32, 128, 512)
    shifts = ("auto", "1.0") if quick else ("paper", "auto", "density", "0.5", "1.0", "2.0")
    biases = (1,) if quick else (0, 1, 2)

    def on_digits(width, shift="auto"):
        return Case("digits", n, 64, width, shift)

    all_sweeps = [
        Sweep(
            "width",
            "Width",
            "width",
            tuple(on_digits(m) for m in widths),
            grows=True,
            contenders=None,
            target=LOOSE if quick else TIGHT,
        ),
        Sweep(
            "width-paper",
            "Width, with the shift of the paper",
            "width",
            tuple(on_digits(m, "paper") for m in widths),
            grows=True,
            contenders=QUICK_METHODS,
            target=LOOSE if quick else TIGHT,
        ),
        Sweep(
            "samples",
            "Samples",
            "n",
            tuple(Case("gaussian", k, 16 if quick else 64, width, "auto") for k in samples),
            grows=True,
            contenders=None,
            target=LOOSE,
        ),
        Sweep(
            "features",
            "Features",
            "d",
            tuple(Case("gaussian", n, k, width, "auto") for k in features),
            grows=False,  # L-BFGS needs the more iterations the fewer features there are
            contenders=None,
            target=LOOSE,
        ),
        Sweep(
            "shift",
            "Shift",
            "shift",
            tuple(on_digits(width, shift) for shift in shifts),
            grows=False,
            contenders=None,
            target=LOOSE,
        ),
        Sweep(
            "alike",
            "Samples that are alike",
            "data",
            tuple(Case(f"digits+{bias}", n, 64 + (bias > 0), width, "auto") for bias in biases),
            grows=False,
            contenders=NEWTON_METHODS,
            target=LOOSE,
        ),
        Sweep(
            "table",
            "Everybody at one width",
            "width",
            (on_digits(2**10 if quick else 2**18),),
            grows=False,
            contenders=None,
            target=LOOSE,
        ),
    ]
    return {sweep.name: sweep for sweep in all_sweeps}
