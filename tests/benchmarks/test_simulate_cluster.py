"""The cost model of training on a cluster: its simulation, from the costs in docs/figures, and the page's tables."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from asv_benchmarks.cluster import simulate

    return simulate


@pytest.fixture
def costs(simulation):
    return simulation.read_costs()


def test_one_worker_takes_the_sum_of_the_parts(simulation, costs):
    cluster = simulation.Cluster(1, threads=1, bandwidth=np.inf, latency=0.0, spread=0.0, direct=True)
    free = costs | {"seconds_per_call": 0.0, "seconds_per_byte": 0.0}
    width = 2**20
    found = simulation.forecast(width, free, cluster)
    of = costs["at_width"][width]
    visited = costs["visited_factor"] * width ** costs["visited_exponent"]
    flips = costs["flips_factor"] * width ** costs["flips_exponent"]
    work = (costs["review_visited"] + costs["keep_visited"]) * visited + costs["flips_flip"] * flips
    work += sum(costs[f"{name}_shard"] for name in ("review", "flips", "keep")) * of["shards"] + costs["encode_counts"]
    sums = 1e3 * costs["seconds_per_number"] + 1e6 * costs["seconds_per_dense_count"]
    assert found.seconds == pytest.approx(work + sums + costs["solve"] + costs["refresh"])
    assert found.parts[simulation.WORK] == pytest.approx(work)


@pytest.mark.parametrize("options", [{}, {"direct": True}, {"tree": True}, {"matrix_free": True}])
def test_shares_add_up(simulation, costs, options):
    for n_workers in (1, 7, 300):
        found = simulation.forecast(10**9, costs, simulation.Cluster(n_workers, **options))
        assert found.parts.sum() == pytest.approx(found.seconds)
        assert (found.parts >= 0).all()


@pytest.mark.parametrize(
    ("worse", "value"),
    [("latency", 1e-2), ("bandwidth", 1e8), ("spread", 1.0), ("threads", 4), ("dense_counts", True)],
)
def test_less_costs_more(simulation, costs, worse, value):
    cluster = simulation.Cluster(100)
    slower = dataclasses.replace(cluster, **{worse: value})
    found = [simulation.forecast(10**11, costs, c).seconds for c in (cluster, slower)]
    assert found[0] < found[1]


def test_width_and_workers(simulation, costs):
    cluster = simulation.Cluster(100)
    found = [simulation.forecast(width, costs, cluster) for width in simulation.WIDTHS]
    for quantity in ("setup", "memory"):
        assert np.all(np.diff([getattr(f, quantity) for f in found]) > 0)
    found = [simulation.forecast(10**12, costs, simulation.Cluster(n)) for n in (10, 30, 100, 300, 1000)]
    assert np.all(np.diff([f.memory for f in found]) < 0)
    assert np.all(np.diff([f.parts[simulation.CALLS] for f in found]) > 0)
    assert simulation.forecast(2**20, costs, simulation.Cluster(1000)).n_busy == 32  # 2^20 neurons are so many units


def test_a_queue_serves_who_comes_first(simulation):
    arrivals = [np.zeros(7), np.zeros(7), np.zeros(7)]
    for arrival, moment in zip(arrivals, (2.0, 0.0, 5.0), strict=True):
        arrival[simulation.WORK] = moment
    left = simulation.served(arrivals, [3.0, 1.0, 1.0], simulation.LINK)
    assert [moment.sum() for moment in left] == [5.0, 1.0, 6.0]


@pytest.mark.parametrize(("start", "stop", "nodes"), [(0, 8, 1), (0, 7, 3), (1, 8, 3), (3, 5, 2), (4, 4, 0)])
def test_nodes_are_those_of_a_fixed_sum(simulation, start, stop, nodes):
    from sltrees.linalg.fixed_sums import FixedSum

    whole = FixedSum()
    for number in range(start, stop):
        whole.add(number, 1.0)
    assert simulation.nodes_of(start, stop) == len(whole.nodes) == nodes


def test_costs_are_read_as_written(simulation, costs, tmp_path):
    simulation.write_costs(tmp_path / "costs.csv", costs)
    assert simulation.read_costs(tmp_path / "costs.csv") == costs


def test_the_page_has_the_tables(simulation, capsys):
    page = ROOT / "docs" / "guide" / "scaling_out.md"
    if not page.exists():  # tests that were installed have none beside them
        return
    simulation.main(["--quick"])
    said = capsys.readouterr().out
    for name in ("forecast", "needs", "options"):
        begin, end = simulation.pages.markers(name)
        text = page.read_text(encoding="utf-8")
        table = text[text.index(begin) + len(begin) : text.index(end)].strip()
        assert table in said
