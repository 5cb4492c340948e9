"""Is this plan valid, and are its figures and its bound true? Recomputed from the snapshot alone.

Shares no code with the engine: only the domain values and the arithmetic of `csched.accounting.costs`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, Unplaced
from csched.domain.quota import QuotaRow
from csched.domain.site import Reservation, Site
from csched.domain.snapshot import Snapshot
from csched.domain.start_ban import StartBan
from csched.domain.verdict import ReasonCode, Verdicts
from csched.errors import CschedError
from csched.placement.check_nodes import NodeCheck
from csched.placement.check_parts import odd_parts, parts, unfolded
from csched.placement.check_space import TOLERANCE, Floats, Place, Profile, Space
from csched.placement.check_together import Together

Slots = npt.NDArray[np.int64]

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
    return [*check.faults(), *check.bound_faults()]


class _Check:
    def __init__(self, plan: Plan, snapshot: Snapshot, verdicts: Verdicts | None, quotas: Sequence[QuotaRow]) -> None:
        self.plan, self.snapshot, self.verdicts = plan, snapshot, verdicts
        self.fleet, self.now = snapshot.fleet, snapshot.now
        self.together = Together(plan, snapshot, quotas)
        self.jobs = {job.job: job for job in snapshot.jobs}
        self.space = Space(snapshot)
        self.start_slots = math.ceil(snapshot.horizon_s / snapshot.slot_s)

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

    def bound_faults(self) -> Iterator[str]:
        """The certificate must prove the bound; without one, at most 300 jobs can have been proven otherwise."""
        certificate = self.plan.certificate
        if certificate is None:
            if len(self.jobs) > 300:
                yield "there is no certificate for a bound over more than 300 jobs"
            return
        prices = [price for row in (*certificate.gpu.values(), *certificate.power.values()) for price in row]
        if not all(math.isfinite(price) and price >= 0 for price in prices):
            yield "a price of the certificate is not a number of at least 0"
            return
        proven = self._proven_bound(certificate.gpu, certificate.power)
        if self.plan.bound_kg > proven + TOLERANCE * max(1.0, abs(proven)):
            yield f"bound_kg is {self.plan.bound_kg!r}; the certificate proves only {proven!r}"

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
        why = self._forbidden(job, self.space.places[placement.room])
        why = why or self._start_forbidden(job, placement.room, placement.start)
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

    def _forbidden(self, job: Job, place: Place) -> str | None:
        """What keeps the job from the place whenever it starts."""
        site, reservation = place.site, place.reservation
        refusals = {
            "its policy denies the site": not self._policy_allows(job, site),
            f"the job wants {job.countries}": bool(job.countries) and site.country not in job.countries,
            f"the job wants {job.hardware}": bool(job.hardware) and place.partition.hardware not in job.hardware,
            "the job is not portable": job.portable is False
            and site.id != self.fleet.home_site(job.home_site, job.tenant),
            "the site takes no new jobs": site.id in self.snapshot.drained,
            "the job is larger than the place": place.held(job) > place.most_gpus,
            f"the job's reservation is {job.reservation}": job.reservation != (reservation and reservation.name),
            "the reservation is not for this job": reservation is not None and not _may_use(reservation, job),
            "the site would not take the job": any(
                each.job == job.job and each.reason.site == site.id and each.partition in {None, place.partition.name}
                for each in self.snapshot.refusals
            ),
        }
        return next((why for why, broken in refusals.items() if broken), None)

    def _policy_allows(self, job: Job, site: Site) -> bool:
        if self.verdicts is None:
            return True
        return any(verdict.site == site.id and verdict.allowed for verdict in self.verdicts.get(job.job, ()))

    def _latest_end(self, job: Job, site: Site) -> datetime | None:
        """When the limit must have run out: the deadline and the policy's latest end, whichever is earlier."""
        ends = [job.deadline]
        if self.verdicts is not None:
            ends += [verdict.latest_end for verdict in self.verdicts.get(job.job, ()) if verdict.site == site.id]
        return min((end for end in ends if end is not None), default=None)

    def _bans(self, job: Job, site: Site) -> tuple[StartBan, ...]:
        row = (self.verdicts or {}).get(job.job, ())
        return next((verdict.bans for verdict in row if verdict.site == site.id), ())

    def _start_forbidden(self, job: Job, key: str, start: datetime) -> str | None:
        place, elapsed_s = self.space.places[key], (start - self.now).total_seconds()
        moved_s = costs.transfer_s(job, place.site, self.fleet)
        latest_end = self._latest_end(job, place.site)
        if elapsed_s % self.snapshot.slot_s != 0 or not 0 <= elapsed_s < self.snapshot.horizon_s:
            return "not a start slot of the horizon"
        if (start - costs.ready(job, self.now)).total_seconds() < moved_s:
            return "before the job and its data are there"
        if latest_end is not None and start + timedelta(seconds=job.limit_s_on(place.hardware.key)) > latest_end:
            return "the limit runs out after the deadline or the policy's latest end"
        if any(ban.forbids(start) for ban in self._bans(job, place.site)):
            return "policy closes that hour to it"
        return self._too_little(job, key, self.space.slot(start))

    def _too_little(self, job: Job, key: str, slot: int) -> str | None:
        """What is set aside and the caps leave too little of, other jobs aside."""
        if not self.space.enough_gpus(job, key, slot, beside_running=False):
            return "too few GPUs are not set aside for others, for maintenance, or outside of its reservation"
        if not self.space.enough_power(job, key, slot, beside_running=False):
            return "draws more than the power cap of its site by itself"
        return None

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

    def _allowed_starts(self, job: Job, key: str) -> Slots:
        """Slots of all allowed starts of a job in a place, other jobs aside."""
        place = self.space.places[key]
        if self._forbidden(job, place) is not None:
            return np.empty(0, dtype=np.int64)
        elapsed_s = np.arange(self.start_slots) * self.snapshot.slot_s
        since_ready_s = elapsed_s - (costs.ready(job, self.now) - self.now).total_seconds()
        allowed = since_ready_s >= costs.transfer_s(job, place.site, self.fleet)
        if (latest_end := self._latest_end(job, place.site)) is not None:
            limit_s = job.limit_s_on(place.hardware.key)
            allowed &= elapsed_s + limit_s <= (latest_end - self.now).total_seconds()
        slots = np.flatnonzero(allowed)
        if bans := self._bans(job, place.site):
            slots = self._where(slots, lambda slot: not any(ban.forbids(self.space.instant(slot)) for ban in bans))
        if isinstance(place.site.it_power_cap_kw, tuple):
            slots = self._where(slots, lambda slot: self.space.enough_power(job, key, slot, beside_running=False))
        elif not self.space.enough_power(job, key, 0, beside_running=False):
            slots = slots[:0]
        if self.space.edges(key):
            slots = self._where(slots, lambda slot: self.space.enough_gpus(job, key, slot, beside_running=False))
        return slots

    @staticmethod
    def _where(slots: Slots, holds: Callable[[int], bool]) -> Slots:
        return np.array([slot for slot in slots.tolist() if holds(slot)], dtype=np.int64)

    def _start_costs(self, job: Job, key: str, slots: Slots) -> Floats:
        place = self.space.places[key]
        series = self.snapshot.carbon.zone(place.site.grid_zone)
        starts_s = slots.astype(np.float64) * self.snapshot.slot_s + self.now.timestamp()
        ends_s = starts_s + job.runtime_s_on(place.hardware.key)
        intensity_h = series.cumulative_g_h_per_kwh(ends_s) - series.cumulative_g_h_per_kwh(starts_s)
        waits_s = starts_s - costs.ready(job, self.now).timestamp()
        waiting = costs.wait_kg(job.gpus, 1.0, self.fleet) * np.maximum(waits_s, 0) / 3600
        carbon: Floats = place.kw(job) * self.fleet.pue(place.site) * intensity_h / 1000
        carbon += costs.egress_kg(job, place.site, self.fleet) + waiting
        return carbon

    def _starts(self, job: Job) -> list["_Starts"]:
        """For each part of a job its allowed starts and what they cost, by place; places without one left out."""
        return [
            {
                key: (slots, self._start_costs(part, key, slots))
                for key in self.space.places
                if len(slots := self._allowed_starts(part, key))
            }
            for part in parts(job)
        ]

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
        penalty = self._penalty(job, self._starts(job))
        if (penalty is None) != (unplaced.penalty_kg is None) or not _same(unplaced.penalty_kg or 0, penalty or 0):
            yield f"{job.job}: penalty_kg is {unplaced.penalty_kg!r} instead of {penalty!r}"

    def _penalty(self, job: Job, starts: Sequence["_Starts"]) -> float | None:
        """Cost of the dearest allowed start and the drop; None without an allowed start."""
        dearest = self._over_sites(starts, -math.inf)
        return dearest + costs.drop_kg(job, self.fleet) if math.isfinite(dearest) else None

    def _over_sites(self, starts: Sequence["_Starts"], worst: float) -> float:
        """The greatest (worst -inf) or least (inf) that starts of all parts at one site can come to together."""
        best = np.maximum if worst < 0 else np.minimum
        if len(starts) == 1:
            return float(best.reduce([best.reduce(kg) for _, kg in starts[0].values()] or [worst]))
        totals: dict[str, Floats] = {site.id: np.zeros(self.start_slots) for site in self.fleet.sites}
        for of_part in starts:
            by_site = {site: np.full(self.start_slots, worst) for site in totals}
            for key, (slots, kg) in of_part.items():
                here = by_site[self.space.places[key].site.id]
                here[slots] = best(here[slots], kg)
            for site, row in by_site.items():
                totals[site] += row
        return float(best.reduce([best.reduce(row) for row in totals.values()]))

    def _place_for(self, job: Job) -> str | None:
        """A start at which a job that is left out would fit: each part, big ones first, where it first has room."""
        own = parts(job)
        places = self.space.places
        allowed = [{key: set(self._allowed_starts(part, key).tolist()) for key in places} for part in own]
        for site in self.fleet.sites:
            for slot in range(self.start_slots):
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

    def _proven_bound(
        self, gpu_prices: Mapping[str, tuple[float, ...]], power_prices: Mapping[str, tuple[float, ...]]
    ) -> float:
        """Sum over jobs of the least of penalty and priced starts, less what the capacity itself is worth.

        An allowed start for which running jobs leave too little is in no plan, and passed over.
        """
        gpu = {key: _Prices(gpu_prices.get(key, ())) for key in self.space.places}
        power = {site.id: _Prices(power_prices.get(site.id, ())) for site in self.fleet.sites}
        held = set(self.snapshot.held)
        total = math.fsum(self._least(job, gpu, power) for job in self.jobs.values() if job.job not in held)
        for key in self.space.places:
            running, prices = self.space.running_gpus(key), gpu[key].each
            free = [max(0.0, self.space.gpus(key, slot) - running.at(slot)) for slot in range(len(prices))]
            total -= float(np.dot(prices, free))
        for site in self.fleet.sites:
            total -= self._power_worth(site, power[site.id].each)
        return total

    def _power_worth(self, site: Site, prices: Floats) -> float:
        running = self.space.running_kw(site)
        priced = np.flatnonzero(prices).tolist()
        return math.fsum(prices[slot] * max(0.0, self.space.cap_kw(site, slot) - running.at(slot)) for slot in priced)

    def _possible(self, job: Job, key: str, slots: Slots) -> npt.NDArray[np.bool_]:
        """Starts for which running jobs leave enough. Where they only end, least is left at the start."""
        space, place = self.space, self.space.places[key]
        if space.edges(key) or key in space.begins:
            possible = np.array(
                [space.enough_gpus(job, key, slot, beside_running=True) for slot in slots.tolist()], bool
            )
        else:
            possible = self._free[key][slots] >= place.held(job)
        if place.site.it_power_cap_kw is not None:
            possible &= [space.enough_power(job, key, slot, beside_running=True) for slot in slots.tolist()]
        return possible

    @cached_property
    def _free(self) -> Mapping[str, Floats]:
        """GPUs of each place that running jobs leave in each start slot; shapes (H,)."""
        return {
            key: np.array([self.space.gpus(key, slot) - running.at(slot) for slot in range(self.start_slots)])
            for key in self.space.places
            for running in [self.space.running_gpus(key)]
        }

    def _least(self, job: Job, gpu: Mapping[str, "_Prices"], power: Mapping[str, "_Prices"]) -> float:
        """The cheapest a job can do at these prices: start somewhere, or be left out; 0 where it cannot start."""
        starts = self._starts(job)
        penalty = self._penalty(job, starts)
        if penalty is None:
            return 0.0
        priced = [
            {key: (slots, self._priced(part, key, slots, gpu, power) + kg) for key, (slots, kg) in of_part.items()}
            for part, of_part in zip(parts(job), starts, strict=True)
        ]
        return min(penalty, self._over_sites(priced, math.inf))

    def _priced(
        self,
        job: Job,
        key: str,
        slots: Slots,
        gpu: Mapping[str, "_Prices"],
        power: Mapping[str, "_Prices"],
    ) -> Floats:
        """Prices of what a start holds, infinite where running jobs leave too little for it."""
        place = self.space.places[key]
        ends = slots + self.space.slots_held(job, place)
        kg = place.held(job) * gpu[key].over(slots, ends) + place.kw(job) * power[place.site.id].over(slots, ends)
        return np.where(self._possible(job, key, slots), kg, math.inf)


_Starts = Mapping[str, tuple[Slots, Floats]]


class _Prices:
    """Prices by slot, and their sums over intervals."""

    def __init__(self, each: tuple[float, ...]) -> None:
        self.each: Floats = np.array(each, dtype=np.float64)
        self._before = np.concatenate([[0.0], np.cumsum(self.each)])

    def over(self, starts: Slots, ends: Slots) -> Floats:
        last = len(self.each)
        return np.asarray(self._before[np.minimum(ends, last)] - self._before[np.minimum(starts, last)])


def _may_use(reservation: Reservation, job: Job) -> bool:
    named = bool(reservation.users or reservation.tenants)
    return not named or job.user in reservation.users or job.tenant in reservation.tenants


def _same(stated: float, true: float) -> bool:
    return math.isclose(stated, true, rel_tol=TOLERANCE, abs_tol=1e-9)
