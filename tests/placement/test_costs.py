"""The arithmetic of the contract, by hand."""

from datetime import timedelta

import pytest

from csched.accounting import costs
from csched.testing.builders import BOX, MONDAY, fleet, job, outlook, site

TWO_SITES = fleet(
    site("alpha", zone="FR", pue=1.5),
    site("beta", zone="DE"),
    site("gamma", zone="PL"),
    links=[{"between": ["alpha", "beta"], "gbit_per_s": 8, "g_co2_per_gb": 2.0}],
)


def test_carbon_is_the_exact_integral_over_the_run() -> None:
    sky = outlook({"FR": [100, 200, 300]})
    half_past = MONDAY + timedelta(minutes=30)
    assert costs.carbon_kg(8.0, 1.5, sky.zone("FR"), half_past, half_past + timedelta(hours=2)) == pytest.approx(
        8 * 1.5 * (0.5 * 100 + 200 + 0.5 * 300) / 1000
    )


def test_a_bill_adds_carbon_topology_egress_and_waiting() -> None:
    sky = outlook({"FR": 100, "DE": 400, "PL": 800})
    work = job(gpus=8, hours=4, expected_runtime_s=7200, data_site="beta", data_gb=500, submit=MONDAY)
    start = MONDAY + timedelta(hours=3)
    lines = costs.bill(work, TWO_SITES.site("alpha"), BOX, start, fleet=TWO_SITES, carbon=sky, now=MONDAY, sigma=1.5)
    assert lines.end == start + timedelta(hours=2)
    assert lines.kwh == pytest.approx(8 * 2 * 1.5)
    assert lines.carbon_kg == pytest.approx(8 * 2 * 1.5 * 100 / 1000)
    assert lines.topology_kg == pytest.approx(0.5 * lines.carbon_kg)
    assert lines.egress_kg == pytest.approx(500 * 0.002)
    assert lines.wait_h == 3
    assert lines.cost_kg == pytest.approx(lines.carbon_kg * 1.5 + 1.0 + 0.02 * 8 * 3)


@pytest.mark.parametrize(
    ("data_site", "place", "seconds", "kg"),
    [
        ("beta", "alpha", 500.0, 1.0),  # 500 GB over 8 Gbit/s; 2 g/GB
        ("beta", "gamma", 0.0, 1.0),  # no link: the fleet's rate, and no wait that nobody could state
        ("beta", "beta", 0.0, 0.0),
        (None, "beta", 0.0, 0.0),
    ],
)
def test_data_moves_only_to_other_sites(data_site: str | None, place: str, seconds: float, kg: float) -> None:
    work = job(data_site=data_site, data_gb=500)
    assert costs.transfer_s(work, TWO_SITES.site(place), TWO_SITES) == pytest.approx(seconds)
    assert costs.egress_kg(work, TWO_SITES.site(place), TWO_SITES) == pytest.approx(kg)


def test_nobody_waits_before_being_ready() -> None:
    work = job(submit=MONDAY, earliest_start=MONDAY + timedelta(hours=2))
    assert costs.wait_h(work, MONDAY + timedelta(hours=5), MONDAY) == 3
    assert costs.wait_h(work, MONDAY + timedelta(hours=1), MONDAY) == 0


def test_leaving_out_is_priced_by_the_limit() -> None:
    assert costs.drop_kg(job(gpus=4, hours=3, expected_runtime_s=60), TWO_SITES) == pytest.approx(0.5 * 4 * 3)
