"""Arrays, dependencies and parts go the whole way: solver, store, processes and ledger."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from csched.app import App
from csched.domain.array import ArrayTasks
from csched.domain.job import Component, DataClass, Dependency, DependencyKind, Job
from csched.domain.run import JobState, Script
from csched.settings import Settings
from csched.store.records import NEVER

_PATIENCE_S = 120


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = App(Settings(home=tmp_path, budget=timedelta(seconds=2)))
    yield made
    made.close()


def submit(app: App, body: str, *, array: ArrayTasks | None = None, **columns: object) -> int:
    script = Script(body=f"#!/bin/sh\n{body}\n", work_dir="/", stdout=str(app.settings.home / "%A_%a.out"))
    asked = {"job": "new", "gpus": 1, "time_limit_s": 600, "tenant": "uni-lyon", "data_class": DataClass.PUBLIC}
    return app.submit(Job.model_validate({**asked, **columns}), script, name="test", array=array)


def after(kind: DependencyKind, job_id: int) -> tuple[Dependency, ...]:
    return (Dependency(kind=kind, jobs=(str(job_id),)),)


def test_a_pipeline_goes_the_whole_way(app: App) -> None:
    array = submit(app, "echo task $SLURM_ARRAY_TASK_ID", array=ArrayTasks(tasks=(0, 1, 2)), array_limit=2)
    fails = submit(app, "exit 3", dependency=after(DependencyKind.AFTEROK, array))
    never = submit(app, "true", dependency=after(DependencyKind.AFTEROK, fails))
    mends = submit(app, "true", dependency=after(DependencyKind.AFTERNOTOK, fails))
    parts = submit(app, "echo $SLURM_HET_SIZE parts", gpus=6, components=[Component(gpus=4), Component(gpus=2)])
    deadline = time.monotonic() + _PATIENCE_S
    most_at_once = 0
    while not all(record.state.final or record.reason == NEVER for record in app.store.jobs()):
        assert time.monotonic() < deadline, app.store.jobs()
        app.plan_once()
        tasks = app.store.jobs(ids=(), arrays=[array])
        most_at_once = max(most_at_once, sum(task.state in {JobState.CONFIGURING, JobState.RUNNING} for task in tasks))
        app.poll()
    records = {record.id: record for record in app.store.jobs()}
    assert [records[array + task].state for task in range(3)] == [JobState.COMPLETED] * 3
    assert (app.settings.home / f"{array}_2.out").read_text() == "task 2\n"
    assert most_at_once == 2
    first_end = max(record.end for record in records.values() if record.array and record.end)
    assert records[fails].start is not None
    assert records[fails].start >= first_end
    assert str(records[fails].exit_code) == "3:0"
    assert (records[never].state, records[never].reason) == (JobState.PENDING, NEVER)
    assert records[mends].state is JobState.COMPLETED
    assert Path(records[parts].stdout).read_text() == "2 parts\n"
    assert app.bill() == 6
    assert {entry.job: entry.gpus for entry in app.store.ledger()}[str(parts)] == 6
