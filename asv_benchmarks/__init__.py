"""Benchmarks: scripts that are run by their path, the benchmarks of asv, and the package of the experiment."""
