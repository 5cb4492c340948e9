"""What was found, as a plan: placements with their bills, reasons for jobs left out, totals and bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csched.accounting import costs
from csched.domain.plan import Certificate, ComponentPlacement, Placement, Plan, PlanStatus, Stop, Unplaced
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.domain.verdict import Reason, ReasonCode
from csched.placement import reasons
from csched.placement.arrangement import Arrangement, Spot
from csched.placement.dtypes import Floats
from csched.placement.effort import Watch
from csched.placement.gangs import parts_of
from csched.placement.pack import Place
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule
from csched.placement.standing import moved
from csched.units import SECONDS_PER_HOUR

SAME = 1e-9
"""Costs that differ by less than this share are equal: sums of floats in another order differ as much."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A schedule, what proves how good it is, and what was done for both."""

    schedule: Schedule
    bound_kg: float
    penalty_kg: Floats
    """NaN without an allowed start; shape (J,)."""
    certificate: Certificate | None
    solver: str
    warnings: tuple[str, ...] = ()


def report(
    arranged: Arrangement,
    places: Mapping[str, Place],
    solution: Solution,
    budget: SolveBudget,
    policy_digest: str | None,
    *,
    build_s: float,
    watch: Watch,
) -> Plan:
    """The plan that says all of this; `places` are those of jobs that start now, penalties those of `solution`."""
    problem, snapshot, solve_s = arranged.problem, arranged.problem.snapshot, watch.elapsed_s
    placements = _placements(arranged, places)
    unplaced = _unplaced(arranged, solution)
    placed_kg = sum(placement.cost_kg for placement in placements)
    cost = placed_kg + sum(job.penalty_kg for job in unplaced if job.penalty_kg is not None)
    bound = min(solution.bound_kg, cost)
    optimal = cost - bound <= SAME * max(abs(cost), 1e-9)
    return Plan(
        now=snapshot.now,
        horizon_h=snapshot.horizon_s / SECONDS_PER_HOUR,
        slot_min=snapshot.slot_s / 60,
        status=_status(snapshot, placements, optimal=optimal),
        placed_cost_kg=placed_kg,
        cost_kg=cost,
        bound_kg=bound,
        gap=(cost - bound) / (placed_kg or cost or 1.0),
        certificate=solution.certificate,
        solver=solution.solver,
        seed=budget.seed,
        policy_digest=policy_digest,
        carbon_source=snapshot.carbon.source,
        warnings=(*_warnings(snapshot, problem), *solution.warnings),
        build_s=build_s,
        solve_s=solve_s,
        placements=placements,
        unplaced=unplaced,
        announced=int((problem.announced_room >= 0).sum()),
        moved=int(moved(problem, arranged.schedule).sum()),
        stages=watch.stage_s,
        stopped=_stop(watch, optimal=optimal),
    )


def _stop(watch: Watch, *, optimal: bool) -> Stop:
    if optimal:
        return Stop.OPTIMAL
    if watch.near:
        return Stop.GAP
    return Stop.BUDGET if watch.ran_out else Stop.WORK


def _status(snapshot: Snapshot, placements: Sequence[Placement], *, optimal: bool) -> PlanStatus:
    if snapshot.jobs and not placements:
        return PlanStatus.INFEASIBLE
    return PlanStatus.OPTIMAL if optimal else PlanStatus.FEASIBLE


def _placements(arranged: Arrangement, places: Mapping[str, Place]) -> tuple[Placement, ...]:
    """In the order of arrival."""
    problem = arranged.problem
    arrival = {job.job: index for index, job in enumerate(problem.snapshot.jobs)}
    placed = np.flatnonzero(arranged.room >= 0).tolist()
    return tuple(
        placement(problem, index, arranged.spot(index), places)
        for index in sorted(placed, key=lambda index: arrival[problem.jobs[index].job])
    )


