"""Is this plan valid, and are its figures and its bound true? Recomputed from the snapshot alone.

Shares no code with the engine: only the domain values and the arithmetic of `csched.accounting.costs`.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

from csched.accounting import costs
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, Unplaced
from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import ReasonCode, Verdicts
from csched.errors import CschedError
from csched.placement.check_bound import bound_faults
from csched.placement.check_nodes import NodeCheck
from csched.placement.check_parts import odd_parts, parts, unfolded
from csched.placement.check_space import TOLERANCE, Profile, Space
from csched.placement.check_starts import Starts
from csched.placement.check_together import Together

_SHOWN = 5


class PlanRefused(CschedError):
    """The engine's own answer is wrong. It is a defect; nothing is committed."""

    code = "PlanRefused"


def require_valid(plan: Plan, snapshot: Snapshot, verdicts: Verdicts | None, quotas: Sequence[QuotaRow] = ()) -> None:
    """Raise PlanRefused for a plan that breaks a rule or states a wrong figure. The bound is not recomputed."""
    found = list(_Check(plan, snapshot, verdicts, quotas).faults())
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise PlanRefused(
            f"the plan was refused: {'; '.join(found[:_SHOWN])}{more}",
            hint="nothing was changed; keep the output of `csched snapshot` and report this as a defect",
        )


def faults(plan: Plan, snapshot: Snapshot, verdicts: Verdicts | None, quotas: Sequence[QuotaRow] = ()) -> list[str]:
    """All that is wrong with a plan, one sentence each, its bound recomputed from the certificate; empty if valid."""
    check = _Check(plan, snapshot, verdicts, quotas)
    return [*check.faults(), *bound_faults(plan, check.starts)]


