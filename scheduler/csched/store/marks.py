"""Small facts: how often the queue changed, how the daemon is, and the newest signed policies."""

import json

from sqlmodel import Session

from csched.store.part import Part
from csched.store.records import Health
from csched.store.rows import MarkRow


class Marks(Part):
    """What must not be forgotten although it is small."""

    def changes(self) -> int:
        """Rises whenever a user or admin changed what there is to plan; cheap, so that the daemon can look often."""
        with self._database.read() as session:
            mark = session.get(MarkRow, "changes")
            return int(mark.value) if mark else 0

    def accept_policies(self, serial: int, sha256: str) -> tuple[int, str]:
        """Keep this signed set as the newest, unless one with a higher serial or the same is; return what is kept."""
        with self._database.write() as session:
            mark = session.get(MarkRow, "policies")
            kept = json.loads(mark.value) if mark else None
            if kept is None or kept["serial"] < serial:
                kept = {"serial": serial, "sha256": sha256}
                session.merge(MarkRow(key="policies", value=json.dumps(kept)))
            return kept["serial"], kept["sha256"]

    def health(self) -> Health:
        with self._database.read() as session:
            mark = session.get(MarkRow, "health")
            return Health.model_validate_json(mark.value) if mark else Health()

    def note_health(self, health: Health) -> None:
        with self._database.write() as session:
            session.merge(MarkRow(key="health", value=health.model_dump_json()))


def count_change(session: Session) -> None:
    mark = session.get(MarkRow, "changes")
    session.merge(MarkRow(key="changes", value=str(int(mark.value) + 1 if mark else 1)))
