"""The strategy oracle: a schedule made with the whole future in hand, for least carbon within the horizon of each job.

It knows every submission, true run time and true intensity beforehand. It looks for the prices of capacity that prove
the bound, puts the jobs in by falling GPU-hours where carbon plus price is least, then moves each to where its carbon
is least beside the others. So it is a lawful schedule that can be reached, and the bound tells how far from the best it
can be at most. Nobody could run it: it is the measure for those who do not know the future.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from csched.clock import epoch_s, from_epoch_s
from csched.domain.site import Site
from csched_sim.bound import Prices, key, priced_bound
from csched_sim.chances import Chance, Floats, Ints, Sky, chances, reach_s, screened
from csched_sim.outcome import NeverRan, Outcome, Run
from csched_sim.setting import Setting, eligible_s
from csched_sim.traces.trace import TraceJob

_SAME_KW = 1e-9
"""Sums of floats in another order differ by less."""


def simulate_foreseen(trace: Iterable[TraceJob], setting: Setting) -> Outcome:
    """Each job of the ordered trace within the horizon of being ready, or as soon as possible where that is full."""
    jobs = list(trace)
    if not jobs:
        return Outcome()
    verdicts = screened(jobs, setting)
    found = {job.job.job: chances(job, setting, verdicts, setting.horizon_s, staged=True) for job in jobs}
    outcome = Outcome(decisions=1)
    choices = {name: several for name, several in found.items() if several}
    placed = _scheduled(choices, setting, min(map(eligible_s, jobs))) if choices else {}
    for job in jobs:
        place = placed.get(job.job.job)
        if place is None:
            outcome.never_ran.append(NeverRan(job, "no site may run it, or it fits into none under any power cap"))
        else:
            outcome.runs.append(Run(job, place[0].berth, place[1], place[1] + job.runtime_s))
    setting.progress(len(jobs))
    return outcome


Place = tuple[Chance, int]
"""A chance and the second it is taken at."""


def _scheduled(choices: dict[str, list[Chance]], setting: Setting, start_s: int) -> dict[str, Place | None]:
    late_s = reach_s(choices)
    work_s = sum(several[0].traced.runtime_s for several in choices.values())
    carbon = setting.carbon.outlook(setting.zones, from_epoch_s(late_s), from_epoch_s(start_s), from_epoch_s(late_s))
    sky = Sky.of(carbon)
    priced = priced_bound(list(choices.values()), sky)
    board = _Board(setting, start_s, late_s + work_s)
    order = sorted(choices, key=lambda name: (-choices[name][0].held * choices[name][0].traced.runtime_s, name))
    placed = {name: board.put_best(choices[name], sky, priced[1] if priced else None) for name in order}
    for name in order:
        if (place := placed[name]) is not None:
            board.lift(*place)
            placed[name] = board.put_best(choices[name], sky, None)
    return placed


class _Board:
    """GPUs left by partition and IT power left by site, in slots; a run holds every slot that it touches."""

    def __init__(self, setting: Setting, start_s: int, end_s: int) -> None:
        self._start_s, self._slot_s = start_s, setting.slot_s
        self._slots = slots = -(-(end_s - start_s) // setting.slot_s) + 1
        self._gpus = {
            (site, berth.partition.name): np.full(slots, berth.capacity, dtype=np.int64)
            for site, berths in setting.berths.items()
            for berth in berths
        }
        self._kw = {
            site.id: _caps_kw(site, start_s + setting.slot_s * np.arange(slots + 1))
            for site in setting.fleet.sites
            if site.it_power_cap_kw is not None
        }

    def put_best(self, several: Sequence[Chance], sky: Sky, prices: Prices | None) -> Place | None:
        """Hold what the job needs at its best start that has room: by carbon, plus prices where there are any.

        Null where no cap on power ever leaves enough for it.
        """
        offers = []
        for chance in several:
            starts_s = sky.starts_s(chance)
            kg = sky.carbon_kg(chance, starts_s)
            offers.append((chance, starts_s, kg if prices is None else kg + prices.held_kg(chance, starts_s)))
        best = self._first_with_room(offers) or self._soonest(several)
        if best is not None:
            self._hold(*best, sign=-1)
        return best

    def lift(self, chance: Chance, begin_s: int) -> None:
        self._hold(chance, begin_s, sign=1)

    def _first_with_room(self, offers: Sequence[tuple[Chance, Ints, Floats]]) -> Place | None:
        """The offer that costs least of those with room; the earliest of equals."""
        kg = np.concatenate([offered for _, _, offered in offers])
        starts_s = np.concatenate([starts for _, starts, _ in offers])
        of = np.repeat(np.arange(len(offers)), [len(starts) for _, starts, _ in offers])
        for index in np.lexsort((starts_s, kg)).tolist():
            chance, begin_s = offers[of[index]][0], int(starts_s[index])
            if self._fits(chance, begin_s):
                return chance, begin_s
        return None

    def _soonest(self, several: Sequence[Chance]) -> Place | None:
        """After its window, slot by slot."""
        first = self._slot(min(chance.last_s for chance in several), up=True)
        for slot in range(first, self._slots):
            begin_s = self._start_s + slot * self._slot_s
            for chance in several:
                if begin_s >= chance.first_s and self._fits(chance, begin_s):
                    return chance, begin_s
        return None

    def _fits(self, chance: Chance, begin_s: int) -> bool:
        a, b = self._slot(begin_s), self._slot(begin_s + chance.traced.runtime_s, up=True)
        if self._gpus[key(chance)][a:b].min() < chance.held:
            return False
        left_kw = self._kw.get(chance.berth.site.id)
        return left_kw is None or bool(left_kw[a:b].min() >= chance.it_kw - _SAME_KW)

    def _hold(self, chance: Chance, begin_s: int, *, sign: int) -> None:
        a, b = self._slot(begin_s), self._slot(begin_s + chance.traced.runtime_s, up=True)
        self._gpus[key(chance)][a:b] += sign * chance.held
        if (left_kw := self._kw.get(chance.berth.site.id)) is not None:
            left_kw[a:b] += sign * chance.it_kw

    def _slot(self, instant_s: int, *, up: bool = False) -> int:
        since_s = instant_s - self._start_s
        return -(-since_s // self._slot_s) if up else since_s // self._slot_s


def _caps_kw(site: Site, edges_s: Ints) -> Floats:
    """Lowest cap in force in any part of each slot, infinite where none is; shape (slots,)."""
    caps = site.it_power_cap_kw
    if not isinstance(caps, tuple):
        return np.full(len(edges_s) - 1, np.inf if caps is None else caps)
    lowest = np.full(len(edges_s) - 1, np.inf)
    for cap in caps:
        touched = (edges_s[1:] > epoch_s(cap.from_)) & (edges_s[:-1] < epoch_s(cap.to))
        lowest[touched] = np.minimum(lowest[touched], cap.kw)
    return lowest
