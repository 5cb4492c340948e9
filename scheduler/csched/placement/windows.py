"""When each job may start in each room, other jobs aside, and what keeps it from there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag, auto

import numpy as np

from csched.domain.job import Job
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import SiteVerdict, Verdicts
from csched.placement.dtypes import Flags, Floats, Slots
from csched.placement.hours import Hours, hours
from csched.placement.rooms import Room
from csched.placement.sizes import Sizes, by_label
from csched.placement.timeline import Timeline, free_slots

CHUNK_JOBS = 4096


class Rule(IntFlag):
    """Why a job has no start in a room, other jobs aside; several may hold."""

    POLICY = auto()
    COUNTRY = auto()
    NOT_PORTABLE = auto()
    HARDWARE = auto()
    TOO_LARGE = auto()
    WINDOW = auto()
    DEADLINE = auto()
    POLICY_END = auto()
    DRAINED = auto()
    POWER_CAP = auto()
    RESERVATION = auto()
    """The room is another reservation than the job names, or none although it names one."""
    NOT_RESERVED = auto()
    """The reservation is not for this user or tenant."""
    OUTSIDE = auto()
    """The reservation is over, or too short for the job's limit."""
    MAINTENANCE = auto()
    """What is set aside leaves too few GPUs at every start."""
    REFUSED = auto()
    """The site itself would not take the job."""
    POLICY_HOURS = auto()
    """Policy closes every hour at which the job could start."""


@dataclass(frozen=True, eq=False)
class Windows:
    first: Slots
    """First allowed start slot, the number of start slots where there is none; shape (J, P)."""
    last: Slots
    """Last allowed start slot, -1 where there is none; shape (J, P)."""
    excluded: Slots
    """Flags of `Rule`, 0 where some start is allowed; shape (J, P)."""
    gapped: Flags
    """Rooms in which some job has starts between first and last that are not allowed; shape (P,)."""
    hours: Hours


def windows(snapshot: Snapshot, verdicts: Verdicts | None, sizes: Sizes, timeline: Timeline) -> Windows:
    """All that is known of the starts before any other job is looked at."""
    start_slots = timeline.start_slots
    first, last, excluded = _by_time(snapshot, verdicts, sizes, start_slots)
    for rule, broken in _wishes(snapshot, sizes):
        excluded[broken] |= rule
    for refused in _refused(snapshot, sizes):
        excluded[refused] |= Rule.REFUSED
    shut = hours(verdicts, sizes.jobs, sizes.rooms, snapshot.now, (start_slots, snapshot.slot_s))
    _within_hours(shut, start_slots, first=first, last=last, excluded=excluded)
    gapped = np.zeros(len(sizes.rooms), dtype=bool)
    for column in range(len(sizes.rooms)):
        gapped[column] = _within_capacity(timeline, sizes, column, shut, first=first, last=last, excluded=excluded)
    first[excluded != 0] = start_slots
    last[excluded != 0] = -1
    return Windows(first, last, excluded, gapped, shut)


def _by_time(
    snapshot: Snapshot, verdicts: Verdicts | None, sizes: Sizes, start_slots: int
) -> tuple[Slots, Slots, Slots]:
    """First and last start slot by readiness, data, deadline and policy, and what of these excludes; (J, P) each."""
    jobs, rooms = sizes.jobs, sizes.rooms
    slot_s = float(snapshot.slot_s)

    def last_start(until_s: Floats) -> Floats:
        return np.minimum(start_slots - 1, np.floor((until_s - sizes.limit_s) / slot_s))

    first = np.ceil((sizes.ready_s[:, None] + sizes.transfer_s) / slot_s)
    deadline_s = [math.inf if job.deadline is None else (job.deadline - snapshot.now).total_seconds() for job in jobs]
    last = last_start(np.array(deadline_s).reshape(-1, 1))
    denied, latest_end_s = _policy(verdicts, snapshot.now, jobs, rooms)
    policy_last = last_start(latest_end_s)
    excluded = np.zeros((len(jobs), len(rooms)), dtype=np.int64)
    for rule, broken in (
        (Rule.POLICY, denied),
        (Rule.WINDOW, first >= start_slots),
        (Rule.DEADLINE, (first < start_slots) & (first > last)),
        (Rule.POLICY_END, (first <= last) & (first > policy_last)),
    ):
        excluded[broken] |= rule
    last = np.minimum(last, policy_last)
    return first.clip(0, start_slots).astype(np.int64), last.clip(-1).astype(np.int64), excluded


