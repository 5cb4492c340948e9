"""Groups of countries such as `EEA` and `adequate(GDPR)`: data with dates and sources, not code.

A member counts from `valid_from` to `valid_until`. A conditional member, such as the US under the Data Privacy
Framework, counts only where the site's operator is known to be covered by that decision.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from csched.domain.base import Country, InstantOrDay, Value
from csched.errors import InputError
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document

GroupName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*(\([A-Za-z]+\))?$", max_length=64)]
CONDITION_PATH = "site.operator.adequacy"
REFERENCE = re.compile(r"@(?P<name>[A-Za-z][A-Za-z0-9]*)(\((?P<argument>[A-Za-z.]+)\))?")


class Member(Value):
    country: Country
    valid_from: InstantOrDay | None = None
    valid_until: InstantOrDay | None = None
    condition: Literal["dpf-eu-us", "dpf-swiss-us", "uk-us-bridge", "pipeda", "appi", "pipa-kr"] | None = None
    """Counts only where the site's `operator.adequacy` names it."""
    note: str | None = Field(default=None, max_length=1000)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("`valid_until` must be later than `valid_from`")
        return self

    def counts_at(self, at: datetime) -> bool:
        begun = self.valid_from is None or self.valid_from <= at
        return begun and (self.valid_until is None or at < self.valid_until)


def _bare(raw: object) -> object:
    return {"country": raw} if isinstance(raw, str) else raw


class Group(Value):
    group: GroupName
    as_of: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    """The day on which the list was compared with its sources."""
    sources: tuple[str, ...] = Field(min_length=1)
    limits: str | None = Field(default=None, max_length=2000)
    members: tuple[Annotated[Member, BeforeValidator(_bare)], ...] = Field(min_length=1, max_length=400)
    """A bare country code is a member without dates and condition."""


class Membership(StrEnum):
    YES = "yes"
    NO = "no"
    CONDITIONAL = "conditional"
    """A member only where a condition holds that is not known to hold."""


@dataclass(frozen=True)
class Groups:
    """All groups, by name."""

    by_name: Mapping[str, Group]

    def membership(self, name: str, country: str, at: datetime, covered_by: Collection[str] | None) -> Membership:
        """Whether `country` is in the group at `at` for an operator that `covered_by` covers (None: unknown).

        Raises KeyError for a group that does not exist.
        """
        entries = [m for m in self.by_name[name].members if m.country == country and m.counts_at(at)]
        if any(entry.condition is None or entry.condition in (covered_by or ()) for entry in entries):
            return Membership.YES
        if entries and covered_by is None:
            return Membership.CONDITIONAL
        return Membership.NO

    def conditions(self, name: str, country: str, at: datetime) -> tuple[str, ...]:
        """Conditions under which `country` would count, for the words of a refusal."""
        entries = (m for m in self.by_name[name].members if m.country == country and m.counts_at(at))
        return tuple(entry.condition for entry in entries if entry.condition)

    def is_conditional(self, name: str) -> bool:
        """Whether some member counts for some operators only."""
        return name in self.by_name and any(member.condition for member in self.by_name[name].members)

    def instants(self, names: Collection[str]) -> set[datetime]:
        """Every instant at which one of these groups changes."""
        members = (member for name in names if name in self.by_name for member in self.by_name[name].members)
        return {instant for m in members for instant in (m.valid_from, m.valid_until) if instant}

    def possible(self, name: str, at: datetime) -> frozenset[str]:
        """Every country that can count at `at`, conditions met."""
        return frozenset(m.country for m in self.by_name[name].members if m.counts_at(at))


def read_group(document: Document) -> Group:
    """One group file's document.

    Raises:
        InputError: with file, line and field.
    """
    if not isinstance(document.data, dict):
        raise InputError("a mapping with `group`, `sources` and `members` was expected", where=document.where())
    try:
        return Group.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, Group) from error
