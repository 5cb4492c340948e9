"""Between the store and a dispatcher: what shall start is handed over, news is taken over, what has ended is dropped.

Each step may be cut short at any moment and repeated by the next process. What makes that safe is the order of
writing: an attempt is in the store before the dispatcher hears of it, and it is dropped by the dispatcher only after
its end is in the store, from when on it is never handed over again.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from csched.ports import Dispatcher
from csched.store.repository import Repository

_HANDED_OVER_AT_ONCE: Final = 20
"""Starting processes takes time, and news of those that run must not wait for all that are still to start."""


@dataclass
class Attempts:
    """For any number of threads. Raises what the store and the dispatcher raise."""

    store: Repository
    dispatcher: Dispatcher
    _handing_over: Lock = field(default_factory=Lock, init=False)
    """Held from reading an order until it is noted as handed over: by then it may have run, ended and been dropped."""

    def hand_over(self, only: Collection[str] | None = None) -> None:
        """Give the dispatcher the oldest attempts that it is not known to have, of these where some are named."""
        with self._handing_over:
            for order in self.store.orders(only, limit=_HANDED_OVER_AT_ONCE):
                self.dispatcher.dispatch(order)
                self.store.handed_over(order.attempt)

    def cancel(self) -> None:
        """Pass on which attempts shall end."""
        for attempt in self.store.to_cancel():
            self.dispatcher.cancel(attempt)

    def take_over_news(self) -> list[int]:
        """Keep what became of the living attempts; the jobs of which something was new."""
        reports = self.dispatcher.poll(self.store.alive())
        return [int(report.job) for report in reports if self.store.apply(report)]

    def forget_ended(self) -> None:
        """Let the dispatcher drop what has ended and is kept in the store."""
        ended = self.store.ended_attempts()
        for attempt in ended:
            self.dispatcher.forget(attempt)
        self.store.forgotten(ended)
