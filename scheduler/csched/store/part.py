"""What the parts of the store share: the database and the clock."""

from typing import Final

from csched.ports import Clock
from csched.store.database import Database

MOST_ROWS: Final = 100_000
"""No answer is longer, whatever the limit asked for."""


class Part:
    """One purpose of the store. Every method is one transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
