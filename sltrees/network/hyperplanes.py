"""The samples as hyperplanes in the space of weights: neuron r fires on sample i when w_r is beyond hyperplane i."""

from __future__ import annotations

import functools

import numpy as np

from sltrees._core._pools import padded
from sltrees.network.population import Population
from sltrees.network.samples import Samples
from sltrees.network.shift import firing_probability


class Hyperplanes:
    """For each sample x_i the unit vector u_i = x_i / |x_i| and the offset b / |x_i|.

    Neuron r fires on sample i when <w_r, x_i> > b, that is, when its signed distance y_ri = <w_r, u_i> - b / |x_i|
    from the hyperplane is positive. Distances make samples of all norms alike: a neuron that moves by less than |y_ri|
    does not flip on i.

    Parameters
    ----------
    samples : Samples or ndarray of shape (n, d)
    shift : float

    Attributes
    ----------
    samples : Samples
    X : ndarray of shape (n, d)
        Those of the samples.
    norms : ndarray of shape (n,), dtype=float64
    directions : ndarray of shape (n, stride), dtype of X
        u_i, padded with zeros to whole blocks of 64 bytes. Zero for samples whose norm is below `smallest` (some 1e-16
        for float32): a row of zeros has no hyperplane, and no neuron is said to fire on it.
    offsets : ndarray of shape (n,), dtype=float64
    inverse_norms : ndarray of shape (n,), dtype of X

    Notes
    -----
    Cost: O(n d).

    Examples
    --------
    >>> planes = Hyperplanes(np.array([[3.0, 4.0], [0.0, 0.0]]), shift=2.0)
    >>> planes.directions[:, :2], planes.offsets
    (array([[0.6, 0.8],
           [0. , 0. ]]), array([0.4, 0. ]))
    """

    def __init__(self, samples, shift):
        self.samples = samples if isinstance(samples, Samples) else Samples(samples)
        self.X = X = self.samples.X
        self.shift = float(shift)
        exact = X.astype(np.float64, copy=False)
        self.norms = np.linalg.norm(exact, axis=1)
        live = self.norms > self.smallest(X.dtype)
        safe = np.where(live, self.norms, 1.0)
        self.directions = padded(np.where(live[:, None], exact / safe[:, None], 0.0).astype(X.dtype))
        self.offsets = np.where(live, self.shift / safe, 0.0)
        self.inverse_norms = np.where(live, 1.0 / safe, 0.0).astype(X.dtype)
        self.live = live

    @staticmethod
    def smallest(dtype):
        """Norm below which a sample counts as zeros: its square, and 1 / norm times a weight, would leave the dtype."""
        return float(np.sqrt(np.finfo(dtype).tiny)) * 1e3

    def thresholds(self, skin):
        """b - skin |x_i|: a product above it means a distance above -skin. Infinite where there is no hyperplane."""
        return np.where(self.live, self.shift - skin * self.norms, np.inf).astype(self.X.dtype)

    @property
    def firing(self):
        """Probability that a fresh neuron fires on each sample, shape (n,). Cost: O(n)."""
        return np.array([firing_probability(offset) for offset in self.offsets]) * self.live

    @property
    def materialised_share(self):
        """Share of the neurons that fire on a sample, at most. Cost: O(n)."""
        return min(1.0, float(self.firing.sum()))

    @functools.cached_property
    def population(self):
        """What is expected of fresh neurons, a `Population`. Cost: some 10^9 multiplications, once."""
        return Population(self)

    def near_share(self, skin):
        """Mean number of samples nearer than `skin` to a fresh neuron, or beyond. Cost: O(n)."""
        return sum(firing_probability(offset - skin) for offset in self.offsets[self.live])
