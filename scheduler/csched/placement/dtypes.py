"""Kinds of array that the placement problem is made of."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int64]
"""Slots, seconds and flags of each job in each room, of 64 bits as what they are added to in the kernels."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
