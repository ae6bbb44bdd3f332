"""Whether a loss is what its derivatives say: by finite differences, before anything is learned under it."""

from __future__ import annotations

import numpy as np

_MOVES = (-2.0, -0.7, -0.1, 0.3, 1.1, 2.5)  # of outputs from the constant, in units
_FAR = 1e8  # outputs at which nothing may overflow
_MOST = 200  # targets that are looked at
_CLOSE = 1e-3  # share of the largest by which derivatives may differ from differences


def check_loss(loss, y):
    """Refuse a loss whose gradient or curvature is not that of its values.

    Parameters
    ----------
    loss : Loss
    y : ndarray of shape (n, C)
        Targets, of which at most 200 are looked at.

    Raises
    ------
    ValueError
        If shapes or derivatives are wrong, a curvature is not above 0, a parabola is not above a loss that says so
        (`is_newton` is False), or something overflows: with the member, and where.

    Notes
    -----
    Cost: some 20 evaluations.

    Examples
    --------
    >>> from sltrees.losses import HalfPoissonLoss
    >>> check_loss(HalfPoissonLoss(), np.array([[0.0], [3.0]]))
    >>> class Wrong(HalfPoissonLoss):
    ...     def gradient(self, y, f):
    ...         return y - np.exp(f)
    >>> check_loss(Wrong(), np.array([[0.0], [3.0]]))
    Traceback (most recent call last):
        ...
    ValueError: gradient of Wrong must be the derivative of value: at y=[0.] and f=[-1.595] it is -0.20..., not 0.20...
    """
    if not loss.reach > 0:
        raise ValueError(f"reach of {_name(loss)} must be above 0, got {loss.reach}")
    y = y[:: -(-len(y) // _MOST)]
    constant = np.asarray(loss.constant(y, np.ones(len(y))), dtype=np.float64)
    if constant.shape != y.shape[1:] or not np.isfinite(constant).all():
        raise ValueError(f"constant of {_name(loss)} must be finite, of shape {y.shape[1:]}, got {constant}")
    unit = 1.0 if np.isfinite(loss.reach) else max(float(np.mean(np.abs(y - constant))), 1e-3)
    for move in _MOVES:
        f = np.broadcast_to(constant + move * unit, y.shape)
        _check_at(loss, y, f, unit)
    for f in (np.full(y.shape, _FAR * unit), np.full(y.shape, -_FAR * unit)):
        with np.errstate(all="ignore"):
            for member in ("value", "gradient", "curvature", "predictions"):
                values = getattr(loss, member)(*((y, f) if member != "predictions" else (f,)))
                _refuse(loss, member, "finite", ~np.isfinite(values), y, f, values)


def _check_at(loss, y, f, unit):
    value, gradient, curvature = loss.value(y, f), loss.gradient(y, f), loss.curvature(y, f)
    of_sample = (len(y), 1) if loss.couples else y.shape
    for member, found, shape in (
        ("value", value, of_sample),
        ("gradient", gradient, y.shape),
        ("curvature", curvature, of_sample),
    ):
        if np.shape(found) != shape:
            raise ValueError(f"{member} of {_name(loss)} must have shape {shape}, got {np.shape(found)}")
        _refuse(loss, member, "finite", ~np.isfinite(found), y, f, found)
    _refuse(loss, "curvature", "above 0", ~(curvature > 0), y, f, curvature)
    step = 1e-5 * unit
    for c in range(y.shape[1]):
        shift = step * (np.arange(y.shape[1]) == c)
        of_c = slice(0, 1) if loss.couples else slice(c, c + 1)
        slope = ((loss.value(y, f + shift) - loss.value(y, f - shift)) / (2 * step))[:, of_c]
        wrong = np.abs(slope - gradient[:, [c]]) > _CLOSE * (np.abs(gradient).max() + np.abs(slope).max())
        _refuse(loss, "gradient", "the derivative of value", wrong, y, f, gradient[:, [c]], slope)
        if loss.is_newton and not loss.couples:
            second = ((loss.gradient(y, f + shift) - loss.gradient(y, f - shift)) / (2 * step))[:, [c]]
            wrong = np.abs(second - curvature[:, [c]]) > _CLOSE * (np.abs(curvature).max() + np.abs(second).max())
            _refuse(loss, "curvature", "the derivative of gradient", wrong, y, f, curvature[:, [c]], second)
    if not loss.is_newton:
        for move in _MOVES:
            moved = np.full(y.shape, move * unit)
            rise = gradient * moved + 0.5 * curvature * moved**2
            above = value + (rise.sum(axis=1, keepdims=True) if loss.couples else rise)
            after = loss.value(y, f + moved)
            wrong = after > above + _CLOSE * 1e-6 * (np.abs(value).max() + np.abs(after).max())
            _refuse(loss, "curvature", "that of a parabola above value", wrong, y, f, curvature)


def _refuse(loss, member, rule, wrong, y, f, found, expected=None):
    """ValueError that names the first sample of those that are wrong."""
    if not np.any(wrong):
        return
    i = int(np.argmax(np.any(wrong, axis=1)))
    instead = "" if expected is None else f", not {expected[i, 0]:.4g}"
    raise ValueError(
        f"{member} of {_name(loss)} must be {rule}: at y={np.round(y[i], 3)} and f={np.round(f[i], 3)} it is "
        f"{np.ravel(found[i])[0]:.4g}{instead}"
    )


def _name(loss):
    return type(loss).__name__
