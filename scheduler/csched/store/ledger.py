"""What jobs cost: one entry for each that ran."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select

from csched.domain.ledger import LedgerEntry
from csched.domain.run import JobState
from csched.domain.snapshot import Usage
from csched.store.job_rows import require_row
from csched.store.mapping import to_job_record, to_ledger_row
from csched.store.part import MOST_ROWS, Part
from csched.store.records import JobRecord
from csched.store.rows import JobRow, LedgerRow, PlacementRow

_BY_ITSELF: Final = (JobState.COMPLETED, JobState.FAILED, JobState.TIMEOUT)
_RUNS_LOOKED_AT: Final = 2000


class Ledger(Part):
    """What it cost."""

    def unbilled(self, limit: int = 1000) -> tuple[JobRecord, ...]:
        """Ended jobs that ran and have no entry in the ledger yet."""
        query = (
            select(JobRow, PlacementRow)
            .join(PlacementRow, isouter=True)
            .where(col(JobRow.end).is_not(None), col(JobRow.start).is_not(None), ~col(JobRow.billed))
            .order_by(col(JobRow.id))
            .limit(limit)
        )
        with self._database.read() as session:
            return tuple(to_job_record(row, placement) for row, placement in session.exec(query))

    def add(self, entry: LedgerEntry) -> None:
        """Bill an ended job. A job is billed once; a second entry changes nothing."""
        with self._database.write() as session:
            row = require_row(session, int(entry.job))
            if session.get(LedgerRow, row.id) is None:
                session.add(to_ledger_row(entry))
            row.billed = True

    def usage(self, since: datetime) -> tuple[Usage, ...]:
        """GPU-hours of each billed job from `since` on; those of jobs without a tenant are nobody's share."""
        query = select(LedgerRow.entry).where(col(LedgerRow.ended) > since)
        with self._database.read() as session:
            entries = [LedgerEntry.model_validate(entry) for entry in session.exec(query)]
        return tuple(
            Usage(
                tenant=entry.tenant,
                site=entry.site,
                gpu_h=entry.gpus * (entry.end - max(entry.start, since)) / timedelta(hours=1),
            )
            for entry in entries
            if entry.tenant is not None
        )

    def past_shares(self, users: Collection[str]) -> Mapping[str, tuple[float, ...]]:
        """User -> share of the time limit that each of the newest runs took, those that were cancelled left out."""
        if not users:
            return {}
        query = (
            select(JobRow.user, JobRow.start, JobRow.end, JobRow.job)
            .where(col(JobRow.user).in_(users), col(JobRow.state).in_(_BY_ITSELF), col(JobRow.start).is_not(None))
            .order_by(col(JobRow.id).desc())
            .limit(_RUNS_LOOKED_AT)
        )
        shares: dict[str, tuple[float, ...]] = {}
        with self._database.read() as session:
            for user, start, end, job in session.exec(query):
                if user and start and end and not job.get("runtime_factors"):
                    share = (end - start) / timedelta(seconds=job["time_limit_s"])
                    shares[user] = (*shares.get(user, ()), min(share, 1.0))
        return shares

    def ledger(
        self,
        *,
        user: str | None = None,
        project: str | None = None,
        site: str | None = None,
        ended_from: datetime | None = None,
        ended_to: datetime | None = None,
        limit: int = MOST_ROWS,
    ) -> tuple[LedgerEntry, ...]:
        """Entries of jobs that ended in [ended_from, ended_to), by end."""
        query = select(LedgerRow.entry)
        for column, wanted in ((LedgerRow.user, user), (LedgerRow.project, project), (LedgerRow.site, site)):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if ended_from is not None:
            query = query.where(col(LedgerRow.ended) >= ended_from)
        if ended_to is not None:
            query = query.where(col(LedgerRow.ended) < ended_to)
        query = query.order_by(col(LedgerRow.ended), col(LedgerRow.job_id)).limit(max(0, min(limit, MOST_ROWS)))
        with self._database.read() as session:
            return tuple(LedgerEntry.model_validate(entry) for entry in session.exec(query))
