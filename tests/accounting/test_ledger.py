"""A bill is the plan's arithmetic over the true times, beside what home and at once would have taken."""

from datetime import timedelta

import pytest

from csched.accounting.aggregation import aggregate, total
from csched.accounting.ledger import Run, entry, needs
from csched.domain.ledger import LedgerEntry
from csched.domain.run import JobState
from csched.errors import InputError
from csched.testing.builders import MONDAY, fleet, job, outlook, site
from csched.testing.planner import placement

HOUR = timedelta(hours=1)
FLEET = fleet(
    site("alpha", pue=1.5),
    site("beta", zone="SE", pue=1.1),
    home={"default": "alpha"},
    objective={"egress_kg_per_gb": 0.002},
)
SKY = outlook({"FR": [100.0, 100.0, 400.0, 400.0], "SE": [20.0, 30.0, 40.0, 50.0]})


def run(*, place: str = "beta", start_h: float = 2, hours: float = 2, **columns: object) -> Run:
    """8 GPUs of 1 kW at full load, submitted at MONDAY."""
    asked = job("7", gpus=8, hours=10, user="ann", **columns)
    begun = MONDAY + start_h * HOUR
    return Run(
        job=asked,
        project="bio",
        placement=placement(asked, place, "gpu", begun),
        state=JobState.COMPLETED,
        submit=MONDAY,
        start=begun,
        end=begun + hours * HOUR,
    )


def bill(what: Run) -> LedgerEntry:
    return entry(what, FLEET, FLEET.hardware, SKY)


def test_the_true_times_count() -> None:
    made = bill(run())
    assert made.kwh == pytest.approx(8 * 2 * 1.1)
    assert made.carbon_kg == pytest.approx(8 * 1.1 * (40 + 50) / 1000)


def test_the_baseline_is_the_same_duration_at_home_from_submission_on() -> None:
    made = bill(run())
    assert (made.baseline_site, made.baseline_kwh) == ("alpha", pytest.approx(8 * 2 * 1.5))
    assert made.baseline_carbon_kg == pytest.approx(8 * 1.5 * (100 + 100) / 1000)
    assert made.saved_kg == pytest.approx(2.4 - 0.792)


def test_moving_data_counts_against_what_was_saved() -> None:
    made = bill(run(data_site="alpha", data_gb=100))
    assert made.egress_kg == pytest.approx(0.2)
    assert made.saved_kg == pytest.approx(2.4 - 0.792 - 0.2)


def test_at_home_and_at_once_saves_nothing() -> None:
    assert bill(run(place="alpha", start_h=0)).saved_kg == pytest.approx(0.0)


def test_a_bill_needs_the_sky_from_submission_to_the_end_in_whole_seconds() -> None:
    need = needs(run(hours=0.00001), FLEET)
    assert need.zones == ("FR", "SE")
    assert (need.start, need.end) == (MONDAY, MONDAY + 2 * HOUR + timedelta(seconds=1))


def test_a_site_that_has_left_the_fleet_is_named() -> None:
    with pytest.raises(InputError, match="site `gamma` has left the fleet"):
        needs(run(place="gamma"), FLEET)


def test_entries_are_summed_by_what_is_asked() -> None:
    ann, bob = bill(run()), bill(run(place="alpha", start_h=0)).model_copy(update={"user": "bob"})
    entries = [bob, ann, ann]
    lines = aggregate(entries, "user")
    assert [(line.key, line.jobs) for line in lines] == [("ann", 2), ("bob", 1)]
    assert lines[0].gpu_h == pytest.approx(2 * 8 * 2)
    assert lines[0].saved_pct == pytest.approx(100 * (2.4 - 0.792) / 2.4)
    assert [line.key for line in aggregate(entries, "site")] == ["alpha", "beta"]
    assert [line.key for line in aggregate(entries, "month")] == ["2026-03"]
    assert [line.key for line in aggregate(entries, "project")] == ["bio"]
    for field in ("jobs", "kwh", "carbon_kg", "saved_kg"):
        whole = getattr(total(entries), field)
        assert whole == pytest.approx(sum(getattr(line, field) for line in lines))
