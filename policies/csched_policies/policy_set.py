"""A loaded, valid set of rules: what `csched.ports.Policies` asks for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from csched.domain.job import Job
from csched.domain.quota import QuotaRow
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Verdicts
from csched_policies.policy_content import Content
from csched_policies.rule import Rule
from csched_policies.shares import quota_rows
from csched_policies.table import Table


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

    def quotas(self, snapshot: Snapshot) -> tuple[QuotaRow, ...]:
        """Shares of this month's GPU-hours that the pending jobs' tenants may spend at some sites."""
        return quota_rows(self.content, snapshot)

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
