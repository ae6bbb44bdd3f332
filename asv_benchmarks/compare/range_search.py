"""Range search beside what others use: VectorSearch, faiss-cpu's flat index, scikit-learn, hnswlib.

    python asv_benchmarks/compare/range_search.py [--quick] [--threads 1] [--out FILE.csv]

10^5 vectors of length 1 in 64 dimensions, float32; a threshold that one pair in 10,000 passes. Every figure is a median
of interleaved runs in one process, on as many threads for all, and every ratio is (other method) / (ours), so that more
than 1 means that ours is faster. Exact methods must give the same pairs, but for those that float32 cannot tell from
the threshold, which is checked before anything is timed; of hnswlib's approximate neighbours the share that is right is
told.

"change" is what a hundredth of the vectors changed costs until the next answer can be right: `update` here, a new index
there. What is not installed is left out, and said so.

    pip install faiss-cpu hnswlib scikit-learn
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2]))  # for modules of the benchmarks: sltrees is the installed one
import sltrees
from asv_benchmarks.compare.parts.tree_timing import Report, seconds, si, time_cold
from sltrees import VectorSearch

RESULTS = Path(__file__).resolve().parents[1] / "results"
N, D, N_QUERIES, N_NEAREST, SHARE = 10**5, 64, 512, 10, 1e-4
# (case, method, least ratio)
BARS = (
    ("products above t, 512 queries", "faiss", 1),
    ("distances below t, 512 queries", "faiss", 1),
    ("change of 1%", "faiss", 5),
    ("change of 1%", "hnswlib", 5),
    ("change of 1%", "sklearn", 5),
)


def imported(module):
    """A package; None, and a line that says so, where it is not installed or does not load."""
    try:
        return __import__(module, fromlist=["*"])
    except ImportError as error:
        print(f"{module}: left out ({str(error)[:80]})")
        return None


def unit_vectors(rng, n):
    vectors = rng.standard_normal((n, D), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def same_pairs(ours, theirs, what):
    """The same pairs, but for those whose values float32 cannot tell from the threshold."""
    missing = len(ours ^ theirs)
    if missing > 1e-3 * len(ours):
        raise AssertionError(f"{what}: {missing} of {len(ours)} pairs differ")


def pairs(indptr, columns):
    return set(zip(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)).tolist(), columns.tolist(), strict=True))


class Rivals:
    """Indices of others over the same vectors."""

    def __init__(self, vectors, threads, quick):
        self.faiss, self.neighbors = map(imported, ("faiss", "sklearn.neighbors"))
        self.hnswlib = None if quick else imported("hnswlib")
        self.threads, self.vectors = threads, vectors
        if self.faiss is not None:
            self.faiss.omp_set_num_threads(threads)
            self.flat, self.flat_l2 = self.faiss.IndexFlatIP(D), self.faiss.IndexFlatL2(D)
            self.flat.add(vectors)
            self.flat_l2.add(vectors)
        if self.neighbors is not None:
            self.fit()
        if self.hnswlib is not None:
            self.seconds_to_insert = seconds(self.insert)  # once: it takes minutes

    def refill(self):
        self.flat.reset()
        self.flat.add(self.vectors)

    def fit(self):
        self.brute = self.neighbors.NearestNeighbors(algorithm="brute", n_jobs=self.threads).fit(self.vectors)
        self.tree = self.neighbors.NearestNeighbors(algorithm="ball_tree", n_jobs=self.threads).fit(self.vectors)

    def insert(self):
        self.graph = self.hnswlib.Index(space="ip", dim=D)
        self.graph.init_index(len(self.vectors))
        self.graph.set_num_threads(self.threads)
        self.graph.add_items(self.vectors)


def compare(report, case, methods, budget, selectivity=None, others=()):
    times = time_cold(methods, budget, least=3) | dict(others)
    report.add("range search", case, N, selectivity, times, "cold")
    others = [f"{name} {si(t)} = {t / times['tree']:.3g}x" for name, t in times.items() if name != "tree"]
    print(f"{case:<34} ours {si(times['tree'])}, " + ", ".join(others), flush=True)


def measure(report, args):
    rng = np.random.default_rng(0)
    vectors = unit_vectors(rng, N)
    queries = vectors[rng.permutation(N)[:N_QUERIES]]
    t = float(np.quantile(queries[:64] @ vectors.T, 1 - SHARE))
    radius = float(np.sqrt(2 - 2 * t))
    products = VectorSearch(vectors, n_threads=args.threads)
    distances = VectorSearch(vectors, metric="euclidean", n_threads=args.threads)
    rivals = Rivals(vectors, args.threads, args.quick)
    found = products.search(queries, t)
    ours = pairs(found.indptr, found.indices)
    print(f"{len(ours)} pairs of {N * N_QUERIES} above {t:.3f}", flush=True)

    by_product = {"tree": lambda: products.search(queries, t)}
    by_distance = {"tree": lambda: distances.search(queries, radius)}
    one = {"tree": lambda: products.search(queries[:1], t)}
    nearest = {"tree": lambda: products.nearest(queries, N_NEAREST)}
    ids, new = rng.permutation(N)[: N // 100], unit_vectors(rng, N // 100)
    change = {"tree": lambda: products.update(ids, new)}
    if rivals.faiss is not None:
        indptr, _, columns = rivals.flat.range_search(queries, t)
        same_pairs(ours, pairs(indptr.astype(np.int64), columns), "faiss")
        by_product["faiss"] = lambda: rivals.flat.range_search(queries, t)
        by_distance["faiss"] = lambda: rivals.flat_l2.range_search(queries, radius**2)
        one["faiss"] = lambda: rivals.flat.range_search(queries[:1], t)
        nearest["faiss"] = lambda: rivals.flat.search(queries, N_NEAREST)
        change["faiss"] = rivals.refill
    if rivals.neighbors is not None:
        graph = rivals.brute.radius_neighbors_graph(queries, radius)
        same_pairs(ours, pairs(graph.indptr, graph.indices), "scikit-learn")
        by_distance["sklearn"] = lambda: rivals.brute.radius_neighbors_graph(queries, radius)
        nearest["sklearn"] = lambda: rivals.brute.kneighbors(queries, N_NEAREST)
        change["sklearn"] = rivals.fit
    if rivals.hnswlib is not None:
        labels, _ = rivals.graph.knn_query(queries, N_NEAREST)
        right = np.mean(
            [
                len(set(a) & set(b)) / N_NEAREST
                for a, b in zip(labels, products.nearest(queries, N_NEAREST)[0], strict=True)
            ]
        )
        print(f"hnswlib, as it comes: {right:.0%} of the neighbours are right")
        nearest["hnswlib"] = lambda: rivals.graph.knn_query(queries, N_NEAREST)
    compare(report, "products above t, 512 queries", by_product, args.budget, SHARE)
    compare(report, "distances below t, 512 queries", by_distance, args.budget, SHARE)
    compare(report, "products above t, 1 query", one, args.budget / 4, SHARE)
    compare(report, "10 nearest, 512 queries", nearest, args.budget)
    inserted = {} if rivals.hnswlib is None else {"hnswlib": rivals.seconds_to_insert}
    compare(report, "change of 1%", change, args.budget, others=inserted)
    for case, method, least in BARS:
        ratio = next((row[7] for row in report.rows if row[1] == case and row[4] == method), None)
        if ratio is not None:
            print(f"{case:<34}>= {least}x {method:<8} {ratio:>8.3g}x  {'met' if ratio >= least else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter runs, and no hnswlib: within a minute")
    parser.add_argument("--threads", type=int, default=1, help="of all methods")
    parser.add_argument("--out", type=Path, default=RESULTS / "range_search.csv", help="the table, as CSV")
    args = parser.parse_args()
    args.budget = 2.0 if args.quick else 10.0
    begin = time.perf_counter()
    sltrees.show_versions()
    report = Report()
    measure(report, args)
    report.write(args.out)
    print(f"{time.perf_counter() - begin:.0f} seconds")


if __name__ == "__main__":
    main()
