"""Small fleets, jobs and skies for tests: say only what the test is about, the rest is plain.

Every builder returns real domain values; a box of eight 1-kW GPUs at a site with PUE 1 makes figures easy to check
by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from csched.clock import epoch_s
from csched.domain.carbon import CarbonOutlook, CarbonSeries, Method
from csched.domain.hardware import Hardware
from csched.domain.job import Job
from csched.domain.site import Fleet, Site
from csched.domain.snapshot import Occupation, Snapshot

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
"""The instant at which tests take place unless they say otherwise."""

BOX = Hardware(key="box8", kw_per_gpu=1.0, gpus_per_node=8, nodes_per_domain=1)
RACK = Hardware(key="rack72", kw_per_gpu=2.0, gpus_per_node=4, nodes_per_domain=18)

HORIZON_S = 24 * 3600
SLOT_S = 3600


def site(name: str = "alpha", *, zone: str = "FR", nodes: int = 1, hardware: str = "box8", **facts: Any) -> Site:
    """A site with one partition `gpu` of `nodes` boxes, unless `partitions` says otherwise."""
    plain = {"country": zone[:2], "pue": 1.0, "partitions": [{"name": "gpu", "hardware": hardware, "nodes": nodes}]}
    return Site.model_validate({"id": name, "grid_zone": zone, **plain, **facts})


def fleet(*sites: Site, **more: Any) -> Fleet:
    """A fleet that knows `box8` and `rack72` beside the catalogue."""
    known = {kind.key: kind for kind in (BOX, RACK)}
    return Fleet.model_validate({"sites": sites or (site(),), "hardware": known, **more})


ONE_SITE = fleet()


def job(name: str = "a", *, gpus: int = 8, hours: float = 1.0, **columns: Any) -> Job:
    """A job at full load, so that its IT power is its GPUs times `kw_per_gpu`."""
    return Job.model_validate({"job": name, "gpus": gpus, "time_limit_s": round(hours * 3600), "load": 1.0, **columns})


def series(
    zone: str, g_per_kwh: float | Sequence[float], *, start: datetime = MONDAY, hours: int = 400
) -> CarbonSeries:
    """Hourly intensities from `start` on; a shorter list repeats, one number holds throughout."""
    values = [g_per_kwh] if isinstance(g_per_kwh, int | float) else list(g_per_kwh)
    first = epoch_s(start)
    return CarbonSeries(
        zone=zone,
        starts_s=tuple(first + 3600 * hour for hour in range(hours)),
        g_per_kwh=tuple(float(values[hour % len(values)]) for hour in range(hours)),
        end_s=first + 3600 * hours,
    )


def outlook(
    zones: Mapping[str, float | Sequence[float]], *, start: datetime = MONDAY, hours: int = 400
) -> CarbonOutlook:
    """A sky for several zones, such as `outlook({"FR": 50, "DE": [400, 300, 200]})`."""
    known = {zone: series(zone, values, start=start, hours=hours) for zone, values in zones.items()}
    return CarbonOutlook(source="test", method=Method.LIFECYCLE, zones=known)


def occupation(
    name: str,
    gpus: int,
    hours: float,
    *,
    site: str = "alpha",
    kw: float | None = None,
    likely_h: float | None = None,
    since_h: float | None = None,
) -> Occupation:
    """A job on partition `gpu` that may last until `hours` after MONDAY, and likely lasts `likely_h`.

    It runs, or is announced to begin at `since_h`.
    """
    return Occupation(
        job=name,
        site=site,
        partition="gpu",
        gpus_held=gpus,
        it_kw=gpus if kw is None else kw,
        since=None if since_h is None else MONDAY + timedelta(hours=since_h),
        until=MONDAY + timedelta(hours=hours),
        likely_until=None if likely_h is None else MONDAY + timedelta(hours=likely_h),
    )


def snapshot(
    jobs: Iterable[Job] = (),
    *,
    fleet: Fleet | None = None,
    carbon: CarbonOutlook | Mapping[str, float | Sequence[float]] | None = None,
    **more: Any,
) -> Snapshot:
    """Everything at MONDAY, a day ahead in hourly slots, 100 g/kWh wherever nothing else is said."""
    where = fleet or ONE_SITE
    if not isinstance(carbon, CarbonOutlook):
        carbon = outlook({**{each.grid_zone: 100.0 for each in where.sites}, **(carbon or {})})
    plain = {"now": MONDAY, "horizon_s": HORIZON_S, "slot_s": SLOT_S, "hardware": where.hardware}
    return Snapshot.model_validate({"fleet": where, "jobs": tuple(jobs), "carbon": carbon, **plain, **more})
