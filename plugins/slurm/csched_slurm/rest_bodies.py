"""A request as the body for slurmrestd, and what its answers mean, for each API that csched was tested with. Pure.

v0.0.38 (Slurm 22.05) refuses a key that it does not know, yet takes a new name and forgets it. The later ones take
unknown keys with a mere warning. So only what is known to work is sent.
"""

from collections.abc import Mapping
from typing import Any, Final

from csched.clock import epoch_s
from csched_slurm.commands import plainly_refused
from csched_slurm.parsing.fields import error_numbers, errors
from csched_slurm.transport import (
    Done,
    JobChange,
    JobRequest,
    OrderAnswer,
    Refused,
    SubmitAnswer,
    Submitted,
    Unknown,
)

TESTED: Final = ("v0.0.42", "v0.0.41", "v0.0.40", "v0.0.38")
"""Newest first."""
_OLD: Final = "v0.0.38"
_UNSAID: Final[Mapping[str, frozenset[str]]] = {
    _OLD: frozenset({"node_list", "segment", "switches", "signal", "options"}),
    "v0.0.40": frozenset({"segment", "switches", "signal", "options"}),
    "v0.0.41": frozenset({"signal", "options"}),
    "v0.0.42": frozenset({"signal", "options"}),
}
"""What each API cannot carry of a request."""
_UNCHANGED: Final[Mapping[str, frozenset[str]]] = {
    _OLD: frozenset({"name", "node_list", "begin", "requeue"}),
}
"""What each API cannot change of a job."""
_LOGIN_PROFILE: Final = ("SLURM_GET_USER_ENV", "1")
"""What sbatch's --export=NONE asks of slurmd: the environment that the user's login makes."""
_BY_A_PLUGIN: Final = -1
"""What is left of a refusal by job_submit.lua: slurmrestd loses its words."""


def unsaid(request: JobRequest, api: str) -> list[str]:
    """What the request asks for and this API cannot say."""
    return sorted(name for name in _UNSAID[api] if getattr(request, name) not in {None, ()})


def unchanged(change: JobChange, api: str) -> list[str]:
    """What the change asks for and this API cannot say."""
    return sorted(name for name in _UNCHANGED.get(api, ()) if getattr(change, name) is not None)


def submit_body(request: JobRequest, api: str) -> dict[str, Any]:
    gpu = f"gpu:{request.gpu_type}:" if request.gpu_type else "gpu:"
    gpus = f"{gpu}{request.gpus_per_node}" if request.gpus_per_node else None
    job = {
        "name": request.name,
        "current_working_directory": request.work_dir,
        "standard_output": request.stdout,
        "standard_error": request.stderr,
        "account": request.account,
        "partition": request.partition,
        "qos": request.qos,
        "comment": request.comment,
        "cpus_per_task": request.cpus_per_task,
        "tasks_per_node": request.tasks_per_node,
        "reservation": request.reservation,
        "licenses": request.licenses,
        "constraints": request.features,
        "dependency": request.dependency,
        "array": request.array,
        "hold": True,
        **(_old_fields if api == _OLD else _new_fields)(request, gpus),
    }
    return {"script": request.script, "job": {name: value for name, value in job.items() if value is not None}}


def _old_fields(request: JobRequest, gpus: str | None) -> dict[str, Any]:
    name, value = _LOGIN_PROFILE
    return {
        "environment": {name: value},
        "nodes": request.nodes,
        "gres": gpus,
        "time_limit": request.time_limit_minutes,
        "exclusive": "exclusive" if request.exclusive else None,
        "no_requeue": True,  # `requeue: false` is read as true
        "memory_per_node": request.memory_per_node_mib,
    }


def _new_fields(request: JobRequest, gpus: str | None) -> dict[str, Any]:
    return {
        "environment": ["=".join(_LOGIN_PROFILE)],
        "nodes": str(request.nodes),
        "tres_per_node": f"gres/{gpus}" if gpus else None,
        "time_limit": _set(request.time_limit_minutes),
        "requeue": False,
        "shared": ["none"] if request.exclusive else None,
        "memory_per_node": _set(request.memory_per_node_mib),
        "required_nodes": list(request.node_list) or None,
        "segment_size": request.segment,
        "required_switches": request.switches,
    }


def update_body(change: JobChange, api: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": change.name,
        "comment": change.comment,
        "account": change.account,
        "partition": change.partition,
        "qos": change.qos,
        "constraints": change.features,
        "reservation": change.reservation,
        "dependency": change.dependency,
    }
    if api == _OLD:
        body |= {"time_limit": change.time_limit_minutes, "nodes": change.nodes}
    else:
        body |= {
            "time_limit": _set(change.time_limit_minutes),
            "nodes": change.nodes and str(change.nodes),
            "required_nodes": None if change.node_list is None else list(change.node_list),
            "requeue": change.requeue,
            "begin_time": _set(None if change.begin is None else epoch_s(change.begin)),
        }
    return {name: value for name, value in body.items() if value is not None}


def _set(number: int | None) -> dict[str, Any] | None:
    return None if number is None else {"set": True, "number": number}


def read_submitted(answer: Mapping[str, Any]) -> SubmitAnswer:
    """What slurmrestd's answer says of the job; its status says nothing. A held job may come with error 2042."""
    job_id = answer.get("job_id")
    if isinstance(job_id, int) and job_id > 0:
        return Submitted(job_id)
    said = errors(answer)
    if plainly_refused(said) or _unparsed(answer):
        return Refused(said)
    if error_numbers(answer) == {_BY_A_PLUGIN}:
        return Refused("refused by the site's job_submit plugin, whose words slurmrestd does not pass on")
    return Unknown(said or "slurmrestd told neither a job id nor an error")


def read_order(answer: Mapping[str, Any]) -> OrderAnswer:
    """What slurmrestd's answer says of an order. From 23.11 on a cancel hides its fault in `status`."""
    faults = [part["error"] for part in answer.get("status") or [] if isinstance(part, dict) and part.get("error")]
    said = "; ".join(filter(None, [errors(answer), *(str(fault.get("message", "")) for fault in faults)]))
    if not said and not any(fault.get("code") for fault in faults):
        return Done()
    return Refused(said) if plainly_refused(said) or _unparsed(answer) else Unknown(said)


def _unparsed(answer: Mapping[str, Any]) -> bool:
    """slurmrestd did not understand the body, so the controller never heard of it."""
    return 9001 in error_numbers(answer)
