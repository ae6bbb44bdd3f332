"""What the package is measured by: NumPy twins of its kernels, and first-order training of the same networks.

The Newton-type methods that training is compared with are those of `NewtonTrainer`: method "dense" (dense
Gauss-Newton), "bpsw" and "bpsw-srht" (sketch-preconditioned conjugate gradients), and "trees" (the paper, literally).
"""

from sltrees.reference.gradient_descent import GradientDescent
from sltrees.reference.softmax_steps import SoftmaxSteps, softmax_gauss_newton
from sltrees.reference.twins import (
    AllPairs,
    CumulativeSums,
    DenseResult,
    NearList,
    RowsByDefinition,
    ThresholdArray,
    count_flips,
    dense_gauss_newton,
    dense_jacobian,
    flip_corrections,
    gram_product,
    jacobian_product,
    lazy_displacement,
    lazy_rows_by_definition,
    multiply_counts,
    near_lists,
    network_outputs,
    outputs,
    pair_count_change,
    pair_counts,
    shrink_and_step,
)

__all__ = [
    "AllPairs",
    "CumulativeSums",
    "DenseResult",
    "GradientDescent",
    "NearList",
    "RowsByDefinition",
    "SoftmaxSteps",
    "ThresholdArray",
    "count_flips",
    "dense_gauss_newton",
    "dense_jacobian",
    "flip_corrections",
    "gram_product",
    "jacobian_product",
    "lazy_displacement",
    "lazy_rows_by_definition",
    "multiply_counts",
    "near_lists",
    "network_outputs",
    "outputs",
    "pair_count_change",
    "pair_counts",
    "shrink_and_step",
    "softmax_gauss_newton",
]
