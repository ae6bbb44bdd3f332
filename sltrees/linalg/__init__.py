"""Linear algebra that knows no network: factors, conjugate gradients, sketches, leave-one-out errors, sums in a fixed order."""
