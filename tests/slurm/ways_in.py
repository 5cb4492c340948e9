"""The transports of a lab's clusters, as csched's agent has them at a site."""

from csched_slurm.command_line import CommandLine
from csched_slurm.rest import ByToken, Rest
from slurm_lab.lab import Lab


def command_line(lab: Lab, cluster: str, *, timeout_s: float = 30) -> CommandLine:
    """Submits as each user, which a site lets csched's agent do by a narrow rule of sudo; orders as csched."""
    return CommandLine(
        cluster,
        lab.layout.conf(cluster),
        run_as=lambda user: lab.prefix(cluster, user or "csched"),
        timeout_s=timeout_s,
    )


def rest(lab: Lab, cluster: str, *, timeout_s: float = 30) -> Rest:
    """By tokens, with the command line beside it."""
    tokens = {user: lab.token(cluster, user) for user in ("csched", "alice", "bob")}
    door = ByToken(f"http://127.0.0.1:{lab.layout.cluster(cluster).rest_port}", "csched", tokens.__getitem__)
    return Rest(cluster, door, beside=command_line(lab, cluster), timeout_s=timeout_s)
