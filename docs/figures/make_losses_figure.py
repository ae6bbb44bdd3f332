"""The figure of the page on losses, as an SVG file beside this script: what each loss learns of one column.

pip install -e ".[sklearn,plot]" && python docs/figures/make_losses_figure.py

It is a white card with dark text, so that it reads the same where pages are dark.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from sltrees.estimators import NewtonClassifier, NewtonRegressor

FOLDER = Path(__file__).resolve().parent
STYLE = {"font.size": 9, "axes.titlesize": 10, "svg.fonttype": "none", "svg.hashsalt": "sltrees"}
N, GRID = 120, np.linspace(-2.0, 2.0, 201)[:, None]
SQUARED, OTHER = {"color": "#999999", "linestyle": "--"}, {"color": "#1f5fa8"}


def samples(seed):
    """A column, a function of it, and a generator for what is random."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-2.0, 2.0, N))
    return x[:, None], np.sin(2.0 * x) + 0.5 * x, rng


def targets(loss):
    """Samples and targets that a loss is for."""
    X, f, rng = samples(0)
    if loss == "huber":
        return X, f + 0.2 * rng.standard_normal(N) + 8.0 * (rng.random(N) < 0.08)
    if loss == "quantile":
        return X, f + 0.4 * (X[:, 0] + 2.1) * rng.standard_normal(N)
    if loss == "poisson":
        return X, rng.poisson(np.exp(1.5 * f - 0.5)).astype(float)
    return X, np.exp(f) * rng.gamma(3.0, 1.0 / 3.0, N)


def draw_regression(axes, loss, title):
    """Samples, what squared errors make of them, and what the loss does."""
    X, y = targets(loss)
    axes.plot(X[:, 0], y, ".", color="#bbbbbb", markersize=4)
    models = {"squared": (SQUARED, {}), loss: (OTHER, {"quantile": 0.9} if loss == "quantile" else {})}
    for name, (style, options) in models.items():
        model = NewtonRegressor("kernel", loss=name, feature_learning=False, random_state=0, **options).fit(X, y)
        axes.plot(GRID[:, 0], model.predict(GRID), label=name, **style)
    axes.set_title(title)
    axes.legend(frameon=False, loc="upper left")


def draw_classes(axes, n_classes, title):
    """Labels, and probabilities that the log-loss gives them."""
    X, f, rng = samples(1)
    edges = [0.0] if n_classes == 2 else [-0.7, 0.7]
    labels = np.digitize(f + 0.5 * rng.standard_normal(N), edges)
    model = NewtonClassifier("kernel", loss="log_loss", feature_learning=False, random_state=0).fit(X, labels)
    squared = NewtonClassifier("kernel", feature_learning=False, random_state=0).fit(X, labels)
    colours = ["#1f5fa8", "#b3541e", "#3a7d44"]
    for c in range(1 if n_classes == 2 else 0, n_classes):
        colour = colours[(c + n_classes - 2) % 3 if n_classes == 3 else 0]
        axes.plot(X[labels == c, 0], np.full(np.sum(labels == c), 1.04 + 0.04 * c), "|", color=colour, markersize=4)
        axes.plot(GRID[:, 0], model.predict_proba(GRID)[:, c], color=colour, label=f"class {c}, log_loss")
        axes.plot(GRID[:, 0], squared.predict_proba(GRID)[:, c], color=colour, linestyle="--", linewidth=0.8)
    if n_classes == 2:
        axes.plot(X[labels == 0, 0], np.full(np.sum(labels == 0), -0.04), "|", color="#999999", markersize=4)
    axes.set(title=title, ylim=(-0.1, 1.55))
    axes.legend(frameon=False, loc="upper left", fontsize=8)


def main():
    """Write the figure."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(2, 3, figsize=(9.5, 5.6), layout="constrained")
        draw_regression(axes[0, 0], "huber", "Outliers: Huber's loss")
        draw_regression(axes[0, 1], "quantile", "A bound: the quantile 0.9")
        draw_regression(axes[0, 2], "poisson", "Counts: Poisson deviance")
        draw_regression(axes[1, 0], "gamma", "Amounts above 0: gamma deviance")
        draw_classes(axes[1, 1], 2, "Two classes: log-loss")
        draw_classes(axes[1, 2], 3, "Three classes: log-loss of the softmax")
        figure.savefig(FOLDER / "losses.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
