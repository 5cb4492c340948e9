"""Orders as they arrive: admitted or refused, and on disk before the next one is looked at."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from csched.domain.run import JobState
from csched.domain.verdict import ReasonCode
from csched.ports import Clock
from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import Attempt
from csched_slurm.agent.identities import IdentityMap
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.submission import Unfit, request_of
from csched_slurm.cluster import ClusterFacts
from csched_slurm.protocol.admission import Door, Turned
from csched_slurm.protocol.orders import StartOrder
from csched_slurm.protocol.signing import SignedOrder


@dataclass
class Intake:
    """For one site; by the same thread as the clerk."""

    door: Door
    journal: Journal
    identities: IdentityMap
    clock: Clock
    facts: ClusterFacts = field(default_factory=ClusterFacts)
    """The newest that is known of the cluster."""

    def take(self, orders: Iterable[SignedOrder]) -> None:
        for signed in orders:
            order = self.door.admit(signed, self.journal, self.clock.now())
            if order is None:
                self.journal.passed(signed.sequence)
            elif isinstance(order, Turned):
                self._turn_away(signed, order)
            elif isinstance(order, StartOrder):
                self._start(signed, order)
            else:
                attempt = self.journal.attempt(order.attempt)
                cancelled = attempts.ordered_to_end(attempt, self.clock.now()) if attempt else None
                self.journal.take(signed, order, cancelled, None)

    def _start(self, signed: SignedOrder, order: StartOrder) -> None:
        try:
            request = request_of(order, self.identities, self.facts)
        except Unfit as unfit:
            self.journal.take(signed, order, self._given_back(order, unfit.code, str(unfit)), None)
            return
        self.journal.take(signed, order, self._attempt(order, request.user), request)

    def _turn_away(self, signed: SignedOrder, turned: Turned) -> None:
        """A start that is this site's and cannot be carried out gives its job back. Of any other nothing follows."""
        if isinstance(turned.order, StartOrder) and turned.ours:
            told = turned.refusal
            attempt = attempts.refused(
                self._attempt(turned.order, "nobody"), self.clock.now(), None, f"{told.code}: {told.message}"
            )
            self.journal.take(signed, turned.order, attempt, None)
        self.journal.refuse(turned.refusal)

    def _attempt(self, order: StartOrder, user: str) -> Attempt:
        return Attempt(
            attempt=order.attempt,
            job=order.job.id,
            user=user,
            own_name=order.job.name,
            expires_at=order.expires_at,
            since=self.clock.now(),
            state=JobState.CONFIGURING,
        )

    def _given_back(self, order: StartOrder, code: ReasonCode, message: str) -> Attempt:
        return attempts.refused(self._attempt(order, "nobody"), self.clock.now(), code, message)
