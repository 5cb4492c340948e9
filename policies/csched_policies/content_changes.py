"""What was changed in a set itself: rules, groups, tenants, datasets and exceptions, whatever it means for jobs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from csched.clock import format_instant
from csched_policies.exceptions import Exemption
from csched_policies.groups import Group, Member
from csched_policies.policy_content import Content
from csched_policies.rule import Rule


@dataclass(frozen=True)
class ContentChange:
    kind: str
    """`rule`, `group`, `tenant`, `dataset` or `exception`."""
    name: str
    change: str
    """`added`, `removed` or `changed`."""
    detail: str = ""

    @property
    def message(self) -> str:
        return f"{self.kind} {self.name} {self.change}" + (f": {self.detail}" if self.detail else "")


def content_changes(old: Content, new: Content) -> tuple[ContentChange, ...]:
    """Every rule, group, tenant, dataset and exception that is not what it was."""
    rules = ({rule.id: rule for rule in content.rules} for content in (old, new))
    exceptions = ({each.text.id: each for each in content.exceptions} for content in (old, new))
    return (
        *_changes("rule", *rules, same=lambda a, b: a.document.data == b.document.data, detail=_rule),
        *_changes("group", old.groups.by_name, new.groups.by_name, detail=_group),
        *_changes("tenant", old.tenants, new.tenants, detail=_fields),
        *_changes("dataset", old.datasets, new.datasets, detail=_fields),
        *_changes("exception", *exceptions, same=lambda a, b: a.text == b.text, detail=_exception),
    )


def _changes(
    kind: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    detail: Any,
    same: Any = lambda before, after: before == after,
) -> Iterator[ContentChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield ContentChange(kind, name, "added" if before is None else "removed")
        elif not same(before, after):
            yield ContentChange(kind, name, "changed", detail(before, after))


def _rule(before: Rule, after: Rule) -> str:
    versions = before.text.version, after.text.version
    if versions[0] == versions[1]:
        return f"still version {versions[0]}; raise it with each change"
    return f"version {versions[0]}, now {versions[1]}"


def _group(before: Group, after: Group) -> str:
    """`NO left; GB until 2031-12-27T00:00:00Z, now until 2027-01-01T00:00:00Z`."""
    was, now = _members(before), _members(after)
    told = [f"{country} joined" for country in sorted(now.keys() - was.keys())]
    told += [f"{country} left" for country in sorted(was.keys() - now.keys())]
    told += [
        f"{code} {was[code]}, now {now[code]}" for code in sorted(was.keys() & now.keys()) if was[code] != now[code]
    ]
    return "; ".join(told) or "sources or notes only"


def _members(group: Group) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    for member in group.members:
        entries.setdefault(member.country, []).append(_counts(member))
    return {country: " or ".join(sorted(counts)) for country, counts in entries.items()}


def _counts(member: Member) -> str:
    parts = [f"from {format_instant(member.valid_from)}"] if member.valid_from else []
    parts += [f"until {format_instant(member.valid_until)}"] if member.valid_until else []
    parts += [f"where {member.condition} covers the operator"] if member.condition else []
    return " ".join(parts) or "always"


def _exception(before: Exemption, after: Exemption) -> str:
    return f"ends {format_instant(after.until)}, before {format_instant(before.until)}"


def _fields(before: Any, after: Any) -> str:
    was, now = before.model_dump(mode="json", by_alias=True), after.model_dump(mode="json", by_alias=True)
    return ", ".join(f"{name} {was[name]}, now {now[name]}" for name in was if was[name] != now[name])
