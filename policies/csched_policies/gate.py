"""The last door before a job is handed over: the rules in force at this moment, read by the second reader."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.verdict import Objection
from csched.ports import Clock, Policies
from csched_policies.second_look import SecondLook


@dataclass
class SecondLookGate:
    """Implements csched.ports.Gate."""

    in_force: Callable[[], Policies]
    fleet: Fleet
    clock: Clock
    _read: tuple[Policies, SecondLook] | None = field(default=None, init=False)

    def objection(self, job: Job, site: str) -> Objection | None:
        """Judged from now until the job's time limit runs out, should it start now."""
        policies = self.in_force()
        try:
            told = self._objections(policies, job, site)
        except Exception as error:  # noqa: BLE001  (whatever the second reader stumbles over, the job must not run)
            told = (f"the second reader failed: {error!r}",)
        if not told:
            return None
        return Objection(message="; ".join(told), disputed=self._allowed(policies, job, site))

    def _objections(self, policies: Policies, job: Job, site: str) -> tuple[str, ...]:
        if self._read is None or self._read[0] is not policies:
            self._read = (policies, SecondLook(policies.sources()))
        start = self.clock.now()
        return self._read[1].objections(job, self.fleet, site, start, start + timedelta(seconds=job.time_limit_s))

    def _allowed(self, policies: Policies, job: Job, site: str) -> bool:
        """What the first reader says at this moment."""
        now = self.clock.now()
        verdicts = policies.screen([job], self.fleet, now)[job.job]
        verdict = next((verdict for verdict in verdicts if verdict.site == site), None)
        if verdict is None or not verdict.allowed:
            return False
        in_time = verdict.latest_end is None or now + timedelta(seconds=job.time_limit_s) <= verdict.latest_end
        return in_time and not any(ban.forbids(now) for ban in verdict.bans)
