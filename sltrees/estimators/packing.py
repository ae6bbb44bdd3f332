"""Estimators in files: what of them is kept, and what a file must hold to be one."""

from __future__ import annotations

import dataclasses
import types
import typing

import numpy as np

from sltrees.cluster.choose import LOCAL_EXECUTORS
from sltrees.estimators.frame_encoder import FrameEncoder
from sltrees.estimators.kernel_ridge import SOLVERS, WAYS, KernelRidge
from sltrees.estimators.kernel_solvers.blocks import Blocks
from sltrees.estimators.kernel_solvers.nystrom import NystromSystem
from sltrees.estimators.networks import Networks
from sltrees.estimators.parameters import n_threads_of
from sltrees.estimators.selection import Selection
from sltrees.files.contents import Contents, as_integer_entry, as_number_entry, nested, prefixed
from sltrees.files.errors import ArchiveError
from sltrees.kernels.unit_rows import UnitRowsKernel
from sltrees.losses.choose import as_loss, described_loss, description_of
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.network.packing import pack_network, unpack_network
from sltrees.network.random_streams import MAX_SEED
from sltrees.preprocessing import InputScaling
from sltrees.records import LATER, IterationRecord, Laziness, TrainingResult, TrainingStatus

KIND = "estimator"  # of files
NAMES = {"classifier": "NewtonClassifier", "regressor": "NewtonRegressor"}  # by what files call them
_NETWORK_OPTIONS = ("init", "sampling", "dtype", "random_state")
_NEWER = {
    "solver",
    "max_centres",
    "feature_learning",
    "metric",
    "bends",
    "categorical_features",
    "loss",
    "quantile",
}  # parameters that files of older versions do not have
_TRAINING = ("tol", "max_iter", "patience", "first_damping", "executor")


def pack_estimator(estimator):
    """What of an estimator goes into a file, alone or within something else.

    Parameters
    ----------
    estimator : NewtonRegressor or NewtonClassifier
        Fitted. Callbacks, and a `random_state` that is a generator, are left behind.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray

    Raises
    ------
    TypeError
        If it is of another class. A subclass is one, too: it may be more.

    Notes
    -----
    Cost: O(numbers).

    Examples
    --------
    >>> from sltrees.estimators import NewtonRegressor
    >>> header, arrays = pack_estimator(NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]))
    >>> header["class"], header["model"]["name"]
    ('regressor', 'kernel')
    """
    name = vars(type(estimator)).get("_name_in_files")  # not inherited: a subclass may be more
    if name is None:
        raise TypeError(f"what can be saved is a NewtonRegressor or NewtonClassifier, got {type(estimator).__name__}")
    header = {
        "class": name,
        "parameters": _packed_parameters(estimator),
        "n_features": estimator.n_features_in_,
        "feature_names": None,
        "scaling": {
            "bias": estimator.scaling_.bias,
            "standardise": bool(estimator.scaling_.standardise),
            "evenness": estimator.scaling_.evenness,
        },
        "bent": estimator.scaling_.bent_ is not None,
        "selection": estimator.selection_,
        "validation_score": estimator.validation_score_,
        "weight_unit": estimator._weight_unit,
    }
    if hasattr(estimator, "feature_names_in_"):
        header["feature_names"] = [str(name) for name in estimator.feature_names_in_]
    arrays = {
        "scaling/mean": estimator.scaling_.mean_,
        "scaling/deviation": estimator.scaling_.deviation_,
        "centre": estimator.centre_,
        "spread": estimator.spread_,
    }
    if header["bent"]:
        arrays["scaling/bent"] = estimator.scaling_.bent_
    header["mixed"] = estimator.scaling_.mixing_ is not None
    if header["mixed"]:
        arrays["scaling/mixing"] = estimator.scaling_.mixing_
    header["encoder"] = None if estimator.encoder_ is None else estimator.encoder_.to_dict()
    header["ranges"] = estimator.feature_ranges_ is not None
    if header["ranges"]:
        arrays["feature_ranges"] = estimator.feature_ranges_
    header["learned_scales"] = hasattr(estimator, "feature_importances_")
    if header["learned_scales"]:
        arrays["feature_scales"] = estimator.feature_scales_
        arrays["feature_importances"] = estimator.feature_importances_
    if name == "classifier":
        classes = estimator.classes_
        header["classes_are_objects"] = classes.dtype == object
        header["sharpness"] = estimator.sharpness_
        arrays["classes"] = classes.astype(str) if classes.dtype == object else classes
        arrays["class_weights"] = estimator._class_weights
        header["left_out"] = estimator.confusion_ is not None
        if header["left_out"]:
            arrays["confusion"] = estimator.confusion_
    else:
        header["one_column"] = estimator._target_shape == ()
        header["left_out"] = estimator.residuals_ is not None
        if header["left_out"]:
            arrays |= {"residuals": estimator.residuals_, "residual_weights": estimator.residual_weights_}
        if estimator.residual_scales_ is not None:
            header["scaled_residuals"] = True
            arrays["residual_scales"] = estimator.residual_scales_
    header["model"], of_model = _packed_model(estimator.fitted_model_)
    return header, arrays | prefixed(of_model, "model/")


