"""What each strategy is by definition, on skies and fleets small enough to see it by eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from csched.clock import epoch_s
from csched.cycle import run_cycle
from csched.domain.carbon import CarbonOutlook, CarbonSeries, Method
from csched.domain.plan import Plan
from csched.domain.site import Fleet
from csched.domain.snapshot import SolveBudget
from csched.errors import UsageError
from csched.ports import Policies, World
from csched.testing.builders import BOX, MONDAY, fleet, job, site
from csched_policies.load import load_sources
from csched_sim import planned
from csched_sim.outcome import Outcome
from csched_sim.setting import Setting
from csched_sim.simulation import simulate
from csched_sim.strategies import STRATEGIES, strategy
from csched_sim.traces.trace import TraceJob

START_S = epoch_s(MONDAY)
HOUR_S = 3600


@dataclass(frozen=True)
class HourlySky:
    """The same hours of each zone over and over, known to everybody at all times."""

    hours: Mapping[str, Sequence[float]]

    def outlook(self, zones: Sequence[str], _now: datetime, start: datetime, end: datetime) -> CarbonOutlook:
        first, last = epoch_s(start) // HOUR_S * HOUR_S, epoch_s(end)
        starts = range(first, last, HOUR_S)
        series = {
            zone: CarbonSeries(
                zone=zone,
                starts_s=tuple(starts),
                g_per_kwh=tuple(
                    float(self.hours[zone][(at - START_S) // HOUR_S % len(self.hours[zone])]) for at in starts
                ),
                end_s=last,
            )
            for zone in zones
        }
        return CarbonOutlook(source="hourly", method=Method.LIFECYCLE, zones=series)


def setting(where: Fleet, sky: Mapping[str, Sequence[float]], rules: str | None = None) -> Setting:
    policies = load_sources({"rules.yaml": rules}) if rules else None
    return Setting(where, {"box8": BOX}, HourlySky(sky), policies, 0, 900, 86_400, 0)


def traced(name: str, hours: float = 1.0, *, after_h: float = 0, **columns: object) -> TraceJob:
    work = job(name, hours=hours, submit=MONDAY + timedelta(hours=after_h), **columns)
    return TraceJob(work, work.time_limit_s)


def where_and_when(outcome: Outcome) -> dict[str, tuple[str, float]]:
    """Job -> (site, hours from the first instant to its start)."""
    return {run.traced.job.job: (run.berth.site.id, (run.start_s - START_S) / HOUR_S) for run in outcome.runs}


ALPHA_AND_BETA = fleet(site("alpha", zone="DE", nodes=1), site("beta", zone="FR", nodes=2))
FLAT = {"DE": [400], "FR": [50]}


def test_least_loaded_goes_where_least_is_asked_of_each_gpu() -> None:
    """alpha has 8 GPUs, beta 16: one box there, then two here, then both are as full and the first is taken."""
    trace = [traced(name) for name in "abcd"]
    assert where_and_when(strategy("least-loaded")(trace, setting(ALPHA_AND_BETA, FLAT))) == {
        "a": ("alpha", 0),
        "b": ("beta", 0),
        "c": ("beta", 0),
        "d": ("alpha", 1),
    }


def test_greenest_queues_at_the_greenest_however_long_it_takes() -> None:
    trace = [traced(name) for name in "abc"]
    placed = where_and_when(strategy("greenest")(trace, setting(ALPHA_AND_BETA, FLAT)))
    assert placed == {"a": ("beta", 0), "b": ("beta", 0), "c": ("beta", 1)}


def test_greenest_reckons_with_the_pue() -> None:
    where = fleet(site("alpha", zone="DE"), site("beta", zone="FR", pue=2.0))
    placed = where_and_when(strategy("greenest")([traced("a")], setting(where, {"DE": [99], "FR": [50]})))
    assert placed == {"a": ("alpha", 0)}


VALLEY = {"DE": [100, 80, 80, 40, 60, 60, 60, 60, 60, 60, 10, 100] + [100] * 12}
ONE = fleet(site("alpha", zone="DE"))


def test_lowest_window_takes_the_least_carbon_within_the_hold() -> None:
    """A short job may be held for 6 h only; a long one sees the hour of 10 g, and its run covers it."""
    sky = setting(ONE, VALLEY)
    assert where_and_when(strategy("lowest-window")([traced("short")], sky)) == {"short": ("alpha", 3)}
    assert where_and_when(strategy("lowest-window")([traced("long", 3)], sky)) == {"long": ("alpha", 8)}


def test_carbon_time_weighs_what_is_saved_by_the_time_until_the_end() -> None:
    """Start 3 saves 60 g in 4 h, start 1 saves 20 in 2 h, start 6 (held for at most 6 h) 40 in 7 h: 15 an hour wins."""
    assert where_and_when(strategy("carbon-time")([traced("short")], setting(ONE, VALLEY))) == {"short": ("alpha", 3)}
    steep = {"DE": [100, 50, 20, 100, 100, 100, 0] + [100] * 17}
    assert where_and_when(strategy("carbon-time")([traced("short")], setting(ONE, steep)))["short"][1] == 2
    assert where_and_when(strategy("lowest-window")([traced("short")], setting(ONE, steep)))["short"][1] == 6


def test_wait_awhile_works_in_the_cleanest_hours_only() -> None:
    sky = {"DE": [100, 20, 100, 100, 30, 30, 100] + [100] * 24}
    [run] = strategy("wait-awhile")([traced("a", 3)], setting(ONE, sky)).runs
    hours = [((start_s - START_S) // HOUR_S, (end_s - START_S) // HOUR_S) for _, start_s, end_s in run.stretches]
    assert hours == [(1, 2), (4, 6)]


def test_a_suspended_job_gives_its_gpus_back_and_pays_for_work_alone() -> None:
    sky = {"DE": [100, 20, 100, 100, 30, 30, 100] + [100] * 24}
    trace = [traced("a", 3), traced("b", 2, after_h=2, deadline=MONDAY + timedelta(hours=4))]
    simulation = simulate(trace, setting(ONE, sky), ["wait-awhile"], "wait-awhile")
    [result] = simulation.results
    rows = {run.traced.job.job: index for index, run in enumerate(result.outcome.runs)}
    assert where_and_when(result.outcome)["b"] == ("alpha", 2)
    accounts, row = result.accounts, rows["a"]
    assert accounts.carbon_kg[row] == pytest.approx(8 * (20 + 30 + 30) / 1000)
    assert accounts.kwh[row] == pytest.approx(8 * 3)
    assert accounts.wait_h[row] == pytest.approx(3)


@pytest.mark.parametrize("name", ["lowest-window", "carbon-time", "wait-awhile"])
def test_no_hold_makes_a_job_late(name: str) -> None:
    trace = [traced("a", 3, deadline=MONDAY + timedelta(hours=5))]
    [run] = strategy(name)(trace, setting(ONE, VALLEY)).runs
    assert run.end_s <= START_S + 5 * HOUR_S


GERMANY_ONLY = """\
id: germany-only
version: 1
because: "a contract of this test"
owner: dpo@example.eu
review_by: 2099-01-01
enforce: hard
mode: enforce
require: {site.country: {in: [DE]}}
"""


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in {"fifo", "easy"}])
def test_rules_and_wishes_are_kept_whatever_the_carbon(name: str) -> None:
    where = fleet(site("beta", zone="FR", nodes=9), site("alpha", zone="DE"), home={"default": "beta"})
    ruled = setting(where, FLAT, GERMANY_ONLY)
    trace = [traced("a"), traced("b"), traced("wish", countries=["FR"])]
    outcome = strategy(name)(trace, ruled)
    assert {run.traced.job.job: run.berth.site.id for run in outcome.runs} == {"a": "alpha", "b": "alpha"}
    assert [never.traced.job.job for never in outcome.never_ran] == ["wish"]
    wishful = strategy(name)([traced("wish", countries=["DE"])], setting(where, FLAT))
    assert [run.berth.site.id for run in wishful.runs] == ["alpha"]


def test_oracle_shares_the_clean_hours_where_they_are_scarce() -> None:
    """Three jobs of an hour, one box, three hours of 10, 20 and 90 g in a day of 100: each takes one of them."""
    sky = {"DE": [100, 20, 100, 90, 100, 10] + [100] * 18}
    simulation = simulate([traced(name) for name in "abc"], setting(ONE, sky), ["oracle", "easy"], "easy")
    result = simulation.results[0]
    assert sorted(hour for _, hour in where_and_when(result.outcome).values()) == [1, 3, 5]
    assert float(result.accounts.carbon_kg.sum()) == pytest.approx(8 * 120 / 1000)


def test_the_bound_knows_that_clean_hours_are_scarce() -> None:
    """Alone each job would emit 80 g; together no schedule emits less than 8 x (10 + 20 + 90), and the dual sees it."""
    sky = {"DE": [100, 20, 100, 90, 100, 10] + [100] * 18}
    simulation = simulate([traced(name) for name in "abc"], setting(ONE, sky), ["oracle", "easy"], "easy")
    best_kg = 8 * (10 + 20 + 90) / 1000
    assert 0.97 * best_kg < simulation.bound.carbon_kg <= best_kg + 1e-9
    assert simulation.bound.method.startswith("Lagrangian dual")


def test_without_competition_the_bound_is_what_each_job_needs_alone() -> None:
    simulation = simulate([traced("a"), traced("b")], setting(ALPHA_AND_BETA, FLAT), ["oracle", "easy"], "easy")
    assert simulation.bound.carbon_kg == pytest.approx(2 * 8 * 50 / 1000)
    assert simulation.bound.method.startswith("each compared job alone")


def test_oracle_keeps_a_power_cap_that_changes_over_the_day() -> None:
    """Between 4 and 6 the cap leaves no room for a box, though the air is cleanest then."""
    caps = [{"from": MONDAY + timedelta(hours=4), "to": MONDAY + timedelta(hours=6), "kw": 7}]
    where = fleet(site("alpha", zone="DE", it_power_cap_kw=caps))
    sky = {"DE": [100, 20, 100, 100, 10, 10] + [100] * 18}
    assert where_and_when(strategy("oracle")([traced("a")], setting(where, sky))) == {"a": ("alpha", 1)}
    nowhere = fleet(site("alpha", zone="DE", it_power_cap_kw=7))
    [never] = strategy("oracle")([traced("a")], setting(nowhere, sky)).never_ran
    assert "power cap" in never.why


def test_an_end_betters_no_plan_in_which_nobody_competed() -> None:
    """One job starts and ends at once, the other waits for a clean hour: with room for both, one decision will do."""
    trace = [TraceJob(traced("now", deadline=MONDAY + timedelta(hours=1)).job, 1800), traced("later")]
    where = fleet(site("alpha", zone="DE", nodes=2), objective={"wait_kg_per_gpu_h": 0})
    outcome = strategy("csched")(trace, setting(where, VALLEY))
    assert where_and_when(outcome) == {"now": ("alpha", 0), "later": ("alpha", 10)}
    assert outcome.decisions == 1


def test_an_end_is_news_where_somebody_waits_for_room() -> None:
    """Both want the only box at once; whoever is first ends after half an hour of the hour that it asked for."""
    trace = [TraceJob(traced(name).job, 1800) for name in "ab"]
    outcome = strategy("csched")(trace, setting(ONE, {"DE": [100] * 24}))
    assert sorted(hour for _, hour in where_and_when(outcome).values()) == [0, 0.5]


def test_who_comes_later_is_planned_beside_those_who_have_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits for the clean hour; the second, a quarter of an hour later, gets a plan of its own."""
    planned_jobs = plans(monkeypatch)
    trace = [traced("first"), traced("second", after_h=0.25)]
    where = fleet(site("alpha", zone="DE", nodes=2), objective={"wait_kg_per_gpu_h": 0})
    assert where_and_when(strategy("csched")(trace, setting(where, VALLEY))) == {
        "first": ("alpha", 10),
        "second": ("alpha", 10),
    }
    assert planned_jobs == [["first"], ["second"]]


