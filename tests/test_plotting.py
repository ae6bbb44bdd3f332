"""Plots show the numbers they are given, on the axes they are given."""

import dataclasses
import sys
import types

import matplotlib.pyplot as plt
import numpy as np
import pytest
from problems import random_problem

from sltrees import NewtonTrainer, ShiftedReLUNetwork, TrainingStatus
from sltrees.plotting import (
    fit_exponent,
    plot_convergence,
    plot_firing_pattern,
    plot_importances,
    plot_iteration_cost,
    plot_scaling,
)


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.close("all")  # doctests of other modules leave theirs open
    yield
    try:
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()  # what was plotted can be drawn, without a warning
    finally:
        plt.close("all")


@pytest.fixture(scope="module")
def trained():
    """A network, its samples, and how its training went."""
    X, y = random_problem(0, 20, 5)
    network = ShiftedReLUNetwork(1024, random_state=0)
    return network, X, NewtonTrainer(network, tol=1e-5).fit(X, y)


def run(rmse, accepted=None, end=None, validation=None, seconds=None, **more):
    """A result of a training run, with what plots read; more attributes than older results have."""
    accepted = [True] * len(rmse) if accepted is None else accepted
    records = []
    for k, value in enumerate(rmse):
        record = types.SimpleNamespace(iteration=k, rmse=value, accepted=accepted[k])
        record.seconds = {"solve": 0.1, "step": 0.2} if seconds is None else seconds[k]
        if validation is not None:
            record.validation_rmse = validation[k]
        records.append(record)
    end = rmse[-1] if end is None else end
    return types.SimpleNamespace(history=records, rmse=end, status=TrainingStatus.CONVERGED, **more)


def of_importances(importances, **more):
    """A fitted estimator, with what plots read."""
    return types.SimpleNamespace(feature_importances_=np.array(importances), **more)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax, name):
    (found,) = [line for line in ax.lines if line.get_label() == name]
    return found


PLOTS = [
    lambda trained, ax: plot_convergence(trained[2], ax),
    lambda trained, ax: plot_iteration_cost(trained[2], ax),
    lambda trained, ax: plot_firing_pattern(trained[0], trained[1], ax),
    lambda trained, ax: plot_scaling([1, 2, 4], [1, 2, 3], ax),
    lambda trained, ax: plot_importances(of_importances([0.5, 0.5]), ax),
]


@pytest.mark.parametrize("plot", PLOTS)
def test_axes_given_are_drawn_on_and_returned(plot, trained):
    ax = plt.figure().subplots(1, 2)[1]
    assert plot(trained, ax) is ax
    assert len(plt.get_fignums()) == 1
    assert ax.get_xlabel()
    assert ax.get_ylabel()


@pytest.mark.parametrize("plot", PLOTS)
def test_a_new_figure_without_axes(plot, trained):
    other = plt.figure().subplots()
    ax = plot(trained, None)
    assert ax is not other
    assert not other.has_data()
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("plot", PLOTS)
def test_missing_matplotlib_is_named(plot, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'plots need matplotlib: pip install -e "\.\[plot\]"'):
        plot(trained, None)


@pytest.mark.parametrize("plot", [plot_convergence, plot_iteration_cost])
def test_empty_histories_are_refused(plot, trained):
    for status in (TrainingStatus.INTERRUPTED, TrainingStatus.CONVERGED):
        empty = dataclasses.replace(trained[2], history=[], status=status)
        with pytest.raises(ValueError, match=rf"at least 1 iteration, got none \(training status '{status}'\)"):
            plot(empty)
    assert not plt.get_fignums()


# ---------------------------------------------------------------------- convergence


def test_convergence_of_a_run(trained):
    result = trained[2]
    ax = plot_convergence(result)
    x, y = line(ax, "training").get_data()
    assert list(x) == list(range(result.n_iter + 1))
    assert list(y) == [record.rmse for record in result.history] + [result.rmse]
    assert ax.get_yscale() == "log"


def test_refused_steps_are_marked():
    ax = plot_convergence(run([4.0, 4.0, 2.0, 2.0], [False, True, False, True], end=1.0))
    x, y = line(ax, "refused step").get_data()
    assert list(x) == [0, 2]
    assert list(y) == [4.0, 2.0]
    assert line(ax, "refused step").get_linestyle() == "None"
    assert legend(plot_convergence(run([4.0, 2.0]))) == ["training"]


def test_validation_is_drawn_where_there_is_some():
    ax = plot_convergence(run([4.0, 2.0], validation=[3.0, 2.5], end=1.0, validation_rmse=2.25))
    assert list(line(ax, "validation").get_data()[1]) == [3.0, 2.5, 2.25]
    assert line(ax, "validation").get_color() == line(ax, "training").get_color()
    ax = plot_convergence(run([4.0, 2.0], validation=[3.0, 2.5]))  # none at the end
    assert list(line(ax, "validation").get_data()[1][:2]) == [3.0, 2.5]
    assert np.isnan(line(ax, "validation").get_data()[1][2])
    for nothing in (None, [np.nan, np.nan], [None, None]):
        assert legend(plot_convergence(run([4.0, 2.0], validation=nothing))) == ["training"]


