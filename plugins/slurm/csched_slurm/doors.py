"""From a site's settings to a way of asking its cluster. Questions only: orders go through the site's agent."""

from pathlib import Path

from csched.errors import InputError, Unavailable
from csched.settings import ClusterDoor
from csched_slurm.command_line import CommandLineObserver
from csched_slurm.rest import BySocket, ByToken, RestObserver
from csched_slurm.transport import Observer


def open_observer(cluster: str, door: ClusterDoor) -> Observer:
    """slurmrestd where it is set, with the commands beside it where slurm.conf is set too.

    Raises:
        InputError: neither is set.
    """
    commands = (
        CommandLineObserver(cluster, door.slurm_conf, programs=door.programs) if door.slurm_conf is not None else None
    )
    if door.slurmrestd is None:
        if commands is None:
            raise InputError(
                f"the settings of cluster `{cluster}` say no way to reach it",
                hint="give `slurm_conf`, or `slurmrestd` with `user` and `token_file`",
            )
        return commands
    return RestObserver(cluster, _rest_door(cluster, door, door.slurmrestd), beside=commands)


def _rest_door(cluster: str, door: ClusterDoor, address: str) -> ByToken | BySocket:
    if address.startswith("unix:"):
        return BySocket(Path(address.removeprefix("unix:")), door.user)

    def token(user: str) -> str:
        if door.token_file is None:
            raise Unavailable(f"cluster `{cluster}` has no `token_file`")
        try:
            return door.token_file.read_text().strip()
        except OSError as error:
            raise Unavailable(f"the token of `{user}` cannot be read: {error.strerror}") from error

    return ByToken(address, door.user, token)