def placement(problem: Problem, index: int, spot: Spot, places: Mapping[str, Place]) -> Placement:
    """A job there, its parts billed one by one; `places` are those of jobs and parts that start now.

    Parts wait for each other: the slowest sets the pace of all.
    """
    snapshot, job, start = problem.snapshot, problem.jobs[index], problem.start(spot.slot)
    parts = parts_of(job) or [job]
    rooms = [problem.rooms[room] for room in spot.rooms]
    slowest = max((places[part.job] for part in parts if part.job in places), key=_sigma, default=None)
    sigma = slowest.sigma if slowest else 1.0
    bills = [
        costs.bill(
            part,
            room.site,
            room.hardware,
            start,
            fleet=snapshot.fleet,
            carbon=snapshot.carbon,
            now=problem.now,
            sigma=sigma,
        )
        for part, room in zip(parts, rooms, strict=True)
    ]
    topology_kg = sum(lines.topology_kg for lines in bills)
    components = [
        ComponentPlacement(
            partition=room.partition.name,
            gpus=part.gpus,
            end=lines.end,
            kwh=lines.kwh,
            carbon_kg=lines.carbon_kg,
            **_nodes(places.get(part.job)),
        )
        for part, room, lines in zip(parts, rooms, bills, strict=True)
    ]
    return Placement(
        job=job.job,
        site=rooms[0].site.id,
        partition=rooms[0].partition.name,
        reservation=rooms[0].reservation.name if rooms[0].reservation else None,
        start=start,
        end=max(lines.end for lines in bills),
        gpus=job.gpus,
        **_nodes(places.get(job.job)),
        kwh=sum(lines.kwh for lines in bills),
        carbon_kg=sum(lines.carbon_kg for lines in bills),
        topology_kg=topology_kg,
        egress_kg=sum(lines.egress_kg for lines in bills),
        wait_h=bills[0].wait_h,
        cost_kg=sum(lines.cost_kg for lines in bills),
        sigma=sigma,
        bottleneck=slowest.slowdown.sentence(topology_kg) if slowest and slowest.slowdown and sigma > 1 else None,
        components=tuple(components) if job.components else (),
    )


def _sigma(place: Place) -> float:
    return place.sigma


def _nodes(place: Place | None) -> dict[str, tuple[str, ...] | None]:
    return {"nodes": place.nodes if place else None, "domains": place.domains if place else None}


def _unplaced(arranged: Arrangement, solution: Solution) -> tuple[Unplaced, ...]:
    held = set(arranged.problem.snapshot.held)
    left_out = {arranged.problem.jobs[index].job: index for index in np.flatnonzero(arranged.room < 0).tolist()}
    unplaced = []
    for job in arranged.problem.snapshot.jobs:
        if job.job in held:
            unplaced.append(Unplaced(job=job.job, penalty_kg=None, reasons=(reasons.HELD,)))
        elif job.job in left_out:
            index = left_out[job.job]
            penalty = float(solution.penalty_kg[index])
            unplaced.append(
                Unplaced(
                    job=job.job,
                    penalty_kg=None if np.isnan(penalty) else penalty,
                    reasons=why_left_out(arranged, index),
                )
            )
    return tuple(unplaced)


def why_left_out(arranged: Arrangement, index: int) -> tuple[Reason, ...]:
    """What it waits for; else what keeps it back, and every site's reasons."""
    ties = arranged.ties
    if (waits := ties.dependencies.reason(index, arranged)) is not None:
        return (waits,)
    kept_back = (*arranged.quotas.reasons(index), *arranged.arrays.reasons(index))
    if index in ties.gangs.parts_of:
        return (*kept_back, *ties.gangs.reasons(index, arranged.board))
    sites = range(len(arranged.problem.snapshot.fleet.sites))
    by_site = [reason for site in sites for reason in _at_site(arranged, index, site)]
    return (*kept_back, *by_site) or ties.dependencies.too_late(index, arranged)


def _at_site(arranged: Arrangement, index: int, site: int) -> tuple[Reason, ...]:
    """Why a job that is left out is not at one site, the weightiest first."""
    problem = arranged.problem
    return (
        reasons.of_site(problem, index, site)
        or arranged.ties.domains.refusals(problem, index, site)
        or reasons.of_lack(problem, arranged.board, index, site)
        or _in_pieces(arranged, index, site)
    )


def _in_pieces(arranged: Arrangement, index: int, site: int) -> tuple[Reason, ...]:
    """It could only start now, and then what is free is not where it can use it."""
    rooms = [arranged.problem.rooms[room] for job, room in sorted(arranged.not_now) if job == index]
    return tuple(
        Reason(
            site=room.site.id,
            code=ReasonCode.CAPACITY,
            clause="gpus",
            needed=arranged.problem.jobs[index].gpus,
            message=f"{room.key} has the GPUs now, but in pieces: not on nodes or NVLink domains that the job can use",
        )
        for room in rooms
        if room.site_index == site
    )


def _warnings(snapshot: Snapshot, problem: Problem) -> list[str]:
    warnings = list(snapshot.carbon.warnings)
    if problem.verdicts is None:
        warnings.append("no policies: only the jobs' own wishes were applied")
    without_pue = [site for site in snapshot.fleet.sites if site.pue is None]
    warnings += [
        f"{site.id} has no PUE of its own; the default {snapshot.fleet.pue(site):g} is used" for site in without_pue
    ]
    assumed = sorted({room.hardware.key for room in problem.rooms if room.hardware.assumed})
    warnings += [f"the power of {key} is an assumption" for key in assumed]
    return warnings
