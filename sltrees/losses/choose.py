"""Losses by what users and files call them."""

from __future__ import annotations

from sltrees.losses.classes import HalfMultinomialLoss, LogisticLoss, OneOfClasses
from sltrees.losses.counts import HalfGammaLoss, HalfPoissonLoss
from sltrees.losses.loss import HalfSquaredLoss, Loss
from sltrees.losses.robust import HuberLoss, SmoothPinballLoss
from sltrees.losses.scaled import ScaledLoss

# Those that have no parameters, by name; None: squared errors, whose parabolas are the same everywhere.
BY_NAME = {"squared": None, "log_loss": LogisticLoss, "poisson": HalfPoissonLoss, "gamma": HalfGammaLoss}

SHIPPED = (HalfGammaLoss, HalfMultinomialLoss, HalfPoissonLoss, HalfSquaredLoss, HuberLoss, LogisticLoss)
SHIPPED += (OneOfClasses, ScaledLoss, SmoothPinballLoss)

MEMBERS = tuple(Loss.__annotations__) + ("refuse", "value", "gradient", "curvature", "constant", "predictions")


def as_loss(loss):
    """The loss that a user means, with the members of `Loss`; None for squared errors.

    Parameters
    ----------
    loss : str or Loss

    Raises
    ------
    TypeError, ValueError
        If it is no name that there is, nor has the members.

    Examples
    --------
    >>> as_loss("squared"), type(as_loss("poisson")).__name__
    (None, 'HalfPoissonLoss')
    """
    if isinstance(loss, str):
        if loss not in BY_NAME:
            raise ValueError(
                f"loss must be {', '.join(map(repr, BY_NAME))} or an object of sltrees.losses, got {loss!r}"
            )
        return None if BY_NAME[loss] is None else BY_NAME[loss]()
    missing = [name for name in MEMBERS if not hasattr(loss, name)]
    if missing or isinstance(loss, type):
        what = f"lacks {', '.join(missing)}" if missing else "is a class"
        raise TypeError(f"loss must be a name or an object with the members of sltrees.losses.Loss: {loss!r} {what}")
    return loss


def is_refused(loss, y):
    """Whether a loss cannot be of targets, as of counts that are all 0, for which no function is best.

    A part of targets may be such where the whole is not.

    Examples
    --------
    >>> import numpy as np
    >>> is_refused(HalfPoissonLoss(), np.zeros((2, 1))), is_refused(HalfPoissonLoss(), np.eye(2))
    (True, False)
    """
    try:
        loss.refuse(y)
    except ValueError:
        return True
    return False


def is_shipped(loss):
    """Whether a loss is one of this package, rather than a user's own.

    Examples
    --------
    >>> is_shipped(HuberLoss(1.0))
    True
    """
    return type(loss) in SHIPPED


def description_of(loss):
    """What a file says of a loss: a string or a dict.

    Examples
    --------
    >>> description_of(None), description_of(HuberLoss(2.0))
    ('squared', {'name': 'HuberLoss', 'delta': 2.0})
    """
    if loss is None:
        return "squared"
    if isinstance(loss, ScaledLoss):
        return {"name": "ScaledLoss", "scale": loss.scale, "loss": description_of(loss.loss)}
    if isinstance(loss, OneOfClasses):  # what it sees of others is no parameter
        return {"name": "OneOfClasses"}
    return {"name": type(loss).__name__} | (vars(loss) if is_shipped(loss) else {"of": "the user"})


def described_loss(description, own=None):
    """The loss that `description_of` described: a name or an object, as `as_loss` takes it.

    Parameters
    ----------
    description : str or dict
    own : Loss, optional
        The user's, if it is one of these.

    Raises
    ------
    ValueError
        If it is a user's own, and `own` is none; or the other way round.

    Examples
    --------
    >>> described_loss({"name": "HuberLoss", "delta": 2.0}).delta
    2.0
    """
    is_own = isinstance(description, dict) and "of" in description
    if is_own and type(own).__name__ != description.get("name"):
        raise ValueError(f"the loss is the user's own, a {description.get('name')}: give it as loss, got {own!r}")
    if not is_own and own is not None:
        raise ValueError(f"loss must be None where it is no loss of the user's own, got {own!r}")
    if is_own or isinstance(description, str):
        return own if is_own else description
    parameters = dict(description)
    if "loss" in parameters:
        parameters["loss"] = described_loss(parameters["loss"])
    return {kind.__name__: kind for kind in SHIPPED}[parameters.pop("name")](**parameters)
