"""A request as the words of Slurm's commands, and what those commands' words mean. Pure."""

import re
from collections.abc import Iterator
from datetime import UTC
from typing import Final

from csched_slurm.bounded_process import Cut, Ended
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

_JOB_ID: Final = re.compile(r"(\d{1,10})(?:;\S+)?")

# Slurm's words (slurm_strerror) for a request that it has looked at and not accepted. Whatever is not here may have
# been carried out: a time-out has the same exit code.
_REFUSALS: Final = (
    "Access/permission denied",
    "Invalid account or account/partition combination specified",
    "Invalid partition name specified",
    "Invalid qos specification",
    "Invalid feature specification",
    "Invalid license specification",
    "Invalid job array specification",
    "Invalid generic resource (gres) specification",
    "Invalid Trackable RESource (TRES) specification",
    "Invalid user id",
    "Invalid job id specified",
    "Invalid node name specified",
    "Invalid job state for requested operation",
    "Job dependency problem",
    "Job has already finished",
    "Job is pending execution",
    "Job is no longer pending execution",
    "Job update not available right now, the DB index is being set",
    "Job violates accounting/QOS policy",
    "Job/step already completing or completed",
    "Memory specification can not be satisfied",
    "More processors requested than permitted",
    "Node count specification invalid",
    "Pathname of a file, directory or other parameter too long",
    "Requested node configuration is not available",
    "Requested operation is presently disabled",
    "Requested operation not supported on this system",
    "Requested partition configuration not available now",
    "Requested reservation is invalid",
    "Requested time limit is invalid",
    "Required partition not available (inactive or drain)",
    "Task count specification invalid",
    "Time limit exceeds",
    "Unable to satisfy cpu bind request",
    "User's group not permitted to use this partition",
)
_BEFORE_ANY_CALL: Final = re.compile(
    r"unrecognized option|does not look like a batch script|Batch script contains DOS line breaks|"
    r"(?:error|fatal): Invalid |(?:error|fatal): .*\binvalid\b|fatal: |^sudo: ",
    re.MULTILINE,
)
"""What sbatch and sudo say before the controller hears of it."""
_BY_A_PLUGIN: Final = re.compile(r"error: .+\n.*Batch job submission failed: Unspecified error")
"""job_submit.lua's own message, then Slurm's."""
_NO_ANSWER: Final = re.compile(
    r"timed out|Unable to contact|Zero Bytes|Communication|connect failure|Connection refused"
)


def sbatch_words(request: JobRequest) -> list[str]:
    """Everything by name on the command line, where it outranks what the script says; the script comes by stdin."""
    return ["--parsable", "--hold", "--no-requeue", "--export=NONE", *_options(request), *request.options]


def _options(request: JobRequest) -> Iterator[str]:
    gpu = f"{request.gpu_type}:" if request.gpu_type else ""
    values = {
        "job-name": request.name,
        "chdir": request.work_dir,
        "output": request.stdout,
        "error": request.stderr,
        "account": request.account,
        "partition": request.partition,
        "qos": request.qos,
        "comment": request.comment,
        "nodes": request.nodes,
        "gpus-per-node": f"{gpu}{request.gpus_per_node}" if request.gpus_per_node else None,
        "cpus-per-task": request.cpus_per_task,
        "ntasks-per-node": request.tasks_per_node,
        "mem": None if request.memory_per_node_mib is None else f"{request.memory_per_node_mib}M",
        "time": request.time_limit_minutes,
        "nodelist": ",".join(request.node_list) or None,
        "segment": request.segment,
        "switches": request.switches,
        "reservation": request.reservation,
        "licenses": request.licenses,
        "constraint": request.features,
        "dependency": request.dependency,
        "array": request.array,
        "signal": request.signal,
    }
    yield from (f"--{name}={value}" for name, value in values.items() if value is not None)
    if request.exclusive:
        yield "--exclusive"


def update_words(change: JobChange) -> list[str]:
    """`scontrol update`'s words, without the job's."""
    values = {
        "JobName": change.name,
        "Comment": change.comment,
        "Account": change.account,
        "Partition": change.partition,
        "QOS": change.qos,
        "TimeLimit": change.time_limit_minutes,
        "NumNodes": change.nodes,
        "ReqNodeList": None if change.node_list is None else ",".join(change.node_list),
        "Features": change.features,
        "ReservationName": change.reservation,
        "Dependency": change.dependency,
        "StartTime": change.begin and change.begin.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "Requeue": None if change.requeue is None else int(change.requeue),
    }
    return [f"{name}={value}" for name, value in values.items() if value is not None]


def read_submitted(end: Ended | Cut) -> SubmitAnswer:
    """What sbatch's end says of the job. Its exit code alone says nothing: it fails on time-outs too."""
    if isinstance(end, Cut):
        return Unknown(end.why)
    if end.code == 0:
        match = _JOB_ID.fullmatch(end.stdout.decode(errors="replace").strip())
        return Submitted(int(match[1])) if match else Unknown("sbatch printed no job id")
    return Refused(end.words) if _refused(end) else Unknown(end.words)


def read_order(end: Ended | Cut) -> OrderAnswer:
    """What the end of scontrol or scancel says of the order."""
    if isinstance(end, Cut):
        return Unknown(end.why)
    if end.code == 0 and "error:" not in end.stderr:  # scancel succeeds with a job that it does not find
        return Done()
    return Refused(end.words) if _refused(end) else Unknown(end.words)


def plainly_refused(words: str) -> bool:
    """Whether these words of Slurm's are a refusal, and no loss of the answer."""
    return not _NO_ANSWER.search(words) and any(refusal in words for refusal in _REFUSALS)


def _refused(end: Ended) -> bool:
    if _NO_ANSWER.search(end.stderr):
        return False
    return (
        plainly_refused(end.stderr)
        or _BY_A_PLUGIN.search(end.stderr) is not None
        or ("submission failed" not in end.stderr and _BEFORE_ANY_CALL.search(end.stderr) is not None)
    )
