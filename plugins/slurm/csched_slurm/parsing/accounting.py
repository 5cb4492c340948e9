"""Jobs as slurmdbd tells them: `sacct --json`, `GET /slurmdb/.../jobs`."""

from collections.abc import Mapping
from typing import Any

from csched_slurm.cluster import AccountedJob, State
from csched_slurm.parsing.fields import (
    Unreadable,
    at,
    document,
    exit_code,
    hosts,
    instant,
    listed,
    resources,
    state_and_flags,
    text,
    whole,
)


def read_accounted_jobs(answer: str | bytes) -> tuple[AccountedJob, ...]:
    """Raises Unreadable."""
    return tuple(_job(raw) for raw in listed(document(answer), "jobs"))


def _job(raw: Mapping[str, Any]) -> AccountedJob:
    job_id = whole(raw.get("job_id"))
    if job_id is None:
        raise Unreadable("the answer has a job without an id")
    name, _ = state_and_flags(at(raw, "state.current"))
    state = State.PENDING if name == "REQUEUED" else _state(name)
    array_job = whole(at(raw, "array.job_id"))
    return AccountedJob(
        cluster=str(raw.get("cluster") or ""),  # association.cluster names another one on 22.05
        id=job_id,
        name=str(raw.get("name") or ""),
        state=state,
        user=text(raw.get("user")),
        account=text(raw.get("account")),
        partition=text(raw.get("partition")),
        qos=text(raw.get("qos")),
        nodes=hosts(raw.get("nodes")),
        tres=resources(at(raw, "tres.allocated")),
        submit=instant(at(raw, "time.submission")),
        start=instant(at(raw, "time.start")),
        end=instant(at(raw, "time.end")),
        elapsed_s=whole(at(raw, "time.elapsed")) or 0,
        exit_code=exit_code(raw.get("exit_code")) if state.ended else None,
        restart_count=whole(raw.get("restart_cnt")),
        comment=text(at(raw, "comment.job")),
        admin_comment=text(at(raw, "comment.administrator")),
        array_job=array_job or None,
        array_task=whole(at(raw, "array.task_id")) if array_job else None,
    )


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError as error:
        raise Unreadable(f"`{name[:80]}` is no state of a job that csched knows") from error
