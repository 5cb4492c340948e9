"""Tasks of an array that stand alike, on one line: `17_[3-9]`, as squeue(1) shows them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from csched.formats.array_option import spell_tasks
from csched.store.records import JobRecord


@dataclass(frozen=True)
class Line:
    """One or more jobs that a person sees as one."""

    label: str
    jobs: tuple[JobRecord, ...]
    """By task."""


def folded(records: Sequence[JobRecord], alike: Callable[[JobRecord], Hashable]) -> tuple[Line, ...]:
    """One line for all tasks of an array for which `alike` is equal, where the first of them stands."""
    groups: dict[Hashable, list[JobRecord]] = {}
    for record in records:
        key = (record.array.job, alike(record)) if record.array else record.id
        groups.setdefault(key, []).append(record)
    return tuple(_line(group) for group in groups.values())


def unfolded(records: Sequence[JobRecord]) -> tuple[Line, ...]:
    return tuple(Line(record.label, (record,)) for record in records)


def _line(group: Sequence[JobRecord]) -> Line:
    tasks = {record.array.task: record for record in group if record.array}
    if len(tasks) < 2:
        return Line(group[0].label, tuple(group))
    array = group[0].label.partition("_")[0]
    return Line(f"{array}_[{spell_tasks(tasks)}]", tuple(tasks[task] for task in sorted(tasks)))
