"""sbatch(1) --array: `0-15`, `0,6,16-32`, `0-15:4`, each with `%4` where at most four may run at once."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from csched.domain.array import HIGHEST_TASK, MOST_TASKS, ArrayTasks

_PART: Final = re.compile(r"(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?(?:%(\d{1,7}))?", re.ASCII)


def parse_array(text: str) -> tuple[ArrayTasks, int | None]:
    """The tasks, and how many of them may run at once; null is all of them.

    Raises:
        ValueError: another spelling, a range that runs backwards, a task too high, or too many of them.
    """
    tasks: set[int] = set()
    steps: list[int] = []
    limits: list[int] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"`{text[:60]}` is not a list of tasks such as 0-15, 1,3,7 or 0-15:4%2")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step == 0:
            raise ValueError(f"`{part.strip()}` names no task")
        if last > HIGHEST_TASK:
            raise ValueError(f"task {last} is above the highest one, {HIGHEST_TASK}")
        if len(tasks) + (last - first) // step + 1 > MOST_TASKS:
            raise ValueError(f"`{text[:60]}` is more than {MOST_TASKS} tasks")
        tasks.update(range(first, last + 1, step))
        steps.append(step)
        limits += [int(match[4])] if match[4] else []
    if len(limits) > 1 or 0 in limits:
        raise ValueError("how many tasks may run at once is said once, as in 0-15%4, and at least 1")
    return ArrayTasks(tasks=tuple(sorted(tasks)), step=max(steps)), limits[0] if limits else None


def spell_tasks(tasks: Iterable[int]) -> str:
    """`0-3,7`: the shortest list of ascending tasks."""
    return ",".join(_spelled(run) for run in _runs(sorted(tasks)))


def _runs(tasks: Sequence[int]) -> Iterator[Sequence[int]]:
    begun = 0
    for at, (task, following) in enumerate(pairwise(tasks), start=1):
        if following != task + 1:
            yield tasks[begun:at]
            begun = at
    yield tasks[begun:]


def _spelled(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
