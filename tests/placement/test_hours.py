"""Hours of the day that policy closes: no plan starts a job within them, and none leaves out a job that fits beside."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.cycle import decide
from csched.domain.snapshot import SolveBudget
from csched.domain.start_ban import StartBan
from csched.domain.verdict import ReasonCode
from csched.placement.check import faults
from csched.placement.problem import build
from csched.testing.builders import MONDAY, fleet, job, site, snapshot
from csched_policies.load import load_sources

HEAD = "version: 1\nbecause: x\nowner: dpo@example.eu\nreview_by: 2027-05-01\nenforce: hard\nmode: enforce\n"
NIGHT = load_sources(
    {
        "night.yaml": f"id: night\n{HEAD}"
        "when: {transfer.from_country: {in: [DE]}, transfer.size_gb: {ge: 100}}\n"
        'require: {transfer.hours: {not_between: ["22:00", "06:00"], tz: Europe/Berlin}}\n'
    }
)
"""A transfer of 450 GB over 1 Gbit/s takes an hour, and none may touch the night."""
SITES = fleet(
    site("munich", zone="DE", nodes=1),
    site("paris", zone="FR", nodes=1),
    links=[{"between": ["munich", "paris"], "gbit_per_s": 1}],
)
BUDGET = SolveBudget(seconds=None, work=1)
CLOCKS = st.sampled_from(["00:00", "01:30", "02:30", "06:00", "11:00", "22:00", "23:15"])
PAIRS = st.tuples(CLOCKS, CLOCKS).filter(lambda pair: pair[0] != pair[1])
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
CHANGES = [datetime(2026, month, day, tzinfo=MONDAY.tzinfo) for month, day in ((3, 29), (10, 25), (3, 8), (4, 5))]


def ban(from_, to, zone="Europe/Berlin", **more):
    return StartBan.model_validate(
        {"from": from_, "to": to, "zone": zone, "rule": "r", "clause": "job.start", "message": "shut", **more}
    )


def shows(at, from_, to, zone):
    """Whether the clock on the wall is within, by looking at it."""
    clock, first, last = at.astimezone(ZoneInfo(zone)).time(), time.fromisoformat(from_), time.fromisoformat(to)
    return first <= clock < last if first < last else clock >= first or clock < last


@given(
    pair=PAIRS,
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(CHANGES),
    quarters=st.integers(-96, 192),
    way=st.tuples(st.sampled_from([0, 900, 5400, 90_000]), st.booleans()),
)
@settings(max_examples=400, deadline=None)
def test_a_clock_is_read_as_it_hangs_on_the_wall(pair, zone, day, quarters, way) -> None:
    """Quarter by quarter around the days on which clocks are changed."""
    lead, lasts = way
    start = day + timedelta(minutes=15 * quarters)
    spread = [start - timedelta(seconds=lead) + timedelta(minutes=15 * step) for step in range(max(1, lead // 900))]
    within = any(shows(at, *pair, zone) for at in (spread if lasts else spread[:1]))
    assert ban(*pair, zone, lead_s=lead, span_s=lead if lasts else 0).forbids(start) == within


def test_what_ends_as_the_hours_begin_does_not_touch_them() -> None:
    closed = ban("22:00", "06:00", "UTC", lead_s=3600, span_s=3600)
    assert not closed.forbids(MONDAY + timedelta(hours=22))
    assert closed.forbids(MONDAY + timedelta(hours=22, seconds=1))
    assert closed.forbids(MONDAY + timedelta(hours=30))
    assert not closed.forbids(MONDAY + timedelta(hours=31))


def moved(name="m", **columns):
    return job(name, data_site="munich", data_gb=450, **columns)


def test_a_job_whose_data_must_travel_waits_for_the_morning() -> None:
    seen = snapshot([moved(countries=["FR"])], fleet=SITES, carbon={"DE": 500.0, "FR": 50.0})
    plan = decide(seen, NIGHT, BUDGET)
    (placement,) = plan.placements
    begins = (placement.start - timedelta(hours=1)).astimezone(ZoneInfo("Europe/Berlin"))
    assert (placement.site, begins.hour) == ("paris", 6)
    assert faults(plan, seen, NIGHT.screen(seen.jobs, SITES, MONDAY)) == []


def test_where_the_data_rests_no_hour_is_closed() -> None:
    seen = snapshot([moved()], fleet=SITES, carbon={"DE": 50.0, "FR": 500.0})
    (placement,) = decide(seen, NIGHT, BUDGET).placements
    assert (placement.site, placement.start) == ("munich", MONDAY)


def test_a_job_that_has_closed_hours_only_is_told_which() -> None:
    seen = snapshot([moved(countries=["FR"], deadline=MONDAY + timedelta(hours=4))], fleet=SITES)
    (unplaced,) = decide(seen, NIGHT, BUDGET).unplaced
    told = [reason for reason in unplaced.reasons if reason.site == "paris"]
    assert [(reason.code, reason.rule, reason.clause) for reason in told] == [
        (ReasonCode.POLICY_HARD_DENY, "night", "transfer.hours")
    ]
    assert unplaced.penalty_kg is None


@pytest.mark.parametrize("shift", [1, -1])
def test_the_check_finds_a_start_within_closed_hours(shift: int) -> None:
    seen = snapshot([moved(countries=["FR"])], fleet=SITES, carbon={"FR": 50.0})
    verdicts, plan = NIGHT.screen(seen.jobs, SITES, MONDAY), decide(seen, NIGHT, BUDGET)
    (placement,) = plan.placements
    other = placement.model_copy(
        update={"start": placement.start - timedelta(hours=shift), "end": placement.end - timedelta(hours=shift)}
    )
    told = faults(plan.model_copy(update={"placements": (other,)}), seen, verdicts)
    assert any("closes that hour" in fault for fault in told) == (shift == 1)


@given(
    pairs=st.lists(PAIRS, min_size=1, max_size=2),
    hours=st.lists(st.sampled_from([1.0, 3.0, 7.0]), min_size=1, max_size=4),
    carbon=st.lists(st.sampled_from([50.0, 300.0, 700.0]), min_size=4, max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_no_plan_starts_within_closed_hours_and_none_gives_up_a_job_that_fits(pairs, hours, carbon) -> None:
    """The check recomputes starts, penalties and bound by itself."""
    seen = snapshot([job(f"j{n}", hours=each) for n, each in enumerate(hours)], carbon={"FR": carbon})
    rules = {
        f"r{n}.yaml": f"id: r{n}\n{HEAD}"
        f"require: {{job.start: {{not_between: ['{first}', '{last}'], tz: Europe/Paris}}}}"
        for n, (first, last) in enumerate(pairs)
    }
    policies = load_sources(rules)
    plan, verdicts = decide(seen, policies, BUDGET), policies.screen(seen.jobs, seen.fleet, MONDAY)
    assert faults(plan, seen, verdicts) == []
    for placement in plan.placements:
        assert not any(shows(placement.start, *pair, "Europe/Paris") for pair in pairs)
    problem = build(seen, verdicts)
    slots = [problem.start(slot) for slot in range(problem.start_slots)]
    expected = [not any(shows(at, *pair, "Europe/Paris") for pair in pairs) for at in slots]
    assert problem.allowed(0)[0].tolist() == expected
