"""Who draws the neurons of a network."""

from __future__ import annotations

from sltrees.network.sampling_dense import DenseSampling
from sltrees.network.sampling_rejection import RejectionSampling

SAMPLINGS = {"dense": DenseSampling, "rejection": RejectionSampling}
