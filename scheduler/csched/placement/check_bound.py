"""What the prices of a certificate prove, reckoned job by job and start by start.

Shares no code with the engine.
"""

import math
from collections.abc import Iterator

import numpy as np

from csched.domain.job import Job
from csched.domain.plan import Certificate, Plan
from csched.domain.site import Site
from csched.placement.check_parts import parts
from csched.placement.check_space import TOLERANCE, Floats
from csched.placement.check_starts import Slots, Starts

MOST_WITHOUT_PRICES = 300
"""Jobs of a plan whose bound may have been proven in another way than by prices."""


def bound_faults(plan: Plan, starts: Starts) -> Iterator[str]:
    """The certificate must prove the bound; without one there can only be few jobs."""
    certificate = plan.certificate
    if certificate is None:
        if len(starts.snapshot.jobs) > MOST_WITHOUT_PRICES:
            yield f"there is no certificate for a bound over more than {MOST_WITHOUT_PRICES} jobs"
        return
    prices = [price for row in (*certificate.gpu.values(), *certificate.power.values()) for price in row]
    if not all(math.isfinite(price) and price >= 0 for price in prices):
        yield "a price of the certificate is not a number of at least 0"
        return
    proven = _Bound(certificate, starts).kg()
    if plan.bound_kg > proven + TOLERANCE * max(1.0, abs(proven)):
        yield f"bound_kg is {plan.bound_kg!r}; the certificate proves only {proven!r}"


class _Bound:
    def __init__(self, certificate: Certificate, starts: Starts) -> None:
        self._starts, self._space = starts, starts.space
        self._gpu = {key: _Prices(certificate.gpu.get(key, ())) for key in self._space.places}
        self._power = {site.id: _Prices(certificate.power.get(site.id, ())) for site in self._space.fleet.sites}

    def kg(self) -> float:
        """Sum over jobs of the least of penalty and priced starts, less what the capacity itself is worth.

        An allowed start for which running jobs leave too little is in no plan, and passed over.
        """
        snapshot, space = self._starts.snapshot, self._space
        held = set(snapshot.held)
        total = math.fsum(self._least(job) for job in snapshot.jobs if job.job not in held)
        for key in space.places:
            running, prices = space.running_gpus(key), self._gpu[key].each
            free = [max(0.0, space.gpus(key, slot) - running.at(slot)) for slot in range(len(prices))]
            total -= float(np.dot(prices, free))
        return total - math.fsum(self._power_worth(site) for site in space.fleet.sites)

    def _power_worth(self, site: Site) -> float:
        running, prices = self._space.running_kw(site), self._power[site.id].each
        priced = np.flatnonzero(prices).tolist()
        return math.fsum(prices[slot] * max(0.0, self._space.cap_kw(site, slot) - running.at(slot)) for slot in priced)

    def _least(self, job: Job) -> float:
        """The cheapest a job can do at these prices: start somewhere, or be left out; 0 where it cannot start."""
        starts = self._starts.of(job)
        penalty = self._starts.penalty(job, starts)
        if penalty is None:
            return 0.0
        priced = [
            {key: (slots, self._priced(part, key, slots) + kg) for key, (slots, kg) in of_part.items()}
            for part, of_part in zip(parts(job), starts, strict=True)
        ]
        return min(penalty, self._starts.over_sites(priced, math.inf))

    def _priced(self, job: Job, key: str, slots: Slots) -> Floats:
        """Prices of what a start holds, infinite where running jobs leave too little for it."""
        space, place = self._space, self._space.places[key]
        ends = slots + space.slots_held(job, place)
        kg = place.held(job) * self._gpu[key].over(slots, ends)
        kg += place.kw(job) * self._power[place.site.id].over(slots, ends)
        possible = space.enough_gpus(job, key, beside_running=True) & space.enough_power(job, key, beside_running=True)
        return np.where(possible[slots], kg, math.inf)


class _Prices:
    """Prices by slot, and their sums over intervals."""

    def __init__(self, each: tuple[float, ...]) -> None:
        self.each: Floats = np.array(each, dtype=np.float64)
        self._before = np.concatenate([[0.0], np.cumsum(self.each)])

    def over(self, starts: Slots, ends: Slots) -> Floats:
        last = len(self.each)
        return np.asarray(self._before[np.minimum(ends, last)] - self._before[np.minimum(starts, last)])
