"""The newest plan, read only where it has something to say: it is large."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from csched.domain.plan import Plan
from csched.domain.run import JobState

if TYPE_CHECKING:
    from csched.app import App
    from csched.store.records import JobRecord


def plan_for(app: "App", records: "Iterable[JobRecord]") -> Plan | None:
    """The newest plan, if one of the jobs waits without a place and without being held."""
    if not any(record.state is JobState.PENDING and not record.placement and not record.hold for record in records):
        return None
    newest = app.store.plan()
    return newest.plan if newest else None
