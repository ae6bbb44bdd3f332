"""Estimators at their defaults, which choose a model, beside the boosting that one would take instead."""

from .common import needed, sizes

NewtonRegressor = needed("NewtonRegressor")


class Defaults:
    """A fit to Friedman's first function, of ten features."""

    timeout = 300
    param_names = ("model", "samples")
    params = (["NewtonRegressor", "HistGradientBoostingRegressor"], sizes(1000, 3000))

    def setup(self, model, samples):
        from sklearn.datasets import make_friedman1
        from sklearn.ensemble import HistGradientBoostingRegressor

        self.X, self.y = make_friedman1(samples, n_features=10, noise=1.0, random_state=0)
        models = NewtonRegressor(random_state=0), HistGradientBoostingRegressor(random_state=0)
        self.model = models[self.params[0].index(model)]

    def time_of_fit(self, model, samples):
        self.model.fit(self.X, self.y)
