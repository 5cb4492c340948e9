"""Orders as they arrive: admitted or refused, and on disk before the next one is looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from csched.domain.run import Adopted, JobState
from csched.domain.verdict import ReasonCode
from csched.ports import Clock
from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import Attempt, Stage
from csched_slurm.agent.identities import IdentityMap, NoAccount
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.modes import Mode, Modes
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
    modes: Modes = field(default_factory=Modes)
    own_comments: Mapping[int, str] = field(default_factory=dict)
    """Of the adopted jobs that wait here: id -> what their owners wrote."""
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
        mode = self.modes.of(self._charged(order))
        if mode is not Mode.ENFORCE:
            why = f"site `{order.site}` is in {mode} mode: nothing is submitted there"
            self.journal.take(signed, order, self._given_back(order, ReasonCode.SITE_UNAVAILABLE, why), None)
            return
        if order.job.script.adopted is not None:
            self._adopted(signed, order, order.job.script.adopted)
            return
        try:
            request = request_of(order, self.identities, self.facts)
        except Unfit as unfit:
            self.journal.take(signed, order, self._given_back(order, unfit.code, str(unfit)), None)
            return
        self.journal.take(signed, order, self._attempt(order, request.user), request)

    def _charged(self, order: StartOrder) -> str | None:
        """The account that pays for it, also where the job names none."""
        who = self.identities.resolve(order.job.owner, order.job.account, None)
        return order.job.account if isinstance(who, NoAccount) else who.account

    def _adopted(self, signed: SignedOrder, order: StartOrder, adopted: Adopted) -> None:
        """The job lies here already; only if it is its owner's still is it let go."""
        who = self.identities.resolve(order.job.owner, order.job.account, None)
        if isinstance(who, NoAccount):
            self.journal.take(signed, order, self._given_back(order, ReasonCode.NO_ACCOUNT, who.message), None)
            return
        known = {"adopted": True, "stage": Stage.HELD, "job_id": adopted.job_id, "submitted": adopted.submitted}
        own = self.own_comments.get(adopted.job_id, "")
        attempt = self._attempt(order, who.user).model_copy(update={**known, "own_comment": own})
        self.journal.take(signed, order, attempt, None)

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
