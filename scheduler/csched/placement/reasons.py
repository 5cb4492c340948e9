"""Why a job has no start at a site: the problem's flags and the policy's verdicts, said for a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from csched.accounting import costs
from csched.clock import format_instant
from csched.domain.job import Job
from csched.domain.site import Reservation, Site
from csched.domain.verdict import Reason, ReasonCode, Scalar, SiteVerdict
from csched.placement.dtypes import Ints
from csched.placement.problem import Problem
from csched.placement.rooms import Room
from csched.placement.schedule import Board
from csched.placement.timeline import POWER_UNIT_KW, UNCAPPED
from csched.placement.windows import Rule
from csched.units import format_slurm_time

HELD = Reason(site=None, code=ReasonCode.HELD, clause="job", message="the job is held; `csched release` frees it")


def of_site(problem: Problem, job: int, site_index: int) -> tuple[Reason, ...]:
    """Why no start of the job is allowed at a site, other jobs aside; empty where one is. The weightiest first."""
    columns = _columns(problem, job, site_index)
    flags = [int(problem.excluded[job, column]) for column in columns]
    if 0 in flags:
        return ()
    nearest = min(range(len(columns)), key=lambda position: (flags[position].bit_count(), position))
    case, broken = Case(problem, job, columns[nearest]), Rule(flags[nearest])
    reasons = [reason for rule in Rule if rule in broken for reason in _SAY[rule](case)]
    return tuple(sorted(reasons, key=lambda reason: reason.code.tier))


def of_lack(problem: Problem, board: Board, job: int, site_index: int) -> tuple[Reason, ...]:
    """What the other jobs leave too little of, at a site where the job would be allowed."""
    columns = _columns(problem, job, site_index)
    allowed = problem.allowed(job)
    fits = board.fits(job)
    room = max(columns, key=lambda column: int(allowed[column].sum()))
    if not allowed[room].any() or any((allowed[column] & fits[column]).any() for column in columns):
        return ()
    free = _lowest(problem, board.gpus_left[room], int(problem.hold_slots[job, room]))[allowed[room]]
    held, site = int(problem.gpus_held[job, room]), problem.rooms[room].site
    duration = format_slurm_time(problem.jobs[job].limit_s_on(problem.rooms[room].hardware.key))
    if (free >= held).any():
        message = f"{site.id} has {held} GPUs free for {duration}, but not the power for them at the same time"
        return (Reason(site=site.id, code=ReasonCode.POWER_CAP, clause="site.it_power_cap_kw", message=message),)
    most = int(free.max(initial=0))
    message = f"{site.id} has never {held} GPUs free for {duration} in the job's window, at most {most}"
    return (Reason(site=site.id, code=ReasonCode.CAPACITY, clause="gpus", seen=most, needed=held, message=message),)


def _lowest(problem: Problem, left: Ints, hold: int) -> Ints:
    """Fewest of what is left, by row, during a hold from each start slot; shape (H,)."""
    slots = np.arange(problem.start_slots)
    ends = problem.row_after(slots + hold)
    return np.array([left[a:b].min() for a, b in zip(slots, ends, strict=True)])


def _columns(problem: Problem, job: int, site_index: int) -> list[int]:
    """Rooms of a site that are worth a word: its partitions, or where there are such the reservation the job names."""
    here = [column for column, room in enumerate(problem.rooms) if room.site_index == site_index]
    meant = [column for column in here if Rule.RESERVATION not in Rule(int(problem.excluded[job, column]))]
    return meant or [column for column in here if problem.rooms[column].reservation is None]


@dataclass(frozen=True, eq=False)
class Case:
    """One job at one room that it has no start in."""

    problem: Problem
    index: int
    column: int

    @property
    def job(self) -> Job:
        return self.problem.jobs[self.index]

    @property
    def room(self) -> Room:
        return self.problem.rooms[self.column]

    @property
    def site(self) -> str:
        return self.room.site.id

    @property
    def whole(self) -> str:
        """The partition, said without its reservation."""
        return f"{self.site}/{self.room.partition.name}"

    @property
    def reservation(self) -> Reservation:
        """That of a room that is one."""
        if self.room.reservation is None:
            raise ValueError(f"{self.room.key} is no reservation")
        return self.room.reservation

    @property
    def limit_s(self) -> int:
        return self.job.limit_s_on(self.room.hardware.key)

    @property
    def home(self) -> str:
        return self.problem.snapshot.fleet.home_site(self.job.home_site, self.job.tenant)

    @property
    def ready(self) -> datetime:
        """When the job and its data can be at the site."""
        snapshot = self.problem.snapshot
        moved_s = costs.transfer_s(self.job, self.room.site, snapshot.fleet)
        return costs.ready(self.job, snapshot.now) + timedelta(seconds=min(moved_s, _FOREVER_S))

    @property
    def verdict(self) -> SiteVerdict | None:
        of_job = (self.problem.verdicts or {}).get(self.job.job, ())
        return next((verdict for verdict in of_job if verdict.site == self.site), None)

    def because(
        self,
        code: ReasonCode,
        clause: str,
        message: str,
        *,
        seen: Scalar | Sequence[str] = None,
        needed: Scalar | Sequence[str] = None,
    ) -> tuple[Reason]:
        facts = [
            fact if fact is None or isinstance(fact, str | int | float | bool) else tuple(fact)
            for fact in (seen, needed)
        ]
        return (Reason(site=self.site, code=code, clause=clause, seen=facts[0], needed=facts[1], message=message),)


def _policy(case: Case) -> tuple[Reason, ...]:
    if case.verdict is not None:
        return case.verdict.denials
    return case.because(
        ReasonCode.POLICY_UNKNOWN_FACT, "site", f"the policies say nothing of {case.site}, which denies it"
    )


def _policy_end(case: Case) -> tuple[Reason, ...]:
    verdict = case.verdict
    if verdict is None or verdict.latest_end is None:
        return ()
    if verdict.latest_end_reason is not None:
        return (verdict.latest_end_reason,)
    until = format_instant(verdict.latest_end)
    return case.because(
        ReasonCode.POLICY_HARD_DENY, "job.end", f"policy allows {case.site} until {until} only", needed=until
    )


def _country(case: Case) -> tuple[Reason, ...]:
    country, wanted = case.room.site.country, case.job.countries
    message = f"{case.site} is in {country or 'an unknown country'}; the job asks for {', '.join(wanted)}"
    return case.because(ReasonCode.JOB_CONSTRAINT, "countries", message, seen=country, needed=wanted)


def _not_portable(case: Case) -> tuple[Reason, ...]:
    message = f"the job is not portable and stays at its home site {case.home}"
    return case.because(ReasonCode.NOT_PORTABLE, "portable", message, seen=case.site, needed=case.home)


def _hardware(case: Case) -> tuple[Reason, ...]:
    kind, wanted = case.room.partition.hardware, case.job.hardware
    message = f"{case.room.key} has {kind}; the job asks for {', '.join(wanted)}"
    return case.because(ReasonCode.NO_SUCH_HARDWARE, "hardware", message, seen=kind, needed=wanted)


def _too_large(case: Case) -> tuple[Reason, ...]:
    held = int(case.problem.gpus_held[case.index, case.column])
    message = f"{case.room.key} has {case.room.gpus} GPUs in all; the job would hold {held}"
    return case.because(ReasonCode.TOO_LARGE, "gpus", message, seen=case.room.gpus, needed=held)


def _window(case: Case) -> tuple[Reason, ...]:
    ready = format_instant(case.ready)
    horizon = format_instant(case.problem.start(case.problem.start_slots))
    message = f"job and data can be at {case.site} from {ready} on, and this plan starts nothing from {horizon} on"
    return case.because(ReasonCode.WINDOW, "earliest_start", message, seen=ready, needed=horizon)


def _deadline(case: Case) -> tuple[Reason, ...]:
    deadline = format_instant(case.job.deadline or case.problem.now)
    slot = -(-(case.ready - case.problem.now) // timedelta(seconds=case.problem.slot_s))
    end = format_instant(case.problem.start(slot) + timedelta(seconds=case.limit_s))
    limit = format_slurm_time(case.limit_s)
    message = f"begun at {case.site} at the earliest, the limit of {limit} runs out at {end}, after the deadline"
    return case.because(ReasonCode.DEADLINE_IMPOSSIBLE, "deadline", message, seen=deadline, needed=end)


def _drained(case: Case) -> tuple[Reason, ...]:
    why = case.problem.snapshot.drained.get(case.site) or "drained"
    return case.because(ReasonCode.SITE_UNAVAILABLE, "site", f"{case.site} takes no new jobs: {why}", seen=why)


def _power_cap(case: Case) -> tuple[Reason, ...]:
    kw = round(float(case.problem.power[case.index, case.column]) * POWER_UNIT_KW, 1)
    most = _most_kw(case.problem, case.room.site)
    message = f"the job alone draws {kw:.1f} kW, more than {case.site} may draw throughout"
    return case.because(ReasonCode.POWER_CAP, "site.it_power_cap_kw", message, seen=most, needed=kw)


def _most_kw(problem: Problem, site: Site) -> float | None:
    """The highest cap of the horizon, as the fleet states it; null where for some time there is none."""
    if not isinstance(site.it_power_cap_kw, tuple):
        return site.it_power_cap_kw
    nominal = problem.power_nominal[problem.snapshot.fleet.sites.index(site)]
    highest = float(nominal.max())
    return None if highest >= UNCAPPED else round(highest * POWER_UNIT_KW, 1)


def _reservation(case: Case) -> tuple[Reason, ...]:
    name = case.job.reservation
    if all(name != reservation.name for reservation in case.problem.snapshot.fleet.reservations):
        message = f"the fleet has no reservation `{name}`"
    else:
        message = f"the job runs in reservation `{name}`, which is not at {case.site}"
    return case.because(ReasonCode.JOB_CONSTRAINT, "reservation", message, needed=name)


def _not_reserved(case: Case) -> tuple[Reason, ...]:
    reservation = case.reservation
    whom = [f"user {name}" for name in reservation.users] + [f"tenant {name}" for name in reservation.tenants]
    message = f"reservation `{reservation.name}` is for {', '.join(whom)} only"
    return case.because(ReasonCode.NO_ACCOUNT, "reservation", message, seen=case.job.user, needed=whom)


def _outside(case: Case) -> tuple[Reason, ...]:
    reservation, limit = case.reservation, format_slurm_time(case.limit_s)
    begin, end = format_instant(reservation.from_), format_instant(reservation.to)
    message = (
        f"reservation `{reservation.name}` at {case.whole} lasts from {begin} to {end} and never has the job's GPUs "
        f"for {limit} from a start that this plan may choose"
    )
    return case.because(ReasonCode.WINDOW, "reservation", message, seen=end, needed=limit)


def _maintenance(case: Case) -> tuple[Reason, ...]:
    """What is set aside in the time that the job could run, the maintenance of it if there is any."""
    problem, held = case.problem, int(case.problem.gpus_held[case.index, case.column])
    fleet = problem.snapshot.fleet
    aside = fleet.reservations_at(case.site, case.room.partition.name)
    last = problem.start(problem.start_slots) + timedelta(seconds=case.limit_s)
    near = [each for each in aside if each.to > problem.now and each.from_ < last]
    reservation = min(near, key=lambda each: (not each.maintenance, each.from_))
    what = "under maintenance" if reservation.maintenance else "reserved as"
    begin, end = format_instant(reservation.from_), format_instant(reservation.to)
    message = (
        f"{case.whole} is {what} `{reservation.name}` from {begin} to {end}, which leaves too few GPUs for the job"
    )
    return case.because(ReasonCode.MAINTENANCE, "reservations", message, seen=f"{begin}/{end}", needed=held)


def _refused(case: Case) -> tuple[Reason, ...]:
    """The site's own words."""
    return tuple(
        refusal.reason
        for refusal in case.problem.snapshot.refusals
        if refusal.job == case.job.job and refusal.concerns(case.site, case.room.partition.name)
    )


