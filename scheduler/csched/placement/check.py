"""Is this plan valid, and are its figures and its bound true? Recomputed from the snapshot alone.

Shares no code with the engine: only the domain values and the arithmetic of `csched.accounting.costs`.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan, Unplaced
from csched.domain.quota import QuotaRow
from csched.domain.site import Partition, PowerCap, Site
from csched.domain.snapshot import Snapshot
from csched.domain.start_ban import StartBan
from csched.domain.verdict import ReasonCode, Verdicts
from csched.errors import CschedError
from csched.placement.check_parts import odd_parts, parts, unfolded
from csched.placement.check_together import Together

Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]

TOLERANCE = 1e-6
"""Relative; figures that differ by less are the same sums in another order."""
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
        self.rooms = {
            (site.id, partition.name): (site, partition, snapshot.hardware[partition.hardware])
            for site in self.fleet.sites
            for partition in site.partitions
        }
        self.start_slots = math.ceil(snapshot.horizon_s / snapshot.slot_s)

    def faults(self) -> Iterator[str]:
        yield from self._each_job_once()
        for placement in self.plan.placements:
            if placement.job in self.jobs and (placement.site, placement.partition) in self.rooms:
                yield from self._placement(placement, self.jobs[placement.job])
            else:
                yield f"{placement.job} is placed at {placement.site}/{placement.partition}, one of which is unknown"
        yield from self._room_overfilled()
        yield from self._power_overdrawn()
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
        if not each or any((part.site, part.partition) not in self.rooms for part, _ in each):
            yield f"{job.job} has a part where there is nothing"
            return
        refused = [why for part, own in each if (why := self._part_refused(part, own)) is not None]
        if refused:
            yield f"{job.job} at {placement.site} from {placement.start.isoformat()}: {refused[0]}"
            return
        bills = [self._bill(part, own, placement.sigma) for part, own in each]
        yield from self._wrong_figures(placement, bills)
        for (part, _), lines in zip(each, bills, strict=True):
            if part.end != lines.end:
                yield f"{job.job} ends at {part.end.isoformat()} instead of {lines.end.isoformat()}"
        for shown, lines in zip(placement.components, bills, strict=False):
            if not (_same(shown.kwh, lines.kwh) and _same(shown.carbon_kg, lines.carbon_kg)):
                yield f"{job.job}: the part at {shown.partition} states other figures than are true"

    def _part_refused(self, placement: Placement, job: Job) -> str | None:
        site, partition, hardware = self.rooms[placement.site, placement.partition]
        why = self._forbidden(job, site, partition, hardware) or self._start_forbidden(
            job, site, hardware, placement.start
        )
        if why is None and not self._cap_allows(job, site, hardware, self._slot(placement.start)):
            why = "draws more than the power cap of its site by itself"
        if why is None and placement.gpus != job.gpus:
            why = f"has {placement.gpus} GPUs instead of {job.gpus}"
        return why

    def _bill(self, placement: Placement, job: Job, sigma: float) -> costs.Bill:
        site, _, hardware = self.rooms[placement.site, placement.partition]
        return costs.bill(
            job,
            site,
            hardware,
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

    def _forbidden(self, job: Job, site: Site, partition: Partition, hardware: Hardware) -> str | None:
        """What keeps the job from the partition whenever it starts."""
        refusals = {
            "its policy denies the site": not self._policy_allows(job, site),
            f"the job wants {job.countries}": bool(job.countries) and site.country not in job.countries,
            f"the job wants {job.hardware}": bool(job.hardware) and partition.hardware not in job.hardware,
            "the job is not portable": job.portable is False
            and site.id != self.fleet.home_site(job.home_site, job.tenant),
            "the site takes no new jobs": site.id in self.snapshot.drained,
            "the job is larger than the partition": hardware.gpus_held(job.gpus) > partition.gpu_count(hardware),
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

    def _start_forbidden(self, job: Job, site: Site, hardware: Hardware, start: datetime) -> str | None:
        elapsed_s = (start - self.now).total_seconds()
        moved_s = costs.transfer_s(job, site, self.fleet)
        latest_end = self._latest_end(job, site)
        if elapsed_s % self.snapshot.slot_s != 0 or not 0 <= elapsed_s < self.snapshot.horizon_s:
            return "not a start slot of the horizon"
        if (start - costs.ready(job, self.now)).total_seconds() < moved_s:
            return "before the job and its data are there"
        if latest_end is not None and start + timedelta(seconds=job.limit_s_on(hardware.key)) > latest_end:
            return "the limit runs out after the deadline or the policy's latest end"
        if any(ban.forbids(start) for ban in self._bans(job, site)):
            return "policy closes that hour to it"
        return None

    # --- capacity and power ------------------------------------------------------------------------------------

    def _slot(self, instant: datetime) -> int:
        return math.floor((instant - self.now).total_seconds() / self.snapshot.slot_s)

    def _instant(self, slot: int) -> datetime:
        return self.now + timedelta(seconds=slot * self.snapshot.slot_s)

    def _slots_held(self, job: Job, hardware: Hardware) -> int:
        return math.ceil(job.limit_s_on(hardware.key) / self.snapshot.slot_s)

    @cached_property
    def _known(self) -> list[tuple[Placement, Job]]:
        return [
            (part, own)
            for placement in self.plan.placements
            if placement.job in self.jobs
            for part, own in unfolded(placement, self.jobs[placement.job])
            if (part.site, part.partition) in self.rooms
        ]

    @cached_property
    def _gpus_in_use(self) -> Mapping[tuple[str, str], "_Profile"]:
        use: dict[tuple[str, str], _Profile] = defaultdict(_Profile)
        for placement, job in self._known:
            room = (placement.site, placement.partition)
            slot = self._slot(placement.start)
            hardware = self.rooms[room][2]
            use[room].add(slot, slot + self._slots_held(job, hardware), hardware.gpus_held(job.gpus))
        for held in self.snapshot.running:
            use[held.site, held.partition].add(0, self._slots_until(held.until), held.gpus_held)
        return use

    @cached_property
    def _kw_in_use(self) -> Mapping[str, "_Profile"]:
        use: dict[str, _Profile] = defaultdict(_Profile)
        for placement, job in self._known:
            slot = self._slot(placement.start)
            hardware = self.rooms[placement.site, placement.partition][2]
            kw = costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load)
            use[placement.site].add(slot, slot + self._slots_held(job, hardware), kw)
        for held in self.snapshot.running:
            use[held.site].add(0, self._slots_until(held.until), held.it_kw)
        return use

    def _slots_until(self, instant: datetime) -> int:
        return math.ceil((instant - self.now).total_seconds() / self.snapshot.slot_s)

    def _room_overfilled(self) -> Iterator[str]:
        planned = {(placement.site, placement.partition): placement for placement, _ in self._known}
        for room in planned:
            _, partition, hardware = self.rooms[room]
            already = self._running_profile(room)
            for slot, in_use in self._gpus_in_use[room].levels():
                if in_use > max(partition.gpu_count(hardware), already.at(slot)):
                    yield f"{'/'.join(room)} holds {in_use:g} of {partition.gpu_count(hardware)} GPUs in slot {slot}"
                    break

    def _running_profile(self, room: tuple[str, str]) -> "_Profile":
        """What was running before this plan may exceed a partition that has shrunk; no plan can help that."""
        return self._running[0].get(room, _Profile())

    def _running_power(self, site: Site) -> "_Profile":
        return self._running[1].get(site.id, _Profile())

    @cached_property
    def _running(self) -> tuple[Mapping[tuple[str, str], "_Profile"], Mapping[str, "_Profile"]]:
        """GPUs by room and kW by site that running jobs hold."""
        gpus: dict[tuple[str, str], _Profile] = defaultdict(_Profile)
        kw: dict[str, _Profile] = defaultdict(_Profile)
        for held in self.snapshot.running:
            gpus[held.site, held.partition].add(0, self._slots_until(held.until), held.gpus_held)
            kw[held.site].add(0, self._slots_until(held.until), held.it_kw)
        return gpus, kw

    def _power_overdrawn(self) -> Iterator[str]:
        for site in self.fleet.sites:
            if site.it_power_cap_kw is None:
                continue
            running = self._running_power(site)
            profile = self._kw_in_use.get(site.id, _Profile())
            for slot in sorted({slot for slot, _ in profile.levels()} | set(self._cap_slots(site))):
                cap, drawn = self._cap_kw(site, slot), profile.at(slot)
                if drawn > max(cap, running.at(slot)) * (1 + TOLERANCE) + 1e-9:
                    yield f"{site.id} draws {drawn:g} of {cap:g} kW in slot {slot}"
                    break

    def _cap_kw(self, site: Site, slot: int) -> float:
        """The lowest cap in force in any part of a slot."""
        caps = site.it_power_cap_kw
        if not isinstance(caps, tuple):
            return math.inf if caps is None else caps
        start = self.now + timedelta(seconds=slot * self.snapshot.slot_s)
        end = start + timedelta(seconds=self.snapshot.slot_s)
        return min((cap.kw for cap in caps if cap.from_ < end and cap.to > start), default=math.inf)

    def _cap_slots(self, site: Site) -> list[int]:
        """Slots in which a cap begins."""
        caps: tuple[PowerCap, ...] = site.it_power_cap_kw if isinstance(site.it_power_cap_kw, tuple) else ()
        return [0, *(slot for cap in caps if (slot := self._slot(cap.from_)) >= 0)]

    def _cap_allows(self, job: Job, site: Site, hardware: Hardware, slot: int) -> bool:
        """Whether the job alone stays under the cap for all that it holds."""
        kw, end = costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load), slot + self._slots_held(job, hardware)
        slots = [slot, *(begin for begin in self._cap_slots(site) if slot < begin < end)]
        return all(kw <= self._cap_kw(site, each) * (1 + TOLERANCE) for each in slots)

    # --- jobs left out -----------------------------------------------------------------------------------------

    def _allowed_starts(self, job: Job, site: Site, partition: Partition, hardware: Hardware) -> Slots:
        """Slots of all allowed starts of a job in a partition, other jobs aside."""
        if self._forbidden(job, site, partition, hardware) is not None:
            return np.empty(0, dtype=np.int64)
        elapsed_s = np.arange(self.start_slots) * self.snapshot.slot_s
        since_ready_s = elapsed_s - (costs.ready(job, self.now) - self.now).total_seconds()
        allowed = since_ready_s >= costs.transfer_s(job, site, self.fleet)
        if (latest_end := self._latest_end(job, site)) is not None:
            allowed &= elapsed_s + job.limit_s_on(hardware.key) <= (latest_end - self.now).total_seconds()
        slots = np.flatnonzero(allowed)
        if bans := self._bans(job, site):
            open_ = [slot for slot in slots.tolist() if not any(ban.forbids(self._instant(slot)) for ban in bans)]
            slots = np.array(open_, np.int64)
        if isinstance(site.it_power_cap_kw, tuple):
            slots = np.array([slot for slot in slots.tolist() if self._cap_allows(job, site, hardware, slot)], np.int64)
        elif site.it_power_cap_kw is not None and not self._cap_allows(job, site, hardware, 0):
            slots = slots[:0]
        return slots

    def _start_costs(self, job: Job, site: Site, hardware: Hardware, slots: Slots) -> Floats:
        series = self.snapshot.carbon.zone(site.grid_zone)
        starts_s = slots.astype(np.float64) * self.snapshot.slot_s + self.now.timestamp()
        intensity_h = series.cumulative_g_h_per_kwh(
            starts_s + job.runtime_s_on(hardware.key)
        ) - series.cumulative_g_h_per_kwh(starts_s)
        kw = costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load)
        waits_s = starts_s - costs.ready(job, self.now).timestamp()
        waiting = costs.wait_kg(job.gpus, 1.0, self.fleet) * np.maximum(waits_s, 0) / 3600
        carbon: Floats = kw * self.fleet.pue(site) * intensity_h / 1000
        carbon += costs.egress_kg(job, site, self.fleet) + waiting
        return carbon

    def _starts(self, job: Job) -> list["_Starts"]:
        """For each part of a job its allowed starts and what they cost, by room; rooms without one left out."""
        return [
            {
                room: (slots, self._start_costs(part, site, hardware, slots))
                for room, (site, partition, hardware) in self.rooms.items()
                if len(slots := self._allowed_starts(part, site, partition, hardware))
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
            for (site, *_), (slots, kg) in of_part.items():
                by_site[site][slots] = best(by_site[site][slots], kg)
            for site, row in by_site.items():
                totals[site] += row
        return float(best.reduce([best.reduce(row) for row in totals.values()]))

    def _place_for(self, job: Job) -> str | None:
        """A start at which a job that is left out would fit: each part, big ones first, where it first has room."""
        own = parts(job)
        allowed = [
            {room: set(self._allowed_starts(part, *known).tolist()) for room, known in self.rooms.items()}
            for part in own
        ]
        for site in self.fleet.sites:
            for slot in range(self.start_slots):
                here = [
                    {room for room, slots in starts.items() if room[0] == site.id and slot in slots}
                    for starts in allowed
                ]
                kinds = self._first_fit(own, here, slot) if all(here) else None
                if kinds is not None and self.together.permits(job, site.id, kinds, self._instant(slot)):
                    return f"{site.id} in slot {slot}"
        return None

    def _first_fit(
        self, own: Sequence[Job], allowed: Sequence[Collection[tuple[str, str]]], slot: int
    ) -> list[str] | None:
        """Hardware of the rooms in which parts that start together fit one after another."""
        taken: dict[tuple[str, str], int] = defaultdict(int)
        kw, kinds = 0.0, [""] * len(own)
        for number in sorted(range(len(own)), key=lambda number: (-own[number].gpus, number)):
            part = own[number]
            fitting = (each for each in self.rooms if each in allowed[number])
            room = next((each for each in fitting if self._still_fits(part, each, slot, taken[each], kw)), None)
            if room is None:
                return None
            hardware = self.rooms[room][2]
            taken[room] += hardware.gpus_held(part.gpus)
            kw += costs.it_kw(part.gpus, hardware.kw_per_gpu, part.load)
            kinds[number] = hardware.key
        return kinds

    def _still_fits(self, job: Job, room: tuple[str, str], slot: int, taken: int, taken_kw: float) -> bool:
        """Beside the plan, and beside other parts of the same job that take so much."""
        site, partition, hardware = self.rooms[room]
        end = slot + self._slots_held(job, hardware)
        busy = self._gpus_in_use.get(room, _Profile())
        if busy.peak(slot, end) + taken + hardware.gpus_held(job.gpus) > partition.gpu_count(hardware):
            return False
        if site.it_power_cap_kw is None:
            return True
        drawn = self._kw_in_use.get(site.id, _Profile())
        kw = taken_kw + costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load)
        edges = {slot, *drawn.edges(slot, end), *(each for each in self._cap_slots(site) if slot < each < end)}
        return all(drawn.at(each) + kw <= self._cap_kw(site, each) * (1 - TOLERANCE) for each in edges)

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
        gpu = {room: _Prices(gpu_prices.get("/".join(room), ())) for room in self.rooms}
        power = {site.id: _Prices(power_prices.get(site.id, ())) for site in self.fleet.sites}
        held = set(self.snapshot.held)
        total = math.fsum(self._least(job, gpu, power) for job in self.jobs.values() if job.job not in held)
        for room, (_, partition, hardware) in self.rooms.items():
            running = self._running_profile(room)
            free = [max(0.0, partition.gpu_count(hardware) - running.at(slot)) for slot in range(len(gpu[room].each))]
            total -= float(np.dot(gpu[room].each, free))
        for site in self.fleet.sites:
            total -= self._power_worth(site, power[site.id].each)
        return total

    def _power_worth(self, site: Site, prices: Floats) -> float:
        running = self._running_power(site)
        priced = np.flatnonzero(prices).tolist()
        return math.fsum(prices[slot] * max(0.0, self._cap_kw(site, slot) - running.at(slot)) for slot in priced)

    def _possible(self, job: Job, room: tuple[str, str], slots: Slots) -> npt.NDArray[np.bool_]:
        """Starts for which running jobs leave enough. They only end, so their GPUs are fewest at the start."""
        site, partition, hardware = self.rooms[room]
        running, drawn = self._running_profile(room), self._running_power(site)
        gpus, kw = hardware.gpus_held(job.gpus), costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load)
        free = [partition.gpu_count(hardware) - running.at(slot) >= gpus for slot in slots.tolist()]
        if site.it_power_cap_kw is not None:
            begins = self._cap_slots(site)
            for index, slot in enumerate(slots.tolist()):
                edges = [slot, *(each for each in begins if slot < each < slot + self._slots_held(job, hardware))]
                cap_left = min(self._cap_kw(site, each) - drawn.at(each) for each in edges)
                free[index] &= kw <= cap_left * (1 + TOLERANCE)
        return np.array(free, dtype=bool)

    def _least(self, job: Job, gpu: Mapping[tuple[str, str], "_Prices"], power: Mapping[str, "_Prices"]) -> float:
        """The cheapest a job can do at these prices: start somewhere, or be left out; 0 where it cannot start."""

        starts = self._starts(job)
        penalty = self._penalty(job, starts)
        if penalty is None:
            return 0.0
        priced = [
            {room: (slots, self._priced(part, room, slots, gpu, power) + kg) for room, (slots, kg) in of_part.items()}
            for part, of_part in zip(parts(job), starts, strict=True)
        ]
        return min(penalty, self._over_sites(priced, math.inf))

    def _priced(
        self,
        job: Job,
        room: tuple[str, str],
        slots: Slots,
        gpu: Mapping[tuple[str, str], "_Prices"],
        power: Mapping[str, "_Prices"],
    ) -> Floats:
        """Prices of what a start holds, infinite where running jobs leave too little for it."""
        site, _, hardware = self.rooms[room]
        ends = slots + self._slots_held(job, hardware)
        kg = hardware.gpus_held(job.gpus) * gpu[room].over(slots, ends)
        kg += costs.it_kw(job.gpus, hardware.kw_per_gpu, job.load) * power[site.id].over(slots, ends)
        return np.where(self._possible(job, room, slots), kg, math.inf)


_Starts = Mapping[tuple[str, str], tuple[Slots, Floats]]


class _Prices:
    """Prices by slot, and their sums over intervals."""

    def __init__(self, each: tuple[float, ...]) -> None:
        self.each: Floats = np.array(each, dtype=np.float64)
        self._before = np.concatenate([[0.0], np.cumsum(self.each)])

    def over(self, starts: Slots, ends: Slots) -> Floats:
        last = len(self.each)
        return np.asarray(self._before[np.minimum(ends, last)] - self._before[np.minimum(starts, last)])


class _Profile:
    """Something held over time, as steps."""

    def __init__(self) -> None:
        self._steps: dict[int, float] = defaultdict(float)
        self._sorted: tuple[Slots, Floats] | None = None

    def add(self, start: int, end: int, amount: float) -> None:
        if end > start:
            self._steps[start] += amount
            self._steps[end] -= amount
            self._sorted = None

    def _levels(self) -> tuple[Slots, Floats]:
        if self._sorted is None:
            slots = np.array(sorted(self._steps), dtype=np.int64)
            self._sorted = slots, np.cumsum([self._steps[slot] for slot in slots.tolist()])
        return self._sorted

    def levels(self) -> Iterator[tuple[int, float]]:
        slots, levels = self._levels()
        yield from zip(slots.tolist(), levels.tolist(), strict=True)

    def at(self, slot: int) -> float:
        slots, levels = self._levels()
        index = int(np.searchsorted(slots, slot, side="right")) - 1
        return 0.0 if index < 0 else float(levels[index])

    def edges(self, start: int, end: int) -> list[int]:
        slots, _ = self._levels()
        return [int(slot) for slot in slots[(slots > start) & (slots < end)]]

    def peak(self, start: int, end: int) -> float:
        return max([self.at(start), *(self.at(slot) for slot in self.edges(start, end))])


def _same(stated: float, true: float) -> bool:
    return math.isclose(stated, true, rel_tol=TOLERANCE, abs_tol=1e-9)