def unpack_estimator(header, arrays, cls):
    """The estimator of which `pack_estimator` gave header and arrays.

    Parameters
    ----------
    header : dict
    arrays : dict of str to ndarray
    cls : type
        That it must be of: NewtonRegressor or NewtonClassifier.

    Returns
    -------
    NewtonRegressor or NewtonClassifier
        It predicts the same, bit for bit, and learns from further samples.

    Raises
    ------
    sltrees.files.archive.ArchiveError
        If they are no estimator's.

    Notes
    -----
    Cost: O(numbers).

    Examples
    --------
    >>> from sltrees.estimators import NewtonRegressor
    >>> estimator = NewtonRegressor("kernel").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> other = unpack_estimator(*pack_estimator(estimator), NewtonRegressor)
    >>> bool(np.all(other.predict([[0.5]]) == estimator.predict([[0.5]])))
    True
    """
    of_model = nested(arrays, "model/")
    contents = Contents(header, {name: array for name, array in arrays.items() if not name.startswith("model/")})
    name = contents.choice("class", tuple(NAMES))
    if name != vars(cls).get("_name_in_files"):
        raise ArchiveError(f"it holds a {NAMES[name]}, not a {cls.__name__}")
    parameters = contents.take("parameters")
    is_recent, has_columns = (
        isinstance(parameters, dict) and name in parameters for name in ("feature_learning", "categorical_features")
    )
    estimator = cls(**_unpacked_parameters(parameters, cls))
    n_threads_of(estimator.n_jobs)  # ValueError: predicting wants it
    estimator.loss_ = estimator.loss
    d = estimator.n_features_in_ = contents.integer("n_features", minimum=1)
    n_columns = d
    if has_columns:
        state = contents.take("encoder")
        if state is not None:
            estimator.encoder_ = FrameEncoder.from_dict(state)
            if estimator.encoder_.n_features_in_ != d:
                raise ArchiveError(f"'encoder' must have {d} columns, got {estimator.encoder_.n_features_in_}")
            d = len(estimator.encoder_.get_feature_names_out())
    if has_columns and contents.flag("ranges"):
        estimator.feature_ranges_ = contents.array("feature_ranges", np.float64, (2, d))
    names = contents.take("feature_names")
    if names is not None:
        if not isinstance(names, list) or len(names) != n_columns or not all(isinstance(n, str) for n in names):
            raise ArchiveError(f"'feature_names' must be a list of {n_columns} strings")
        estimator.feature_names_in_ = np.array(names, dtype=object)
    scaling = Contents(contents.take("scaling"))
    estimator.evenness_ = scaling.number("evenness", maximum=1.0)
    estimator.scaling_ = InputScaling(scaling.number("bias"), scaling.flag("standardise"), estimator.evenness_)
    scaling.refuse_rest()
    estimator.scaling_.mean_ = contents.array("scaling/mean", np.float64, (d,))
    estimator.scaling_.deviation_ = _positive(contents.array("scaling/deviation", np.float64, (d,)), "deviation")
    if "bends" in parameters and contents.flag("bent"):
        estimator.scaling_.bends, estimator.scaling_.bent_ = True, _bent(contents, d)
    if "metric" in parameters and contents.flag("mixed"):
        estimator.scaling_.mixing_ = contents.array("scaling/mixing", np.float64, (d, d))
    estimator.feature_scales_ = np.ones(d)
    if is_recent and contents.flag("learned_scales"):
        estimator.feature_scales_ = _positive(contents.array("feature_scales", np.float64, (d,)), "feature_scales")
        estimator.feature_importances_ = contents.array("feature_importances", np.float64, (n_columns,))
    estimator.selection_ = _unpacked_selection(contents.take("selection"))
    score = contents.take("validation_score")
    estimator._weight_unit = contents.number("weight_unit", minimum=np.finfo(float).tiny)
    estimator.validation_score_ = None if score is None else as_number_entry(score, "validation_score", minimum=-np.inf)
    if name == "classifier":
        n_outputs = _unpack_classes(estimator, contents, has_columns)
    else:
        estimator._target_shape = () if contents.flag("one_column") else None
        n_outputs = 1 if estimator._target_shape == () else None
    estimator.centre_ = contents.array("centre", np.float64, (n_outputs,))
    n_outputs = len(estimator.centre_)
    if not n_outputs:
        raise ArchiveError("array 'centre' must have an entry for each output")
    if name == "regressor" and estimator._target_shape is None:
        estimator._target_shape = (n_outputs,)
    if name == "regressor" and has_columns and contents.flag("left_out"):
        estimator.residuals_ = contents.array("residuals", np.float64, (None, n_outputs))
        weights = contents.array("residual_weights", np.float64, (len(estimator.residuals_),))
        estimator.residual_weights_ = _positive(weights, "residual_weights")
    if name == "regressor" and contents.has("scaled_residuals") and contents.flag("scaled_residuals"):
        if estimator.residuals_ is None:
            raise ArchiveError("'residual_scales' must be of residuals, and there are none")
        scales = contents.array("residual_scales", np.float64, estimator.residuals_.shape)
        estimator.residual_scales_ = _positive(scales, "residual_scales")
    estimator.spread_ = _positive(contents.array("spread", np.float64, (n_outputs,)), "spread")
    n_inputs = d + (estimator.scaling_.bias > 0)
    estimator.fitted_model_ = _unpacked_model(Contents(contents.take("model"), of_model), n_inputs, n_outputs)
    estimator.model_ = estimator.fitted_model_.name
    estimator._shaped_by = estimator._shaping_parameters()
    contents.refuse_rest()
    return estimator


