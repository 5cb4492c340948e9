"""What a plan may do with a forbidden site: nothing, whatever the sky promises."""

from hypothesis import given, settings
from hypothesis import strategies as st

from csched.cycle import decide
from csched.domain.plan import Plan
from csched.domain.snapshot import SolveBudget
from csched.testing.builders import MONDAY, fleet, job, site, snapshot
from csched_policies.load import load_sources

HEAD = "version: 1\nbecause: x\nowner: dpo@example.eu\nreview_by: 2027-05-01\nenforce: hard\nmode: enforce\n"
POLICIES = load_sources(
    {
        "area.yaml": f"id: area\n{HEAD}when: {{data.class: {{at_least: personal}}}}\n"
        'require: {site.country: {in: ["@EEA"]}}\n',
        "reach.yaml": f"id: reach\n{HEAD}when: {{data.class: {{at_least: special}}}}\n"
        "require: {site.operator.compellable_by: {disjoint: [US]}}\n",
    }
)
SITES = fleet(
    site("paris", zone="FR", nodes=4, operator={"compellable_by": ["FR"]}),
    site("helsinki", zone="FI", nodes=4, operator={"compellable_by": ["FI", "US"]}),
    site("oslo", zone="NO", nodes=4),
    site("zurich", zone="CH", nodes=4, operator={"compellable_by": ["CH"]}),
)
JOBS = [job(data_class, data_class=data_class) for data_class in ("public", "personal", "special")] + [
    job("unlabelled")
]
FEASIBLE = {
    "public": {"paris", "helsinki", "oslo", "zurich"},
    "personal": {"paris", "helsinki", "oslo"},
    "special": {"paris"},
    "unlabelled": set(),
}
INTENSITY = st.floats(0, 3000, allow_nan=False)


def planned(carbon: dict[str, float]) -> Plan:
    return decide(snapshot(JOBS, fleet=SITES, carbon=carbon), POLICIES, SolveBudget(seconds=None, work=1))


@given(carbon=st.fixed_dictionaries(dict.fromkeys(("FR", "FI", "NO", "CH"), INTENSITY)))
@settings(max_examples=15, deadline=None)
def test_no_carbon_intensity_opens_a_site(carbon: dict[str, float]) -> None:
    plan = planned(carbon)
    for placement in plan.placements:
        assert placement.site in FEASIBLE[placement.job]
    (unplaced,) = plan.unplaced
    assert unplaced.job == "unlabelled"
    assert plan.policy_digest == POLICIES.digest


def test_a_forbidden_site_stays_closed_even_where_it_is_free_of_carbon() -> None:
    sites = {placement.job: placement.site for placement in planned({"FR": 900, "FI": 0, "NO": 0, "CH": 0}).placements}
    assert sites["special"] == "paris"
    assert sites["personal"] in {"helsinki", "oslo"}


def test_screening_says_so_before_anything_is_solved() -> None:
    verdicts = POLICIES.screen(JOBS, SITES, MONDAY)
    assert {one: {v.site for v in row if v.allowed} for one, row in verdicts.items()} == FEASIBLE


def test_a_plan_is_the_same_twice() -> None:
    carbon = {"FR": 50.0, "FI": 90.0, "NO": 20.0, "CH": 10.0}
    first, second = planned(carbon), planned(carbon)
    assert first.placements == second.placements
    assert first.unplaced == second.unplaced
