"""Routes by time: the job stays at its lawful home and is held back there for a cleaner hour.

All of them see what csched sees, no more: the forecast as issued by then, and the job's expected run time, else its
limit. How long a job may be held is GAIA's `6x24`: 6 h for jobs of up to 2 h, 24 h for longer ones, and never so long
that a deadline would be missed by the hold itself.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from csched.clock import epoch_s
from csched.domain.carbon import CarbonSeries
from csched.units import SECONDS_PER_HOUR
from csched_sim.floor import Floor, Piece
from csched_sim.queued import Refused, Route, ready_s
from csched_sim.routing import NOWHERE, home_if_lawful
from csched_sim.traces.trace import TraceJob

SHORT_JOB_S: Final = 2 * SECONDS_PER_HOUR
SHORT_HOLD_S: Final = 6 * SECONDS_PER_HOUR
LONG_HOLD_S: Final = 24 * SECONDS_PER_HOUR

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Choice = Callable[[Floats, Ints, int], int]
"""(integrals of intensity by start, seconds held, length in seconds) -> index of the start."""


def lowest_window(traced: TraceJob, floor: Floor) -> Route | Refused:
    """The start with the least carbon over the whole run, the earliest of equals.

    "Lowest-Window" of GAIA (ASPLOS 2024), the rule of CATS and of Let's Wait Awhile for jobs that cannot be
    interrupted.
    """
    return _held_back(traced, floor, lambda integrals, _held_s, _length_s: int(np.argmin(integrals)))


def carbon_time(traced: TraceJob, floor: Floor) -> Route | Refused:
    """The start that saves most carbon, against starting at once, for each hour until the job would end.

    "Carbon-Time" of GAIA (ASPLOS 2024): max over starts of (carbon at once - carbon then) / (held + length).
    """

    def choice(integrals: Floats, held_s: Ints, length_s: int) -> int:
        return int(np.argmax((integrals[0] - integrals) / (held_s + length_s)))

    return _held_back(traced, floor, choice)


def wait_awhile(traced: TraceJob, floor: Floor) -> Route | Refused:
    """The cleanest hours within hold and length, the job suspended between them and resumed at no cost.

    The interruptible strategy of Let's Wait Awhile (Middleware 2021), also GAIA's "Wait Awhile". A piece whose turn
    has come queues like any job; a late one moves the rest.
    """
    berth = home_if_lawful(traced, floor)
    if berth is None:
        return NOWHERE
    first_s = ready_s(traced, berth, floor.setting)
    length_s = traced.job.runtime_s
    hold_s = _hold_s(traced, first_s)
    hours = -(-(length_s + hold_s) // SECONDS_PER_HOUR)
    starts_s = first_s + SECONDS_PER_HOUR * np.arange(hours, dtype=np.int64)
    sky = floor.setting.skies.at(floor.calendar.now_s, int(starts_s[-1]) + SECONDS_PER_HOUR)
    integrals = _integrals(sky.zone(berth.site.grid_zone), starts_s, SECONDS_PER_HOUR)
    needed = min(-(-length_s // SECONDS_PER_HOUR), hours)
    chosen = np.sort(starts_s[np.argsort(integrals, kind="stable")[:needed]])
    breaks = np.flatnonzero(np.diff(chosen) > SECONDS_PER_HOUR) + 1
    pieces = tuple(Piece(int(run[0]), len(run) * SECONDS_PER_HOUR) for run in np.split(chosen, breaks))
    return Route(berth, pieces[0].from_s, pieces if len(pieces) > 1 else ())


def _held_back(traced: TraceJob, floor: Floor, choice: Choice) -> Route | Refused:
    berth = home_if_lawful(traced, floor)
    if berth is None:
        return NOWHERE
    setting = floor.setting
    first_s, length_s = ready_s(traced, berth, setting), traced.job.runtime_s
    held_s = np.arange(0, _hold_s(traced, first_s) + 1, setting.slot_s, dtype=np.int64)
    sky = setting.skies.at(floor.calendar.now_s, first_s + int(held_s[-1]) + length_s)
    integrals = _integrals(sky.zone(berth.site.grid_zone), first_s + held_s, length_s)
    return Route(berth, first_s + int(held_s[choice(integrals, held_s, length_s)]))


def _hold_s(traced: TraceJob, first_s: int) -> int:
    job = traced.job
    hold_s = SHORT_HOLD_S if job.runtime_s <= SHORT_JOB_S else LONG_HOLD_S
    if job.deadline is not None:
        hold_s = min(hold_s, epoch_s(job.deadline) - job.time_limit_s - first_s)
    return max(hold_s, 0)


def _integrals(series: CarbonSeries, starts_s: Ints, length_s: int) -> Floats:
    """Hours x gCO2e/kWh of a run of this length from each start."""
    return series.cumulative_g_h_per_kwh(starts_s + length_s) - series.cumulative_g_h_per_kwh(starts_s)
