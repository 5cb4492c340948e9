"""Which state may follow which. Whatever is not here is impossible."""

from collections.abc import Mapping
from typing import Final

from csched.domain.run import JobState

_ENDS: Final = frozenset(state for state in JobState if state.final)

AFTER: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.PENDING: frozenset({JobState.CONFIGURING, JobState.CANCELLED}),
    JobState.CONFIGURING: frozenset({JobState.RUNNING}) | _ENDS,
    JobState.RUNNING: _ENDS,
    **dict.fromkeys(_ENDS, frozenset()),
}


def may_follow(old: JobState, new: JobState) -> bool:
    return new in AFTER[old]