def _within_hours(shut: Hours, start_slots: int, *, first: Slots, last: Slots, excluded: Slots) -> None:
    """Narrow the windows to starts at hours that policy leaves open."""
    slots = np.arange(start_slots)
    for column in np.flatnonzero(shut.row_of.any(axis=0)).tolist():
        bound = np.flatnonzero((shut.row_of[:, column] > 0) & (first[:, column] <= last[:, column]))
        for jobs in np.array_split(bound, 1 + len(bound) // CHUNK_JOBS):
            inside = (first[jobs, column, None] <= slots) & (slots <= last[jobs, column, None])
            inside &= ~shut.closed_to(jobs, column)
            some = inside.any(axis=1)
            excluded[jobs[~some], column] |= Rule.POLICY_HOURS
            first[jobs[some], column] = inside[some].argmax(axis=1)
            last[jobs[some], column] = start_slots - 1 - inside[some, ::-1].argmax(axis=1)


def _within_capacity(
    timeline: Timeline, sizes: Sizes, column: int, shut: Hours, *, first: Slots, last: Slots, excluded: Slots
) -> bool:
    """Narrow the windows in one room to starts under its caps and beside what is set aside; whether any has gaps."""
    room = sizes.rooms[column]
    gpus, power = timeline.gpus_nominal[column], timeline.power_nominal[room.site_index]
    held, drawn = sizes.gpus_held[:, column], sizes.power[:, column]
    tight = ((held > gpus.min()) & (held <= room.gpus)) | (drawn > power.min())
    tight &= first[:, column] <= last[:, column]
    slots, gapped = np.arange(timeline.start_slots), False
    for jobs in np.array_split(np.flatnonzero(tight), 1 + int(tight.sum()) // CHUNK_JOBS):
        begin, end, hold = first[jobs, column], last[jobs, column], sizes.hold_slots[jobs, column, None]
        inside = (begin[:, None] <= slots) & (slots <= end[:, None]) & ~shut.closed_to(jobs, column)
        enough = inside & (free_slots(timeline.row_slots, timeline.start_slots, gpus, held[jobs]) >= hold)
        capped = inside & (free_slots(timeline.row_slots, timeline.start_slots, power, drawn[jobs]) >= hold)
        fits = enough & capped
        excluded[jobs[~capped.any(axis=1)], column] |= Rule.POWER_CAP
        crowded = (~enough.any(axis=1) | (capped.any(axis=1) & ~fits.any(axis=1))) & (held[jobs] <= room.gpus)
        excluded[jobs[crowded], column] |= Rule.MAINTENANCE if room.reservation is None else Rule.OUTSIDE
        some = fits.any(axis=1)
        first[jobs[some], column] = fits[some].argmax(axis=1)
        last[jobs[some], column] = timeline.start_slots - 1 - fits[some, ::-1].argmax(axis=1)
        gapped |= bool((last[jobs, column] - first[jobs, column] + 1 > fits.sum(axis=1))[some].any())
    return gapped


def _wishes(snapshot: Snapshot, sizes: Sizes) -> list[tuple[Rule, Flags]]:
    """What the jobs themselves, their size and the state of the sites rule out; masks of shape (J, P)."""
    fleet, jobs, rooms = snapshot.fleet, sizes.jobs, sizes.rooms
    pinned = [fleet.home_site(job.home_site, job.tenant) if job.portable is False else None for job in jobs]
    named = [(job.reservation, job.user, job.tenant) if job.reservation else None for job in jobs]
    return [
        (Rule.COUNTRY, by_label([job.countries for job in jobs], rooms, _country_unwanted, bool)),
        (
            Rule.NOT_PORTABLE,
            by_label(pinned, rooms, lambda home, room: home is not None and room.site.id != home, bool),
        ),
        (Rule.HARDWARE, by_label([job.hardware for job in jobs], rooms, _hardware_unwanted, bool)),
        (Rule.TOO_LARGE, sizes.gpus_held > np.array([room.gpus for room in rooms], dtype=np.int64)[None, :]),
        (Rule.DRAINED, by_label([None] * len(jobs), rooms, lambda _, room: room.site.id in snapshot.drained, bool)),
        (Rule.RESERVATION, by_label([job.reservation for job in jobs], rooms, _another_reservation, bool)),
        (Rule.NOT_RESERVED, by_label(named, rooms, _not_reserved, bool)),
    ]


def _country_unwanted(countries: tuple[str, ...], room: Room) -> bool:
    return bool(countries) and room.site.country not in countries


def _hardware_unwanted(kinds: tuple[str, ...], room: Room) -> bool:
    return bool(kinds) and room.partition.hardware not in kinds


def _another_reservation(name: str | None, room: Room) -> bool:
    return name != (room.reservation.name if room.reservation else None)


def _not_reserved(named: tuple[str | None, str | None, str | None] | None, room: Room) -> bool:
    if named is None or room.reservation is None or room.reservation.name != named[0]:
        return False
    return not room.reservation.is_for(*named[1:])


def _refused(snapshot: Snapshot, sizes: Sizes) -> list[tuple[int, int]]:
    """Indices of the jobs and rooms that a site's own answer rules out."""
    if not snapshot.refusals:
        return []
    index_of = {job.job: index for index, job in enumerate(sizes.jobs)}
    return [
        (index_of[refusal.job], column)
        for refusal in snapshot.refusals
        for column, room in enumerate(sizes.rooms)
        if refusal.job in index_of and refusal.concerns(room.site.id, room.partition.name)
    ]


def _policy(
    verdicts: Verdicts | None, now: datetime, jobs: Sequence[Job], rooms: Sequence[Room]
) -> tuple[Flags, Floats]:
    """Denials, and seconds from now until which the limit must have run out; each of shape (J, P)."""
    if verdicts is None:
        return np.zeros((len(jobs), len(rooms)), dtype=bool), np.full((len(jobs), len(rooms)), math.inf)
    rows: dict[int, int] = {}
    judged: list[Mapping[str, SiteVerdict]] = []
    of_job = np.empty(len(jobs), dtype=np.int64)
    for index, job in enumerate(jobs):
        told = verdicts.get(job.job, ())
        if id(told) not in rows:  # jobs with equal labels share one tuple
            rows[id(told)] = len(judged)
            judged.append({verdict.site: verdict for verdict in told})
        of_job[index] = rows[id(told)]
    denied = [[_denied(by_site.get(room.site.id)) for room in rooms] for by_site in judged]
    until_s = [[_latest_end_s(by_site.get(room.site.id), now) for room in rooms] for by_site in judged]
    shape = (len(judged), len(rooms))
    return np.array(denied, dtype=bool).reshape(shape)[of_job], np.array(until_s, dtype=float).reshape(shape)[of_job]


def _denied(verdict: SiteVerdict | None) -> bool:
    return verdict is None or not verdict.allowed


def _latest_end_s(verdict: SiteVerdict | None, now: datetime) -> float:
    if verdict is None or verdict.latest_end is None:
        return math.inf
    return (verdict.latest_end - now).total_seconds()
