"""Opening a database: made once, by however many at once; durable; never one that we do not understand."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from csched.errors import InputError, Unavailable
from csched.store import migrations, rows
from csched.store.database import NEWEST_SCHEMA, Database
from csched.store.repository import Repository

_OPEN = "import sys; from csched.store.repository import Repository; print(Repository(sys.argv[1]).changes())"


def test_many_processes_open_a_fresh_database_at_once(url: str) -> None:
    command = [sys.executable, "-c", _OPEN, url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [answer[0].strip() for answer in answers] == [b"0"] * 4, answers


def test_the_migrations_make_the_tables_of_the_rows(url: str) -> None:
    database = Database(url)
    with database.read() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, rows.SQLModel.metadata) == []
    database.close()


def test_the_newest_schema_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST_SCHEMA]


def test_sqlite_is_durable_and_strict(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'csched.db'}")
    with database.read() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'csched.db'}")
    with database.write() as session:
        session.add(rows.MarkRow(key="any", value="thing"))
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    database.close()
    assert modes == dict.fromkeys(("csched.db", "csched.db-wal", "csched.db-shm"), "0o600")


def test_what_raises_leaves_nothing_behind(url: str) -> None:
    database = Database(url)

    def fail() -> None:
        with database.write() as session:
            session.add(rows.MarkRow(key="half", value="done"))
            session.flush()
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    with database.read() as session:
        assert session.get(rows.MarkRow, "half") is None
    database.close()


def test_a_database_of_a_newer_csched_is_left_alone(url: str) -> None:
    database = Database(url)
    with database.write() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(InputError, match="has a schema that this csched does not know"):
        Database(url)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("mysql://root@localhost/csched", InputError, "not in `mysql`"),
        ("sqlite://", InputError, "in a SQLite file"),
        ("not a url", InputError, "`not a url` is not a database URL"),
        ("sqlite:////nonexistent/folder/csched.db", Unavailable, "does not answer"),
        ("postgresql://ann:secret@/csched?host=/nonexistent", Unavailable, "does not answer"),
    ],
)
def test_an_unusable_url_is_explained(url: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        Repository(url)
    assert "secret" not in str(raised.value)
