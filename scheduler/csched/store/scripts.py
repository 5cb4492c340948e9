"""What a script must be to be run at all, and the names of its output files."""

import re
from pathlib import PurePosixPath
from typing import Final

from csched.domain.array import ArrayTask
from csched.domain.run import Script
from csched.errors import InputError

_PATTERN: Final = re.compile(r"%(\d{0,2})([%jAaxu])")

_NO_TASK: Final = "4294967294"
"""What Slurm writes for `%a` where there is no array."""


def with_id(script: Script, job_id: int, name: str, user: str | None, task: ArrayTask | None = None) -> Script:
    """Fills in the patterns of sbatch(1) that are known before a job runs (`%N` is not).

    The script with `%j` (id; `%6j` pads), `%A` (id of the array, else of the job), `%a` (task), `%x` (name), `%u`
    (user) and `%%` replaced in its output files.
    """
    array_job, number = (task.job, str(task.task)) if task else (str(job_id), _NO_TASK)
    words = {"%": "%", "j": str(job_id), "A": array_job, "a": number, "x": name, "u": user or "nobody"}

    def replaced(match: re.Match[str]) -> str:
        width = int(match[1] or 0) if match[2] in "jAa" else 0
        return words[match[2]].zfill(width)

    stderr = None if script.stderr is None else _PATTERN.sub(replaced, script.stderr)
    return script.model_copy(update={"stdout": _PATTERN.sub(replaced, script.stdout), "stderr": stderr})


def require_runnable(script: Script) -> None:
    """Raises InputError for what no dispatcher could run."""
    if not script.body.startswith("#!"):
        raise InputError("the script has no `#!` line", hint="begin it with a line such as #!/bin/sh")
    for what, path in (("work_dir", script.work_dir), ("stdout", script.stdout), ("stderr", script.stderr)):
        if path is not None and not PurePosixPath(path).is_absolute():
            raise InputError(f"{what} `{path}` is not an absolute path")
    texts = (script.work_dir, script.stdout, script.stderr or "", *script.args)
    variables = (text for pair in script.environment.items() for text in pair)
    if any("\0" in text for text in (*texts, *variables)) or any("=" in name for name in script.environment):
        raise InputError("a path, argument or variable holds a character that no process can be given")
