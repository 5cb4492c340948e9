"""The agent's memory: SQLite in the state folder, on disk (FULL) before anything that it speaks of is done."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final

from csched.errors import Unavailable
from csched_slurm.agent.attempt import Attempt, Stage
from csched_slurm.protocol.messages import Alarm, AttemptReport, OrderRefusal
from csched_slurm.protocol.orders import CancelOrder, StartOrder
from csched_slurm.protocol.signing import SignedOrder
from csched_slurm.transport import JobRequest

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY, attempt TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL,
    UNIQUE (attempt, kind));
CREATE TABLE IF NOT EXISTS attempts (
    attempt TEXT PRIMARY KEY, stage TEXT NOT NULL, version INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL, request TEXT);
CREATE INDEX IF NOT EXISTS by_stage ON attempts (stage);
CREATE TABLE IF NOT EXISTS refusals (sequence INTEGER PRIMARY KEY, refusal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_CURSOR, _ALARM = "cursor", "alarm"


class Journal:
    """Implements csched_slurm.protocol.admission.Seen. Any number of threads of one process.

    Raises:
        Unavailable: the file cannot be read or written; then nothing must be done either.
    """

    def __init__(self, file: Path) -> None:
        self._lock = RLock()
        self._file = file
        with self._available():
            file.touch(mode=0o600)
            self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=30)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    # Orders

    @property
    def cursor(self) -> int:
        """The highest number of an order that was dealt with."""
        return int(self._mark(_CURSOR) or 0)

    def order_at(self, sequence: int) -> str | None:
        return self._one("SELECT sha256 FROM orders WHERE sequence = ?", sequence)

    def order_for(self, attempt: str, kind: str) -> str | None:
        return self._one("SELECT sha256 FROM orders WHERE attempt = ? AND kind = ?", attempt, kind)

    def take(
        self, signed: SignedOrder, order: StartOrder | CancelOrder, attempt: Attempt | None, request: JobRequest | None
    ) -> None:
        """The order is this site's from now on, and with it what it makes of its attempt."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?)", (order.sequence, order.attempt, order.kind, signed.sha256)
            )
            if attempt is not None:
                self._write(connection, attempt, request)
            self._pass(connection, signed.sequence)

    def refuse(self, refusal: OrderRefusal) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO refusals VALUES (?, ?)", (refusal.sequence, refusal.model_dump_json())
            )
            self._pass(connection, refusal.sequence)

    def passed(self, sequence: int) -> None:
        """An order that was taken before came again."""
        with self._transaction() as connection:
            self._pass(connection, sequence)

    # Attempts

    def begin(self, attempt: Attempt, request: JobRequest) -> None:
        """An attempt and what the cluster will be asked for."""
        with self._transaction() as connection:
            self._write(connection, attempt, request)

    def keep(self, attempt: Attempt) -> None:
        with self._transaction() as connection:
            self._write(connection, attempt, None)

    def attempt(self, attempt: str) -> Attempt | None:
        record = self._one("SELECT record FROM attempts WHERE attempt = ?", attempt)
        return Attempt.model_validate_json(record) if record else None

    def request(self, attempt: str) -> JobRequest:
        request = self._one("SELECT request FROM attempts WHERE attempt = ?", attempt)
        return JobRequest.model_validate_json(request or "")

    def alive(self) -> tuple[Attempt, ...]:
        """All that have not ended, in the order they came."""
        query = "SELECT record FROM attempts WHERE stage != ? ORDER BY rowid"
        with self._available():
            rows = self._connection.execute(query, (Stage.ENDED,)).fetchall()
        return tuple(Attempt.model_validate_json(record) for (record,) in rows)

    # What the core has still to hear

    def untold(self, limit: int) -> tuple[AttemptReport, ...]:
        query = "SELECT record FROM attempts WHERE told < version ORDER BY rowid LIMIT ?"
        with self._available():
            rows = self._connection.execute(query, (limit,)).fetchall()
        return tuple(Attempt.model_validate_json(record).report() for (record,) in rows)

    def refusals(self, limit: int) -> tuple[OrderRefusal, ...]:
        with self._available():
            rows = self._connection.execute("SELECT refusal FROM refusals ORDER BY sequence LIMIT ?", (limit,))
            return tuple(OrderRefusal.model_validate_json(refusal) for (refusal,) in rows.fetchall())

    def told(self, reports: Iterable[AttemptReport], refusals: Iterable[OrderRefusal]) -> None:
        """The core has these. The script of an attempt that has ended is nobody's business any more."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE attempts SET told = max(told, ?), request = CASE stage WHEN 'ended' THEN NULL ELSE request END "
                "WHERE attempt = ?",
                [(report.version, report.attempt) for report in reports],
            )
            connection.executemany(
                "DELETE FROM refusals WHERE sequence = ?", [(refusal.sequence,) for refusal in refusals]
            )

    # The alarm

    @property
    def alarm(self) -> Alarm | None:
        """What stands until a person has looked."""
        kept = self._mark(_ALARM)
        return Alarm.model_validate_json(kept) if kept else None

    def raise_alarm(self, alarm: Alarm) -> None:
        if self.alarm is None:
            self._set(_ALARM, alarm.model_dump_json())

    def clear_alarm(self) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM marks WHERE key = ?", (_ALARM,))

    def _write(self, connection: sqlite3.Connection, attempt: Attempt, request: JobRequest | None) -> None:
        connection.execute(
            "INSERT INTO attempts (attempt, stage, version, record, request) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (attempt) DO UPDATE SET stage = excluded.stage, version = excluded.version, "
            "record = excluded.record",
            (
                attempt.attempt,
                attempt.stage,
                attempt.version,
                attempt.model_dump_json(),
                request.model_dump_json() if request else None,
            ),
        )

    def _pass(self, connection: sqlite3.Connection, sequence: int) -> None:
        if sequence > self.cursor:
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (_CURSOR, str(sequence)))

    def _mark(self, key: str) -> str | None:
        return self._one("SELECT value FROM marks WHERE key = ?", key)

    def _set(self, key: str, value: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, value))

    def _one(self, query: str, *values: object) -> str | None:
        with self._available():
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._available():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _available(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise Unavailable(
                    f"the journal `{self._file}` cannot be used: {error}",
                    hint="nothing is submitted without it; look for a full disk or wrong owner",
                ) from error
