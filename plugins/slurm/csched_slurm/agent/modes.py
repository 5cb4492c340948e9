"""How far csched may go at a site, for all its jobs or for those of one account."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from csched.domain.base import Value
from csched_slurm.agent.identities import Name


class Mode(StrEnum):
    OBSERVE = "observe"
    """Look and report; no call that changes anything is ever made."""
    ADVISE = "advise"
    """The same, and the site's people are told what csched would do."""
    ENFORCE = "enforce"
    """Submit, hold and release."""


class Modes(Value):
    """A site begins by being looked at."""

    mode: Mode = Mode.OBSERVE
    accounts: Annotated[Mapping[Name, Mode], Field(max_length=10_000)] = {}
    """Where an account differs."""

    def of(self, account: str | None) -> Mode:
        return self.accounts.get(account or "", self.mode)

    @property
    def only_looks(self) -> bool:
        """Whether nothing at all is to be changed there."""
        return Mode.ENFORCE not in {self.mode, *self.accounts.values()}