def test_who_finds_no_room_beside_them_makes_all_be_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first was told the clean hours, in which alone the second can meet its deadline: it moves."""
    planned_jobs = plans(monkeypatch)
    trace = [traced("first", 3), traced("second", 2, after_h=0.25, deadline=MONDAY + timedelta(hours=3))]
    where = fleet(site("alpha", zone="DE"), objective={"wait_kg_per_gpu_h": 0})
    sky = setting(where, {"DE": [100, 10, 10, 10, 90] + [90] * 19})
    assert where_and_when(strategy("csched")(trace, sky))["second"] == ("alpha", 1)
    assert planned_jobs[:3] == [["first"], [], ["first", "second"]]


def plans(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """For each cycle to come, the jobs that it gives a place."""
    seen: list[list[str]] = []

    def watched(world: World, policies: Policies | None, budget: SolveBudget) -> Plan:
        plan = run_cycle(world, policies, budget)
        seen.append([placement.job for placement in plan.placements])
        return plan

    monkeypatch.setattr(planned, "run_cycle", watched)
    return seen


@pytest.mark.parametrize("name", ["csched:wait", "csched:weight=1", "csched:wait=-1", "csched:wait=1,drop=x"])
def test_an_exchange_rate_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="does not say an exchange rate"):
        strategy(name)


def test_csched_at_a_lower_price_of_waiting_waits_for_the_clean_hour() -> None:
    dear, cheap = (
        where_and_when(strategy(name)([traced("a")], setting(ONE, VALLEY)))["a"][1]
        for name in ("csched:wait=5", "csched:wait=0.0001")
    )
    assert (dear, cheap) == (0, 10)
