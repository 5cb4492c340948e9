"""From an order to a request of sbatch: pure, and nothing in it that csched or the site did not allow."""

import re
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from csched.domain.verdict import ReasonCode
from csched.formats.batch_options import SBATCH, Argument, Use
from csched_slurm.agent.attempt import Attempt, mark_of
from csched_slurm.agent.identities import IdentityMap, NoAccount
from csched_slurm.agent.script import wrapped
from csched_slurm.cluster import ClusterFacts
from csched_slurm.protocol.orders import StartOrder
from csched_slurm.transport import JobRequest

_DECIDED_HERE: Final = {
    "qos",
    "account",
    "requeue",
    "no-requeue",
    "comment",
    "extra",
    "segment",
    "switches",
    "parsable",
}
"""Carried along for a site, but said by the agent itself or not at all."""

PASSED_ON: Final = {
    option.name: option.argument for option in SBATCH if option.use is Use.CARRIED and option.name not in _DECIDED_HERE
}
"""Options of the user that reach sbatch as they are. Never among them: uid, gid, clusters, partition, nodelist,
reservation, get-user-env, wrap, hold, job-name."""

_WORD: Final = re.compile(r"--([a-z][a-z-]*)(?:=([^\0\n\r]{0,1024}))?")


class Unfit(Exception):
    """The order cannot become a job here; `code` says why in the words of every reason."""

    def __init__(self, code: ReasonCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def request_of(order: StartOrder, identities: IdentityMap, facts: ClusterFacts) -> JobRequest:
    """What sbatch is asked for.

    Raises:
        Unfit: nobody here to run it as, or an option that is not passed on.
    """
    job, placement = order.job, order.placement
    who = identities.resolve(job.owner, job.account, _value_of("qos", job.script.options))
    if isinstance(who, NoAccount):
        raise Unfit(ReasonCode.NO_ACCOUNT, who.message)
    if job.parts > 1:
        raise Unfit(ReasonCode.JOB_CONSTRAINT, "jobs of several parts are not handed to Slurm clusters yet")
    on_blocks = facts.topology_plugin == "topology/block"
    try:
        return JobRequest(
            name=f"csched-{order.attempt}",
            user=who.user,
            script=wrapped(job.script, order.attempt),
            work_dir=job.script.work_dir,
            stdout=job.script.stdout,
            stderr=job.script.stderr,
            account=who.account,
            partition=placement.partition,
            qos=who.qos,
            nodes=placement.nodes,
            gpus_per_node=placement.gpus_per_node,
            exclusive=placement.whole_nodes,
            time_limit_minutes=-(-placement.time_limit_s // 60),
            node_list=() if on_blocks else placement.node_list,
            segment=placement.nodes if facts.segments and 1 < placement.nodes <= placement.domain_nodes else None,
            signal=job.script.signal,
            options=passed_on(job.script.options),
            comment=f"{mark_of(order.attempt, job.id)};cluster={order.cluster}",
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise Unfit(ReasonCode.JOB_CONSTRAINT, f"no job for this cluster: {field}: {first['msg']}") from error
    except ValueError as error:
        raise Unfit(ReasonCode.JOB_CONSTRAINT, str(error)) from error


def first_attempt(order: StartOrder, request: JobRequest) -> Attempt:
    return Attempt(
        attempt=order.attempt,
        job=order.job.id,
        user=request.user,
        own_name=order.job.name,
        expires_at=order.expires_at,
        since=order.issued_at,
    )


def passed_on(options: Sequence[str]) -> tuple[str, ...]:
    """The user's own options, each one word `--name` or `--name=value`.

    Raises:
        Unfit: one that is not on the list. The core lets none through; an agent does not take its word for it.
    """
    passed = []
    for option in options:
        match = _WORD.fullmatch(option)
        name, value = (match[1], match[2]) if match else (option, None)
        if name in _DECIDED_HERE:
            continue
        argument = PASSED_ON.get(name)
        if argument is None or (argument is Argument.NONE) != (value is None and argument is not Argument.OPTIONAL):
            raise Unfit(ReasonCode.JOB_CONSTRAINT, f"option `{option[:80]}` is not passed on to sbatch here")
        passed.append(option)
    return tuple(passed)


def _value_of(name: str, options: Sequence[str]) -> str | None:
    found = [option.partition("=")[2] for option in options if option.startswith(f"--{name}=")]
    return found[-1] if found else None
