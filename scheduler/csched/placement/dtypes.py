"""Kinds of array that the placement problem is made of."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int32]
"""Slots, seconds and flags of each job in each room: there are millions of them, and none needs more than 32 bits."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
