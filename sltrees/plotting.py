"""Plots of training runs and networks: each function draws on axes and returns them."""

from __future__ import annotations

import numpy as np
import scipy.stats

from sltrees._validation import as_integer, as_real_matrix, as_real_vector

# told apart by all who see colours differently (Okabe and Ito, 2008), the first ones also in grey
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_REFUSED = "#D55E00"
_CONFIDENCE = 0.95


def plot_convergence(result, ax=None, *, label=None):
    """RMSE before each iteration and at the end, on a logarithmic scale; refused steps are marked.

    Parameters
    ----------
    result : TrainingResult
        With at least one iteration. Where its records have a `validation_rmse` that is not NaN, it is drawn too.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    label : str, optional
        Of the run, to tell several on the same axes apart.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not there.
    ValueError
        If no iteration was made.

    Notes
    -----
    RMSEs of 0 have no place on the scale, and are left out (where all are 0, the scale is linear); so is the end, where
    training gave back earlier weights that were better. Cost: O(iterations).

    Examples
    --------
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> result = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0)).fit(np.eye(5), np.arange(5.0))
    >>> ax = plot_convergence(result)
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()
    ('iteration', 'RMSE', 'log')
    """
    history = _history(result)
    ax = _axes(ax)
    best = getattr(result, "best_iteration", None)
    restored = best is not None and best < len(history) and result.rmse == history[best].rmse
    iterations = np.array([record.iteration for record in history] + [history[-1].iteration + 1])
    training = np.array([record.rmse for record in history] + [np.nan if restored else result.rmse], dtype=float)
    validation = np.array([_validation_rmse(at) for at in (*history, result)], dtype=float)
    if restored:
        validation[-1] = np.nan
    refused = np.array([not record.accepted for record in history] + [False])

    (line,) = ax.plot(
        iterations, training, marker="o", markersize=4, color=_next_colour(ax), label=_joined(label, "training")
    )
    if np.isfinite(validation).any():
        name = _joined(label, "validation")
        ax.plot(iterations, validation, marker="s", markersize=4, linestyle="--", color=line.get_color(), label=name)
    if refused.any():
        name = _joined(label, "refused step")
        ax.plot(
            iterations[refused], training[refused], "x", markersize=9, markeredgewidth=2, color=_REFUSED, label=name
        )
    if (np.nan_to_num(training) > 0).any():  # else a logarithmic axis would have no limits
        ax.set_yscale("log")
    _whole_ticks(ax)
    ax.set_xlabel("iteration")
    ax.set_ylabel("RMSE")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_iteration_cost(result, ax=None):
    """Seconds of each iteration by phase, as stacked bars.

    Parameters
    ----------
    result : TrainingResult
        With at least one iteration.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not there.
    ValueError
        If no iteration was made.

    Notes
    -----
    Phases are those of `IterationRecord.seconds`, with their sums in the legend. The set-up is not part of it.
    Cost: O(iterations).

    Examples
    --------
    >>> from sltrees import NewtonTrainer, ShiftedReLUNetwork
    >>> result = NewtonTrainer(ShiftedReLUNetwork(2000, random_state=0)).fit(np.eye(5), np.arange(5.0))
    >>> ax = plot_iteration_cost(result)
    >>> len(ax.patches) == result.n_iter * len(result.history[0].seconds)
    True
    """
    history = _history(result)
    ax = _axes(ax)
    iterations = np.array([record.iteration for record in history])
    phases = list(dict.fromkeys(phase for record in history for phase in record.seconds))
    below = np.zeros(len(history))
    for k, phase in enumerate(phases):
        seconds = np.array([record.seconds.get(phase, 0.0) for record in history])
        name = f"{phase}: {seconds.sum():.3g} s"
        ax.bar(iterations, seconds, bottom=below, color=COLOURS[k % len(COLOURS)], edgecolor="white", label=name)
        below += seconds
    _whole_ticks(ax)
    ax.set_xlabel("iteration")
    ax.set_ylabel("time [s]")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)  # above: bars may be anywhere
    return ax


