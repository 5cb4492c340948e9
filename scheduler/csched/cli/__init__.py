"""The command line: one file per command, imported only when that command runs.

`csched --help` reads the table below and nothing else, so that it answers at once; a command whose module is not
installed is not listed. A command's module `csched.cli.NAME` holds one click object called `command`.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import click

from csched.cli.output import Output, ended

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Jobs": {
        "submit": "Hand in a batch script; --test-only shows where it would run and why.",
        "queue": "List jobs that wait or run, each with the reason it waits.",
        "show": "Show everything known of a job.",
        "explain": "Say for each site why a job runs there or not.",
        "logs": "Print a job's output; -f follows it.",
        "wait": "Wait for a job and exit with its exit code.",
        "update": "Change a waiting job: its deadline, limit or priority.",
        "hold": "Keep a waiting job from starting.",
        "release": "Let a held job start again.",
        "cancel": "End a running job or withdraw a waiting one.",
        "history": "List jobs that have ended.",
    },
    "Accounts": {
        "report": "Energy, carbon and what was saved, by user, project, site or month.",
        "audit": "Check that the record of decisions is whole.",
    },
    "Planning": {
        "plan": "Plan a file of jobs on a fleet; nothing is started.",
        "verify": "Recompute every figure of a plan, and its bound.",
        "snapshot": "Write everything the next decision would see.",
        "replay": "Decide once more from a snapshot.",
    },
    "Rules, sites and carbon": {
        "policy": "Check, test, compare and explain the rules for data.",
        "site": "Check and list sites; drain and resume them.",
        "topo": "Show and import the topology of GPUs and fabric.",
        "carbon": "Show carbon intensities and where they come from.",
    },
    "Simulation": {
        "simulate": "Run past or invented work through the same engine.",
        "sweep": "Run many simulations at once.",
        "trace": "Describe, convert and generate traces of work.",
    },
    "Running csched": {
        "serve": "Run the daemon and the HTTP API.",
        "slurm": "Join a Slurm cluster to csched or leave it.",
        "config": "Check the settings.",
        "token": "Make, list and revoke tokens for the HTTP API.",
        "schema": "Print the JSON Schema of a format.",
    },
}


class CommandTable(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section if find_spec(_module(name))]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        summaries = {name: summary for section in SECTIONS.values() for name, summary in section.items()}
        if cmd_name not in summaries or not find_spec(_module(cmd_name)):
            return None
        command: click.Command = importlib.import_module(_module(cmd_name)).command
        command.short_help = summaries[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            names = self.list_commands(ctx)
            raise click.NoSuchCommand(args[0], f"there is no command `{args[0]}`", possibilities=names, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        installed = set(self.list_commands(ctx))
        width = max(map(len, installed), default=0)
        for title, section in SECTIONS.items():
            rows = [(name.ljust(width), summary) for name, summary in section.items() if name in installed]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _module(name: str) -> str:
    return f"csched.cli.{name}"


@click.command(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every command has --help with examples. Exit codes: 0 done, 2 usage, 3 bad input, 4 nothing could be "
    "placed, 5 something outside is unavailable, 6 refused.",
)
@click.version_option(package_name="csched", message="csched %(version)s")
def program() -> None:
    """Place GPU batch jobs where the law allows, the carbon is low and the wait is short."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; what goes wrong is said in one line, never as a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output = Output()
    with ended(output, given) as end:
        code = program.main(args=given, prog_name="csched", standalone_mode=False, obj=output)
        end.code = code if isinstance(code, int) else 0
    return end.code
