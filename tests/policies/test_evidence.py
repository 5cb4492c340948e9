"""A fact of the fleet counts as long as somebody vouches for it, and says whence it comes."""

from datetime import UTC, datetime, timedelta

import pytest
from policy_strategies import job

from csched.domain.site import Fleet
from csched.domain.verdict import ReasonCode, SiteVerdict
from csched.formats.fleet import parse_fleet
from csched_policies.load import load_sources
from csched_policies.review import SOON, remarks

END = datetime(2027, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULE = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-06-01
enforce: hard
mode: enforce
require: {%s}
"""
FLEET = """\
schema: csched/fleet/1
sites:
  - id: first
    grid_zone: FR
    pue: 1.2
    partitions: [{name: gpu, hardware: dgx-h100, nodes: 4}]
    spe: true
    seal: {sov-1: 3, sov-2: 3, sov-3: 3, sov-4: 3, sov-5: 1, sov-6: 3, sov-7: 3, sov-8: 3}
  - id: second
    grid_zone: FR
    pue: 1.2
    partitions: [{name: gpu, hardware: dgx-h100, nodes: 4}]
"""
VOUCHED = "{value: %s, source: the operator's publication, asserted_by: an auditor, valid_until: 2027-05-01}"


def second(**facts: str) -> Fleet:
    return parse_fleet(FLEET + "".join(f"    {name}: {value}\n" for name, value in facts.items()), "fleet.yaml")


def verdict(fleet: Fleet, require: str, now: datetime) -> SiteVerdict:
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60})
    return load_sources({"r.yaml": RULE % require}).screen([one], fleet, now)["j"][1]


@pytest.mark.parametrize(
    ("facts", "require"),
    [
        ({"country": VOUCHED % "FR"}, "site.country: {in: [FR]}"),
        ({"country": VOUCHED % "FR"}, "site.country: {not_in: [US]}"),
        ({"country": VOUCHED % "FR"}, 'site.country: {in: ["@EEA"]}'),
        ({"spe": VOUCHED % "true"}, "site.spe: {eq: true}"),
        ({"operator": VOUCHED % "{compellable_by: [FR]}"}, "site.operator.compellable_by: {disjoint: [US]}"),
        (
            {"operator": "{compellable_by: [FR, " + VOUCHED % "DE" + "]}"},
            "site.operator.compellable_by: {disjoint: [US]}",
        ),
        ({"certs": "[" + VOUCHED % "{scheme: hds, valid_until: 2028-01-01}" + "]"}, "site.certs: {has: {scheme: hds}}"),
        (
            {"seal": "{" + "".join(f"sov-{n}: 3, " for n in range(1, 8)) + "sov-8: " + VOUCHED % "3" + "}"},
            "site.seal.min: {ge: 3}",
        ),
    ],
)
def test_a_fact_counts_until_nobody_vouches_for_it_any_more(facts: dict[str, str], require: str) -> None:
    fleet = second(**facts)
    before = verdict(fleet, require, END - SECOND)
    assert before.allowed
    assert before.latest_end == END
    after = verdict(fleet, require, END)
    assert [reason.code for reason in after.denials] == [ReasonCode.POLICY_UNKNOWN_FACT]


def test_a_fact_of_one_site_says_nothing_about_another() -> None:
    fleet = second(spe=VOUCHED % "true")
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60})
    first, _ = load_sources({"r.yaml": RULE % "site.spe: {eq: true}"}).screen([one], fleet, END)["j"]
    assert first.allowed
    assert first.latest_end is None


def test_a_fact_says_whence_it_comes() -> None:
    told = second(spe=VOUCHED % "true").evidence["sites[1].spe"]
    assert (told.source, told.asserted_by, told.valid_until) == ("the operator's publication", "an auditor", END)


@pytest.mark.parametrize(("score", "allowed"), [(2.6, True), (2.61, False)])
def test_the_seal_score_weighs_the_objectives_as_the_framework_does(score: float, allowed: bool) -> None:
    """Supply chain (20 %) at level 1 and all else at 3 is 0.8 * 3 + 0.2 * 1 = 2.6; without it the score is unknown."""
    loaded = load_sources({"r.yaml": RULE % f"site.seal.score: {{ge: {score}}}"})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60})
    first, other = loaded.screen([one], second(), END)["j"]
    assert first.allowed is allowed
    assert [reason.code for reason in other.denials] == [ReasonCode.POLICY_UNKNOWN_FACT]


def test_a_check_tells_which_facts_have_run_out_or_soon_will() -> None:
    content = load_sources({"r.yaml": RULE % "site.spe: {eq: true}"}).content
    fleet = second(spe=VOUCHED % "true", country=VOUCHED % "FR")
    until = "2027-05-01T00:00:00Z only"
    assert remarks(content, fleet, END - SOON - SECOND) == ()
    assert remarks(content, fleet, END - SOON) == (f"site second: site.spe is vouched for until {until}",)
    assert remarks(content, fleet, END)[0] == f"site second: site.spe counted until {until}"
