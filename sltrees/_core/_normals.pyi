import numpy as np
import numpy.typing as npt

def fill_normals(seed: np.random.SeedSequence, out: npt.NDArray[np.float32]) -> None: ...
