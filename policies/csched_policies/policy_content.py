"""Everything that decides, as read and checked; its digest is part of every decision."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from csched_policies.exceptions import Exemption
from csched_policies.facts import Dataset, Tenant
from csched_policies.groups import Groups
from csched_policies.rule import Rule


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
