"""Uses every public name of the package. Read by `mypy --strict`, and run: see test_typing_of_public_names.py."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

from sltrees import (
    CorrelationTrees,
    IntegerTree,
    IterationRecord,
    Laziness,
    NewtonTrainer,
    PrioritizedSampler,
    ShiftedReLUNetwork,
    SoftmaxTrainer,
    SumTree,
    ThresholdMap,
    ThresholdTree,
    ThresholdWindow,
    TrainingResult,
    TrainingStatus,
    VectorSearch,
    Watch,
    load_digits,
    shifted_ntk,
    show_versions,
)
from sltrees.callbacks import Callback, Checkpoint
from sltrees.estimators import NewtonClassifier, NewtonRegressor

X = np.random.default_rng(0).standard_normal((40, 3))


def correlations() -> None:
    trees = CorrelationTrees(X, X, axis="data")
    trees.set_slack([0], 0.5)
    trees.add_weights(X[:1])
    trees.add_data(X[:1])
    trees.remove_weights([0])
    trees.remove_data([0])
    trees.update_weight(0, X[0])
    trees.update_weights([0, 1], X[:2])
    print(trees.query(0, 1.0), trees.query_all(1.0))
    assert_type(trees.count(0, 1.0), int)
    assert_type(trees.count_all(1.0), npt.NDArray[np.int64])
    assert_type(trees.any(0, 1.0), bool)
    assert_type(trees.topk(0, 2), npt.NDArray[np.int64])
    assert_type(trees.copy(), CorrelationTrees)
    assert_type(trees == trees.copy(), bool)
    assert_type(trees.shape, tuple[int, int])
    assert_type(CorrelationTrees.bytes_needed(3, 4, 5, "float32", axis="weights", n_above=6), int)
    assert_type(CorrelationTrees(X, X, floor=1.0).floor, float | None)


def integers() -> None:
    tree = IntegerTree([1, 2**60], orientation="min")
    tree[0] = 5
    tree.append(2**61)
    print(tree.query(7, return_values=True), tree.update_many([0], 9, crossing=7.5))
    assert_type(tree.max(), int)
    assert_type(tree.topk(2), npt.NDArray[np.int64])
    assert_type(tree.tolist(), list[int])


def search() -> None:
    vectors = VectorSearch(X, metric="euclidean", n_threads=1)
    print(vectors.search(X[:2], 1.0, inclusive=True), vectors.search(X[:2], [1.0, 2.0]))
    assert_type(vectors.count(X, 1.0), npt.NDArray[np.int64])
    ids, values = vectors.nearest(X[:2], 3)
    assert_type(ids, npt.NDArray[np.int64])
    assert_type(values, npt.NDArray[np.float64])
    vectors.update([0], X[:1])
    vectors.remove([1])
    assert_type(vectors.add(X[:1]), npt.NDArray[np.int64])
    assert_type(len(vectors), int)
    assert_type(3 in vectors, bool)


def sums_keys_and_windows() -> None:
    watch = Watch(ThresholdTree([1.0, 3.0]), high=2.0, low=1.0)
    entered, left = watch.events()
    print(entered, left, watch.inside)
    load = ThresholdMap({"web": 0.5}, orientation="min")
    load["db"] = 0.25
    load.update(cache=2.0)
    load |= {"disk": 1.0}
    assert_type(load["db"], float)
    print(load.query(1.0), load.topk(2, return_values=True), list(load), dict(load.items()))
    name, number = load.popitem()
    assert_type(number, float)
    print(name, load.copy() | {"web": 1.0})
    sampler = PrioritizedSampler(8, alpha=0.5)
    assert_type(sampler.add(4), npt.NDArray[np.int64])
    slots, weights = sampler.sample(2, np.random.default_rng(0))
    sampler.update(slots, weights)
    assert_type(sampler.tree, SumTree)
    window = ThresholdWindow(4, timed=True, dtype=np.float32)
    window.push(1.0, 0.5)
    window.extend([1.0, 2.0], [1.0, 2.0])
    print(window.query(0.5, since=1.0), window.values(last=2))
    assert_type(window.max(), float)


class Quiet(Callback):
    def on_iteration(self, trainer: NewtonTrainer, record: IterationRecord) -> bool:
        return record.rmse < 1e-3


def training() -> None:
    network = ShiftedReLUNetwork(256, random_state=0)
    trainer = NewtonTrainer(network, max_iter=3, callbacks=[Quiet()], n_threads=1)
    result = trainer.fit(X, X[:, 0])
    assert_type(result, TrainingResult)
    assert_type(result.laziness, Laziness | None)
    assert_type(trainer.extend(X[:3] + 1.0, X[:3, 0]), TrainingResult)
    print(result.status == TrainingStatus.CONVERGED, result.cost_table())
    assert_type(network.predict(X), npt.NDArray[np.float64])
    assert_type(network.digest(), str)
    both = SoftmaxTrainer([ShiftedReLUNetwork(64), ShiftedReLUNetwork(64)], max_iter=1, alpha=1.0)
    assert_type(both.fit(X, np.eye(2)[np.arange(40) % 2]), list[TrainingResult])
    assert_type(both.predict(X), npt.NDArray[Any])
    print(network.dense_weights()[0].shape, Checkpoint("run.checkpoint", every=2))


def estimators() -> None:
    regressor = NewtonRegressor(random_state=0).fit(X, X[:, 0])
    assert_type(regressor, NewtonRegressor)
    assert_type(regressor.predict(X), npt.NDArray[Any])
    assert_type(regressor.score(X, X[:, 0]), float)
    classifier = NewtonClassifier(random_state=0).fit(X, X[:, 0] > 0)
    print(classifier.predict_proba(X), classifier.decision_function(X))


def others() -> None:
    images, digits = load_digits()
    assert_type(digits, npt.NDArray[np.int64])
    print(images.shape, shifted_ntk(X[:3], shift=0.5))
    show_versions()


if __name__ == "__main__":
    for part in (correlations, integers, search, sums_keys_and_windows, training, estimators, others):
        part()
