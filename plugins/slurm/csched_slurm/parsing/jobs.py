"""Jobs as the controller tells them: `squeue --json`, `GET /slurm/.../jobs`, `GET /slurm/.../job/{id}`."""

from collections.abc import Mapping
from typing import Any

from csched_slurm.cluster import ClusterJob, NodeShare, State
from csched_slurm.parsing.fields import (
    Unreadable,
    at,
    document,
    exit_code,
    gpu_indices,
    hosts,
    instant,
    listed,
    minutes_as_s,
    resources,
    state_and_flags,
    text,
    whole,
)

_FLAG_STATES = frozenset({"COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"})
"""What 22.05 writes in place of the base state."""


def read_jobs(answer: str | bytes) -> tuple[ClusterJob, ...]:
    """Raises Unreadable."""
    return tuple(_job(raw) for raw in listed(document(answer), "jobs"))


def _job(raw: Mapping[str, Any]) -> ClusterJob:
    job_id = whole(raw.get("job_id"))
    if job_id is None:
        raise Unreadable("the answer has a job without an id")
    state, flags = _state(raw.get("job_state"))
    started = state is not State.PENDING
    array_job, het_job = whole(raw.get("array_job_id")), whole(raw.get("het_job_id"))
    index = whole(raw.get("array_task_id"))
    return ClusterJob(
        cluster=str(raw.get("cluster") or ""),
        id=job_id,
        name=str(raw.get("name") or ""),
        state=state,
        flags=flags,
        reason=text(raw.get("state_reason")),
        user=text(raw.get("user_name")),
        account=text(raw.get("account")),
        partition=text(raw.get("partition")),
        qos=text(raw.get("qos")),
        priority=whole(raw.get("priority")),
        nodes=_nodes(raw) if started else (),
        node_count=whole(raw.get("node_count")),
        tres=resources(raw.get("tres_alloc_str")) or resources(raw.get("tres_req_str")),
        submit=instant(raw.get("submit_time")),
        eligible=instant(raw.get("eligible_time")),
        start=instant(raw.get("start_time")),
        end=instant(raw.get("end_time")),
        time_limit_s=minutes_as_s(raw.get("time_limit")),
        exit_code=exit_code(raw.get("exit_code")) if state.ended else None,
        restart_count=whole(raw.get("restart_cnt")) or 0,
        comment=_kept(raw.get("comment")),
        admin_comment=_kept(raw.get("admin_comment")),
        dependency=text(raw.get("dependency")),
        reservation=text(raw.get("resv_name")),
        licenses=text(raw.get("licenses")),
        work_dir=text(raw.get("current_working_directory")),
        stdout=text(raw.get("standard_output")),
        requeue=bool(raw["requeue"]) if raw.get("requeue") is not None else None,
        array_job=array_job or None,
        array_task=str(index) if index is not None else text(raw.get("array_task_string")),
        het_job=het_job or None,
        het_offset=whole(raw.get("het_job_offset")) if het_job else None,
    )


def _state(raw: object) -> tuple[State, frozenset[str]]:
    name, flags = state_and_flags(raw)
    if name in _FLAG_STATES:  # 22.05 tells only the flag: such a job holds its nodes
        return State.RUNNING, flags | {name}
    if name in {"REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "REVOKED"}:
        return State.PENDING, flags | {name}
    try:
        return State(name), flags
    except ValueError as error:
        raise Unreadable(f"`{name[:80]}` is no state of a job that csched knows") from error


def _nodes(raw: Mapping[str, Any]) -> tuple[NodeShare, ...]:
    names = hosts(raw.get("nodes"))
    details = raw.get("gres_detail") or []
    if not details and "gres/gpu" not in (at(raw, "tres_alloc_str") or ""):
        return tuple(NodeShare(node=name, gpus=()) for name in names)
    if len(details) != len(names):
        return tuple(NodeShare(node=name) for name in names)
    return tuple(NodeShare(node=name, gpus=gpu_indices(detail)) for name, detail in zip(names, details, strict=True))


def _kept(raw: object) -> str | None:
    """A comment as it is, whatever it says."""
    return raw if isinstance(raw, str) and raw else None
