"""Which starts are allowed a job, other jobs aside, and what they cost, as the check of plans sees it.

Shares no code with the engine: only the domain values and the arithmetic of `csched.accounting.costs`.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from csched.accounting import costs
from csched.domain.job import Job
from csched.domain.site import Reservation, Site
from csched.domain.start_ban import StartBan
from csched.domain.verdict import Verdicts
from csched.placement.check_parts import parts
from csched.placement.check_space import Floats, Space

Slots = npt.NDArray[np.int64]

OfPart = Mapping[str, tuple[Slots, Floats]]
"""Place -> slots of the allowed starts of one part of a job, and what each costs in kg; both of shape (n,)."""


class Starts:
    def __init__(self, space: Space, verdicts: Verdicts | None) -> None:
        self.space, self.snapshot, self.verdicts = space, space.snapshot, verdicts
        self._fleet, self._now = space.fleet, space.now

    # --- one start ---------------------------------------------------------------------------------------------

    def why_never(self, job: Job, key: str) -> str | None:
        """What keeps the job from a place whenever it starts."""
        place = self.space.places[key]
        site, reservation = place.site, place.reservation
        refusals = {
            "its policy denies the site": not self._policy_allows(job, site),
            f"the job wants {job.countries}": bool(job.countries) and site.country not in job.countries,
            f"the job wants {job.hardware}": bool(job.hardware) and place.partition.hardware not in job.hardware,
            "the job is not portable": job.portable is False
            and site.id != self._fleet.home_site(job.home_site, job.tenant),
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

    def why_not(self, job: Job, key: str, start: datetime) -> str | None:
        """What keeps the job from starting there just then."""
        place, elapsed_s = self.space.places[key], (start - self._now).total_seconds()
        moved_s = costs.transfer_s(job, place.site, self._fleet)
        latest_end = self._latest_end(job, place.site)
        if elapsed_s % self.snapshot.slot_s != 0 or not 0 <= elapsed_s < self.snapshot.horizon_s:
            return "not a start slot of the horizon"
        if (start - costs.ready(job, self._now)).total_seconds() < moved_s:
            return "before the job and its data are there"
        if latest_end is not None and start + timedelta(seconds=job.limit_s_on(place.hardware.key)) > latest_end:
            return "the limit runs out after the deadline or the policy's latest end"
        if any(ban.forbids(start) for ban in self._bans(job, place.site)):
            return "policy closes that hour to it"
        return self._too_little(job, key, self.space.slot(start))

    def _too_little(self, job: Job, key: str, slot: int) -> str | None:
        if not self.space.enough_gpus(job, key, beside_running=False)[slot]:
            return "too few GPUs are not set aside for others, for maintenance, or outside of its reservation"
        if not self.space.enough_power(job, key, beside_running=False)[slot]:
            return "draws more than the power cap of its site by itself"
        return None

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

    # --- all starts --------------------------------------------------------------------------------------------

    def allowed(self, job: Job, key: str) -> Slots:
        """Slots of all allowed starts of a job in a place."""
        if self.why_never(job, key) is not None:
            return np.empty(0, dtype=np.int64)
        place = self.space.places[key]
        elapsed_s = np.arange(self.space.start_slots) * self.snapshot.slot_s
        since_ready_s = elapsed_s - (costs.ready(job, self._now) - self._now).total_seconds()
        allowed = since_ready_s >= costs.transfer_s(job, place.site, self._fleet)
        if (latest_end := self._latest_end(job, place.site)) is not None:
            limit_s = job.limit_s_on(place.hardware.key)
            allowed &= elapsed_s + limit_s <= (latest_end - self._now).total_seconds()
        allowed &= self.space.enough_gpus(job, key, beside_running=False)
        allowed &= self.space.enough_power(job, key, beside_running=False)
        slots = np.flatnonzero(allowed)
        if bans := self._bans(job, place.site):
            open_ = [not any(ban.forbids(self.space.instant(slot)) for ban in bans) for slot in slots.tolist()]
            slots = slots[np.array(open_, dtype=bool)]
        return slots

    def of(self, job: Job) -> list[OfPart]:
        """For each part of a job its allowed starts and what they cost, by place; places without one left out."""
        return [
            {
                key: (slots, self._costs_kg(part, key, slots))
                for key in self.space.places
                if len(slots := self.allowed(part, key))
            }
            for part in parts(job)
        ]

    def _costs_kg(self, job: Job, key: str, slots: Slots) -> Floats:
        place = self.space.places[key]
        series = self.snapshot.carbon.zone(place.site.grid_zone)
        starts_s = slots.astype(np.float64) * self.snapshot.slot_s + self._now.timestamp()
        ends_s = starts_s + job.runtime_s_on(place.hardware.key)
        intensity_h = series.cumulative_g_h_per_kwh(ends_s) - series.cumulative_g_h_per_kwh(starts_s)
        waits_s = starts_s - costs.ready(job, self._now).timestamp()
        waiting = costs.wait_kg(job.gpus, 1.0, self._fleet) * np.maximum(waits_s, 0) / 3600
        carbon: Floats = place.kw(job) * self._fleet.pue(place.site) * intensity_h / 1000
        carbon += costs.egress_kg(job, place.site, self._fleet) + waiting
        return carbon

    def penalty(self, job: Job, starts: Sequence[OfPart]) -> float | None:
        """Cost of the dearest allowed start and the drop; None without an allowed start."""
        dearest = self.over_sites(starts, -math.inf)
        return dearest + costs.drop_kg(job, self._fleet) if math.isfinite(dearest) else None

    def over_sites(self, starts: Sequence[OfPart], worst: float) -> float:
        """The greatest (worst -inf) or least (inf) that starts of all parts at one site can come to together."""
        best = np.maximum if worst < 0 else np.minimum
        if len(starts) == 1:
            return float(best.reduce([best.reduce(kg) for _, kg in starts[0].values()] or [worst]))
        totals: dict[str, Floats] = {site.id: np.zeros(self.space.start_slots) for site in self._fleet.sites}
        for of_part in starts:
            by_site = {site: np.full(self.space.start_slots, worst) for site in totals}
            for key, (slots, kg) in of_part.items():
                here = by_site[self.space.places[key].site.id]
                here[slots] = best(here[slots], kg)
            for site, row in by_site.items():
                totals[site] += row
        return float(best.reduce([best.reduce(row) for row in totals.values()]))


def _may_use(reservation: Reservation, job: Job) -> bool:
    named = bool(reservation.users or reservation.tenants)
    return not named or job.user in reservation.users or job.tenant in reservation.tenants