def _bent(contents, d):
    """The columns with long tails of a scaling of d columns."""
    bent = contents.array("scaling/bent", np.float64, (3, None))
    places = bent[0]
    if not (places.size and (places == np.floor(places)).all() and 0 <= places[0] and places[-1] < d):
        raise ArchiveError(f"array 'scaling/bent' must name columns from 0 to {d - 1}")
    if (np.diff(places) <= 0).any():
        raise ArchiveError("array 'scaling/bent' must name columns in their order")
    _positive(bent[2], "scaling/bent")
    return bent


def _unpack_classes(estimator, contents, has_columns):
    """Sets: classes_ and what goes with them. Returns the number of outputs."""
    dtype = contents.dtype_of("classes")
    if dtype is None or dtype.kind not in "biufU":
        raise ArchiveError("array 'classes' must hold the labels of the classes")
    classes = contents.array("classes", dtype, (None,))
    if not classes.size:
        raise ArchiveError("array 'classes' must hold a label")
    if (classes[1:] <= classes[:-1]).any():
        raise ArchiveError("array 'classes' must be ascending")
    estimator.classes_ = classes.astype(object) if contents.flag("classes_are_objects") else classes
    estimator._class_weights = _positive(contents.array("class_weights", np.float64, classes.shape), "class_weights")
    if has_columns and contents.flag("left_out"):
        estimator.confusion_ = contents.array("confusion", np.float64, (len(classes), len(classes)))
    estimator.sharpness_ = contents.number("sharpness", minimum=np.finfo(float).tiny)
    return len(classes) if len(classes) > 2 else 1


