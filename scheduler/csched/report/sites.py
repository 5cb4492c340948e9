"""The fleet's sites: size, law, drain and the carbon intensity of now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from csched.domain.carbon import CarbonOutlook
from csched.domain.hardware import Hardware
from csched.domain.site import Fleet
from csched.report.rendering import Rendered, Table
from csched.report.words import figure, listed

SITE_COLUMNS = ("SITE", "COUNTRY", "ZONE", ">GPUS", "HARDWARE", ">PUE", ">G/KWH NOW", "STATE")


@dataclass(frozen=True)
class SiteLine:
    site: str
    country: str | None
    zone: str
    gpus: int
    hardware: tuple[str, ...]
    pue: float
    pue_is_default: bool
    g_per_kwh: float | None
    """null: the source cannot be read."""
    origin: str
    drained: str | None
    """Why it takes no new jobs; null: it does."""


def site_lines(
    fleet: Fleet,
    hardware: Mapping[str, Hardware],
    outlook: CarbonOutlook | None,
    drained: Mapping[str, str],
    now: datetime,
) -> tuple[SiteLine, ...]:
    """Without an outlook everything is told but the intensities."""
    return tuple(
        SiteLine(
            site=site.id,
            country=site.country,
            zone=site.grid_zone,
            gpus=sum(partition.gpu_count(hardware[partition.hardware]) for partition in site.partitions),
            hardware=tuple(dict.fromkeys(partition.hardware for partition in site.partitions)),
            pue=fleet.pue(site),
            pue_is_default=site.pue is None,
            g_per_kwh=outlook.zone(site.grid_zone).at(now) if outlook else None,
            origin=str(outlook.zone(site.grid_zone).origin_at(now)) if outlook else "unknown",
            drained=drained.get(site.id),
        )
        for site in fleet.sites
    )


def sites(lines: Sequence[SiteLine], outlook: CarbonOutlook) -> Rendered:
    document = {
        "sites": [vars(line) | {"hardware": list(line.hardware)} for line in lines],
        "carbon_source": outlook.source,
        "carbon_method": str(outlook.method),
        "warnings": list(outlook.warnings),
    }

    table = Table(SITE_COLUMNS, [site_row(line) for line in lines])
    source = f"Intensity: {outlook.source}, method {outlook.method}."
    return Rendered(document, [line.site for line in lines], [table, source, *outlook.warnings])


def site_row(line: SiteLine) -> tuple[str, ...]:
    return (
        line.site,
        line.country or "unknown",
        line.zone,
        f"{line.gpus:,}",
        listed(line.hardware),
        f"{line.pue:g}{' (default)' if line.pue_is_default else ''}",
        f"{figure(line.g_per_kwh)}{'' if line.origin == 'series' else f' ({line.origin})'}",
        f"drained: {line.drained}" if line.drained else "open",
    )
