"""A gap-free stretch of intensities as arrays: what sources hold, before an outlook is cut from it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csched.domain.carbon import Origin

Seconds = npt.NDArray[np.int64]
Intensities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """`g_per_kwh[i]` holds in [starts_s[i], starts_s[i + 1]), the last one until `end_s`; gCO2e/kWh, shape (n,)."""

    starts_s: Seconds
    g_per_kwh: Intensities
    end_s: int
    origin: Origin

    @property
    def start_s(self) -> int:
        return int(self.starts_s[0])

    def between(self, start_s: int, end_s: int) -> "Stretch | None":
        """What of this holds in [start_s, end_s); None if nothing does."""
        start_s, end_s = max(start_s, self.start_s), min(end_s, self.end_s)
        if start_s >= end_s:
            return None
        first = int(np.searchsorted(self.starts_s, start_s, side="right")) - 1
        last = int(np.searchsorted(self.starts_s, end_s, side="left"))
        starts_s = self.starts_s[first:last].copy()
        starts_s[0] = start_s
        return Stretch(starts_s, self.g_per_kwh[first:last], end_s, self.origin)

    def moved(self, by_s: int, origin: Origin) -> "Stretch":
        return Stretch(self.starts_s + by_s, self.g_per_kwh, self.end_s + by_s, origin)
