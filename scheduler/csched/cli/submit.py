"""csched submit: a batch script on its way into the queue, or an options table under --test-only."""

import getpass
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from csched.cli.daemon_state import remark_daemon
from csched.cli.output import Output, output_options
from csched.errors import NothingPlaced, UsageError, Where
from csched.formats.batch_options import ON_COMMAND_LINE, Argument, Use
from csched.formats.batch_script import BatchJob
from csched.formats.directives import Given
from csched.report.rendering import Rendered

if TYPE_CHECKING:
    from csched.app import App
    from csched.domain.verdict import Reason

_OWN_FLAGS = {"wrap", "test-only", "parsable", "quiet"}
_COMMAND_LINE = "command line"
_PREFIX = "given_"
_NEXT_PART = ":"
_LATER_PARTS = "csched.submit.later_parts"
_KEY = re.compile(r"[!-~]{1,64}")


def _batch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """One click option for each that a batch script may have, but those that this command has itself."""
    for option in reversed(list(ON_COMMAND_LINE.values())):
        if option.name in _OWN_FLAGS:
            continue
        spellings = [f"--{option.name}", *([f"-{option.short}"] if option.short else []), _parameter(option.name)]
        kind: dict[str, Any] = {"is_flag": True} if option.argument is Argument.NONE else {"metavar": option.metavar}
        if option.argument is Argument.OPTIONAL:
            kind |= {"is_flag": False, "flag_value": ""}
        hidden = option.use is not Use.UNDERSTOOD
        function = click.option(*spellings, help=option.text, hidden=hidden, **kind)(function)
    return function


def _parameter(name: str) -> str:
    return f"{_PREFIX}{name.replace('-', '_')}"


class _InParts(click.Command):
    """Reads `OPTIONS : OPTIONS SCRIPT`: the parts of a heterogeneous job, as sbatch does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        own = self._read(ctx, given)
        if own["script"] != _NEXT_PART:
            return super().parse_args(ctx, given)
        first = given[: len(given) - len(own["args"]) - 1]
        later = []
        while own["script"] == _NEXT_PART:
            own = self._read(ctx, own["args"])
            part = {name: value for name, value in own.items() if name not in {"script", "args"}}
            if strange := [name for name in part if not name.startswith(_PREFIX)]:
                raise UsageError(f"`--{strange[0].replace('_', '-')}` stands before the first `:`")
            later.append(part)
        ctx.meta[_LATER_PARTS] = later
        script = [] if own["script"] is None else [own["script"], *own["args"]]
        return super().parse_args(ctx, [*first, *script])

    def _read(self, ctx: click.Context, args: Sequence[str]) -> dict[str, Any]:
        """Parameter -> what was typed, of one part; `script` may be the colon that ends it, `args` is what follows."""
        typed, _, _ = self.make_parser(ctx).parse_args(list(args))
        script, following = typed.pop("script", None), typed.pop("args", ())
        return {
            **typed,
            "script": script if isinstance(script, str) else None,  # else click's mark for what is missing
            "args": following if isinstance(following, tuple | list) else (),
        }


@click.command(
    cls=_InParts,
    context_settings={"allow_interspersed_args": False},
    epilog="Other options of sbatch are carried along for the site or refused with the next step; none is ignored.",
)
@click.argument("script", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--test-only", is_flag=True, help="Show where the job would run and why; hand nothing in.")
@click.option("--parsable", is_flag=True, help="Print the job id alone, as sbatch does.")
@click.option("--wrap", metavar="COMMAND", help="Run this shell command instead of a script.")
@click.option("--idempotency-key", "key", metavar="WORD", help="Hand in once, however often this is repeated.")
@_batch_options
@output_options
def command(
    output: Output,
    /,
    *,
    script: str | None,
    args: tuple[str, ...],
    test_only: bool,
    parsable: bool,
    wrap: str | None,
    key: str | None,
    **given: str | bool | None,
) -> int:
    """Hand in a batch script. Its #SBATCH and #CSCHED lines count; options given here count more.

    \b
    Examples:
      csched submit train.sh
      csched submit --test-only --data-class=health --gpus=8 --time=6:00:00 train.sh
      csched submit --gpus=1 --time=10 --wrap='nvidia-smi'
      csched submit --array=0-99%10 --dependency=afterok:last train.sh
      csched submit -G 64 --hardware=gb300-nvl72 : -G 8 --hardware=l40s-pcie train.sh
      generate-script | csched submit --parsable -
    """
    from csched.app import open_app

    if key is not None and not _KEY.fullmatch(key):
        raise UsageError("--idempotency-key takes 1 to 64 letters, digits and signs, without blanks")
    text, name, args = _script(script, wrap, args)
    with closing(open_app()) as app:
        batch = app.read_script(
            text,
            name,
            args,
            [_given(part) for part in (given, *click.get_current_context().meta.get(_LATER_PARTS, ()))],
            user=getpass.getuser(),
            folder=PurePosixPath(Path.cwd()),
            environment=os.environ,
        )
        for remark in batch.remarks:
            output.remark(f"{name}: {remark}")
        if test_only:
            return _test(app, output, batch)
        return _submit(app, output, batch, key, parsable=parsable)


def _submit(app: "App", output: Output, batch: BatchJob, key: str | None, *, parsable: bool) -> int:
    job_id = app.submit_batch(batch, key)
    sentence = str(job_id) if parsable else f"Submitted batch job {job_id}"
    output.show(Rendered({"job_id": job_id}, [job_id], [sentence]))
    if refusals := app.refused_everywhere(batch.job):
        output.remark(
            f"no site may run job {job_id} as it stands: {refusals[0].message}; {_remedy(job_id, refusals[0])}"
        )
    remark_daemon(app, output)
    return 0


def _remedy(job_id: int, refusal: "Reason") -> str:
    """The next step: to state the fact that is missing, where the user can, else to read all reasons."""
    option = {"data.class": "--data-class=public", "tenant.id": "--tenant=NAME"}.get(refusal.clause or "")
    return f"hand it in again with `#CSCHED {option}` or what is true" if option else f"see `csched explain {job_id}`"


def _test(app: "App", output: Output, batch: BatchJob) -> int:
    from csched.report.options import options

    with output.working("planning"):
        explanation = app.test(batch.job)
    home = app.fleet.home_site(batch.job.home_site, batch.job.tenant)
    output.show(options(explanation, home, headline=f"{batch.name}: {batch.job.gpus} GPUs; nothing is handed in"))
    return 0 if any(choice.chosen for choice in explanation.options) else NothingPlaced.exit_code


def _script(script: str | None, wrap: str | None, args: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """Text, name and arguments of what shall run."""
    from csched.formats.files import read_text

    if (script is None) == (wrap is None):
        raise UsageError("give a script, or a command with --wrap", hint="`csched submit --help` has examples")
    if wrap is not None:
        return f"#!/bin/sh\n# written by csched submit --wrap\n\n{wrap}\n", "wrap", args
    if script == "-":
        return sys.stdin.read(), "stdin", args
    return read_text(Path(script or ""), max_mib=4), script or "", args


def _given(options: Mapping[str, str | bool | None]) -> list[Given]:
    """What the command line said, in the reader's words."""
    found = []
    for option in ON_COMMAND_LINE.values():
        value = options.get(_parameter(option.name))
        if value is not None and value is not False:
            where = Where(_COMMAND_LINE, field=f"--{option.name}")
            found.append(Given(option, None if value is True else str(value), where))
    return found
