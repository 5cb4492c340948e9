"""File names of a job's output: the patterns of sbatch(1) that make sense before a job runs."""

import re
from typing import Final

from csched.domain.run import Script

_PATTERN: Final = re.compile(r"%(\d{0,2})([%jAxu])")


def with_id(script: Script, job_id: int, name: str, user: str | None) -> Script:
    """The script with `%j` `%A` (id; `%6j` pads), `%x` (name), `%u` (user) and `%%` replaced in its output files."""
    words = {"%": "%", "j": str(job_id), "A": str(job_id), "x": name, "u": user or "nobody"}

    def replaced(match: re.Match[str]) -> str:
        width = int(match[1] or 0) if match[2] in "jA" else 0
        return words[match[2]].zfill(width)

    stderr = None if script.stderr is None else _PATTERN.sub(replaced, script.stderr)
    return script.model_copy(update={"stdout": _PATTERN.sub(replaced, script.stdout), "stderr": stderr})
