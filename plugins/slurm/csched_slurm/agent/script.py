"""A user's script as it is handed to sbatch: run as it is, by its own interpreter, with the user's variables.

The wrapper's first line after `#!` is a command. There sbatch stops looking for options, so that no directive of the
user's script, of whatever kind, says anything to Slurm; csched has read them before, and says what counts by options.
"""

import shlex
from collections.abc import Iterator

from csched.domain.run import Script


def wrapped(script: Script, attempt: str) -> str:
    """A script of /bin/sh that becomes the user's.

    Raises:
        ValueError: no `#!` line, DOS line ends, or a character that no script can hold.
    """
    first, _, _ = script.body.partition("\n")
    if not first.startswith("#!") or "\0" in script.body:
        raise ValueError("the script has no `#!` line, or holds a NUL")
    if "\r\n" in script.body:
        raise ValueError("the script has DOS line ends, which sbatch refuses; dos2unix changes them")
    interpreter = first[2:].strip().split(maxsplit=1)
    if not interpreter:
        raise ValueError("the script's `#!` line names no interpreter")
    end = f"csched-{attempt}-end"
    if end in script.body:
        raise ValueError("the script holds the line that would end it")
    start = shlex.join([*interpreter, "/dev/fd/9", *script.args])
    lines = ["#!/bin/sh", *_surroundings(script), f"exec 9<<'{end}'", script.body, end, f"exec {start}", ""]
    return "\n".join(lines)


def _surroundings(script: Script) -> Iterator[str]:
    """sbatch's --export=NONE would reach into the job's own steps by this variable."""
    yield "unset SLURM_EXPORT_ENV"
    for name, value in script.environment.items():
        if not name.isidentifier() or not name.isascii():
            raise ValueError(f"`{name[:80]}` is no name of a variable")
        yield f"export {name}={shlex.quote(value)}"
