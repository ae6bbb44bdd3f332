"""What `compare/trees.py` measures against, where no package has it: a binary tree in C, and a heap."""

import ctypes
import heapq
import os
import subprocess
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


class BinaryTree:
    """binary_tree.c by ctypes."""

    library = None

    def __init__(self, values):
        self.n = values.size
        self.width = 1 << max(1, (self.n - 1).bit_length())
        self.node = np.full(2 * self.width, -np.inf, dtype=np.float32)
        self.node[self.width : self.width + self.n] = values
        self.pointer = self.node.ctypes.data
        self.out = np.empty(self.n, dtype=np.int64)
        self.out_pointer = self.out.ctypes.data
        self.compiled.binary_build(self.pointer, self.width)

    @classmethod
    def compile(cls, directory):
        path = Path(directory) / "binary_tree.so"
        compiler = os.environ.get("CC", "cc").split()
        source = HERE / "binary_tree.c"
        command = [*compiler, "-O3", "-std=gnu11", "-shared", "-fPIC", str(source), "-o", str(path)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(path))
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        library.binary_build.argtypes = (pointer, integer)
        library.binary_build.restype = None
        library.binary_update_many.argtypes = (pointer, integer, pointer, pointer, integer)
        library.binary_update_many.restype = None
        library.binary_query.argtypes = (pointer, integer, ctypes.c_float, pointer)
        library.binary_query.restype = integer
        cls.compiled = library

    def query(self, t):
        return self.out[: self.compiled.binary_query(self.pointer, self.width, t, self.out_pointer)].copy()

    def update_many(self, indices, values):
        self.compiled.binary_update_many(
            self.pointer, self.width, indices.ctypes.data, values.ctypes.data, indices.size
        )


class LazyHeap:
    """heapq of (-value, index): an update pushes, and what is out of date is skipped when it comes up."""

    def __init__(self, values):
        self.values = values.tolist()
        self.heap = [(-v, i) for i, v in enumerate(self.values)]
        heapq.heapify(self.heap)

    def copy(self):
        other = LazyHeap.__new__(LazyHeap)
        other.values, other.heap = self.values.copy(), self.heap.copy()
        return other

    def update(self, i, value):
        self.values[i] = value
        heapq.heappush(self.heap, (-value, i))

    def drain(self, t):
        heap, values, found = self.heap, self.values, []
        while heap and -heap[0][0] > t:
            negative, i = heapq.heappop(heap)
            if values[i] == -negative:
                values[i] = -np.inf
                found.append(i)
        return found
