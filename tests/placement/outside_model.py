"""The cheapest of all plans of a small instance, by CP-SAT on a model written from the contracts alone.

Shares nothing with the engine or with the check of plans: what is allowed, what it costs and what it holds is reckoned
anew here, start by start, from the domain values.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from ortools.sat.python import cp_model

from csched.domain.carbon import CarbonSeries
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet, Partition, Site
from csched.domain.snapshot import Occupation, Snapshot

UNITS_PER_KG = 1e7
MILLIWATTS_PER_KW = 1e6
"""Fine enough that rounding decides nothing in these instances."""


@dataclass(frozen=True)
class Start:
    room: tuple[str, str, str | None]
    """Site, partition, reservation."""
    slot: int
    cost_kg: float


def optimum_kg(view: Snapshot) -> float:
    """Cost of the cheapest plan, penalties of the jobs that it leaves out included."""
    model = cp_model.CpModel()
    costs: list[tuple[cp_model.IntVar, float]] = []
    gpus: dict[tuple[str, str, str | None, int], list[tuple[cp_model.IntVar, int]]] = defaultdict(list)
    power: dict[tuple[str, int], list[tuple[cp_model.IntVar, float]]] = defaultdict(list)
    rooms = {(site.id, part.name): (site, part) for site in view.fleet.sites for part in site.partitions}
    for job in view.jobs:
        starts = allowed_starts(view, job) if job.job not in view.held else []
        if not starts:
            continue
        chosen = []
        for start in starts:
            variable = model.new_bool_var("")
            chosen.append(variable)
            costs.append((variable, start.cost_kg))
            site, part = rooms[start.room[:2]]
            hardware = view.hardware[part.hardware]
            for slot in range(start.slot, start.slot + slots_held(view, job, part)):
                gpus[*start.room, slot].append((variable, held(job, hardware)))
                power[site.id, slot].append((variable, kw(job, hardware)))
        out = model.new_bool_var("")
        costs.append((out, penalty_kg(view.fleet, job, starts)))
        model.add_exactly_one([*chosen, out])
    for (site_id, name, reservation, slot), users in gpus.items():
        _, part = rooms[site_id, name]
        here = (site_id, name, reservation)
        taken = sum(
            each.gpus_held
            for each in view.running
            if (each.site, each.partition, each.reservation) == here and runs(view, each, slot)
        )
        free = max(0, offered(view, site_id, part, slot).get(reservation, 0) - taken)
        model.add(sum(amount * variable for variable, amount in users) <= free)
    sites = {site.id: site for site in view.fleet.sites}
    for (site_id, slot), drawers in power.items():
        cap = cap_kw(view, sites[site_id], slot)
        if cap < math.inf:
            taken_kw = sum(each.it_kw for each in view.running if each.site == site_id and runs(view, each, slot))
            free_kw = math.ceil(max(0.0, cap - taken_kw) * MILLIWATTS_PER_KW)
            model.add(sum(math.floor(drawn * MILLIWATTS_PER_KW) * variable for variable, drawn in drawers) <= free_kw)
    model.minimize(sum(round(cost * UNITS_PER_KG) * variable for variable, cost in costs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    assert status == cp_model.OPTIMAL, solver.status_name(status)
    return sum(cost for variable, cost in costs if solver.boolean_value(variable))


def allowed_starts(view: Snapshot, job: Job) -> list[Start]:
    """Every start that wishes, hardware, size, power cap, window and deadline permit, other jobs aside."""
    found = []
    since = ready(view, job)
    home = job.home_site or view.fleet.sites[0].id
    for site in view.fleet.sites:
        link = view.fleet.link(job.data_site, site.id) if job.data_site and job.data_site != site.id else None
        arrives = since + timedelta(seconds=job.data_gb * 8 / link.gbit_per_s if link else 0.0)
        if site.id in view.drained or (job.portable is False and site.id != home):
            continue
        if job.countries and site.country not in job.countries:
            continue
        for part in site.partitions:
            hardware = view.hardware[part.hardware]
            if (job.hardware and part.hardware not in job.hardware) or refused(view, job, site.id, part.name):
                continue
            if job.reservation and not open_to(view, job):
                continue
            limit = timedelta(seconds=round(job.time_limit_s * job.runtime_factors.get(part.hardware, 1)))
            for slot in range(math.ceil(view.horizon_s / view.slot_s)):
                start = view.now + timedelta(seconds=slot * view.slot_s)
                late = job.deadline is not None and start + limit > job.deadline
                hold = range(slot, slot + slots_held(view, job, part))
                kws = [cap_kw(view, site, each) for each in hold]
                gpus = [offered(view, site.id, part, each).get(job.reservation, 0) for each in hold]
                if start < arrives or late or kw(job, hardware) > min(kws) * (1 + 1e-9):
                    continue
                if held(job, hardware) <= min(gpus):
                    cost = cost_kg(view, job, site, part, slot)
                    found.append(Start((site.id, part.name, job.reservation), slot, cost))
    return found


def refused(view: Snapshot, job: Job, site_id: str, partition: str) -> bool:
    told = [(each.job, each.reason.site, each.partition) for each in view.refusals]
    return (job.job, site_id, None) in told or (job.job, site_id, partition) in told


def open_to(view: Snapshot, job: Job) -> bool:
    named = [each for each in view.fleet.reservations if each.name == job.reservation]
    return any(
        not (each.users or each.tenants) or job.user in each.users or job.tenant in each.tenants for each in named
    )


def offered(view: Snapshot, site_id: str, part: Partition, slot: int) -> dict[str | None, int]:
    """GPUs of a partition by reservation, None for everybody's; GPU after GPU is given to whoever comes first."""
    start = view.now + timedelta(seconds=slot * view.slot_s)
    end = start + timedelta(seconds=view.slot_s)
    whole = part.gpu_count(view.hardware[part.hardware])
    gpus: list[str | None] = [None] * whole
    here = [each for each in view.fleet.reservations if each.site == site_id and each.partition in (None, part.name)]
    for each in [each for each in here if each.maintenance] + [each for each in here if not each.maintenance]:
        if each.from_ < end and start < each.to:
            usable = not each.maintenance and each.from_ <= start and end <= each.to
            free = [index for index, owner in enumerate(gpus) if owner is None]
            for index in free[: each.gpus or whole]:
                gpus[index] = each.name if usable else "nobody"
    return {owner: gpus.count(owner) for owner in set(gpus)}


