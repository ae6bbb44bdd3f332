"""Samples that come in parts and are never together in one process: from collections of Dask."""
