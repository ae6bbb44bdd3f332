"""Where training stands, and the step that a linear model of the network proposes from there.

With residual e = f - y, displacement D = W - W(0), ridge alpha >= 0 towards W(0) and damping lam >= 0, c = alpha + lam,
the step p minimises |e + J p|^2/2 + alpha |D + p|^2/2 + lam |p|^2/2::

    solve (G + c I) g = e - (alpha/c) J D       G = J J^T; alpha = 0: the last term is absent
    D <- (1 - alpha/c) D - J^T g

so that e + J p = c g is the predicted residual.

Weights s of the samples turn |e|^2 into sum_i s_i e_i^2, as if each sample were there s_i times: then e, J and J D
stand for themselves times s^(1/2), row by row, g for g / s^(1/2), and n for sum_i s_i. In the code "scaled" is what is
meant so.

Of another loss l, with slopes l' and curvatures h at the outputs, e is l'/h, and H = diag(h). The model is then
sum_i s_i h_i (e + J p)_i^2/2 in place of |e + J p|^2/2, and the system (G + c H^-1) g = e - (alpha/c) J D, which
`GramSystem.solve` solves as (H^(1/2) G H^(1/2) + c I) u = ... with g = H^(1/2) u: all else stays as it is.
"""

from __future__ import annotations

import typing

import numpy as np


class State(typing.NamedTuple):
    """Where training stands: what the loss is made of."""

    residual: np.ndarray | None  # (n,) f - y, or as of `Fit`; None: nothing is known yet
    jacobian_displacement: np.ndarray | None  # (n,) J D, only with alpha > 0
    displacement_squared: float  # |D|^2, only with alpha > 0
    loss: float
    rmse: float
    curvature: np.ndarray | None = None  # (n,) of the loss; None: 1 each
    magnitude: float = float("nan")  # of what is added up to the loss
    mean_loss: float = float("nan")  # without the ridge

    @classmethod
    def unknown(cls):
        """Before anything was computed."""
        return cls(None, None, 0.0, float("nan"), float("nan"))


class LinearModel:
    """The loss with its ridge, alpha |D|^2/2, and what steps do to it where the network is linear in its weights.

    Parameters
    ----------
    objective : SquaredError or LossOfOutputs
    gram : GramSystem
        G, scaled.
    alpha : float
        Ridge.
    """

    def __init__(self, objective, gram, alpha):
        self.objective, self.gram, self.alpha = objective, gram, alpha

    def state(self, outputs, jacobian_displacement, displacement_squared):
        """The state with these outputs of the network. Cost: O(n)."""
        fit, ridge = self.objective.at(outputs), 0.5 * self.alpha * displacement_squared
        return State(
            residual=fit.residual,
            jacobian_displacement=jacobian_displacement,
            displacement_squared=displacement_squared,
            loss=fit.loss + ridge,
            rmse=fit.rmse,
            curvature=fit.curvature,
            magnitude=fit.magnitude + ridge,
            mean_loss=fit.mean_loss,
        )

    def parabolas(self, residual, curvature, displacement_squared):
        """sum_i s_i h_i e_i^2/2 + alpha |D|^2/2. Cost: O(n)."""
        return self.objective.parabolas(residual, curvature) + 0.5 * self.alpha * displacement_squared

    def system(self, state, lam):
        """What to solve for the step with damping lam: (c, right), both scaled. Cost: O(n)."""
        c = self.alpha + lam
        right = state.residual
        if self.alpha:
            right = right - self.pull(c) * state.jacobian_displacement
        return c, self.objective.roots * right

    def value(self, state, lam):
        """The model where no step is taken, less its part that no g changes: see `sltrees.gram.forcing`. Cost: O(n)."""
        c, value = self.alpha + lam, self.parabolas(state.residual, state.curvature, state.displacement_squared)
        return value - (0.5 * self.pull(c) * lam * state.displacement_squared if self.alpha else 0.0)

    def up_to(self, forcing, longest, state, lam):
        """The same `Forcing` for steps that are not taken if they are longer. Cost: O(n)."""
        if forcing is None or not self.alpha:
            return forcing and forcing._replace(longest=longest)
        pull = self.pull(self.alpha + lam)
        pulled = pull * self.objective.roots * state.jacobian_displacement
        return forcing._replace(longest=longest, pulled_squared=pull**2 * state.displacement_squared, pulled=pulled)

    def step(self, state, c, scaled_g, damping):
        """The step that a solution is; of infinite length where it overflows. Cost: that of a product with G."""
        with np.errstate(over="ignore", invalid="ignore"):
            return Step(self, state, c, scaled_g, damping)

    def pull(self, c):
        """alpha/c: the share by which a step shrinks displacements. Cost: O(1)."""
        return self.alpha / c if self.alpha else 0.0