# ---------------------------------------------------------------------- parameters


def _packed_parameters(estimator):
    parameters = estimator.get_params(deep=False)
    state = parameters["random_state"]
    parameters["random_state"] = int(state) if isinstance(state, (int, np.integer)) else None
    parameters["dtype"] = np.dtype(parameters["dtype"]).name
    del parameters["callbacks"], parameters["executor"]
    parameters["loss"] = estimator.loss_  # what outputs mean
    weights = parameters.get("class_weight")
    if isinstance(weights, dict):  # JSON has no keys but strings
        parameters["class_weight"] = [[_plain(key), _plain(value)] for key, value in weights.items()]
    return {name: _plain(value) for name, value in parameters.items()}


def _plain(value):
    """A Python value for a NumPy scalar."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked_parameters(parameters, cls):
    names = set(cls().get_params(deep=False)) - {"callbacks", "executor"}
    if not isinstance(parameters, dict) or not names - _NEWER <= set(parameters) <= names:
        raise ArchiveError(f"'parameters' must be those of {cls.__name__}: {', '.join(sorted(names))}")
    parameters = {"feature_learning": False} | parameters  # but for this, the defaults are as it was
    weights = parameters.get("class_weight")
    if isinstance(weights, list):
        parameters["class_weight"] = dict(map(tuple, weights))
    for name, value in parameters.items():
        plain = value is None or isinstance(value, (bool, int, float, str))
        listed = name == "categorical_features" and isinstance(value, list)
        if not (plain or listed or (name == "class_weight" and isinstance(value, dict))):
            raise ArchiveError(f"parameter {name!r} must be a number, a string or null")
    return parameters


def _unpacked_selection(table):
    columns = list(table.values()) if isinstance(table, dict) else []
    if not columns or not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        raise ArchiveError("'selection' must be a table: columns of equal length")
    return Selection(table)


# ---------------------------------------------------------------------- models


def _packed_model(model):
    if isinstance(model, KernelRidge):
        names = ("name", "shift", "alpha", "alpha_", "solver", "solver_", "max_centres", "random_state")
        header = {name: _plain(getattr(model, name)) for name in names}
        solution = {"dual": model.dual_, "constant": model.constant_}
        if model.blocks_ is None:
            return header, _with_samples(header, model, **solution)
        blocks, system = model.blocks_, model.blocks_.system
        header["ridge"] = float(blocks.ridge)
        told = {"products": system.products, "targets": system.targets, "totals": system.totals}
        return header, {"centres": blocks.centres, **solution, **told}
    own = ("name", "width", "shift", "alpha", "target_scale", "alpha_")
    header = {name: _plain(getattr(model, name)) for name in own + _TRAINING}
    if header["executor"] not in LOCAL_EXECUTORS:  # a cluster is not what a file can bring
        header["executor"] = "threads"
    header |= {name: _plain(model.network_options[name]) for name in _NETWORK_OPTIONS}
    header["dtype"] = np.dtype(header["dtype"]).name
    if model.loss is not None:
        header |= {"loss": description_of(model.loss), "offsets": model.offsets.tolist()}
        header |= {"lift": np.broadcast_to(model.lift, model.offsets.shape).tolist()} if np.any(model.lift) else {}
    arrays = _with_samples(header, model)
    packed = [pack_network(network) for network in model.networks_]
    header["networks"] = [of_network for of_network, _ in packed]
    for k, (_, of_network) in enumerate(packed):
        arrays |= prefixed(of_network, f"networks/{k}/")
    header["results"] = [_packed_result(result) for result in model.results_]
    return header, arrays


def _unpacked_model(contents, n_columns, n_outputs):
    name = contents.choice("name", ("kernel", "network"))
    if name == "network":
        return _unpacked_networks(contents, n_columns, n_outputs)
    model = KernelRidge(shift=contents.number("shift"), alpha=_alpha(contents.take("alpha")))
    if contents.has("solver"):  # files of older versions know one way to solve
        model.solver = contents.choice("solver", SOLVERS)
        model.solver_ = contents.choice("solver_", tuple(WAYS))
        model.max_centres = contents.integer("max_centres", minimum=1)
        model.random_state = contents.integer("random_state", maximum=MAX_SEED)
    if model.solver_ == "nystrom":
        return _unpacked_blocks(model, contents, n_columns, n_outputs)
    alpha, samples = contents.number("alpha_"), _unpacked_samples(contents, n_columns, n_outputs)
    dual = contents.array("dual", np.float64, (len(samples[0]), n_outputs))
    constant = contents.array("constant", np.float64, (n_outputs,))
    if not len(samples[0]):
        raise ArchiveError("array 'X' must hold a sample")
    contents.refuse_rest()
    return model.take(samples, alpha, dual, constant)


def _unpacked_blocks(model, contents, n_columns, n_outputs):
    alpha, kernel = contents.number("alpha_"), UnitRowsKernel(model.shift)
    blocks = Blocks(kernel)
    blocks.ridge = contents.number("ridge", minimum=np.finfo(float).tiny)
    blocks.centres = contents.array("centres", np.float64, (None, n_columns))
    blocks.dual = contents.array("dual", np.float64, (len(blocks.centres), n_outputs))
    blocks.constants = contents.array("constant", np.float64, (n_outputs,))
    targets = contents.array("targets", np.float64, (None, n_outputs + 1))
    if not 0 < len(targets) <= len(blocks.centres):
        raise ArchiveError("array 'targets' must have a row for each centre of the first block")
    system = blocks.system = NystromSystem(kernel, blocks.centres[: len(targets)], n_outputs)
    system.targets = targets
    system.products = contents.array("products", np.float64, (len(targets), len(targets)))
    system.totals = contents.array("totals", np.float64, (n_outputs + 1,))
    contents.refuse_rest()
    model.take_blocks(blocks)
    model.alpha_ = alpha
    return model


def _unpacked_constants(contents, key, n_outputs):
    """A number for each output."""
    values = contents.take(key)
    if not isinstance(values, list) or len(values) != n_outputs:
        raise ArchiveError(f"{key!r} must be a list of {n_outputs}")
    return np.array([as_number_entry(value, key, minimum=-np.inf) for value in values])


def _unpacked_networks(contents, n_columns, n_outputs):
    width, shift, alpha = contents.integer("width", minimum=1), contents.take("shift"), _alpha(contents.take("alpha"))
    options = {name: contents.take(name) for name in ("init", "sampling", "dtype")}
    random_state = as_integer_entry(contents.take("random_state"), "random_state", maximum=2**128)
    ShiftedReLUNetwork(width, shift=shift, random_state=random_state, **options)  # checks them
    if contents.has("loss"):  # which files of squared errors do not have
        options["loss"] = as_loss(described_loss(contents.take("loss")))
        options["offsets"] = _unpacked_constants(contents, "offsets", n_outputs)
    patience = contents.take("patience")
    model = Networks(
        width=width,
        shift=shift,
        alpha=alpha,
        target_scale=contents.number("target_scale", minimum=np.finfo(float).tiny),
        random_state=random_state,
        tol=contents.number("tol"),
        max_iter=contents.integer("max_iter"),
        patience=None if patience is None else as_integer_entry(patience, "patience", minimum=1),
        first_damping=contents.number("first_damping") if contents.has("first_damping") else 0.0,
        executor=contents.choice("executor", LOCAL_EXECUTORS),
        **options,
    )
    if contents.has("lift"):  # which only quantiles have
        model.lift = _unpacked_constants(contents, "lift", n_outputs)
    alpha, headers, results = contents.number("alpha_"), contents.take("networks"), contents.take("results")
    if not isinstance(headers, list) or len(headers) != n_outputs:
        raise ArchiveError(f"'networks' must be a list of {n_outputs}")
    if not isinstance(results, list) or len(results) > n_outputs:
        raise ArchiveError(f"'results' must be a list of at most {n_outputs}")
    results = [_unpacked_result(entry) for entry in results]
    networks = []
    for k, header in enumerate(headers):
        networks.append(unpack_network(header, contents.nested(f"networks/{k}/"), ShiftedReLUNetwork))
        if networks[k].shift_ is None or networks[k].n_features_in_ != n_columns:
            raise ArchiveError(f"network {k} must be drawn for {n_columns} features")
    samples = _unpacked_samples(contents, n_columns, n_outputs)
    contents.refuse_rest()
    return model.take(networks, samples, alpha, results)


def _packed_result(result):
    header = dataclasses.asdict(result)
    return header | {"status": str(result.status)}


def _unpacked_result(entry):
    """A TrainingResult of plain values."""
    if not isinstance(entry, dict) or not isinstance(entry.get("history"), list):
        raise ArchiveError("a result of training must hold its history")
    history = [_checked(IterationRecord, record) for record in entry["history"]]
    laziness = entry.get("laziness")  # there is none in files of earlier versions
    if laziness is not None:
        laziness = _checked(Laziness, laziness)
    status = TrainingStatus(entry.get("status"))
    return _checked(TrainingResult, entry | {"status": status, "history": history, "laziness": laziness})


def _checked(cls, values):
    """An instance of a data class; ArchiveError if not all fields are there and of their types."""
    kinds = typing.get_type_hints(cls)
    if isinstance(values, dict):
        values = {name: float("nan") for name in LATER if name in kinds} | values
    if not isinstance(values, dict) or set(values) != set(kinds):
        raise ArchiveError(f"{cls.__name__} must have {', '.join(kinds)}")
    for name, kind in kinds.items():
        value = values[name]
        if not isinstance(kind, types.UnionType):  # of dict[str, float] only the dict is looked at
            kind = typing.get_origin(kind) or kind
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ArchiveError(f"{name!r} of {cls.__name__} must be a {kind}, got {value!r:.50}")
    return cls(**values)


def _with_samples(header, model, **arrays):
    """The arrays of a model, with the samples that it learned from; whether these have weights goes to its header."""
    X, Y, weights = model.samples_
    header["weighted"] = weights is not None
    return {"X": X, "Y": Y, **arrays, **({} if weights is None else {"weights": weights})}


def _unpacked_samples(contents, n_columns, n_outputs):
    """X, Y and weights."""
    X = contents.array("X", np.float64, (None, n_columns))
    Y = contents.array("Y", np.float64, (len(X), n_outputs))
    weights = None
    if contents.flag("weighted"):
        weights = _positive(contents.array("weights", np.float64, (len(X),)), "weights")
    return X, Y, weights


def _positive(array, name):
    if array.size and not array.min() > 0:
        raise ArchiveError(f"array {name!r} must be above 0")
    return array


def _alpha(value):
    if value != "loo" and not (isinstance(value, float) and value > 0):
        raise ArchiveError(f"'alpha' must be 'loo' or a float above 0, got {value!r}")
    return value
