"""Estimators in files: the same again, whatever they are made of, and nothing else."""

import copy
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sltrees import ShiftedReLUNetwork
from sltrees.callbacks import Callback
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.packing import pack_estimator, unpack_estimator
from sltrees.files.archive import ArchiveError, read_archive, write_archive

NETWORK = {"model": "network", "width": 128, "random_state": 0, "alpha": 0.1, "max_iter": 5}


def wave(n=40):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


def estimators():
    """Each kind, fitted."""
    X, y = wave()
    Y = np.column_stack([y, np.cos(X[:, 2])])
    labels = np.digitize(y, [-0.5, 0.5])
    words = np.array(["low", "middle", "high"])[labels]
    weights = np.linspace(0.5, 2.0, len(y))
    return {
        "kernel": NewtonRegressor("kernel").fit(X, y),
        "kernel weighted": NewtonRegressor("kernel", alpha=1).fit(X, y, sample_weight=weights),
        "kernel of two outputs": NewtonRegressor("kernel", standardise=False, bias=0.0).fit(X, Y),
        "kernel of one column": NewtonRegressor("kernel", evenness=0.25).fit(X, Y[:, :1]),
        "centres": NewtonRegressor("kernel", solver="nystrom", max_centres=10, random_state=2**100).fit(X, Y),
        "centres and further samples": NewtonRegressor("kernel", solver="nystrom").fit(X, y).partial_fit(X[:5], y[:5]),
        "centres of classes": NewtonClassifier("kernel", solver="nystrom", alpha=0.1).fit(X, words),
        "network": NewtonRegressor(**NETWORK).fit(X, y),
        "network weighted": NewtonRegressor(**NETWORK).fit(X, Y, sample_weight=weights),
        "float32": NewtonRegressor(**NETWORK, dtype="float32").fit(X, y),
        "auto": NewtonRegressor(random_state=0, search_seconds=5.0).fit(X, y),
        "classes": NewtonClassifier("kernel").fit(X, labels),
        "words": NewtonClassifier("kernel", class_weight="balanced").fit(X, words),
        "objects": NewtonClassifier("kernel", class_weight={"low": 2.0}).fit(X, words.astype(object)),
        "two classes": NewtonClassifier(**NETWORK).fit(X, labels > 0),
        "networks of classes": NewtonClassifier(**NETWORK, class_weight={1: 3}).fit(X, labels.astype(float)),
        "one class": NewtonClassifier().fit(X, np.zeros(len(X))),
    }


ESTIMATORS = estimators()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_loaded_is_what_was_saved(name, tmp_path):
    X, _ = wave()
    estimator, path = ESTIMATORS[name], tmp_path / "model.npz"
    estimator.save(path)
    for other in (type(estimator).load(path), unpack_estimator(*read_archive(path)[1:3], type(estimator))):
        assert type(other) is type(estimator)
        assert other.get_params() == estimator.get_params()
        assert np.array_equal(other.predict(X), estimator.predict(X))
        if hasattr(estimator, "classes_"):
            assert other.classes_.dtype == estimator.classes_.dtype
            assert np.array_equal(other.predict_proba(X), estimator.predict_proba(X))
            assert np.array_equal(other.decision_function(X), estimator.decision_function(X))
        assert other.selection_ == estimator.selection_
        assert (other.model_, other.n_iter_, other.evenness_) == (
            estimator.model_,
            estimator.n_iter_,
            estimator.evenness_,
        )
        assert other.validation_score_ == estimator.validation_score_
        assert repr(other.history_) == repr(estimator.history_)  # NaN is not itself
    other.save(path)
    assert np.array_equal(type(estimator).load(path).predict(X), estimator.predict(X))


@pytest.mark.parametrize("name", ["kernel weighted", "network weighted", "networks of classes", "two classes"])
def test_what_is_loaded_learns_from_further_samples_as_a_copy_does(name, tmp_path):
    X, y = wave(50)
    estimator = copy.deepcopy(ESTIMATORS[name])
    estimator.save(tmp_path / "model.npz")
    other = type(estimator).load(tmp_path / "model.npz")
    targets = {
        "kernel weighted": y,
        "network weighted": np.column_stack([y, y]),
        "networks of classes": np.zeros(50),
        "two classes": y > 0,
    }[name]
    for model in (estimator, other):
        model.partial_fit(X[40:], targets[40:])
    assert np.allclose(estimator.predict(X), other.predict(X), atol=1e-9)


