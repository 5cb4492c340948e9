"""A loaded, valid set of rules: what `csched.ports.Policies` asks for."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from csched.domain.job import Job
from csched.domain.quota import QuotaRow
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Verdicts
from csched_policies.exceptions import Exemption
from csched_policies.facts import Dataset, Tenant
from csched_policies.groups import Groups
from csched_policies.rule import Rule
from csched_policies.table import Table


@dataclass(frozen=True)
class Content:
    """Everything that decides: rules and exceptions in the order of their ids, groups by name, tenants and
    datasets by id.
    """

    rules: tuple[Rule, ...]
    groups: Groups
    tenants: Mapping[str, Tenant]
    exceptions: tuple[Exemption, ...] = ()
    datasets: Mapping[str, Dataset] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 over the content in canonical form: neither file names nor comments nor the order of files count."""
        canonical = {
            "rules": [rule.document.data for rule in self.rules],
            "groups": [group.model_dump(mode="json") for _, group in sorted(self.groups.by_name.items())],
            "datasets": {name: each.model_dump(mode="json") for name, each in self.datasets.items()},
            "tenants": {name: tenant.model_dump(mode="json") for name, tenant in self.tenants.items()},
            "exceptions": [exemption.document.data for exemption in self.exceptions],
        }
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


class PolicySet:
    """Rules, groups and tenants that were read from `sources`; immutable but for a table that it keeps for speed."""

    def __init__(self, content: Content, sources: Mapping[str, str]) -> None:
        self.content = content
        self.digest = content.digest()
        self._sources = MappingProxyType(dict(sources))
        self._table: Table | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.content.rules

    def sources(self) -> Mapping[str, str]:
        """File name -> text, enough to load the same set again."""
        return self._sources

    def screen(self, jobs: Sequence[Job], fleet: Fleet, now: datetime) -> Verdicts:
        """One verdict for each job and site; sees no carbon, no load and no other job."""
        return self.table(fleet, now).screen(jobs)

    def quotas(self, snapshot: Snapshot) -> tuple[QuotaRow, ...]:  # noqa: ARG002  (the port's signature)
        """No rule of the vocabulary sets a share of GPU-hours."""
        return ()

    def table(self, fleet: Fleet, now: datetime) -> Table:
        """The table for this fleet and instant; the last one again where nothing has changed since."""
        table = self._table
        if table is None or table.fleet is not fleet or not table.holds_at(now):
            content = self.content
            table = Table(
                content.rules,
                content.groups,
                content.tenants,
                fleet,
                now,
                datasets=content.datasets,
                exemptions=content.exceptions,
            )
            self._table = table
        return table
