"""Opening a database: made once, by however many at once; durable; never one that we do not understand."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, create_engine, func, select, text

from csched.domain.job import Job
from csched.errors import InputError, Unavailable
from csched.store import migrations, rows
from csched.store.database import NEWEST_SCHEMA, Database
from csched.store.repository import Repository
from csched.testing.builders import MONDAY
from csched.testing.planner import placement

_OPEN = "import sys; from csched.store.repository import Repository; print(Repository(sys.argv[1]).changes())"


def test_many_processes_open_a_fresh_database_at_once(url: str) -> None:
    opening = [sys.executable, "-c", _OPEN, url]
    processes = [subprocess.Popen(opening, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
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


def test_scripts_of_earlier_versions_are_kept_once(url: str) -> None:
    """Before 0004 each job carried its script's body."""
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        script = {"body": "#!/bin/sh\necho old\n", "args": [], "work_dir": "/", "stdout": "/o", "stderr": None}
        row = {
            "state": "CONFIGURING", "name": "old", "submit": MONDAY, "attempts": 1, "cancel_requested": False,
            "billed": False, "revision": 1, "script": script, "attempt": "a1",
        }  # fmt: skip
        jobs = Table("jobs", MetaData(), autoload_with=connection)
        for job in ("1", "2"):
            asked = {"job": job, "gpus": 1, "time_limit_s": 60}
            connection.execute(jobs.insert().values(**row | {"job": asked, "attempt": f"a{job}"}))
        attempts = Table("attempts", MetaData(), autoload_with=connection)
        place = placement(Job.model_validate(asked), "alpha", "gpu", MONDAY).model_dump(mode="json")
        connection.execute(
            attempts.insert().values(
                attempt="a2", job_id=2, number=1, placement=place, intended=MONDAY, forgotten=False
            )
        )
    engine.dispose()
    store = Repository(url)
    assert [(record.stdout, record.label) for record in store.jobs()] == [("/o", "1"), ("/o", "2")]
    assert [order.script.body for order in store.orders()] == [script["body"]]
    with store._database.read() as session:
        assert session.connection().execute(select(func.count()).select_from(rows.ScriptRow)).scalar_one() == 1
    store.close()