class _Check:
    def __init__(self, plan: Plan, snapshot: Snapshot, verdicts: Verdicts | None, quotas: Sequence[QuotaRow]) -> None:
        self.plan, self.snapshot = plan, snapshot
        self.fleet, self.now = snapshot.fleet, snapshot.now
        self.together = Together(plan, snapshot, quotas)
        self.jobs = {job.job: job for job in snapshot.jobs}
        self.space = Space(snapshot)
        self.starts = Starts(self.space, verdicts)

    def faults(self) -> Iterator[str]:
        yield from self._each_job_once()
        for placement in self.plan.placements:
            if placement.job in self.jobs and placement.room in self.space.places:
                yield from self._placement(placement, self.jobs[placement.job])
            else:
                yield f"{placement.job} is placed at {placement.room}, one of which is unknown"
        yield from self._room_overfilled()
        yield from self._power_overdrawn()
        yield from self.nodes.faults()
        yield from self.together.faults()
        for unplaced in self.plan.unplaced:
            if unplaced.job in self.jobs:
                yield from self._left_out(unplaced, self.jobs[unplaced.job])
        yield from self._totals()

    # --- one job -----------------------------------------------------------------------------------------------

    def _each_job_once(self) -> Iterator[str]:
        seen: dict[str, int] = defaultdict(int)
        for name in (*(each.job for each in self.plan.placements), *(each.job for each in self.plan.unplaced)):
            seen[name] += 1
        yield from (f"{job} is in the plan {seen[job]} times" for job in seen.keys() | self.jobs if seen[job] != 1)
        yield from (f"{job} is not in the snapshot" for job in sorted(seen.keys() - self.jobs))
        held = set(self.snapshot.held)
        yield from (f"{each.job} is held, yet placed" for each in self.plan.placements if each.job in held)

    def _placement(self, placement: Placement, job: Job) -> Iterator[str]:
        yield from odd_parts(placement, job)
        each = unfolded(placement, job)
        if not each or any(part.room not in self.space.places for part, _ in each):
            yield f"{job.job} has a part where there is nothing"
            return
        refused = [why for part, own in each if (why := self._part_refused(part, own)) is not None]
        if refused:
            yield f"{job.job} at {placement.site} from {placement.start.isoformat()}: {refused[0]}"
            return
        if not _same(placement.sigma, true := self.nodes.sigma(each)):
            yield f"{job.job}: sigma is {placement.sigma!r} instead of {true!r}"
        bills = [self._bill(part, own, placement.sigma) for part, own in each]
        yield from self._wrong_figures(placement, bills)
        for (part, _), lines in zip(each, bills, strict=True):
            if part.end != lines.end:
                yield f"{job.job} ends at {part.end.isoformat()} instead of {lines.end.isoformat()}"
        for shown, lines in zip(placement.components, bills, strict=False):
            if not (_same(shown.kwh, lines.kwh) and _same(shown.carbon_kg, lines.carbon_kg)):
                yield f"{job.job}: the part at {shown.partition} states other figures than are true"

    def _part_refused(self, placement: Placement, job: Job) -> str | None:
        why = self.starts.why_never(job, placement.room) or self.starts.why_not(job, placement.room, placement.start)
        if why is None and placement.gpus != job.gpus:
            why = f"has {placement.gpus} GPUs instead of {job.gpus}"
        return why

    def _bill(self, placement: Placement, job: Job, sigma: float) -> costs.Bill:
        place = self.space.places[placement.room]
        return costs.bill(
            job,
            place.site,
            place.hardware,
            placement.start,
            fleet=self.fleet,
            carbon=self.snapshot.carbon,
            now=self.now,
            sigma=sigma,
        )

    @staticmethod
    def _wrong_figures(placement: Placement, bills: Sequence[costs.Bill]) -> Iterator[str]:
        if placement.end != max(lines.end for lines in bills):
            yield f"{placement.job} ends at {placement.end.isoformat()}, not with its last part"
        for name in ("kwh", "carbon_kg", "topology_kg", "egress_kg", "wait_h", "cost_kg"):
            each = [getattr(lines, name) for lines in bills]
            stated, true = getattr(placement, name), each[0] if name == "wait_h" else math.fsum(each)
            if not _same(stated, true):
                yield f"{placement.job}: {name} is {stated!r} instead of {true!r}"

    # --- capacity and power ------------------------------------------------------------------------------------

    @cached_property
    def _known(self) -> list[tuple[Placement, Job]]:
        return [
            (part, own)
            for placement in self.plan.placements
            if placement.job in self.jobs
            for part, own in unfolded(placement, self.jobs[placement.job])
            if part.room in self.space.places
        ]

    @cached_property
    def nodes(self) -> NodeCheck:
        """Nodes and NVLink domains of those that start at once."""
        return NodeCheck(self.space, self._known)

    @cached_property
    def _in_use(self) -> tuple[Mapping[str, Profile], Mapping[str, Profile]]:
        """GPUs by place and kW by site that running and planned jobs hold."""
        gpus: dict[str, Profile] = defaultdict(Profile)
        kw: dict[str, Profile] = defaultdict(Profile)
        for placement, job in self._known:
            slot, place = self.space.slot(placement.start), self.space.places[placement.room]
            end = slot + self.space.slots_held(job, place)
            gpus[placement.room].add(slot, end, place.held(job))
            kw[placement.site].add(slot, end, place.kw(job))
        self.space.add_running(gpus, kw)
        return gpus, kw

    def _room_overfilled(self) -> Iterator[str]:
        for key in {placement.room: None for placement, _ in self._known}:
            already, profile = self.space.running_gpus(key), self._in_use[0][key]
            for slot in sorted({*profile.slots(), *self.space.edges(key)}):
                in_use, offered = profile.at(slot), self.space.gpus(key, slot)
                if in_use > max(offered, already.at(slot)):
                    yield f"{key} holds {in_use:g} of {offered} GPUs in slot {slot}"
                    break

    def _power_overdrawn(self) -> Iterator[str]:
        for site in self.fleet.sites:
            if site.it_power_cap_kw is None:
                continue
            running = self.space.running_kw(site)
            profile = self._in_use[1].get(site.id, Profile())
            for slot in sorted({*profile.slots(), *self.space.cap_slots(site)}):
                cap, drawn = self.space.cap_kw(site, slot), profile.at(slot)
                if drawn > max(cap, running.at(slot)) * (1 + TOLERANCE) + 1e-9:
                    yield f"{site.id} draws {drawn:g} of {cap:g} kW in slot {slot}"
                    break

    # --- jobs left out -----------------------------------------------------------------------------------------

    def _left_out(self, unplaced: Unplaced, job: Job) -> Iterator[str]:
        """A job left out has its reasons, its penalty, and nowhere to go."""
        if job.job in self.snapshot.held:
            if ReasonCode.HELD not in {reason.code for reason in unplaced.reasons}:
                yield f"{job.job} is held, and its reasons do not say so"
            return
        if not unplaced.reasons:
            yield f"{job.job} is left out without a reason"
        if self.together.waits_in_vain(job) and ReasonCode.DEPENDENCY not in {why.code for why in unplaced.reasons}:
            yield f"{job.job} waits for what will never come, and its reasons do not say so"
        if (where := self._place_for(job)) is not None:
            yield f"{job.job} is left out, yet fits at {where}"
            return
        penalty = self.starts.penalty(job, self.starts.of(job))
        if (penalty is None) != (unplaced.penalty_kg is None) or not _same(unplaced.penalty_kg or 0, penalty or 0):
            yield f"{job.job}: penalty_kg is {unplaced.penalty_kg!r} instead of {penalty!r}"

    def _place_for(self, job: Job) -> str | None:
        """A start at which a job that is left out would fit: each part, big ones first, where it first has room."""
        own = parts(job)
        places = self.space.places
        allowed = [{key: set(self.starts.allowed(part, key).tolist()) for key in places} for part in own]
        for site in self.fleet.sites:
            for slot in range(self.space.start_slots):
                here = [
                    {key for key, slots in starts.items() if places[key].site is site and slot in slots}
                    for starts in allowed
                ]
                kinds = self._first_fit(own, here, slot) if all(here) else None
                if kinds is not None and self.together.permits(job, site.id, kinds, self.space.instant(slot)):
                    return f"{site.id} in slot {slot}"
        return None

    def _first_fit(self, own: Sequence[Job], allowed: Sequence[Collection[str]], slot: int) -> list[str] | None:
        """Hardware of the rooms in which parts that start together fit one after another."""
        taken: dict[str, int] = defaultdict(int)
        kw, kinds = 0.0, [""] * len(own)
        for number in sorted(range(len(own)), key=lambda number: (-own[number].gpus, number)):
            part = own[number]
            fitting = (
                each
                for each in self.space.places
                if each in allowed[number] and self._has_nodes(part, each, slot, alone=len(own) == 1)
            )
            key = next((each for each in fitting if self._still_fits(part, each, slot, taken[each], kw)), None)
            if key is None:
                return None
            place = self.space.places[key]
            taken[key] += place.held(part)
            kw += place.kw(part)
            kinds[number] = place.hardware.key
        return kinds

    def _has_nodes(self, job: Job, key: str, slot: int, *, alone: bool) -> bool:
        """Whether NVLink domains surely hold the job together; what of several parts lies where is not known."""
        if self.nodes.torn_anywhere(job, key):
            return False
        return slot > 0 or not self.nodes.knows(key) or (alone and self.nodes.room_now(job, key))

    def _still_fits(self, job: Job, key: str, slot: int, taken: int, taken_kw: float) -> bool:
        """Beside the plan, and beside other parts of the same job that take so much."""
        place, space = self.space.places[key], self.space
        end, wanted = slot + space.slots_held(job, place), taken + place.held(job)
        busy = self._in_use[0].get(key, Profile())
        edges = {slot, *busy.edges(slot, end), *(each for each in space.edges(key) if slot < each < end)}
        if any(busy.at(each) + wanted > space.gpus(key, each) for each in edges):
            return False
        if place.site.it_power_cap_kw is None:
            return True
        drawn, kw = self._in_use[1].get(place.site.id, Profile()), taken_kw + place.kw(job)
        edges = {slot, *drawn.edges(slot, end), *(each for each in space.cap_slots(place.site) if slot < each < end)}
        return all(drawn.at(each) + kw <= space.cap_kw(place.site, each) * (1 - TOLERANCE) for each in edges)

    # --- totals ------------------------------------------------------------------------------------------------

    def _totals(self) -> Iterator[str]:
        plan = self.plan
        placed = math.fsum(placement.cost_kg for placement in plan.placements)
        cost = placed + math.fsum(unplaced.penalty_kg or 0.0 for unplaced in plan.unplaced)
        for name, true in (("placed_cost_kg", placed), ("cost_kg", cost)):
            if not _same(getattr(plan, name), true):
                yield f"{name} is {getattr(plan, name)!r} instead of {true!r}"
        if plan.bound_kg > plan.cost_kg:
            yield f"bound_kg {plan.bound_kg!r} is above cost_kg {plan.cost_kg!r}"
        if plan.placed_cost_kg > 0 and not _same(plan.gap, (plan.cost_kg - plan.bound_kg) / plan.placed_cost_kg):
            yield f"gap is {plan.gap!r} instead of {(plan.cost_kg - plan.bound_kg) / plan.placed_cost_kg!r}"


def _same(stated: float, true: float) -> bool:
    return math.isclose(stated, true, rel_tol=TOLERANCE, abs_tol=1e-9)
