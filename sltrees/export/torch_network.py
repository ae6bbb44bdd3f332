"""The PyTorch module that `sltrees.export.to_torch` returns; importing it imports PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from sltrees.network.prediction import NEURONS_PER_PART


class TorchNetwork(torch.nn.Module):
    """Scaled inputs, one sum of shifted ReLU neurons for each output, scaled outputs: see `sltrees.export.to_torch`.

    Parameters
    ----------
    model : sltrees.export.exports._Model
        What is exported.
    """

    def __init__(self, model):
        super().__init__()
        outputs, scaling = model.outputs, model.scaling
        self.n_features = model.n_features
        self.single = model.single
        self.raw_outputs = model.raw_outputs
        self.parts = _parts([output.signs.size for output in outputs])
        self.weights = torch.nn.Parameter(torch.from_numpy(np.concatenate([output.weights for output in outputs])))
        self.register_buffer("signs", torch.from_numpy(np.concatenate([output.signs for output in outputs])))
        self._register("shift", [output.shift for output in outputs])
        self._register("factor", [1 / np.sqrt(output.width) for output in outputs])
        self._register("mean", None if scaling is None else scaling.mean_)
        self._register("deviation", None if scaling is None else scaling.deviation_)
        self.bias = 0.0 if scaling is None else float(scaling.bias * np.sqrt(scaling.mean_.size))
        self._register("output_scale", model.output_scale)
        self._register("output_offset", model.output_offset)
        # those that are seldom there come last: `torch.export` wants buffers that are none behind all others
        self._register("bent", None if scaling is None else scaling.bent_)
        self._register("mixing", None if scaling is None else scaling.mixing_)

    def _register(self, name, values):
        """A buffer of float64, or none."""
        self.register_buffer(name, None if values is None else torch.tensor(values, dtype=torch.float64))

    def forward(self, X):
        """Outputs of shape (n,), or (n, C) of a sequence of networks, for X of shape (n, d)."""
        if X.dim() != 2 or X.shape[1] != self.n_features:
            raise ValueError(f"X must have shape (n, {self.n_features}), got {list(X.shape)}")
        if self.mean is not None:
            X = self.scaled(X.to(torch.float64))
        X = X.to(self.weights.dtype)
        columns = []
        for k, parts in enumerate(self.parts):
            total = torch.zeros(X.shape[0], dtype=torch.float64, device=X.device)
            for start, stop in parts:
                products = torch.mm(X, self.weights[start:stop].t()).to(torch.float64)
                # the two neurons of a pair nearly cancel: sums in float32 would lose what is left
                total = total + torch.mv(torch.relu(products - self.shift[k]), self.signs[start:stop].to(torch.float64))
            columns.append(total * self.factor[k])
        y = torch.stack(columns, dim=1)
        if self.output_scale is not None:
            y = y * self.output_scale
        if self.output_offset is not None:
            y = y + self.output_offset
        if self.single:
            y = y[:, 0]
        return y if self.raw_outputs else y.to(self.weights.dtype)

    def scaled(self, X):
        """As `InputScaling.transform`."""
        if self.bent is not None:
            places = self.bent[0].to(torch.int64)
            far = torch.clamp((X[:, places] - self.bent[1]) / self.bent[2], -1e150, 1e150)
            X = X.index_copy(1, places, torch.asinh(far))
        X = (X - self.mean) / self.deviation
        if self.mixing is not None:
            X = X @ self.mixing
        if self.bias > 0.0:
            X = torch.nn.functional.pad(X, (0, 1), value=self.bias)
        norms = torch.linalg.vector_norm(X, dim=1, keepdim=True)
        return X / torch.where(norms > 0.0, norms, torch.ones_like(norms))

    def extra_repr(self):
        """What `repr` shows."""
        return f"{self.n_features} features, {self.signs.numel()} neurons, {len(self.parts)} outputs"


def _parts(counts):
    """Where the neurons of each output are among those of all, in parts: for each a list of (start, stop)."""
    parts, first = [], 0
    for count in counts:
        starts = range(first, first + count, NEURONS_PER_PART)
        parts.append([(start, min(start + NEURONS_PER_PART, first + count)) for start in starts])
        first += count
    return parts