def test_names_of_columns_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = wave()
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    NewtonRegressor("kernel").fit(frame, y).save(tmp_path / "model.npz")
    other = NewtonRegressor.load(tmp_path / "model.npz")
    assert other.feature_names_in_.tolist() == ["a", "b", "c"]
    other.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        other.predict(frame[["b", "a", "c"]])


def test_callbacks_and_generators_are_left_behind(tmp_path):
    X, y = wave()
    options = NETWORK | {"random_state": np.random.RandomState(0)}
    NewtonRegressor(**options, callbacks=[Callback()]).fit(X, y).save(tmp_path / "model.npz")
    other = NewtonRegressor.load(tmp_path / "model.npz")
    assert other.callbacks == ()
    assert other.random_state is None


def test_what_was_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        NewtonRegressor().save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_instances_of_subclasses_are_not_saved(tmp_path):
    class Special(NewtonRegressor):
        pass

    special = Special("kernel").fit(*wave())
    with pytest.raises(TypeError, match="what can be saved is a NewtonRegressor or NewtonClassifier, got Special"):
        special.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())
    ESTIMATORS["kernel"].save(tmp_path / "model.npz")
    with pytest.raises(ArchiveError, match="holds a NewtonRegressor, not a Special"):
        Special.load(tmp_path / "model.npz")


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "file.npz"
    ESTIMATORS["kernel"].save(path)
    with pytest.raises(ArchiveError, match="holds a NewtonRegressor, not a NewtonClassifier"):
        NewtonClassifier.load(path)
    with pytest.raises(ArchiveError, match="holds an 'estimator', not a 'network'"):
        ShiftedReLUNetwork.load(path)
    ShiftedReLUNetwork(8, random_state=0).save(path)
    with pytest.raises(ArchiveError, match="'network'"):
        NewtonRegressor.load(path)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_nothing_may_be_missing_or_left_over(name):
    header, arrays = pack_estimator(ESTIMATORS[name])
    cls = type(ESTIMATORS[name])
    for key in arrays:
        if key.endswith("/displacement"):  # a network that has not moved has none
            continue
        with pytest.raises(ArchiveError):
            unpack_estimator(header, {k: v for k, v in arrays.items() if k != key}, cls)
    for key in header:
        with pytest.raises(ArchiveError):
            unpack_estimator({k: v for k, v in header.items() if k != key}, arrays, cls)
    with pytest.raises(ArchiveError):
        unpack_estimator(header, arrays | {"more": np.zeros(1)}, cls)
    with pytest.raises(ArchiveError):
        unpack_estimator(header | {"more": 1}, arrays, cls)


@pytest.mark.parametrize("name", ["kernel", "words", "networks of classes"])
def test_forged_files_are_refused_or_predict(name, tmp_path, seed):
    """Checksums that are right, entries that are not: an error that says so, never a crash."""
    rng = np.random.default_rng(seed)
    header, arrays = pack_estimator(ESTIMATORS[name])
    X, path = wave()[0], tmp_path / "forged.npz"
    values = [None, -1, 0, 1.5, float("nan"), "x", [], {}, True, 2**70, [[]], {"a": 1}]
    loaded = 0
    for _ in range(150):
        forged, others = copy.deepcopy(header), dict(arrays)
        if rng.random() < 0.6:
            place = forged
            while True:  # somewhere in the tree
                key = rng.choice(list(place)) if isinstance(place, dict) else int(rng.integers(len(place)))
                inner = place[key]
                if not (isinstance(inner, (dict, list)) and len(inner)) or rng.random() < 0.3:
                    break
                place = inner
            place[key] = values[rng.integers(len(values))]
        else:
            key = rng.choice(list(others))
            array = others[key]
            changes = [array[..., :0], np.zeros(3), np.zeros(array.shape, dtype="int8")]
            if array.dtype.kind == "f":
                changes += [-array, array.astype("float32"), np.where(rng.random(array.shape) < 0.1, np.nan, array)]
            others[key] = changes[rng.integers(len(changes))]
        write_archive(path, "estimator", forged, others)
        try:
            model = type(ESTIMATORS[name]).load(path)
        except (ArchiveError, MemoryError):
            continue
        loaded += 1
        model.predict(X)
    assert loaded < 120


def test_reading_needs_the_extra(tmp_path, monkeypatch):
    ESTIMATORS["kernel"].save(tmp_path / "model.npz")
    assert read_archive(tmp_path / "model.npz").kind == "estimator"
    for name in [name for name in sys.modules if name.startswith("sltrees.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[sklearn\]"'):
        import sltrees.estimators  # noqa: F401
