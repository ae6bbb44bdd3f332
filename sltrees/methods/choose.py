"""The methods by which a step finds who fires, by the names that users give them."""

from __future__ import annotations

from sltrees.methods.bpsw import BPSWHadamardMethod, BPSWMethod
from sltrees.methods.certified.method import CertifiedMethod
from sltrees.methods.dense import DenseMethod
from sltrees.methods.trees import TreesMethod

METHODS = {
    "certified": CertifiedMethod,
    "trees": TreesMethod,
    "dense": DenseMethod,
    "bpsw": BPSWMethod,
    "bpsw-srht": BPSWHadamardMethod,
}
