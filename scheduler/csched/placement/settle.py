"""From a schedule of independent jobs to one that keeps what binds them: waves, arrays, shares, gangs, priorities.

The kernels plan all jobs at once in windows in which chains fit. Here the awaited are looked at first; who starts
too early, or is one task too many, moves to where it costs least beside all others.
"""

from collections.abc import Sequence

import numpy as np

from csched.placement.arrangement import Arrangement, Spot, Ties
from csched.placement.dtypes import Floats
from csched.placement.effort import Watch
from csched.placement.priorities import make_room
from csched.placement.problem import Problem
from csched.placement.schedule import Schedule

ROUNDS = 2
"""How often each bound job is looked at once more."""


def settle(problem: Problem, ties: Ties, schedule: Schedule, penalty_kg: Floats, watch: Watch) -> Arrangement:
    """Everybody where they may be. `problem` has no starts for jobs of several parts; `schedule` leaves them out."""
    standing = Arrangement(problem, ties, schedule)
    if ties.bound:
        _out_of_small_domains(standing)
        _thin_out(standing)
        _in_waves(standing)
        _within_shares(standing, penalty_kg)
        standing.fill()
    if make_room(standing, penalty_kg, watch) or ties.bound:
        _hurry(standing, penalty_kg, watch)
        for _ in range(ROUNDS if ties.bound and not watch.over() else 0):
            _once_more(standing)
        _within_shares(standing, penalty_kg)
        standing.fill()
    return standing


def _out_of_small_domains(standing: Arrangement) -> None:
    """Jobs that were put where their groups would be torn, by who knows nothing of NVLink."""
    for job, rooms in standing.ties.domains.too_small.items():
        if standing.placed(job) and rooms[standing.room[job]]:
            standing.lift(job)
            standing.put_best(job)


def _thin_out(standing: Arrangement) -> None:
    """Lift tasks of limited arrays that are too many at once, the later ones."""
    tasks = [job for job in standing.arrays.jobs.tolist() if standing.placed(job)]
    spots = {job: standing.lift(job) for job in sorted(tasks, key=lambda job: (standing.slot[job], job))}
    for job, spot in spots.items():
        allowed = standing.arrays.allows(job)
        if allowed is not None and allowed[spot.rooms[0], spot.slot]:
            standing.put(job, spot)


def _in_waves(standing: Arrangement) -> None:
    """Each job after those that it waits for."""
    for job in standing.ties.dependencies.jobs:
        _after_the_awaited(standing, job)


def _after_the_awaited(standing: Arrangement, job: int) -> None:
    if not standing.placed(job):
        return
    ready = standing.ties.dependencies.ready(job, standing)
    if ready is None or standing.slot[job] < ready:
        standing.lift(job)
        spot = standing.best(job, heed_followers=False)
        if spot is not None:
            standing.put(job, spot)


def _within_shares(standing: Arrangement, penalty_kg: Floats) -> None:
    """Who goes elsewhere where more than a share is planned: by priority, then as it costs least for each GPU-hour."""
    quotas = standing.quotas
    while broken := quotas.broken():
        row = broken[0]
        inside = [job for job, rows in quotas.of_job.items() if row in rows and _at(standing, job, row)]
        ordered = sorted(inside, key=lambda job: _price_of_leaving(standing, job, row, penalty_kg))
        for job in ordered:
            if row not in quotas.broken():
                break
            _leave(standing, job, row)


def _at(standing: Arrangement, job: int, row: int) -> bool:
    return standing.placed(job) and bool(standing.quotas.inside[row][standing.room[job]])


def _price_of_leaving(standing: Arrangement, job: int, row: int, penalty_kg: Floats) -> tuple[int, float, int]:
    spot = standing.lift(job)
    elsewhere = _elsewhere(standing, job, row)
    now_kg = standing.cost_kg(job, spot)
    standing.put(job, spot)
    then_kg = elsewhere.cost_kg if elsewhere else float(np.nan_to_num(penalty_kg[job]))
    hours = float(standing.quotas.gpu_h(job)[spot.rooms[0]]) * (1 if elsewhere else 1 - standing.quotas.rows[row].share)
    return standing.problem.jobs[job].priority, (then_kg - now_kg) / max(hours, 1e-9), job


def _elsewhere(standing: Arrangement, job: int, row: int) -> Spot | None:
    """The cheapest start outside the sites of a row."""
    return standing.best(job, but=standing.quotas.inside[row])


def _leave(standing: Arrangement, job: int, row: int) -> None:
    """Out of the sites of a row: elsewhere, or nowhere, and then those that wait for the job too."""
    standing.lift(job)
    spot = _elsewhere(standing, job, row)
    if spot is not None:
        standing.put(job, spot)
        return
    for follower in standing.ties.dependencies.followers(job):
        if standing.placed(follower):
            standing.lift(follower)


def _hurry(standing: Arrangement, penalty_kg: Floats, watch: Watch) -> None:
    """Pull forward what jobs left out wait for, where the plan as a whole then costs less."""
    dependencies = standing.ties.dependencies
    for job in standing.left_out():
        awaited = dependencies.awaited(job) if job not in dependencies.never else []
        if awaited and all(map(standing.placed, awaited)) and not np.isnan(penalty_kg[job]) and not watch.over():
            _pull_forward(standing, job, awaited, float(penalty_kg[job]))


def _pull_forward(standing: Arrangement, job: int, awaited: Sequence[int], penalty_kg: float) -> None:
    old = {each: standing.spot(each) for each in awaited}
    for each in awaited:
        standing.lift(each)
        standing.put(each, standing.best(each, soonest=True) or old[each])
    found = standing.best(job)
    moved_kg = sum(standing.cost_kg(each, standing.spot(each)) - standing.cost_kg(each, old[each]) for each in awaited)
    if found is not None and found.cost_kg + moved_kg < penalty_kg:
        standing.put(job, found)
        return
    for each in awaited:
        standing.lift(each)
    for each, spot in old.items():
        standing.put(each, spot)


def _once_more(standing: Arrangement) -> None:
    """Each bound job to where it now costs least."""
    for job in standing.bound_jobs:
        if standing.placed(job):
            old = standing.lift(job)
            standing.put(job, standing.best(job) or old)