def test_end_is_left_out_where_earlier_weights_were_restored():
    options = {"validation": [3.0, 2.0, 2.5], "validation_rmse": 2.0, "best_iteration": 1}
    ax = plot_convergence(run([4.0, 3.0, 1.0], end=3.0, **options))
    for name in ("training", "validation"):
        assert np.isnan(line(ax, name).get_data()[1][3])
    ax = plot_convergence(run([4.0, 3.0, 1.0], end=0.5, **options))  # known, but not restored
    assert line(ax, "training").get_data()[1][3] == 0.5
    options["best_iteration"] = 3
    ax = plot_convergence(run([4.0, 3.0, 1.0], end=0.5, **options))
    assert line(ax, "training").get_data()[1][3] == 0.5


def test_runs_on_the_same_axes_are_told_apart():
    ax = plot_convergence(run([4.0, 2.0], [False, True], validation=[3.0, 2.5]), label="a")
    for k in range(9):  # more than there are colours
        plot_convergence(run([5.0, 2.0]), ax, label=f"b{k}")
    names = ["a, training", "a, validation", "a, refused step", *(f"b{k}, training" for k in range(9))]
    assert legend(ax) == names
    colours = [line(ax, name).get_color() for name in ("a, training", *names[3:8])]
    assert len(set(colours)) == 6


def test_rmses_without_a_logarithm(trained):
    result = run([1.0, 0.0], end=0.0)
    assert list(line(plot_convergence(result), "training").get_data()[1]) == [1.0, 0.0, 0.0]
    ax = plot_convergence(run([0.0]))
    assert ax.get_yscale() == "linear"
    plot_convergence(run([1.0], end=np.nan))
    plot_convergence(dataclasses.replace(trained[2], history=trained[2].history[:1]))


# ---------------------------------------------------------------------- cost


def test_bars_are_seconds_by_phase():
    seconds = [{"solve": 1.0, "step": 2.0}, {"solve": 3.0, "step": 4.0, "gram": 0.5}]
    ax = plot_iteration_cost(run([4.0, 2.0], seconds=seconds))
    assert [[bar.get_height() for bar in bars] for bars in ax.containers] == [[1.0, 3.0], [2.0, 4.0], [0.0, 0.5]]
    assert [[bar.get_y() for bar in bars] for bars in ax.containers] == [[0.0, 0.0], [1.0, 3.0], [3.0, 7.0]]
    assert legend(ax) == ["solve: 4 s", "step: 6 s", "gram: 0.5 s"]
    assert len({bars[0].get_facecolor() for bars in ax.containers}) == 3
    assert "[s]" in ax.get_ylabel()


def test_bars_of_a_run_add_up(trained):
    result = trained[2]
    ax = plot_iteration_cost(result)
    drawn = sum(bar.get_height() for bar in ax.patches)
    assert np.isclose(drawn, sum(sum(record.seconds.values()) for record in result.history))


def test_cost_of_one_iteration():
    assert len(plot_iteration_cost(run([1.0])).patches) == 2


# ---------------------------------------------------------------------- firing pattern


def image(ax):
    (found,) = ax.images
    return np.asarray(found.get_array())


def test_image_is_the_pattern(trained):
    network, X, _ = trained
    fires = network.materialised_weights() @ X.astype(np.float32).T > network.shift_
    ax = plot_firing_pattern(network, X, max_neurons=10**6)
    assert np.array_equal(image(ax), fires)
    count = len(fires)
    assert ax.get_ylabel() == f"neuron ({count:,} of {count:,} materialised)"
    assert ax.get_title() == f"{fires.mean():.2%} of the pairs shown fire"


@pytest.mark.parametrize("max_neurons", [1, 7, 7.0, 200])
def test_sample_of_neurons_is_spread_evenly(trained, max_neurons):
    network, X, _ = trained
    fires = network.materialised_weights() @ X.astype(np.float32).T > network.shift_
    shown = image(plot_firing_pattern(network, X, max_neurons=max_neurons))
    positions = np.floor(np.arange(max_neurons) * len(fires) / max_neurons).astype(int)
    assert np.array_equal(shown, fires[positions])


@pytest.mark.parametrize("options", [{"init": "gaussian"}, {"sampling": "rejection", "shift": 1.0}, {"shift": 0.0}])
def test_patterns_of_other_networks_and_samples(options):
    X, _ = random_problem(0, 20, 5)
    network = ShiftedReLUNetwork(1024, random_state=0, **options).initialize(X)
    fresh = random_problem(1, 1, 5)[0].tolist()
    assert image(plot_firing_pattern(network, fresh)).shape == (200, 1)
    if options.get("init") == "gaussian":  # it keeps its neurons
        assert image(plot_firing_pattern(network.compact(), X)).shape == (200, 20)


