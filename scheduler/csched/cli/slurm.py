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


@command.command()
@click.option("--site", required=True, metavar="ID", help="As in the core's fleet file.")
@click.option("--cluster", required=True, metavar="NAME", help="ClusterName of slurm.conf.")
@click.option("--core", required=True, metavar="URL", help="Where `csched serve` answers.")
@click.option(
    "--slurm-conf", default="/etc/slurm/slurm.conf", metavar="FILE", type=click.Path(path_type=Path), show_default=True
)
@click.option("--account", default="csched", metavar="USER", help="The agent's account.", show_default=True)
@click.option(
    "--root", default="/", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write below."
)
@click.option("--write", is_flag=True, help="Write the files; else only say which.")
@output_options
def install(
    output: Output, *, site: str, cluster: str, core: str, slurm_conf: Path, account: str, root: Path, write: bool
) -> None:
    """Put the agent's configuration, sudo's rule and the gate onto this machine, in observe mode.

    Nothing that is there is overwritten; a job_submit.lua of the site's own is for its admin to change.

    \b
    Example:
      csched slurm install --site essonne --cluster essonne --core https://csched.example.eu --write
    """
    import pwd

    from csched.errors import InputError
    from csched_slurm.site_files import Site
    from csched_slurm.site_files import install as install_files

    try:
        uid = pwd.getpwnam(account).pw_uid
    except KeyError as error:
        raise InputError(f"this machine has no user `{account}`", hint=f"useradd --system {account}") from error
    if not slurm_conf.is_absolute():
        raise InputError(f"`{slurm_conf}` is not an absolute path", hint="give the whole path of slurm.conf")
    said = install_files(Site(site, cluster, core, slurm_conf, uid, root), write=write)
    output.show(Rendered({"files": said, "written": write}, [site], said))


@command.command()
@_CONFIG
@click.option(
    "--root", default="/", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Look below."
)
@output_options
def eject(output: Output, config_file: Path, root: Path) -> None:
    """Leave the cluster: take every hook out, and release all jobs that csched holds. The core is not asked.

    Stop the agent first; run it as root or as an operator of Slurm.

    \b
    Example:
      csched slurm eject --config /etc/csched/agent.yaml
    """
    from csched.errors import Unavailable
    from csched_slurm.agent.service import journal_left_by
    from csched_slurm.agent.settings import read_settings
    from csched_slurm.command_line import CommandLine
    from csched_slurm.ejecting import let_go
    from csched_slurm.site_files import GATE, LINES, SCRIPT, remove
    from csched_slurm.transport import Failed

    settings = read_settings(config_file)
    beside = settings.slurm_conf.with_name
    hooks = [Path("/etc/sudoers.d/csched"), Path("/usr/libexec/csched/submit")]
    with journal_left_by(settings) as attempts:
        said = remove(beside(SCRIPT), [beside(GATE), beside(LINES), *(root / hook.relative_to("/") for hook in hooks)])
        cluster = CommandLine(settings.cluster, settings.slurm_conf, programs=settings.programs)
        answer = let_go(cluster, attempts)
    if isinstance(answer, Failed):
        raise Unavailable(
            f"cluster `{settings.cluster}` does not answer: {answer.why}",
            hint="the hooks are out; run it again when slurmctld is up",
        )
    output.show(Rendered({"hooks": said, "jobs": answer.value}, [settings.site], [*said, *answer.value]))
