"""
Real data: a score, what it rests on, and how sure it is
========================================================

442 patients, ten measurements, and how their diabetes progressed in a year: noisy data, on which a model that fits too
well does badly. The estimator is used as it comes, beside two of scikit-learn, likewise, and asked for more than a
number: which measurements matter, and within which bounds the truth will be.
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
from sltrees.plotting import plot_importances

X, y = load_diabetes(return_X_y=True, as_frame=True)
models = {
    "NewtonRegressor": NewtonRegressor(search_seconds=5.0, random_state=0),
    "RidgeCV": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
    "RandomForestRegressor": RandomForestRegressor(random_state=0),
}

# %%
# Each sample is predicted by a model that has not seen it. One data set is an anecdote: the page on the estimators has
# 23 of them.

folds = KFold(4, shuffle=True, random_state=0)
for name, model in models.items():
    guess = cross_val_predict(model, X, y, cv=folds)
    print(f"{name:>22}: R² {1.0 - np.mean((y - guess) ** 2) / np.var(y):.3f}")

# %%
# What the search compared, in a fit to three quarters of the samples: the kernel, with features as they are and with
# scales that it learned, and networks whose weights move far. The row that is chosen has the least error, or one that
# is as good within a standard error and simpler.

train, test = next(folds.split(X))
model = models["NewtonRegressor"].fit(X.iloc[train], y.iloc[train])
print(f"chosen: {model.model_}")
print(model.selection_)

# %%
# An interval holds the truth for nine of ten new patients, by residuals of samples left out: no assumption on their
# distribution is made. On the right is how much predictions change along each measurement.

low, high = model.predict_interval(X.iloc[test], coverage=0.9).T
guess, truth = model.predict(X.iloc[test]), y.iloc[test].to_numpy()
inside = (low <= truth) & (truth <= high)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
order = np.argsort(guess)
place = np.arange(len(test))
left.fill_between(place, low[order], high[order], color="C0", alpha=0.2, label="interval of 90%")
left.plot(place, guess[order], color="C0", label="prediction")
for held, marker, color in ((True, ".", "0.3"), (False, "x", "C3")):
    there = inside[order] == held
    left.plot(place[there], truth[order][there], marker, color=color, label="inside" if held else "outside")
left.set(xlabel="new patients, by prediction", ylabel="progression", title=f"{inside.mean():.0%} of the truth inside")
left.legend(fontsize="small", loc="upper left", ncols=2)
plot_importances(model, right)
plt.show()
