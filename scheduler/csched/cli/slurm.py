"""csched slurm: the site's end of csched."""

import signal
from pathlib import Path
from types import FrameType

import click

from csched.cli.output import Output, output_options, pass_output
from csched.report.rendering import Rendered


@click.group()
def command() -> None:
    """Join a Slurm cluster to csched."""


_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The agent's configuration, YAML.",
)


@command.command()
@_CONFIG
@pass_output
def agent(output: Output, config_file: Path) -> None:
    """Work for one site: fetch its signed orders, submit each job as its user, report what becomes of it.

    Runs as an account of its own, never as root or SlurmUser. Jobs go on without it.

    \b
    Example:
      csched slurm agent --config /etc/csched/agent.yaml
    """
    from csched.daemon import log_to_stderr
    from csched_slurm.agent.core_client import CoreClient
    from csched_slurm.agent.service import Agent, require_unprivileged, transport_of
    from csched_slurm.agent.settings import read_settings

    settings = read_settings(config_file)
    require_unprivileged(settings.slurm_user)
    log_to_stderr()
    with CoreClient(settings.core, settings.site, settings.token(), settings.ca) as core:
        working = Agent(settings, transport_of(settings), core)

        def stop(_number: int, _frame: FrameType | None) -> None:
            working.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        output.remark(f"working for {settings.site}; Ctrl-C ends it and jobs go on")
        working.run()


@command.command()
@_CONFIG
@output_options
def check(output: Output, config_file: Path) -> None:
    """Read the configuration and the table of users, and ask the cluster what it is. Nothing is changed.

    \b
    Example:
      csched slurm check --config /etc/csched/agent.yaml
    """
    from csched.errors import Unavailable
    from csched.keys import read_trust
    from csched_slurm.agent.service import transport_of
    from csched_slurm.agent.settings import read_settings, read_users
    from csched_slurm.transport import Failed

    settings = read_settings(config_file)
    users, trust = read_users(settings), read_trust(settings.trust)
    answer = transport_of(settings).facts()
    if isinstance(answer, Failed):
        raise Unavailable(f"cluster `{settings.cluster}` does not answer: {answer.why}")
    facts = answer.value
    opted_in = sum(user.opted_in for user in users.users.values())
    document = {"site": settings.site, "users": len(users.users), "opted_in": opted_in, "keys": sorted(trust)}
    said = [
        f"{settings.site}: cluster {facts.cluster}, Slurm {facts.version}, topology {facts.topology_plugin}",
        f"{opted_in} of {len(users.users)} users have opted in; orders of {len(trust)} keys are taken",
    ]
    output.show(Rendered({**document, "facts": facts.model_dump(mode="json")}, [settings.site], said))
