"""The last good reading of each carbon source, for the time when the source does not answer."""

from datetime import datetime

from csched.domain.carbon import CarbonOutlook
from csched.store.database import Database
from csched.store.mapping import document
from csched.store.rows import CarbonRow


class CarbonCacheTable:
    """Implements csched.ports.CarbonCache."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, source: str, outlook: CarbonOutlook, read_at: datetime) -> None:
        with self._database.write() as session:
            session.merge(CarbonRow(source=source, outlook=document(outlook), read_at=read_at))

    def kept(self, source: str) -> tuple[CarbonOutlook, datetime] | None:
        with self._database.read() as session:
            row = session.get(CarbonRow, source)
            return (CarbonOutlook.model_validate(row.outlook), row.read_at) if row else None
