"""The figures of docs/background/how_it_stays_sublinear.md, as SVG files beside this script.

pip install -e ".[plot]" && python docs/figures/make_sublinear_figures.py
"""

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.datasets.parity import digits_parity
from sltrees.methods.certified.skin import choose_skin
from sltrees.methods.certified.trajectory import MARGIN_SHARE
from sltrees.network.hyperplanes import Hyperplanes

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY, RED = "#0072b2", "#e69f00", "#009e73", "#8a8a8a", "#d55e00"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small files
    "svg.hashsalt": "sltrees",  # the same input gives the same file
}


class WeightsRecorder(Callback):
    """Displacements of all materialised neurons, after each iteration."""

    def __init__(self):
        self.displacements = []

    def on_iteration(self, trainer, record):
        """Copy them."""
        self.displacements.append(trainer.network.displacement_.copy())


def save(figure, name):
    """Write an SVG that does not depend on the day."""
    figure.savefig(FOLDER / name, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    print(f"{name}: {(FOLDER / name).stat().st_size / 1024:.0f} KB")


def draw_visits(result, n_neurons):
    """RMSE by iteration, beside the shares of neurons that are reported, cleared and visited."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained")
    history = result.history
    steps = np.arange(len(history) + 1)
    left.semilogy(steps, [record.rmse for record in history] + [result.rmse], "o-", color=BLUE, markersize=4)
    left.set(xlabel="steps taken", ylabel="training RMSE")
    for name, colour, marker in (("reported", GREY, "s"), ("cleared", GREEN, "^"), ("visited", RED, "o")):
        share = [getattr(record, f"{name}_neurons") / n_neurons for record in history]
        right.plot(steps[1:], share, marker=marker, color=colour, markersize=4, label=name)
    right.set(xlabel="step", ylabel="share of materialised neurons", ylim=(-0.02, 1.05))
    right.legend()
    for axes in (left, right):
        axes.set_xticks(steps)
    save(figure, "visits.svg")


def draw_neuron():
    """One neuron in the plane: what is near, how far it went, and how far it may go."""
    skin, margin = 1.0, 0.25  # a margin that can be seen
    centre, now = np.array([0.0, 0.0]), np.array([0.42, 0.24])
    # angle of the normal u, and signed distance of the centre: it fires where that is positive
    planes = [(205, -0.30), (100, 0.55), (330, -0.85), (80, -1.45), (300, -1.30), (10, 1.25)]
    figure, axes = plt.subplots(figsize=(5.6, 4.3), layout="constrained")
    drift = np.linalg.norm(now - centre)
    distances = []
    for angle, at_centre in planes:
        u = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        along = np.array([-u[1], u[0]])
        foot = centre - at_centre * u
        distances.append(at_centre + u @ (now - centre))
        near, candidate = at_centre > -skin, abs(at_centre) <= drift + margin
        colour = RED if candidate else BLUE if near else GREY
        ends = np.array([foot - 4 * along, foot + 4 * along])
        axes.plot(*ends.T, color=colour, linewidth=1.4, linestyle="-" if near else "--")
        for place in (-1.15, 1.15):  # towards the side where it fires
            axes.annotate("", foot + place * along + 0.2 * u, foot + place * along, arrowprops=arrow(colour))
    gap = min(margin, np.abs(distances).min())
    circle(axes, centre, skin, GREY, ":", "skin", 250)
    circle(axes, centre, drift, ORANGE, "-", "", 0)
    circle(axes, now, gap, GREEN, "-", "gap", 60)
    axes.annotate("", now, centre, arrowprops=arrow(ORANGE) | {"linewidth": 1.8})
    axes.text(centre[0] - 0.36, centre[1] - 0.32, "drift δ", color=ORANGE)
    axes.plot(*centre, "o", color="black", markersize=5)
    axes.plot(*now, "o", color=GREEN, markersize=5)
    axes.text(centre[0] + 0.04, centre[1] - 0.17, "centre")
    axes.text(now[0] + 0.28, now[1] + 0.02, "now", color=GREEN)
    for colour, line, label in (
        (RED, "-", "candidate: evaluated at this visit"),
        (BLUE, "-", "in the near list"),
        (GREY, "--", "not listed: farther than the skin on the silent side"),
    ):
        axes.plot([], [], color=colour, linestyle=line, label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), fontsize=8)
    axes.set(xlim=(-1.9, 1.9), ylim=(-1.45, 1.65), aspect="equal")
    axes.axis("off")
    save(figure, "neuron.svg")


def arrow(colour):
    """Arrow style of `annotate`."""
    return {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0}


def circle(axes, centre, radius, colour, line, label, angle):
    """A circle with a label at an angle, in degrees."""
    axes.add_patch(plt.Circle(centre, radius, fill=False, color=colour, linestyle=line, linewidth=1.4))
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    axes.text(*(centre + (radius + 0.1) * direction), label, color=colour, ha="center", va="center")


def draw_near_list(network, planes, skin, displacements):
    """Signed distances of one neuron at the centre of its list, and now; what a visit evaluates."""
    margin = skin * MARGIN_SHARE
    lengths = np.array([np.linalg.norm(D, axis=1) for D in displacements])
    within = lengths.max(axis=0) < 0.45  # no list was rebuilt, and the band leaves something out
    came_back = np.where(within, lengths.max(axis=0) - lengths[-1], -1.0)
    r = int(np.argmax(came_back))
    reach, drift = lengths[:, r].max(), lengths[-1, r]
    d = planes.X.shape[1]
    directions = planes.directions[:, :d].astype(np.float64)
    now = directions @ network.materialised_weights()[r] - planes.offsets
    centre = now - directions @ displacements[-1][r]
    shown = centre > -skin
    candidates = shown & (np.abs(centre) <= reach + margin)
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    band = reach + margin
    axes.axvspan(-band, band, color=ORANGE, alpha=0.18, linewidth=0, label="evaluated: |y at centre| ≤ reach + margin")
    axes.axvspan(-drift, drift, color=ORANGE, alpha=0.25, linewidth=0, label="|y at centre| ≤ drift δ")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(-skin, color=GREY, linestyle=":")
    axes.text(-skin + 0.02, 0.75, "-skin", color=GREY)
    limits = np.array([-skin, max(0.6, centre.max() + 0.1)])
    for side in (-1, 1):  # |y now - y at centre| <= drift
        axes.plot(limits, limits + side * drift, color=GREY, linewidth=0.8)
    axes.plot(
        centre[shown & ~candidates], now[shown & ~candidates], ".", color=BLUE, markersize=4, label="sign is known"
    )
    axes.plot(centre[candidates], now[candidates], ".", color=RED, markersize=5, label="candidates")
    axes.set(xlabel="signed distance y at the centre", ylabel="y now", xlim=(-skin - 0.05, limits[1]), ylim=(-1.3, 0.9))
    axes.legend(loc="lower right", fontsize=8)
    save(figure, "near_list.svg")
    print(f"neuron {r}: reach {reach:.2f}, drift {drift:.2f}, {shown.sum()} listed, {candidates.sum()} candidates")


def main():
    """Train once, draw all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2**16)
    width = parser.parse_args().width
    X, y, _, _ = digits_parity()
    network = ShiftedReLUNetwork(width, shift="paper", random_state=0)
    recorder = WeightsRecorder()
    result = NewtonTrainer(network, callbacks=[recorder]).fit(X, y)
    print(f"{result.status} after {result.n_iter} steps, RMSE {result.rmse:.1e}")
    plt.rcParams.update(STYLE)
    draw_visits(result, network.neurons_.size)
    draw_neuron()
    planes = Hyperplanes(np.asarray(X, dtype=network.dtype), network.shift_)
    draw_near_list(network, planes, choose_skin(network, planes, y), recorder.displacements)


if __name__ == "__main__":
    main()