def ready(view: Snapshot, job: Job) -> datetime:
    return max(instant for instant in (job.submit, job.earliest_start, view.now) if instant is not None)


def cost_kg(view: Snapshot, job: Job, site: Site, part: Partition, slot: int) -> float:
    start_s = view.now.timestamp() + slot * view.slot_s
    runtime_s = round((job.expected_runtime_s or job.time_limit_s) * job.runtime_factors.get(part.hardware, 1)) or 1
    drawn_kw = kw(job, view.hardware[part.hardware]) * view.fleet.pue(site)
    carbon = drawn_kw * integral_g_h_per_kwh(view.carbon.zones[site.grid_zone], start_s, start_s + runtime_s) / 1000
    rates, moved = view.fleet.objective, 0.0
    if job.data_site and job.data_site != site.id:
        link = view.fleet.link(job.data_site, site.id)
        stated = link.g_co2_per_gb if link else None
        moved = job.data_gb * (rates.egress_kg_per_gb if stated is None else stated / 1000)
    wait_h = max(0.0, (start_s - ready(view, job).timestamp()) / 3600)
    return carbon + moved + rates.wait_kg_per_gpu_h * job.gpus * wait_h


def integral_g_h_per_kwh(series: CarbonSeries, start_s: float, end_s: float) -> float:
    edges = (*series.starts_s, series.end_s)
    return sum(
        value * max(0.0, min(end_s, later) - max(start_s, begin)) / 3600
        for value, begin, later in zip(series.g_per_kwh, edges, edges[1:], strict=False)
    )


def penalty_kg(fleet: Fleet, job: Job, starts: list[Start]) -> float:
    dearest = max(start.cost_kg for start in starts)
    return dearest + fleet.objective.drop_kg_per_gpu_h * job.gpus * job.time_limit_s / 3600


def held(job: Job, hardware: Hardware) -> int:
    """GPUs: whole nodes from a node on."""
    node = hardware.gpus_per_node
    return job.gpus if job.gpus < node else node * math.ceil(job.gpus / node)


def kw(job: Job, hardware: Hardware) -> float:
    return job.gpus * hardware.kw_per_gpu * job.load


def slots_held(view: Snapshot, job: Job, part: Partition) -> int:
    return math.ceil(round(job.time_limit_s * job.runtime_factors.get(part.hardware, 1)) / view.slot_s)


def runs(view: Snapshot, job: Occupation, slot: int) -> bool:
    """In the slot in which it begins for sure, and in later ones until it likely has ended."""
    until = min(job.until, job.likely_until or job.until)
    begun_s = 0.0 if job.since is None else max(0.0, (job.since - view.now).total_seconds())
    first = begun_s // view.slot_s
    return slot == first or (slot > first and view.now + timedelta(seconds=slot * view.slot_s) < until)


def cap_kw(view: Snapshot, site: Site, slot: int) -> float:
    """The lowest cap in force in any part of the slot."""
    caps = site.it_power_cap_kw
    if caps is None or isinstance(caps, int | float):
        return math.inf if caps is None else float(caps)
    start = view.now + timedelta(seconds=slot * view.slot_s)
    end = start + timedelta(seconds=view.slot_s)
    return min((cap.kw for cap in caps if cap.from_ < end and start < cap.to), default=math.inf)
