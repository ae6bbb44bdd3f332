"""The experiment: time to a training error, beside other methods, over width, samples, features, shifts and data.

    python -m asv_benchmarks.experiment [--only SWEEP ...] [--contenders NAME ...] [--quick] [--resume] [--report]

is run from the root of a clone; `--help` lists everything. What is measured on what stands in `cases`, by whom in
`contenders` (and `contenders_torch`, `contenders_sklearn`), what these return in `outcome`, how it is measured in
`measuring`; `exponents`, `report` and `plots` read the files it writes.
"""
