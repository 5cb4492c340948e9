"""What invented work looks like: sizes, run times, limits, arrivals and users, each drawn from numbers given here.

`mixed` is a choice: training, inference and analysis side by side on GPUs, not a fit to one machine.

`philly` is measured. Sizes and run times by size: Microsoft's Philly trace, 2017-09-04 to 2017-11-12, 62,194 jobs (Jeon
et al., USENIX ATC 2019). Philly has no limits and no users, so these are of another machine: limits over run times, and
arrivals by hour and weekday in UTC, of HPC2N 2002-2006, 202,876 jobs (Parallel Workloads Archive, cleaned version 2.1).
The users of a tenant submit by Zipf's law, which comes near the concentration of KTH 1996; docs/traces.md compares. No
public trace has data classes or communication patterns: both stay choices of the generator.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from csched.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

Random = np.random.Generator


@dataclass(frozen=True)
class Profile:
    sizes: tuple[int, ...]
    """GPUs."""
    size_weights: tuple[int, ...]
    hour_weights: tuple[int, ...]
    """Of each hour of the day in UTC."""
    weekday_weights: tuple[int, ...]
    """Monday first."""
    runtime_s: Callable[[int, Random], int]
    """GPUs -> how long such a job truly runs."""
    limit_s: Callable[[int, Random], int]
    """True run time -> what its user asks for, at least that."""
    users: int
    """How many times the users that each tenant has by itself."""
    user: Callable[[int, Random], int]
    """Users of a tenant -> which of them submits, from 1."""


def drawn(weights: Sequence[int], random: Random) -> int:
    """An index with a chance in proportion to its weight."""
    return int(_cumulated(tuple(weights)).searchsorted(random.random(), side="right"))


@lru_cache(maxsize=64)
def _cumulated(weights: tuple[int, ...]) -> "np.typing.NDArray[np.float64]":
    shares = np.array(weights, dtype=np.float64)
    cumulated: np.typing.NDArray[np.float64] = (shares / shares.sum()).cumsum()
    cumulated /= cumulated[-1]
    return cumulated


SHORTEST_S: Final = 60
LONGEST_S: Final = 2 * SECONDS_PER_DAY
MEDIAN_RUNTIME_S: Final = 1.5 * SECONDS_PER_HOUR
RUNTIME_SIGMA: Final = 1.5
LIMIT_STEP_S: Final = 900
DAY_LIMIT_SHARE: Final = 0.15
"""Share of short jobs whose user asks for a whole day rather than think of a limit."""


def _log_normal_s(_gpus: int, random: Random) -> int:
    drawn_s = MEDIAN_RUNTIME_S * math.exp(random.normal(0, RUNTIME_SIGMA))
    return round(min(max(drawn_s, SHORTEST_S), LONGEST_S))


def _rounded_limit_s(runtime_s: int, random: Random) -> int:
    if random.random() < DAY_LIMIT_SHARE and runtime_s <= SECONDS_PER_DAY:
        return SECONDS_PER_DAY
    return _stepped(runtime_s * random.uniform(1, 4), LIMIT_STEP_S)


def _any_user(users: int, random: Random) -> int:
    return int(random.integers(1, users + 1))


MIXED: Final = Profile(
    sizes=(1, 2, 4, 8, 16, 32, 64),
    size_weights=(40, 10, 12, 22, 9, 5, 2),
    hour_weights=(3, 2, 2, 2, 2, 3, 5, 8, 11, 12, 12, 11, 9, 11, 12, 12, 11, 9, 7, 5, 4, 4, 4, 3),
    weekday_weights=(10, 11, 11, 11, 9, 4, 4),
    runtime_s=_log_normal_s,
    limit_s=_rounded_limit_s,
    users=1,
    user=_any_user,
)

LEVELS: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)
"""At these shares of the jobs stand the values of the tables below."""
# GPUs of Philly's jobs -> run time in seconds at each level; above 8 GPUs all sizes together.
PHILLY_RUNTIMES_S: Final[Mapping[int, tuple[int, ...]]] = {
    1: (1, 52, 63, 88, 368, 840, 1_339, 1_867, 2_450, 3_433, 7_072, 15_734, 122_130, 266_036, 1_038_962, 3_256_045),
    2: (2, 8, 10, 13, 15, 17, 19, 21, 31, 674, 136_518, 255_604, 702_967, 1_104_475, 1_511_038, 2_582_803),
    4: (
        9,
        85,
        145,
        337,
        1_137,
        6_567,
        17_674,
        35_808,
        72_281,
        105_106,
        187_822,
        373_140,
        1_097_367,
        1_329_148,
        2_545_843,
        2_750_674,
    ),
    8: (
        17,
        83,
        184,
        516,
        2_067,
        11_825,
        35_347,
        106_463,
        172_968,
        236_308,
        409_930,
        611_237,
        1_836_768,
        2_109_173,
        2_658_540,
        4_628_226,
    ),
    16: (
        32,
        50,
        125,
        419,
        1_821,
        24_245,
        51_170,
        59_251,
        99_064,
        161_182,
        385_965,
        513_523,
        1_291_580,
        1_478_921,
        1_664_299,
        1_710_643,
    ),
}
# Run times of HPC2N from so many seconds on -> limit over run time at each level up to 0.99, which stays the highest.
HPC2N_LIMIT_RATIOS: Final[Mapping[int, tuple[float, ...]]] = {
    0: (1.0, 2.6, 6.0, 15.0, 33.33, 75.0, 180.0, 583.78, 2_076.92, 4_800.0, 18_000.0, 39_600.0, 119_999.67),
    60: (1.0, 1.0, 1.14, 2.1, 3.9, 5.79, 10.26, 28.57, 80.6, 419.26, 1_725.29, 2_128.46, 3_777.68),
    600: (1.0, 1.0, 1.03, 1.08, 1.1, 1.21, 1.27, 1.46, 2.35, 4.36, 17.5, 50.56, 274.1),
    3_600: (1.0, 1.0, 1.01, 1.02, 1.03, 1.06, 1.34, 1.52, 1.73, 2.34, 4.88, 10.55, 30.22),
    21_600: (1.0, 1.0, 1.0, 1.02, 1.12, 1.28, 1.43, 1.46, 1.56, 2.13, 3.54, 5.41, 10.47),
    86_400: (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.08, 1.18, 1.3, 1.59, 2.23, 2.82, 3.94),
}
PHILLY_LIMIT_STEP_S: Final = 300


def _philly_runtime_s(gpus: int, random: Random) -> int:
    return max(1, round(_between(LEVELS, PHILLY_RUNTIMES_S[gpus if gpus <= 8 else 16], random.random())))


def _hpc2n_limit_s(runtime_s: int, random: Random) -> int:
    classes = tuple(HPC2N_LIMIT_RATIOS)
    ratios = HPC2N_LIMIT_RATIOS[classes[bisect_right(classes, runtime_s) - 1]]
    return _stepped(runtime_s * _between(LEVELS[: len(ratios)], ratios, random.random()), PHILLY_LIMIT_STEP_S)


def _between(levels: Sequence[float], values: Sequence[float], at: float) -> float:
    """The value at a level, along a straight line in the logarithm between the two that stand around it."""
    if at >= levels[-1]:
        return values[-1]
    above = bisect_right(levels, at)
    share = (at - levels[above - 1]) / (levels[above] - levels[above - 1])
    return math.exp(math.log(values[above - 1]) * (1 - share) + math.log(values[above]) * share)


def _stepped(seconds: float, step_s: int) -> int:
    return step_s * math.ceil(seconds / step_s)


def _zipf_user(users: int, random: Random) -> int:
    return 1 + drawn(_zipf_weights(users), random)


@lru_cache(maxsize=64)
def _zipf_weights(users: int) -> tuple[int, ...]:
    return tuple(1_000_000 // rank for rank in range(1, users + 1))


PHILLY: Final = Profile(
    sizes=(1, 2, 4, 8, 12, 16, 24, 32),
    size_weights=(58_384, 1_177, 1_427, 1_069, 7, 97, 4, 29),
    hour_weights=(18, 15, 10, 11, 12, 15, 25, 45, 54, 65, 63, 70, 67, 69, 69, 61, 58, 42, 45, 43, 43, 34, 43, 22),
    weekday_weights=(164, 154, 178, 154, 152, 102, 96),
    runtime_s=_philly_runtime_s,
    limit_s=_hpc2n_limit_s,
    users=9,
    user=_zipf_user,
)

PROFILES: Final[Mapping[str, Profile]] = {"mixed": MIXED, "philly": PHILLY}
