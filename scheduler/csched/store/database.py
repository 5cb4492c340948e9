"""One engine for SQLite and for PostgreSQL: the same transactions, the same durability, the newest schema.

A write transaction excludes every other one (SQLite by nature, PostgreSQL by an advisory lock), so what it reads
still holds when it commits. Readers never wait.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, IntegrityError, ProgrammingError
from sqlmodel import Session, SQLModel

from csched.errors import CschedError, InputError, Unavailable

NEWEST_SCHEMA: Final = "0004"
"""The newest revision in migrations/versions; a test holds the two together."""

_BUSY_S: Final = 30
_WRITER_LOCK: Final = 0x63736368  # "csch": the key of PostgreSQL's advisory lock


class Database:
    """An open database whose schema is the newest.

    Raises:
        InputError: a URL that is neither SQLite nor PostgreSQL, or a schema newer than this csched.
        Unavailable: the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(csched_writes=True)
        self._shown = self._engine.url.render_as_string(hide_password=True)
        try:
            with self._available():
                self._migrate()
        except CschedError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self._available(), Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction alone among writers; it commits when the block ends and vanishes when the block raises."""
        with self._available(), Session(self._writing) as session, session.begin():
            _exclude_writers(session.connection())
            yield session

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _available(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, sqlite3.DatabaseError) as error:
            if isinstance(error, IntegrityError | ProgrammingError):
                raise  # a defect of csched, not of the database
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(
                f"the database `{self._shown}` does not answer: {str(cause).strip().splitlines()[0]}",
                hint="see CSCHED_DATABASE and CSCHED_HOME; csched config check tries them",
            ) from error

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            if _schema(connection) == NEWEST_SCHEMA:
                return
        from alembic import command  # only a new database pays for the import
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._writing.begin() as connection:
            _exclude_writers(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise InputError(
                    f"the database `{self._shown}` has a schema that this csched does not know",
                    hint="it was written by a newer csched; use that one",
                ) from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(
            f"`{url}` is not a database URL", hint="such as sqlite:////var/lib/csched/csched.db"
        ) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise InputError(
            f"csched keeps its state in a SQLite file or in PostgreSQL, not in `{parsed.drivername}`",
            hint="set CSCHED_DATABASE to sqlite:////path/csched.db or postgresql+psycopg://user@host/name",
        )
    _make_private(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(file: Path) -> None:
    """Scripts and variables are nobody else's business; SQLite's other files take the mode of this one."""
    try:
        file.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the database `{file}` does not answer: {error.strerror}", hint="see CSCHED_DATABASE and CSCHED_HOME"
        ) from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Durable (FULL: an accepted job is on disk), and readers beside one writer (WAL)."""
    connection.isolation_level = None  # sqlite3 would begin transactions of its own, too late for DDL and for IMMEDIATE
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Changing the journal needs the file alone and does not heed the busy timeout, hence the patience here."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("csched_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _exclude_writers(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})


def take_ids(session: Session, table: type[SQLModel], count: int) -> int:
    """The first of `count` consecutive ids that no row of the table has or had; for a writing transaction."""
    connection = session.connection()
    name = str(table.__tablename__)
    if connection.dialect.name == "postgresql":
        sequence = text("SELECT pg_get_serial_sequence(:name, 'id')")
        counter = connection.execute(sequence, {"name": name}).scalar_one()
        first = int(connection.execute(text("SELECT nextval(:counter)"), {"counter": counter}).scalar_one())
        connection.execute(text("SELECT setval(:counter, :last)"), {"counter": counter, "last": first + count - 1})
        return first
    newest = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": name}).scalar()
    return int(newest or 0) + 1  # SQLite counts on from the highest id that is inserted (AUTOINCREMENT)


def _schema(connection: Connection) -> Any:
    """The schema's revision; null in a fresh database."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
