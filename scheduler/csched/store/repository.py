"""The store: what csched was asked for, decided, started and paid in carbon. Values in, values out.

Every method is one transaction. What returned is on disk; what raised left nothing behind. Each purpose has a module
of its own; all of them work on one database.
"""

from csched.clock import SystemClock
from csched.ports import Clock
from csched.store.carbon_cache import CarbonCacheTable
from csched.store.database import Database
from csched.store.dispatches import Dispatches
from csched.store.drains import Drains
from csched.store.jobs import Jobs
from csched.store.ledger import Ledger
from csched.store.mailboxes import Mailboxes
from csched.store.marks import Marks
from csched.store.plans import Plans
from csched.store.returns import Returns
from csched.store.submissions import Submissions
from csched.store.tokens import Tokens
from csched.store.waiting import Waiting


class Repository(Submissions, Jobs, Waiting, Plans, Dispatches, Returns, Drains, Ledger, Tokens, Marks):
    """Everything csched remembers, behind one URL; opening it brings the schema up to date.

    Raises:
        InputError: an unusable URL, or a database of a newer csched.
        Unavailable: the database does not answer (also every method).
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        super().__init__(Database(url), clock or SystemClock())

    def close(self) -> None:
        self._database.close()

    @property
    def carbon_cache(self) -> CarbonCacheTable:
        return CarbonCacheTable(self._database)

    @property
    def mailboxes(self) -> Mailboxes:
        return Mailboxes(self._database, self._clock)
