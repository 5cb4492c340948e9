"""Why there? Each site's best start, and what its GPUs are worth to others."""

from csched.domain.snapshot import SolveBudget
from csched.placement.engine import solve
from csched.placement.explain import options
from csched.testing.builders import fleet, job, site, snapshot


def test_a_cleaner_site_that_others_need_more_says_what_its_gpus_are_worth() -> None:
    two = fleet(site("clean", zone="SE"), site("dirty", zone="PL"))
    jobs = [job(name, hours=20, deadline="2026-03-02T21:00:00Z") for name in "ab"]
    view = snapshot(jobs, fleet=two, carbon={"SE": 20, "PL": 600})
    plan = solve(view, None, SolveBudget(seconds=None, work=0))
    late = next(placed.job for placed in plan.placements if placed.site == "dirty")
    rows = {row.site: row for row in options(view, None, plan, late)}
    assert "clean at 2026-03-02 00:00Z would save 92.8 kg" in (rows["clean"].note or "")
    assert "kg/GPU-h to others then" in (rows["clean"].note or "")


def test_without_competition_sites_are_compared_by_carbon_and_time() -> None:
    two = fleet(site("clean", zone="SE"), site("dirty", zone="PL"))
    view = snapshot([job("only", hours=2)], fleet=two, carbon={"SE": 20, "PL": 600})
    plan = solve(view, None, SolveBudget(seconds=None, work=0))
    rows = {row.site: row for row in options(view, None, plan, "only")}
    assert rows["clean"].chosen
    assert rows["dirty"].note == "9.28 kg more carbon than at clean, starting at the same time"