def plot_firing_pattern(network, X, ax=None, *, max_neurons=200):
    """Which materialised neurons fire on which samples, as an image.

    Parameters
    ----------
    network : ShiftedReLUNetwork
        Drawn.
    X : array_like of shape (n, d)
        Finite; not only samples that the network was drawn for.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    max_neurons : int, default 200
        Of more neurons, so many are shown, evenly spaced among the materialised ones.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each neuron, a column for each sample; dark where the neuron fires.

    Raises
    ------
    ImportError
        If matplotlib is not there.
    RuntimeError
        If the network was not initialised.
    TypeError, ValueError
        If X is not a matrix of d columns of finite real numbers, if `max_neurons` is not an integer of at least 1, or
        if no neuron is materialised.

    Notes
    -----
    Cost: O(max_neurons n d).

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> network = ShiftedReLUNetwork(2000, random_state=0).initialize(np.eye(5))
    >>> ax = plot_firing_pattern(network, np.eye(5), max_neurons=50)
    >>> ax.images[0].get_array().shape
    (50, 5)
    """
    max_neurons = as_integer(max_neurons, "max_neurons", minimum=1)
    network.materialised_weights(0, 0)  # of a network that is not drawn there are none
    X = as_real_matrix(X, "X", network.dtype, n_columns=network.n_features_in_)
    count = network.neurons_.size
    if count == 0:
        raise ValueError("the network has no materialised neurons: none fires on the samples it was drawn for")
    ax = _axes(ax)
    shown = min(count, max_neurons)
    positions = np.arange(shown) * count // shown
    W = np.concatenate([network.materialised_weights(position, position + 1) for position in positions.tolist()])
    fires = W @ X.T > network.shift_
    # values between, of pixels that cover several entries, are shades
    ax.imshow(fires, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", interpolation_stage="data")
    _whole_ticks(ax)
    ax.set_xlabel("sample")
    ax.set_ylabel(f"neuron ({shown:,} of {count:,} materialised)")
    ax.set_title(f"{fires.mean():.2%} of the pairs shown fire", fontsize="medium")
    return ax


def fit_exponent(widths, seconds):
    """The exponent a of seconds = c width^a, and how far it is known.

    Parameters
    ----------
    widths, seconds : array_like of shape (k,)
        Positive; at least 3, of at least 2 different widths.

    Returns
    -------
    exponent, low, high : float
        a, and its 95% confidence interval.

    Raises
    ------
    TypeError, ValueError
        If widths and seconds are not positive numbers, equally many, and enough.

    Notes
    -----
    Least squares of the logarithms, and Student's t for the interval, which assumes that relative errors are
    independent and equally large. Cost: O(k).

    Examples
    --------
    >>> exponent, low, high = fit_exponent([1e3, 1e4, 1e5, 1e6], [0.1, 0.32, 0.98, 3.2])
    >>> print(f"{exponent:.2f} ({low:.2f} to {high:.2f})")
    0.50 (0.48 to 0.52)
    """
    widths, seconds = _as_measurements(widths, seconds)
    fit = _fit(widths, seconds)
    half = scipy.stats.t.ppf(0.5 + 0.5 * _CONFIDENCE, len(widths) - 2) * fit.stderr
    return float(fit.slope), float(fit.slope - half), float(fit.slope + half)


def plot_scaling(widths, seconds, ax=None, *, label=None):
    """Seconds by width on logarithmic scales, with the line of the fitted exponent.

    Parameters
    ----------
    widths, seconds : array_like of shape (k,)
        Positive; at least 3, of at least 2 different widths.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    label : str, optional
        Of the measurements, to tell several on the same axes apart.

    Returns
    -------
    matplotlib.axes.Axes
        The legend gives the exponent and its 95% confidence interval: see `fit_exponent`.

    Raises
    ------
    ImportError
        If matplotlib is not there.
    TypeError, ValueError
        If widths and seconds are not positive numbers, equally many, and enough.

    Notes
    -----
    Cost: O(k).

    Examples
    --------
    >>> ax = plot_scaling([1e3, 1e4, 1e5, 1e6], [0.1, 0.32, 0.98, 3.2], label="set-up")
    >>> print(ax.get_legend().get_texts()[0].get_text())
    set-up: exponent 0.50 (95%: 0.48 to 0.52)
    """
    widths, seconds = _as_measurements(widths, seconds)
    exponent, low, high = fit_exponent(widths, seconds)
    fit = _fit(widths, seconds)
    ax = _axes(ax)
    colour = _next_colour(ax)
    name = _joined(label, f"exponent {exponent:.2f} ({_CONFIDENCE:.0%}: {low:.2f} to {high:.2f})", separator=": ")
    ends = np.array([widths.min(), widths.max()])
    ax.plot(ends, np.exp(fit.intercept) * ends**exponent, color=colour, label=name)
    ax.plot(widths, seconds, "o", color=colour)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("width (neurons)")
    ax.set_ylabel("time [s]")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def plot_importances(estimator, ax=None, *, n_most=10):
    """The columns that matter most to an estimator, as bars.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        Fitted, with `feature_learning`: with `feature_importances_`, that is.
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.
    n_most : int, default 10
        Of columns, at most.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not there.
    TypeError, ValueError
        If there are no importances, or `n_most` is no integer above 0.

    Notes
    -----
    Columns are called by their names, or x0, x1, ... where they have none. Cost: O(d log d).

    Examples
    --------
    >>> from sltrees.estimators import NewtonRegressor
    >>> X = np.random.default_rng(0).standard_normal((120, 4))
    >>> ax = plot_importances(NewtonRegressor("kernel", feature_learning=2).fit(X, np.sin(2 * X[:, 2])))
    >>> ax.get_yticklabels()[0].get_text(), len(ax.patches)
    ('x2', 4)
    """
    n_most = as_integer(n_most, "n_most", minimum=1)
    importances = getattr(estimator, "feature_importances_", None)
    if importances is None:
        raise ValueError("estimator must be fitted with feature_learning: it has no feature_importances_")
    names = getattr(estimator, "feature_names_in_", [f"x{place}" for place in range(len(importances))])
    most = np.argsort(-importances, kind="stable")[:n_most]
    ax = _axes(ax)
    ax.barh(np.arange(len(most)), importances[most], color=COLOURS[0])
    ax.set_yticks(np.arange(len(most)), [str(names[place]) for place in most])
    ax.invert_yaxis()
    left_out = len(importances) - len(most)
    ax.set_xlabel("importance" + (f" ({left_out} of less left out)" if left_out else ""))
    ax.set_ylabel("column")
    ax.grid(axis="x", alpha=0.3)
    return ax


def _axes(ax):
    """The axes given, or those of a new figure."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install -e ".[plot]"') from error
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _next_colour(ax):
    """The first colour that no line on the axes has."""
    used = {line.get_color() for line in ax.lines}
    return next((colour for colour in COLOURS if colour not in used | {_REFUSED}), COLOURS[0])


def _whole_ticks(ax):
    """Ticks of the horizontal axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _joined(label, name, separator=", "):
    return name if label is None else f"{label}{separator}{name}"


def _history(result):
    if not result.history:
        raise ValueError(f"the history must have at least 1 iteration, got none (training status {result.status!r})")
    return result.history


def _validation_rmse(at):
    """Of a record or a result: NaN where nothing was validated."""
    value = getattr(at, "validation_rmse", None)
    return np.nan if value is None else value


def _as_measurements(widths, seconds):
    widths = as_real_vector(widths, "widths", np.float64, length=np.size(widths))
    seconds = as_real_vector(seconds, "seconds", np.float64, length=widths.size)
    for name, values in (("widths", widths), ("seconds", seconds)):
        if values.size and values.min() <= 0:
            raise ValueError(f"{name} must be above 0, got {values.min()}")
    if widths.size < 3 or np.unique(widths).size < 2:
        raise ValueError(
            f"an exponent needs at least 3 measurements of at least 2 different widths, got widths {widths.tolist()}"
        )
    return widths, seconds


def _fit(widths, seconds):
    """The line through the logarithms."""
    return scipy.stats.linregress(np.log(widths), np.log(seconds))
