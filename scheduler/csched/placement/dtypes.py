"""Kinds of array that the placement problem is made of."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int64]
"""Slots, seconds and flags of each job in each room. Of 64 bits: kernels that mix widths are half as fast."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
