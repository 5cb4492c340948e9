"""The mailboxes of the sites that have an agent: orders that wait there, and what the agents have reported.

What an order or a report says is nobody's business here: texts and documents are kept as they are given.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, update
from sqlmodel import Session, col, func, select

from csched.domain.base import Instant, Slug, Value
from csched.store.marks import count_change
from csched.store.part import Part
from csched.store.rows import AgentRow, DrainRow, SiteOrderRow, SiteReportRow

_AT_ONCE: Final = 10_000
"""Attempts in one question; SQLite allows 32,766 variables."""
_REFUSALS_KEPT: Final = 20

Document = dict[str, Any]


@dataclass(frozen=True)
class Letter:
    """An order as it lies in a mailbox."""

    sequence: int
    key_id: str
    document: str
    signature: str


@dataclass(frozen=True)
class News:
    """What an agent says of one attempt; the highest version counts."""

    attempt: str
    version: int
    report: Document


class AgentRecord(Value):
    """A site's agent, as the core knows it."""

    site: Slug
    seen: Instant
    facts: Document | None = None
    facts_at: Instant | None = None
    alarm: Document | None = None
    alarm_cleared: Instant | None = None
    refused: tuple[Document, ...] = ()
    """The newest orders that it did not carry out."""


class Mailboxes(Part):
    """One mailbox for each site."""

    def post(self, site: str, attempt: str, kind: str, write: Callable[[int], Letter]) -> None:
        """Put an order into the site's mailbox, once for each attempt and kind; `write` gets its number."""
        with self._database.write() as session:
            if _posted(session, attempt, kind) is not None:
                return
            highest = select(func.max(SiteOrderRow.sequence)).where(SiteOrderRow.site == site)
            letter = write((session.exec(highest).one() or 0) + 1)
            session.add(
                SiteOrderRow(
                    site=site,
                    sequence=letter.sequence,
                    attempt=attempt,
                    kind=kind,
                    key_id=letter.key_id,
                    document=letter.document,
                    signature=letter.signature,
                    posted=self._clock.now(),
                )
            )

    def letters(self, site: str, after: int, *, limit: int, most_characters: int) -> tuple[Letter, ...]:
        """The orders after this number, oldest first, as many as fit; at least one where there is one."""
        query = (
            select(SiteOrderRow)
            .where(SiteOrderRow.site == site, col(SiteOrderRow.sequence) > after)
            .where(col(SiteOrderRow.document).is_not(None))
            .order_by(col(SiteOrderRow.sequence))
            .limit(limit)
        )
        taken: list[Letter] = []
        characters = 0
        with self._database.read() as session:
            for row in session.exec(query):
                characters += len(row.document or "")
                if taken and characters > most_characters:
                    break
                taken.append(Letter(row.sequence, row.key_id, row.document or "", row.signature))
        return tuple(taken)

    def newest(self, site: str) -> int:
        """The highest number of an order to the site; 0 where there was none."""
        with self._database.read() as session:
            return session.exec(select(func.max(SiteOrderRow.sequence)).where(SiteOrderRow.site == site)).one() or 0

    def sites_of(self, attempts: Collection[str]) -> Mapping[str, str]:
        """Attempt -> site, of those that were ever put into a mailbox."""
        found: dict[str, str] = {}
        with self._database.read() as session:
            for some in _slices(list(attempts)):
                query = select(SiteOrderRow.attempt, SiteOrderRow.site).where(col(SiteOrderRow.attempt).in_(some))
                found.update(dict(session.exec(query).all()))
        return found

    def forget(self, attempt: str) -> None:
        """Drop the texts; that there was such an order stays, so that it is never posted again."""
        with self._database.write() as session:
            ours = col(SiteOrderRow.attempt) == attempt
            session.exec(update(SiteOrderRow).where(ours).values(document=None))
            session.exec(delete(SiteReportRow).where(col(SiteReportRow.attempt) == attempt))

    def keep_news(self, site: str, news: Sequence[News]) -> tuple[str, ...]:
        """Keep what is new; the attempts that are not this site's, of which nothing is kept."""
        where = self.sites_of([each.attempt for each in news])
        strange = tuple(each.attempt for each in news if where.get(each.attempt) != site)
        with self._database.write() as session:
            for each in news:
                if each.attempt in strange:
                    continue
                row = session.get(SiteReportRow, each.attempt)
                if row is None or row.version < each.version:
                    session.merge(
                        SiteReportRow(
                            attempt=each.attempt,
                            site=site,
                            version=each.version,
                            report=each.report,
                            received=self._clock.now(),
                        )
                    )
        return strange

    def news(self, attempts: Collection[str]) -> Mapping[str, Document]:
        """Attempt -> its newest report."""
        found: dict[str, Document] = {}
        with self._database.read() as session:
            for some in _slices(list(attempts)):
                query = select(SiteReportRow).where(col(SiteReportRow.attempt).in_(some))
                found.update({row.attempt: row.report for row in session.exec(query)})
        return found

    # Agents

    def called(self, site: str, *, facts: Document | None = None, refused: Sequence[Document] = ()) -> AgentRecord:
        """The site's agent was here, with what it found or did not carry out."""
        with self._database.write() as session:
            row = _agent(session, site) or AgentRow(site=site, seen=self._clock.now())
            row.seen = self._clock.now()
            if facts is not None:
                row.facts, row.facts_at = facts, self._clock.now()
            if refused:
                row.refused = [*row.refused, *refused][-_REFUSALS_KEPT:]
            session.add(row)
            session.flush()
            return _record(row)

    def raise_alarm(self, site: str, alarm: Document, since: datetime, told: str) -> None:
        """Let the site take no new jobs until a person resumes it. The same alarm again changes nothing, nor does one
        that a person has looked into since."""
        with self._database.write() as session:
            row = _agent(session, site)
            if row is None or row.alarm == alarm or (row.alarm_cleared is not None and since <= row.alarm_cleared):
                return
            row.alarm = alarm
            session.merge(DrainRow(site=site, reason=told[:200], since=self._clock.now()))
            count_change(session)

    def clear_alarm(self, site: str) -> None:
        """A person has looked: the agent is told at its next call."""
        with self._database.write() as session:
            row = _agent(session, site)
            if row is not None and row.alarm is not None:
                row.alarm, row.alarm_cleared = None, self._clock.now()

    def agents(self) -> tuple[AgentRecord, ...]:
        with self._database.read() as session:
            return tuple(_record(row) for row in session.exec(select(AgentRow).order_by(col(AgentRow.site))))


def _posted(session: Session, attempt: str, kind: str) -> SiteOrderRow | None:
    query = select(SiteOrderRow).where(SiteOrderRow.attempt == attempt, SiteOrderRow.kind == kind)
    return session.exec(query).first()


def _agent(session: Session, site: str) -> AgentRow | None:
    return session.get(AgentRow, site)


def _record(row: AgentRow) -> AgentRecord:
    return AgentRecord.model_validate(row.model_dump())


def _slices(attempts: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(attempts), _AT_ONCE):
        yield attempts[first : first + _AT_ONCE]
