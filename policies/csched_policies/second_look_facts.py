"""What the second reader knows of a site, and what jobs and datasets ask for themselves, as plain data.

Shares nothing with the first reader.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from csched.domain.site import Fleet
from csched_policies.second_look_answers import ORDERED

SAME: Final = {"data.home_site": "data.site", "data.size_gb": "data.gb", "job.outputs.kind": "outputs.kind"}
PRESUMED: Final = {
    "job.requires.confidential": "none",
    "job.requires.tenancy": "shared",
    "job.requires.min_seal": 0,
    "job.requires.min_ual": 0,
    "outputs.inherit_class": True,
}
SEAL_PER_CENT: Final = dict(zip((f"sov-{n}" for n in range(1, 9)), (15, 10, 10, 15, 20, 15, 10, 5), strict=True))


def ends_of(fleet: Fleet, of_site: str) -> list[tuple[str, datetime]]:
    """(path inside the site, end) of whatever is vouched for until some instant; an entry stands for its whole list."""
    return [
        (path.removeprefix(of_site).removeprefix(".").partition("[")[0], told.valid_until)
        for path, told in fleet.evidence.items()
        if told.valid_until is not None and path.startswith(of_site)
    ]


def is_lapsed(name: str, lapsed: frozenset[str]) -> bool:
    if name in {"seal.min", "seal.score"} and any(part.startswith("seal") for part in lapsed):
        return True
    return any(part in {"", name} or name.startswith(f"{part}.") for part in lapsed)


def site_fact(name: str, site: Mapping[str, Any]) -> Any:
    if name in {"seal.min", "seal.score"}:
        levels = site.get("seal") or {}
        if len(levels) < len(SEAL_PER_CENT):
            return None
        score = sum(SEAL_PER_CENT[objective] * level for objective, level in levels.items()) / 100
        return min(levels.values()) if name == "seal.min" else score
    value: Any = site
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def own_demands(job: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(who asks, path, comparison) of all that the job and the dataset at hand ask for, whatever the rules say."""
    wants = job.get("requires_confidential")
    if wants in {"cpu", "gpu"}:
        yield "the job", "site.confidential.cpu_tee", {"in": ["sev-snp", "tdx"]}
    if wants == "gpu":
        yield "the job", "site.confidential.gpu_cc", {"in": ["on", "ppcie"]}
        yield "the job", "site.confidential.attested", {"eq": True}
    if job.get("requires_tenancy") in ORDERED["job.requires.tenancy"][1:]:
        order = ORDERED["job.requires.tenancy"]
        yield "the job", "site.tenancy", {"in": list(order[order.index(job["requires_tenancy"]) :])}
    for objective in SEAL_PER_CENT if job.get("requires_min_seal") else ():
        yield "the job", f"site.seal.{objective}", {"ge": job["requires_min_seal"]}
    if job.get("requires_min_ual"):
        yield "the job", "site.ual", {"ge": job["requires_min_ual"]}
    asker, egress = f"dataset {job.get('data_id')}", job.get("data_egress")
    if egress == "forbidden":
        rests = [job["data_site"]] if job.get("data_site") else []
        yield asker, "site.id", {"in": [*rests, *(job.get("data_replicas") or [])]}
    elif egress in {"eea", "adequacy"}:
        where = ["@EEA"] + (["@territory(data.law)", "@adequate(data.law)"] if egress == "adequacy" else [])
        yield asker, "site.country", {"in": where}
        yield asker, "site.storage_countries", {"subset": where}
    if hours := job.get("data_egress_hours"):
        yield asker, "transfer.hours", {"between": [hours["from"], hours["to"]], "tz": hours["tz"]}