class Step:
    """A step p = (shrink - 1) D - J^T g that was solved for, and what the linear model says of it.

    Parameters
    ----------
    model : LinearModel
    state : State
    c : float
        Ridge and damping.
    scaled_g : ndarray of shape (n,)
        Of any accuracy: all that is said of the step is true of it as it is.
    damping : float
        lam of it, as users are told.

    Attributes
    ----------
    g, scaled_g : ndarray of shape (n,)
    shrink : float
    pushed, change : ndarray of shape (n,)
        J J^T g, and J p.
    size : float
        Root of sum_ij (G_ij g_j)^2, from above: what rounding of the entries of G would do to G g.
    displacement_squared : float
        |D|^2 after the step.
    length : float
        |p|; infinite where something overflowed.
    change_rms : float
        Of the outputs, weighted by curvature where there is one: the root of what the parabolas tell of a step.
    predicted_decrease : float
        Of the loss.
    decrease : float
        Of the model, in which damping counts.
    residual_rms : float
        Of what the solution leaves of its system: the exact step changes outputs by so much more at most.
    """

    def __init__(self, model, state, c, scaled_g, damping):
        objective, gram = model.objective, model.gram
        shrink = 1.0 - model.pull(c)
        pull = 1.0 - shrink
        self.scaled_g = scaled_g
        self.g, self.damping, self.shrink = objective.roots * scaled_g, damping, shrink
        scaled_push = gram.product(scaled_g)
        energy = float(scaled_g @ scaled_push)  # |J^T g|^2
        self.pushed = pushed = scaled_push / objective.roots
        self.size = float(np.sqrt(gram.norm * np.sum(np.square(scaled_g) * gram.diagonal)))
        self.size /= float(np.min(objective.roots))
        squared, drift, change = state.displacement_squared, 0.0, -pushed
        if model.alpha:
            drift = float(state.jacobian_displacement @ self.g)  # <D, J^T g>
            change = change - pull * state.jacobian_displacement  # J p
        self.displacement_squared = max(0.0, shrink**2 * squared - 2.0 * shrink * drift + energy)
        length_squared = pull**2 * squared + 2.0 * pull * drift + energy
        # rounding may leave a little below 0; NaN means that something overflowed
        self.length = float(np.sqrt(max(length_squared, 0.0))) if np.isfinite(length_squared) else np.inf
        self.change = change
        h = state.curvature
        self.change_rms = objective.rms(change, h)
        before = model.parabolas(state.residual, h, squared)
        self.predicted_decrease = before - model.parabolas(state.residual + change, h, self.displacement_squared)
        self.decrease = self.predicted_decrease - 0.5 * (c - model.alpha) * length_squared
        right = model.system(state, c - model.alpha)[1]
        left = right - (c * scaled_g if h is None else c / h * scaled_g) - scaled_push
        left_squared = left @ left if h is None else left @ (h * left)
        self.residual_rms = float(np.sqrt(left_squared / objective.total_weight))
