"""Random small instances for properties, the nasty ones among them."""

from datetime import timedelta

from hypothesis import strategies as st

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.snapshot import SiteRefusal, Snapshot
from csched.domain.verdict import Reason, ReasonCode
from csched.testing.builders import MONDAY, fleet, job, occupation, outlook, site, snapshot

ZONES = ("FR", "DE", "SE", "PL")
COUNTRIES = ("FR", "DE", "SE", "PL")


@st.composite
def caps(draw: st.DrawFn) -> object:
    """No cap, one cap, or a list of them that may begin in the middle of a slot."""
    shape = draw(st.sampled_from(["none", "one", "some"]))
    if shape == "none":
        return None
    if shape == "one":
        return float(draw(st.integers(0, 40)))
    begins = draw(st.lists(st.integers(0, 600), min_size=1, max_size=3))
    return [
        {
            "from": MONDAY + timedelta(minutes=begin),
            "to": MONDAY + timedelta(minutes=begin + draw(st.integers(1, 300))),
            "kw": float(draw(st.integers(0, 30))),
        }
        for begin in begins
    ]


@st.composite
def reservations(draw: st.DrawFn) -> list[dict[str, object]]:
    """None, maintenance, some GPUs for those who name it, or both at once; they may begin in the middle of a slot."""
    names = draw(st.sampled_from([(), (), ("works",), ("r0",), ("works", "r0"), ("r0", "works")]))
    found = []
    for name in names:
        begin = draw(st.integers(-60, 500))
        found.append(
            {
                "name": name,
                "site": "site0",
                "partition": draw(st.sampled_from([None, "gpu"])),
                "from": MONDAY + timedelta(minutes=begin),
                "to": MONDAY + timedelta(minutes=begin + draw(st.integers(1, 600))),
                "gpus": draw(st.sampled_from([None, 8, 16])),
                "maintenance": name == "works",
                "users": draw(st.sampled_from([(), ("ana",)])),
            }
        )
    return found


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    count = draw(st.integers(1, 3))
    sites = [
        site(
            f"site{index}",
            zone=ZONES[index],
            pue=draw(st.sampled_from([1.0, 1.2, 1.5])),
            it_power_cap_kw=draw(caps()),
            partitions=[
                {"name": "gpu", "hardware": "box8", "nodes": draw(st.integers(0, 4))},
                *([{"name": "rack", "hardware": "rack72", "nodes": 3}] if draw(st.booleans()) else []),
            ],
        )
        for index in range(count)
    ]
    links = [{"between": ["site0", "site1"], "gbit_per_s": 1.0, "g_co2_per_gb": 5.0}] if count > 1 else []
    return fleet(*sites, links=links, reservations=draw(reservations()))


@st.composite
def jobs(draw: st.DrawFn, name: str) -> Job:
    limit_s = draw(st.sampled_from([600, 900, 1800, 3600, 5000, 20_000]))
    hour = st.integers(-2, 6).map(lambda hours: MONDAY + timedelta(minutes=25 * hours))
    return job(
        name,
        gpus=draw(st.sampled_from([1, 2, 7, 8, 9, 16, 40])),
        hours=limit_s / 3600,
        expected_runtime_s=draw(st.none() | st.integers(1, limit_s)),
        submit=draw(st.none() | hour),
        earliest_start=draw(st.none() | hour),
        deadline=draw(st.none() | st.integers(0, 10).map(lambda hours: MONDAY + timedelta(minutes=45 * hours))),
        countries=draw(st.sampled_from([(), (), (), ("FR",), ("DE", "SE")])),
        hardware=draw(st.sampled_from([(), (), (), ("rack72",)])),
        data_site=draw(st.none() | st.sampled_from(["site0", "site1"])),
        data_gb=draw(st.sampled_from([0.0, 100.0, 1000.0])),
        portable=draw(st.sampled_from([None, None, True, False])),
        home_site=draw(st.none() | st.just("site0")),
        load=draw(st.sampled_from([0.76, 1.0])),
        runtime_factors=draw(st.sampled_from([{}, {}, {"rack72": 1.7}, {"box8": 0.4, "rack72": 1.3}])),
        user=draw(st.sampled_from([None, "ana", "ben"])),
        reservation=draw(st.sampled_from([None, None, "r0"])),
    )


def no_account(job_id: str, site_id: str, partition: str | None = None) -> SiteRefusal:
    message = f"{site_id} knows no account for the job"
    reason = Reason(site=site_id, code=ReasonCode.NO_ACCOUNT, clause="account", message=message)
    return SiteRefusal(job=job_id, partition=partition, reason=reason)


@st.composite
def snapshots(draw: st.DrawFn, most_jobs: int = 8) -> Snapshot:
    where = draw(fleets())
    count = draw(st.integers(0, most_jobs))
    alike = draw(st.booleans())
    first = draw(jobs("j0")) if alike else None
    pending = [
        first.model_copy(update={"job": f"j{index}"}) if first else draw(jobs(f"j{index}")) for index in range(count)
    ]
    if "r0" not in {reservation.name for reservation in where.reservations}:
        pending = [job.model_copy(update={"reservation": None}) for job in pending]
    sky = {zone: draw(st.lists(st.sampled_from([0.0, 20.0, 300.0, 650.0]), min_size=1, max_size=6)) for zone in ZONES}
    running = [
        occupation(
            f"old{index}",
            draw(st.integers(0, 12)),
            draw(st.sampled_from([-0.5, 0.3, 1.0, 4.2, 40])),
            site="site0",
            likely_h=draw(st.sampled_from([None, None, -1.0, 0.6, 3.0])),
            since_h=draw(st.sampled_from([None, None, 0.5, 2.1])),
        )
        for index in range(draw(st.integers(0, 2)))
    ]
    return snapshot(
        pending,
        fleet=where,
        carbon=outlook(sky, hours=60),
        running=running,
        slot_s=draw(st.sampled_from([900, 1800])),
        horizon_s=draw(st.sampled_from([900, 3600, 4000, 18_000])),
        held=["j0"] if count and draw(st.booleans()) else [],
        drained={"site0": "works"} if draw(st.integers(0, 5)) == 0 else {},
        refusals=[no_account("j1", "site0")] if count > 1 and draw(st.integers(0, 5)) == 0 else [],
    )
