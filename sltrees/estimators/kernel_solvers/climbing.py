"""The choice of a ridge from one that is nearly right: a few factorisations in place of all eigenvectors."""

from __future__ import annotations

import numpy as np

from sltrees.linalg.leave_one_out import ALPHAS

NO_BETTER = 1e-3  # a ridge whose error is smaller by a smaller share


def climb(at, first, executor):
    """Go from a ridge to better ones near it, until none of its neighbours is better.

    Parameters
    ----------
    at : callable
        alpha -> tuple that begins with its error.
    first : float
        Above 0. The nearest of `sltrees.linalg.leave_one_out.ALPHAS` comes first.
    executor : ThreadExecutor

    Returns
    -------
    tuple
        What `at` gave for the last one.

    Notes
    -----
    Strides double while errors fall, and begin anew where they no longer do. A larger ridge is as good as a smaller
    one, and is taken, if its error is not above the smallest so far by more than a share of 1e-3. Both neighbours are
    always looked at, so that the result does not depend on the number of threads. Cost: three calls of `at`, and one
    or two for each step.

    Examples
    --------
    >>> from sltrees.execution.threads import ThreadExecutor
    >>> with ThreadExecutor(1) as executor:
    ...     climb(lambda alpha: ((alpha - 0.9) ** 2, alpha), 0.002, executor)[1]
    1.0
    """
    errors, found = {}, None  # found: that of `here`

    def look(places):
        """The best of some places and `here`, the largest of those that are as good. Sets: errors, found."""
        nonlocal found
        new = [k for k in places if 0 <= k < len(ALPHAS) and k not in errors]
        results = dict(zip(new, executor.run_all(lambda k: at(ALPHAS[k]), new), strict=True))
        errors.update({k: result[0] if np.isfinite(result[0]) else np.inf for k, result in results.items()})
        limit = min(errors.values()) * (1.0 + NO_BETTER)
        best = max(k for k, error in errors.items() if error <= limit)
        found = results.get(best, found)
        return best

    here = look([int(np.abs(np.log(np.array(ALPHAS) / first)).argmin())])
    stride = 0
    while True:
        best = look([here - 1, here + 1] if stride == 0 else [here + stride])
        if best == here and stride == 0:
            return found
        stride = 2 * (best - here)
        here = best
