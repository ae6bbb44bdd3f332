"""Linear algebra that knows no network: factors, iterative solvers, sketches, leave-one-out, sums in a fixed order."""
