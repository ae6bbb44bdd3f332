"""Losses: what training lowers, as functions of targets and raw outputs, with gradients and curvatures."""

from sltrees.losses.checking import check_loss
from sltrees.losses.choose import as_loss
from sltrees.losses.classes import HalfMultinomialLoss, LogisticLoss
from sltrees.losses.counts import HalfGammaLoss, HalfPoissonLoss
from sltrees.losses.loss import HalfSquaredLoss, Loss
from sltrees.losses.robust import HuberLoss, SmoothPinballLoss

__all__ = [
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredLoss",
    "HuberLoss",
    "LogisticLoss",
    "Loss",
    "SmoothPinballLoss",
    "as_loss",
    "check_loss",
]
