"""
A regressor on real data
========================

442 patients, ten measurements, and how their diabetes progressed in a year: noisy data, on which a model that fits too
well does badly. The estimator is used as it comes, beside two of scikit-learn, likewise.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sltrees.estimators import NewtonRegressor

X, y = load_diabetes(return_X_y=True)
models = {
    "NewtonRegressor": NewtonRegressor(search_seconds=5.0, random_state=0),
    "RidgeCV": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
    "RandomForestRegressor": RandomForestRegressor(random_state=0),
}

# %%
# Each sample is predicted by a model that has not seen it. One data set is an anecdote: the page on the estimators has
# 23 of them.

folds = KFold(4, shuffle=True, random_state=0)
predictions = {name: cross_val_predict(model, X, y, cv=folds) for name, model in models.items()}
scores = {name: 1.0 - np.mean((y - guess) ** 2) / np.var(y) for name, guess in predictions.items()}
for name, score in scores.items():
    print(f"{name:>22}: R² {score:.3f}")

# %%
# What the search compared, in the fit on all samples: the kernel, and networks whose weights move far.

model = models["NewtonRegressor"].fit(X, y)
print(f"chosen: {model.model_}")
for row in zip(*(model.selection_[key] for key in ("model", "target_scale", "alpha", "error", "outcome")), strict=True):
    print(*row, sep="   ")

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(y, predictions["NewtonRegressor"], ".", markersize=4)
left.axline((150, 150), slope=1, color="0.5", linewidth=1)
left.set(xlabel="measured", ylabel="predicted by NewtonRegressor")
right.barh(list(scores), list(scores.values()), color=["C0"] + 2 * ["0.7"])
right.set(xlabel="R², cross-validated")
right.invert_yaxis()
plt.show()
