"""Between the store and a dispatcher: what shall start is handed over, news is taken over, what has ended is dropped.

Each step may be cut short at any moment and repeated by the next process. What makes that safe is the order of
writing: an attempt is in the store before the dispatcher hears of it, and it is dropped by the dispatcher only after
its end is in the store, from when on it is never handed over again.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import structlog

from csched.domain.run import DispatchOrder, RunReport
from csched.domain.verdict import Objection
from csched.errors import Unavailable
from csched.ports import Dispatcher, Gate
from csched.store.repository import Repository

_HANDED_OVER_AT_ONCE: Final = 20
"""Starting processes takes time, and news of those that run must not wait for all that are still to start."""


_WITHDRAWN_AT_MOST: Final = 3
"""A job that rules keep from starting so often is held: planning and rules do not agree about it."""


@dataclass
class Attempts:
    """For any number of threads. Raises what the store and the dispatcher raise."""

    store: Repository
    dispatcher: Dispatcher
    gate: Gate | None = None
    """Looks at each order once more before it is handed over; null: there are no rules to look at."""
    _handing_over: Lock = field(default_factory=Lock, init=False)
    """Held from reading an order until it is noted as handed over: by then it may have run, ended and been dropped."""

    def hand_over(self, only: Collection[str] | None = None) -> None:
        """Give the dispatcher the oldest attempts that it is not known to have, of these where some are named.

        Raises:
            Unavailable: an attempt that could not be started, once the others have been.
        """
        failed: Unavailable | None = None
        with self._handing_over:
            for order in self.store.orders(only, limit=_HANDED_OVER_AT_ONCE):
                objection = self._objection(order)
                if objection is not None:
                    self._withdraw(order, objection)
                    continue
                try:
                    self.dispatcher.dispatch(order)
                except Unavailable as error:
                    failed = failed or error
                else:
                    self.store.handed_over(order.attempt)
        if failed is not None:
            raise failed

    def _objection(self, order: DispatchOrder) -> Objection | None:
        """None also for an attempt that the dispatcher has: a crash came between its start and the note of it."""
        if self.gate is None:
            return None
        objection = self.gate.objection(self.store.job(int(order.job)).job, order.site)
        if objection is None or self.dispatcher.poll({order.attempt: order.job}):
            return None
        return objection

    def _withdraw(self, order: DispatchOrder, objection: Objection) -> None:
        """Back to the queue; held where the readers of the rules disagree, or where it comes back again and again."""
        again = self.store.job(int(order.job)).attempts >= _WITHDRAWN_AT_MOST
        self.store.withdraw(
            order.attempt, objection.message, disputed=objection.disputed, hold=objection.disputed or again
        )
        log = structlog.get_logger("csched.second_look")
        told = {"job": order.job, "site": order.site, "attempt": order.attempt, "why": objection.message}
        if objection.disputed:
            log.error("readers of the rules disagree, job held", **told)
        else:
            log.warning("the rules no longer allow it, job withdrawn", **told)

    def cancel(self) -> None:
        """Pass on which attempts shall end."""
        for attempt in self.store.to_cancel():
            self.dispatcher.cancel(attempt)

    def take_over_news(self) -> list[int]:
        """Keep what became of the living attempts; the jobs of which something was new."""
        reports = self.dispatcher.poll(self.store.alive())
        return [int(report.job) for report in reports if self._take_over(report)]

    def _take_over(self, report: RunReport) -> bool:
        if report.given_back is not None:
            return self.store.take_back(report, report.given_back)
        return self.store.apply(report)

    def forget_ended(self) -> None:
        """Let the dispatcher drop what has ended and is kept in the store."""
        ended = self.store.ended_attempts()
        for attempt in ended:
            self.dispatcher.forget(attempt)
        self.store.forgotten(ended)