def _policy_hours(case: Case) -> tuple[Reason, ...]:
    """The hours that between them leave no start in the job's window."""
    return tuple(
        Reason(
            site=case.site,
            code=ReasonCode.POLICY_HARD_DENY,
            rule=ban.rule,
            clause=ban.clause,
            needed=f"outside {ban.from_} to {ban.to} {ban.zone}",
            message=f"{ban.message}; no start within the job's window is outside these hours",
        )
        for ban in (case.verdict.bans if case.verdict else ())
    )


_FOREVER_S = 100 * 366 * 24 * 3600
_SAY: Mapping[Rule, Callable[[Case], tuple[Reason, ...]]] = {
    Rule.POLICY: _policy,
    Rule.COUNTRY: _country,
    Rule.NOT_PORTABLE: _not_portable,
    Rule.HARDWARE: _hardware,
    Rule.TOO_LARGE: _too_large,
    Rule.WINDOW: _window,
    Rule.DEADLINE: _deadline,
    Rule.POLICY_END: _policy_end,
    Rule.DRAINED: _drained,
    Rule.POWER_CAP: _power_cap,
    Rule.RESERVATION: _reservation,
    Rule.NOT_RESERVED: _not_reserved,
    Rule.OUTSIDE: _outside,
    Rule.MAINTENANCE: _maintenance,
    Rule.REFUSED: _refused,
    Rule.POLICY_HOURS: _policy_hours,
}
