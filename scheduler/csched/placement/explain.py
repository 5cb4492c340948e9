"""For one job, what each site would mean: its best start beside the plan, its price, or why there is none."""

import math
from datetime import datetime, timedelta

import numpy as np

from csched.accounting import costs
from csched.domain.plan import Placement, Plan, SiteOption
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Verdicts
from csched.placement import reasons
from csched.placement.prices import prices_of
from csched.placement.problem import Problem, build
from csched.placement.schedule import Board


def options(snapshot: Snapshot, verdicts: Verdicts | None, plan: Plan, job_id: str) -> tuple[SiteOption, ...]:
    """One option per site, in the order of the fleet, beside what `plan` gives to the other jobs.

    A held job is answered as if it were free. KeyError for a job that is not in the snapshot.
    """
    free = snapshot.model_copy(update={"held": tuple(held for held in snapshot.held if held != job_id)})
    problem = build(free, verdicts)
    job = {each.job: index for index, each in enumerate(problem.jobs)}[job_id]
    chosen = plan.placement_of.get(job_id)
    board = _beside(problem, plan, job_id)
    found = [
        _chosen_option(chosen) if chosen and chosen.site == site.id else _option(problem, board, job, index)
        for index, site in enumerate(snapshot.fleet.sites)
    ]
    used = {verdict.site: verdict.exceptions for verdict in (verdicts or {}).get(job_id, ())}
    notes = [_worth(problem, plan, job, index, chosen) or _note(option, chosen) for index, option in enumerate(found)]
    return tuple(
        option.model_copy(update={"note": note, "exceptions": used.get(option.site, ())})
        for option, note in zip(found, notes, strict=True)
    )


def _beside(problem: Problem, plan: Plan, job_id: str) -> Board:
    """What the planned starts of the other pending jobs leave; the plan may be older than the snapshot."""
    index_of = {job.job: index for index, job in enumerate(problem.jobs)}
    room_of = {room.key: index for index, room in enumerate(problem.rooms)}
    board = Board(problem)
    for placement in plan.placements:
        job, room = index_of.get(placement.job), room_of.get(placement.room)
        if job is None or room is None or placement.job == job_id:
            continue
        begin = _slots(problem, placement.start)
        end = begin + problem.jobs[job].limit_s_on(problem.rooms[room].hardware.key) / problem.slot_s
        rows = problem.row_after(np.array([max(0, math.floor(begin)), max(0, math.ceil(end))]))
        held, power = int(problem.gpus_held[job, room]), int(problem.power[job, room])
        board.occupy(room, slice(int(rows[0]), int(rows[1])), held, power)
    return board


def _slots(problem: Problem, instant: datetime) -> float:
    return (instant - problem.now) / timedelta(seconds=problem.slot_s)


def _chosen_option(placement: Placement) -> SiteOption:
    same = ("site", "partition", "start", "wait_h", "kwh", "carbon_kg", "topology_kg", "egress_kg", "cost_kg")
    return SiteOption(verdict="allowed", chosen=True, **{name: getattr(placement, name) for name in same})


def _option(problem: Problem, board: Board, job: int, site_index: int) -> SiteOption:
    site = problem.snapshot.fleet.sites[site_index]
    denied = reasons.of_site(problem, job, site_index)
    if denied:
        return SiteOption(site=site.id, verdict="denied", reasons=denied)
    here = (problem.room_site == site_index)[:, None]
    prices = np.where(here & board.fits(job), problem.costs_kg(job), np.inf)
    best = int(prices.argmin())
    if not np.isfinite(prices.flat[best]):
        return SiteOption(site=site.id, verdict="allowed", reasons=reasons.of_lack(problem, board, job, site_index))
    index, slot = divmod(best, problem.start_slots)
    room, start = problem.rooms[index], problem.start(slot)
    snapshot = problem.snapshot
    lines = costs.bill(
        problem.jobs[job],
        site,
        room.hardware,
        start,
        fleet=snapshot.fleet,
        carbon=snapshot.carbon,
        now=snapshot.now,
    )
    return SiteOption(
        site=site.id,
        partition=room.partition.name,
        verdict="allowed",
        start=start,
        wait_h=lines.wait_h,
        kwh=lines.kwh,
        carbon_kg=lines.carbon_kg,
        topology_kg=lines.topology_kg,
        egress_kg=lines.egress_kg,
        cost_kg=lines.cost_kg,
    )


def _worth(problem: Problem, plan: Plan, job: int, site_index: int, chosen: Placement | None) -> str | None:
    """Why not a start there that would be cheaper, were the job alone: what its GPUs are worth to others then."""
    if chosen is None or plan.certificate is None or plan.now != problem.now:
        return None
    here = (problem.room_site == site_index)[:, None]
    alone = np.where(here, problem.costs_kg(job), np.inf)
    best = int(alone.argmin())
    saving = chosen.cost_kg - float(alone.flat[best])
    if not saving > 1e-9 * chosen.cost_kg:
        return None
    room, slot = divmod(best, problem.start_slots)
    end = int(problem.row_after(np.array([slot + problem.hold_slots[job, room]]))[0])
    rent = float(prices_of(problem, plan.certificate).gpu[room, slot:end].sum())
    per_gpu_h = rent / (int(problem.hold_slots[job, room]) * problem.slot_s / 3600)
    if per_gpu_h <= 0:
        return None
    site, start = problem.rooms[room].site.id, problem.start(slot)
    return (
        f"{site} at {start:%Y-%m-%d %H:%MZ} would save {saving:.3g} kg, "
        f"but its GPUs are worth {per_gpu_h:.2g} kg/GPU-h to others then"
    )


def _note(option: SiteOption, chosen: Placement | None) -> str | None:
    """How a site's best start compares with the chosen one."""
    if chosen is None or option.chosen or option.carbon_kg is None or option.start is None:
        return None
    more_kg = option.carbon_kg - chosen.carbon_kg
    later_h = (option.start - chosen.start).total_seconds() / 3600
    carbon = f"{abs(more_kg):.3g} kg {'more' if more_kg > 0 else 'less'} carbon than at {chosen.site}"
    if later_h == 0:
        return f"{carbon}, starting at the same time"
    return f"{carbon}, starting {abs(later_h):.3g} h {'later' if later_h > 0 else 'earlier'}"
