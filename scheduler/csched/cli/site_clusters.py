"""The part of `csched site check` that asks each site's Slurm what it is and can do."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from csched.domain.hardware import Hardware
from csched.domain.site import Fleet, Site
from csched.report.rendering import Table
from csched.report.words import listed
from csched.settings import load_settings
from csched_slurm.discovery import Discovery, discover
from csched_slurm.doors import open_observer


def discovered(fleet: Fleet, hardware: Mapping[str, Hardware]) -> list[Discovery]:
    """The answers of those sites whose cluster the settings know, asked side by side: one that is down takes 9 s."""
    doors = load_settings().clusters

    def ask(site: Site, cluster: str) -> Discovery:
        return discover(site, cluster, open_observer(cluster, doors[cluster]), hardware)

    clusters = {site.id: site.slurm.cluster for site in fleet.sites if site.slurm and site.slurm.cluster in doors}
    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(ask, map(fleet.site, clusters), clusters.values()))


def discovery_tables(found: Sequence[Discovery]) -> list[Table]:
    """Nothing where no site was asked."""
    if not found:
        return []
    sites = Table(
        ("SITE", "SLURM", "API", "TOPOLOGY", "GRES", "GATE", ">CLOCK", "REMARKS"), [_row(one) for one in found]
    )
    partitions = [
        (
            one.site,
            part.name,
            part.state,
            str(len(part.nodes)),
            _span(part.max_time_s),
            _who(part.allow_accounts),
            _who(part.allow_qos),
        )
        for one in found
        for part in one.partitions or ()
    ]
    return [sites, Table(("SITE", "PARTITION", "STATE", ">NODES", ">MAX TIME", "ACCOUNTS", "QOS"), partitions)]


def _row(one: Discovery) -> tuple[str, ...]:
    facts = one.facts
    remarks = "; ".join(one.remarks) or "none"
    if facts is None:
        return (one.site, "no answer", "", "", "", "", "", remarks)
    gate = {True: "answers", False: "missing", None: "unknown"}[facts.gate]
    clock = "unknown" if facts.clock_skew_s is None else f"{facts.clock_skew_s:+.0f} s"
    return (
        one.site,
        facts.version or "unknown",
        facts.api or "unknown",
        (facts.topology_plugin or "unknown").removeprefix("topology/"),
        "unknown" if facts.gres_types is None else listed(sorted(facts.gres_types)) or "none",
        gate,
        clock,
        remarks,
    )


def _span(seconds: int | None) -> str:
    return "none" if seconds is None else f"{seconds / 3600:g} h"


def _who(names: frozenset[str] | None) -> str:
    return "all" if names is None else listed(sorted(names)) or "none"
