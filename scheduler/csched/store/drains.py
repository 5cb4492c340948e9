"""Sites that take no new jobs."""

from sqlmodel import col, select

from csched.store.mapping import to_drain
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.records import Drain
from csched.store.rows import DrainRow


class Drains(Part):
    """Which sites are drained."""

    def drain(self, site: str, reason: str) -> Drain:
        """The site takes no new jobs; what runs there goes on."""
        with self._database.write() as session:
            row = session.merge(DrainRow(site=site, reason=reason[:200], since=self._clock.now()))
            count_change(session)
            return to_drain(row)

    def resume(self, site: str) -> bool:
        """False where the site was not drained."""
        with self._database.write() as session:
            row = session.get(DrainRow, site)
            if row is not None:
                session.delete(row)
                count_change(session)
            return row is not None

    def drains(self) -> tuple[Drain, ...]:
        with self._database.read() as session:
            return tuple(to_drain(row) for row in session.exec(select(DrainRow).order_by(col(DrainRow.site))))