def test_patterns_that_cannot_be_drawn(trained):
    network, X, _ = trained
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_neurons must be at least 1"):
            plot_firing_pattern(network, X, max_neurons=wrong)
    with pytest.raises(TypeError, match="max_neurons must be an integer"):
        plot_firing_pattern(network, X, max_neurons="all")
    with pytest.raises(ValueError, match="X must have 5 columns"):
        plot_firing_pattern(network, X[:, :3])
    with pytest.raises(ValueError, match="X must be finite"):
        plot_firing_pattern(network, np.full((1, 5), np.nan))
    with pytest.raises(RuntimeError, match="has no neurons yet"):
        plot_firing_pattern(ShiftedReLUNetwork(8), X)
    untouched = ShiftedReLUNetwork(1024, random_state=0).initialize(X).compact()
    with pytest.raises(ValueError, match="no materialised neurons"):
        plot_firing_pattern(untouched, X)
    assert not plt.get_fignums()


# ---------------------------------------------------------------------- scaling


def test_exponent_of_an_exact_power():
    widths = 2.0 ** np.arange(10, 20)
    for exponent in (-1.0, 0.0, 0.5, 1.0):
        assert np.allclose(fit_exponent(widths, 3e-4 * widths**exponent), exponent)


def test_interval_covers_the_truth_as_often_as_it_says(seed):
    rng = np.random.default_rng(seed)
    widths = np.repeat([1e3, 1e4, 1e5], 2)
    covered = 0
    for _ in range(400):
        exponent, low, high = fit_exponent(widths, 1e-3 * widths**0.7 * np.exp(0.3 * rng.standard_normal(6)))
        assert low < exponent < high
        covered += low < 0.7 < high
    assert 0.91 <= covered / 400 <= 0.985


def test_orders_and_types_of_measurements():
    found = fit_exponent([1, 2, 4, 8], [1, 2, 3, 5])
    assert np.allclose(fit_exponent((8, 1, 4, 2), np.array([5, 1, 3, 2], dtype=np.float32)), found)
    assert all(isinstance(value, float) for value in found)


@pytest.mark.parametrize("function", [fit_exponent, plot_scaling])
def test_measurements_that_give_no_exponent(function):
    for widths in ([], [1.0], [1.0, 2.0], [4.0, 4.0, 4.0]):
        with pytest.raises(ValueError, match="at least 3 measurements of at least 2 different widths, got widths"):
            function(widths, [1.0] * len(widths))
    with pytest.raises(ValueError, match=r"seconds must have shape \(3,\), got \(2,\)"):
        function([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="widths must be above 0, got -1"):
        function([-1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="seconds must be above 0, got 0"):
        function([1, 2, 3], [0, 2, 3])
    with pytest.raises(ValueError, match="seconds must be finite"):
        function([1, 2, 3], [1, 2, np.inf])
    with pytest.raises(ValueError, match=r"widths must have shape \(1,\), got \(\)"):
        function(3, 4)
    with pytest.raises(TypeError, match="widths must hold real numbers"):
        function(["a", "b", "c"], [1, 2, 3])
    assert not plt.get_fignums()


def test_scaling_shows_measurements_and_fit():
    widths, seconds = [1e3, 1e4, 1e5, 1e6], [0.1, 0.32, 0.98, 3.2]
    ax = plot_scaling(widths, seconds)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert legend(ax) == ["exponent 0.50 (95%: 0.48 to 0.52)"]
    fitted, measured = ax.lines
    assert np.array_equal(measured.get_data(), [widths, seconds])
    assert np.allclose(fitted.get_data()[0], [1e3, 1e6])
    assert np.allclose(fitted.get_data()[1], [0.1, 3.2], rtol=0.05)


def test_scalings_on_the_same_axes_are_told_apart():
    ax = plot_scaling([1, 2, 4], [1, 2, 3], label="a")
    plot_scaling([1, 2, 4], [1, 2, 5], ax, label="b")
    assert [text.split(":")[0] for text in legend(ax)] == ["a", "b"]
    colours = [line.get_color() for line in ax.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_importances_are_bars_the_largest_first():
    ax = plot_importances(of_importances([0.1, 0.6, 0.0, 0.3]), n_most=3)
    assert [bar.get_width() for bar in ax.patches] == [0.6, 0.3, 0.1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x1", "x3", "x0"]
    assert ax.get_xlabel() == "importance (1 of less left out)"
    assert ax.yaxis_inverted()
    named = plot_importances(of_importances([0.25, 0.75], feature_names_in_=np.array(["size", "age"])))
    assert [label.get_text() for label in named.get_yticklabels()] == ["age", "size"]
    assert named.get_xlabel() == "importance"


def test_importances_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="it has no feature_importances_"):
        plot_importances(types.SimpleNamespace())
    with pytest.raises(ValueError, match="n_most must be"):
        plot_importances(of_importances([1.0]), n_most=0)
