"""Each order to where its site is reached: a mailbox, or the machine itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from csched.domain.run import DispatchOrder, RunReport
from csched.ports import Dispatcher
from csched.store.mailboxes import Mailboxes


@dataclass(frozen=True)
class BySite:
    """Implements csched.ports.Dispatcher over two others. Who has an attempt is in the mailboxes, not in the fleet:
    a site may gain a cluster while its jobs run."""

    mailboxes: Mailboxes
    clusters: Dispatcher
    here: Dispatcher
    sites: Collection[str]
    """Those with a cluster."""

    def dispatch(self, order: DispatchOrder) -> None:
        (self.clusters if order.site in self.sites else self.here).dispatch(order)

    def poll(self, attempts: Mapping[str, str]) -> Sequence[RunReport]:
        posted = self.mailboxes.sites_of(attempts)
        elsewhere = {attempt: job for attempt, job in attempts.items() if attempt in posted}
        local = {attempt: job for attempt, job in attempts.items() if attempt not in posted}
        return [*self.clusters.poll(elsewhere), *self.here.poll(local)]

    def cancel(self, attempt: str) -> None:
        self._holder(attempt).cancel(attempt)

    def forget(self, attempt: str) -> None:
        self._holder(attempt).forget(attempt)

    def _holder(self, attempt: str) -> Dispatcher:
        return self.clusters if self.mailboxes.sites_of([attempt]) else self.here
