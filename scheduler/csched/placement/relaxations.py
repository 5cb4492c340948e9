"""For a job that is left out: the smallest single wishes to give up that would place it beside the rest of the plan.

Each wish is relaxed alone, as little as need be: quantities by bisection to the GPU or the minute, lists by one more
kind or country. A hard rule is never proposed to be broken; it is said which facts would have to be different.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csched.clock import format_instant
from csched.domain.job import Job
from csched.domain.plan import Plan, Relaxation
from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import SiteVerdict, Verdicts
from csched.placement.arrangement import Arrangement, Spot, Ties
from csched.placement.beside import others_of
from csched.placement.problem import Problem, build
from csched.placement.schedule import Schedule
from csched.units import format_slurm_time

MOST_SHOWN = 3
ONE_MORE_KIND = 0.5
"""Size of accepting one more kind of hardware or country, or of leaving home."""
ANOTHER_FACT = 1.0
"""Size of each fact that policy would have to see otherwise."""


def relaxations(
    snapshot: Snapshot, verdicts: Verdicts | None, plan: Plan, job_id: str, quotas: Sequence[QuotaRow] = ()
) -> tuple[Relaxation, ...]:
    """At most three, the smallest first; empty for a job that has a place, or that only others keep back."""
    if job_id in plan.placement_of:
        return ()
    asked = _Asked(snapshot, verdicts, plan, job_id, quotas)
    if asked.waits_in_vain:
        return ()
    found = [*asked.released()] or ([] if asked.place(asked.job) else [*asked.each()])
    return tuple(sorted(found, key=lambda each: (each.size, each.field, each.start))[:MOST_SHOWN])


@dataclass(frozen=True)
class _Place:
    site: str
    start: datetime


class _Asked:
    """One job beside what the others of a plan leave."""

    def __init__(
        self, snapshot: Snapshot, verdicts: Verdicts | None, plan: Plan, job_id: str, quotas: Sequence[QuotaRow]
    ) -> None:
        self._held = job_id in snapshot.held
        free = snapshot.model_copy(update={"held": tuple(held for held in snapshot.held if held != job_id)})
        self._snapshot = free.model_copy(update={"standing": None})
        self._whole = build(self._snapshot, verdicts)
        self._others = others_of(self._whole, quotas, plan, job_id)
        index = {job.job: index for index, job in enumerate(self._whole.jobs)}[job_id]
        self.job = self._whole.jobs[index]
        self._verdicts = None if verdicts is None else verdicts.get(job_id, ())
        self._ready = self._others.ties.dependencies.ready(index, self._others)

    @property
    def waits_in_vain(self) -> bool:
        return self._ready is None

    def place(self, job: Job, verdicts: Sequence[SiteVerdict] | None = None) -> _Place | None:
        """Where the job, so changed, would cost least; None where it still has no place."""
        now = self._whole.start(self._ready or 0)
        earliest = now if job.earliest_start is None else max(now, job.earliest_start)
        alone = job.model_copy(update={"dependency": (), "earliest_start": earliest})
        judged = self._verdicts if verdicts is None else verdicts
        problem = build(
            self._snapshot.model_copy(update={"jobs": (alone,)}), None if judged is None else {job.job: tuple(judged)}
        )
        spot = self._beside_the_others(problem).best(0)
        return None if spot is None else self._place(problem, spot)

    def _beside_the_others(self, problem: Problem) -> Arrangement:
        """The rows of the larger problem cover those of the small one; limits of arrays and shares bind as there."""
        ties = Ties(problem, self._others.ties.rows)
        arranged = Arrangement(ties.gangs.without(problem), ties, Schedule.empty(problem))
        rows = self._whole.row_after(problem.row_slots)
        last = self._whole.gpus_left.shape[1] - 1
        arranged.board.gpus_left[:] = self._others.board.gpus_left[:, rows.clip(max=last)]
        arranged.board.power_left[:] = self._others.board.power_left[:, rows.clip(max=last)]
        arranged.arrays.like(self._others.arrays)
        arranged.quotas.like(self._others.quotas)
        return arranged

    @staticmethod
    def _place(problem: Problem, spot: Spot) -> _Place:
        return _Place(problem.rooms[spot.rooms[0]].site.id, problem.start(spot.slot))

    # --- one wish after another --------------------------------------------------------------------------------

    def released(self) -> Iterator[Relaxation]:
        if self._held and (place := self.place(self.job)):
            yield self._said("hold", ("held", None), 0.0, place, "if it were released")

    def each(self) -> Iterator[Relaxation]:
        yield from self._fewer_gpus()
        yield from self._shorter_limit()
        yield from self._later_deadline()
        yield from self._earlier_start()
        yield from self._more_kinds()
        yield from self._more_countries()
        yield from self._away_from_home()
        yield from self._other_facts()

    def _fewer_gpus(self) -> Iterator[Relaxation]:
        job = self.job
        if job.components:
            return
        found = self._least(job.gpus - 1, lambda given_up: job.model_copy(update={"gpus": job.gpus - given_up}))
        if found:
            gpus = job.gpus - found[0]
            told = f"with {gpus} GPUs instead of {job.gpus}"
            yield self._said("gpus", (job.gpus, gpus), found[0] / job.gpus, found[1], told)

    def _shorter_limit(self) -> Iterator[Relaxation]:
        job = self.job

        def shorter(minutes: int) -> Job:
            limit_s = job.time_limit_s - 60 * minutes
            expected_s = None if job.expected_runtime_s is None else min(job.expected_runtime_s, limit_s)
            return job.model_copy(update={"time_limit_s": limit_s, "expected_runtime_s": expected_s})

        found = self._least((job.time_limit_s - 1) // 60, shorter)
        if found:
            limit_s = job.time_limit_s - 60 * found[0]
            told = f"with a limit of {format_slurm_time(limit_s)} instead of {format_slurm_time(job.time_limit_s)}"
            size = 60 * found[0] / job.time_limit_s
            yield self._said("time_limit_s", (job.time_limit_s, limit_s), size, found[1], told)

    def _later_deadline(self) -> Iterator[Relaxation]:
        job = self.job
        if job.deadline is None:
            return
        deadline = job.deadline
        furthest = max(deadline, self._whole.start(self._whole.reach_slots) + timedelta(seconds=10 * job.time_limit_s))

        def later(minutes: int) -> Job:
            return job.model_copy(update={"deadline": deadline + timedelta(minutes=minutes)})

        found = self._least((furthest - deadline) // timedelta(minutes=1), later)
        if found:
            told = f"with a deadline {_span(found[0])} later"
            new = format_instant(deadline + timedelta(minutes=found[0]))
            yield self._said("deadline", (format_instant(deadline), new), self._share(found[0]), found[1], told)

    def _earlier_start(self) -> Iterator[Relaxation]:
        job, now = self.job, self._whole.now
        if job.earliest_start is None or job.earliest_start <= now:
            return
        earliest = job.earliest_start

        def sooner(minutes: int) -> Job:
            return job.model_copy(update={"earliest_start": earliest - timedelta(minutes=minutes)})

        found = self._least(-((now - earliest) // timedelta(minutes=1)), sooner)
        if found:
            told = f"if it could begin {_span(found[0])} earlier"
            new = format_instant(earliest - timedelta(minutes=found[0]))
            yield self._said("earliest_start", (format_instant(earliest), new), self._share(found[0]), found[1], told)

    def _more_kinds(self) -> Iterator[Relaxation]:
        kinds = {room.partition.hardware for room in self._whole.rooms} - set(self.job.hardware)
        for kind in sorted(kinds) if self.job.hardware and not self.job.components else ():
            if place := self.place(self.job.model_copy(update={"hardware": (*self.job.hardware, kind)})):
                yield self._said(
                    "hardware", (self.job.hardware, kind), ONE_MORE_KIND, place, f"with hardware {kind} too"
                )

    def _more_countries(self) -> Iterator[Relaxation]:
        countries = {site.country for site in self._snapshot.fleet.sites if site.country} - set(self.job.countries)
        for country in sorted(countries) if self.job.countries else ():
            if place := self.place(self.job.model_copy(update={"countries": (*self.job.countries, country)})):
                told = f"if countries allowed {country}"
                yield self._said("countries", (self.job.countries, country), ONE_MORE_KIND, place, told)

    def _away_from_home(self) -> Iterator[Relaxation]:
        if self.job.portable is False and (place := self.place(self.job.model_copy(update={"portable": None}))):
            yield self._said("portable", (False, True), ONE_MORE_KIND, place, "if it were portable")

    def _other_facts(self) -> Iterator[Relaxation]:
        """At each site that policy denies: all that it sees there and would have to see otherwise."""
        for verdict in self._verdicts or ():
            if verdict.allowed:
                continue
            others = [each for each in self._verdicts or () if each.site != verdict.site]
            place = self.place(self.job, [*others, SiteVerdict(site=verdict.site)])
            if place is None or place.site != verdict.site:
                continue
            facts = " and if ".join(
                f"{why.clause or 'the job'} were otherwise ({why.rule or 'policy'}: {why.message})"
                for why in verdict.denials
            )
            size, first = ANOTHER_FACT * len(verdict.denials), verdict.denials[0]
            yield self._said("policy", (first.seen, first.needed), size, place, f"if {facts}")

    # --- how little is enough ----------------------------------------------------------------------------------

    def _least(self, most: int, changed: Callable[[int], Job]) -> tuple[int, _Place] | None:
        """The least step from 1 to `most` with which the job has a place, by bisection: further is never worse."""
        place = self.place(changed(most)) if most >= 1 else None
        if place is None:
            return None
        low, high = 1, most
        while low < high:
            middle = (low + high) // 2
            if tried := self.place(changed(middle)):
                high, place = middle, tried
            else:
                low = middle + 1
        return high, place

    def _share(self, minutes: int) -> float:
        """Of time moved, beside the time limit: below 1."""
        return 60 * minutes / (60 * minutes + self.job.time_limit_s)

    def _said(self, field: str, change: tuple[object, object], size: float, place: _Place, told: str) -> Relaxation:
        """`change`: what it asks for, and what it would have to."""
        message = f"would start at {place.site} at {place.start:%Y-%m-%d %H:%MZ} {told}"
        return Relaxation.model_validate(
            {
                "field": field,
                "seen": change[0],
                "needed": change[1],
                "size": size,
                "site": place.site,
                "start": place.start,
                "message": message,
            }
        )


def _span(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.3g} h"
