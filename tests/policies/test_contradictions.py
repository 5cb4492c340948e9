"""Rules that leave no site are found when they are checked, not when a job waits for ever."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import CLASSES, NOW, fleet, job, policies, rule_sets, sites

from csched.domain.verdict import ReasonCode
from csched.errors import InputError
from csched_policies import contradictions
from csched_policies.contradictions import Conflict, count_kinds, dead_rules, find_conflicts
from csched_policies.load import load_sources
from csched_policies.review import remarks

HEAD = """\
id: {id}
version: 1
because: a contract
owner: dpo@example.eu
review_by: {review_by}
enforce: {enforce}
mode: enforce
"""
TENANTS = "acme: {country: DE, sector: industry, law: GDPR}\nclinic: {country: FR, sector: health, law: GDPR}\n"


def rule(name: str, body: str, enforce: str = "hard", review_by: str = "2027-05-01") -> str:
    return HEAD.format(id=name, enforce=enforce, review_by=review_by) + body + "\n"


def conflicts(*texts: str, on=None) -> tuple[Conflict, ...]:
    loaded = load_sources({f"{n}.yaml": text for n, text in enumerate(texts)} | {"facts/tenants.yaml": TENANTS})
    return find_conflicts(loaded.content, on, NOW)


HEALTH = rule("health", "when: {data.class: {at_least: health}}\nrequire: {site.country: {in: [FR]}}")
ACME = rule("acme", "when: {tenant.id: {in: [acme]}}\nrequire: {site.country: {in: [DE]}}")
HOME = rule("home", "require: {site.country: {in: ['@tenant.country']}}")


def test_two_rules_that_need_two_countries_at_once_are_named_with_an_example() -> None:
    (found,) = conflicts(HEALTH, ACME)
    assert found.rules == ("acme", "health")
    assert found.path == "site.country"
    assert found.is_contradiction
    assert found.example["data.class"] == "health"
    assert found.example["tenant.id"] == "acme"
    assert "rules acme and health together for 1 combination of labels" in found.message


@pytest.mark.parametrize(
    "texts",
    [
        (HEALTH,),
        (HEALTH, rule("eea", "require: {site.country: {in: ['@EEA']}}")),
        (HEALTH, ACME.replace("hard", "advisory")),
        (HEALTH, ACME.replace("mode: enforce", "mode: audit")),
        (HEALTH, rule("low", "when: {data.class: {at_most: special}}\nrequire: {site.country: {in: [DE]}}")),
        (rule("a", "require: {site.ual: {ge: 2}}"), rule("b", "require: {site.ual: {le: 2}}")),
        (rule("a", "require: {site.operator.compellable_by: {subset: [FR], disjoint: [FR]}}"),),
    ],
)
def test_rules_that_some_site_can_meet_do_not_conflict(texts: tuple[str, ...]) -> None:
    assert conflicts(*texts) == ()


@pytest.mark.parametrize(
    "texts",
    [
        (HEALTH, HOME),
        (rule("a", "require: {site.country: {in: [FR], not_in: ['@EEA']}}"),),
        (rule("a", "require: {site.ual: {ge: 3}}"), rule("b", "require: {site.ual: {le: 2}}")),
        (rule("a", "require: {site.spe: {eq: true}}"), rule("b", "require: {site.spe: {eq: false}}")),
        (rule("a", "require: {site.keys: {in: [provider]}}"), rule("b", "require: {site.keys: {not_in: [provider]}}")),
        (rule("a", "require: {site.storage_countries: {subset: [FR], disjoint: [FR]}}"),),
        (rule("a", "require: {site.id: {in: [s1]}}"), rule("b", "require: {site.id: {in: [s2]}}")),
        (
            rule("a", "require: {site.country: {in: [FR, DE]}}"),
            rule("b", "require: {site.country: {in: [DE, IT]}}"),
            rule("c", "require: {site.country: {in: [IT, FR]}}"),
        ),
    ],
)
def test_rules_that_no_site_can_meet_conflict(texts: tuple[str, ...]) -> None:
    found = conflicts(*texts)
    assert found
    assert all(conflict.is_contradiction for conflict in found)
    assert len(found[0].rules) == len(texts)


def test_a_fleet_shows_what_the_vocabulary_cannot() -> None:
    certified = rule("certified", "require: {site.spe: {eq: true}}")
    french = rule("french", "require: {site.country: {in: [FR]}}")
    two = fleet([{"country": "FR", "spe": False}, {"country": "DE", "spe": True}])
    assert conflicts(certified, french) == ()
    (found,) = conflicts(certified, french, on=two)
    assert (found.rules, found.path, found.is_contradiction) == (("certified", "french"), None, True)


def test_a_rule_that_alone_finds_no_site_is_no_contradiction() -> None:
    (found,) = conflicts(rule("swiss", "require: {site.country: {in: [CH]}}"), on=fleet([{"country": "FR"}]))
    assert not found.is_contradiction
    assert "no site of this fleet meets rule swiss" in found.message


@given(
    rules=rule_sets(most=2, levels=("hard",)),
    facts=st.lists(sites(), min_size=1, max_size=2),
    data_class=st.sampled_from(CLASSES),
)
@settings(max_examples=40, deadline=None)
def test_a_job_that_finds_no_site_was_announced(rules, facts, data_class) -> None:
    loaded, on = policies(rules), fleet(facts)
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, "tenant": "acme", "data_class": data_class, "portable": True})
    row = loaded.screen([one], on, NOW)["j"]
    announced = find_conflicts(loaded.content, on, NOW)
    silent = any("is not known of this job" in reason.message for verdict in row for reason in verdict.denials)
    assert announced or silent or any(verdict.allowed for verdict in row)


def test_of_too_many_kinds_every_two_rules_are_tried_together(monkeypatch) -> None:
    spe = rule("spe", "when: {job.gpus: {ge: 64}}\nrequire: {site.spe: {eq: true}}")
    content = load_sources({"h": HEALTH, "a": ACME, "s": spe, "facts/tenants.yaml": TENANTS}).content
    (all_at_once,) = find_conflicts(content, None, NOW)
    monkeypatch.setattr(contradictions, "MAX_COMBINATIONS", count_kinds(content) - 1)
    (found,) = find_conflicts(content, None, NOW)
    assert (found.rules, found.path) == (all_at_once.rules, all_at_once.path)
    monkeypatch.setattr(contradictions, "MAX_COMBINATIONS", 1)
    with pytest.raises(InputError, match="kinds of jobs apart, more than the 1 that can be tried"):
        find_conflicts(content, None, NOW)


def reasons(job_columns, *texts, on):
    loaded = load_sources({f"{n}.yaml": text for n, text in enumerate(texts)} | {"facts/tenants.yaml": TENANTS})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, **job_columns})
    return [
        [(reason.rule, reason.clause) for reason in verdict.denials if reason.code is ReasonCode.POLICY_CONTRADICTION]
        for verdict in loaded.screen([one], on, NOW)["j"]
    ]


def test_a_job_learns_that_two_rules_leave_it_no_site_anywhere() -> None:
    on = fleet([{"country": "FR"}, {"country": "DE"}])
    columns = {"data_class": "health", "tenant": "acme"}
    assert reasons(columns, HEALTH, ACME, on=on) == [[("acme", "site.country")]] * 2
    assert reasons({**columns, "tenant": "clinic"}, HEALTH, ACME, on=on) == [[], []]


def test_a_job_learns_that_the_fleet_has_no_site_for_two_rules_together() -> None:
    certified = rule("certified", "require: {site.spe: {eq: true}}")
    french = rule("french", "require: {site.country: {in: [FR]}}")
    two = fleet([{"country": "FR", "spe": False}, {"country": "DE", "spe": True}])
    assert reasons({}, certified, french, on=two) == [[("certified", "site")]] * 2
    assert reasons({}, certified, on=fleet([{"spe": False}])) == [[]]


def test_the_reason_names_the_rules_and_says_why() -> None:
    loaded = load_sources({"a.yaml": HEALTH, "b.yaml": ACME, "facts/tenants.yaml": TENANTS})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "data_class": "health", "tenant": "acme"})
    *_, reason = loaded.screen([one], fleet([{"country": "FR"}]), NOW)["j"][0].denials
    assert reason.message == (
        "rules acme and health contradict each other for such a job: no site can meet them, because of site.country"
    )


@pytest.mark.parametrize(
    ("when", "dead"),
    [
        ("data.class: {at_least: special, at_most: personal}", True),
        ("job.gpus: {ge: 8, le: 4}", True),
        ("tenant.sector: {in: [health]}, tenant.id: {in: [acme]}", True),
        ("tenant.country: {in: [DE], not_in: ['@EEA']}", True),
        ("data.class: {at_least: special, at_most: special}", False),
        ("job.gpus: {ge: 8, le: 8}", False),
        ("tenant.sector: {in: [health]}, tenant.id: {in: [clinic]}", False),
        ("tenant.id: {in: [stranger]}", False),
    ],
)
def test_a_rule_that_is_for_no_job_is_dead(when: str, dead: bool) -> None:
    text = rule("r", f"when: {{{when}}}\nrequire: {{site.country: {{in: [FR]}}}}")
    loaded = load_sources({"a.yaml": text, "facts/tenants.yaml": TENANTS})
    assert dead_rules(loaded.content, NOW) == (("r",) if dead else ())


def test_kinds_of_jobs_are_counted() -> None:
    loaded = load_sources({"a.yaml": HEALTH, "b.yaml": ACME, "facts/tenants.yaml": TENANTS})
    assert count_kinds(loaded.content) == len(CLASSES) * len(["acme", "clinic", "another"])


def test_remarks_name_what_needs_a_look() -> None:
    text = rule(
        "old", "when: {tenant.id: {in: [acne]}}\nrequire: {site.certs: {has: {scheme: hds}}}", review_by="2026-11-21"
    )
    loaded = load_sources({"a.yaml": text, "facts/tenants.yaml": TENANTS})
    ends = (NOW - timedelta(days=1), NOW + timedelta(days=30), NOW + timedelta(days=400), None)
    on = fleet(
        [
            *(
                {"certs": [{"scheme": "hds", "valid_until": end}, {"scheme": "ens", "valid_until": end}]}
                for end in ends
            ),
            {"operator": {"country": "DE", "ultimate_parent_country": "US", "compellable_by": ["DE"]}},
        ]
    )
    assert remarks(loaded.content, on, NOW) == (
        "rule old: its review was due on 2026-11-21, ask dpo@example.eu",
        "rule old: tenant acne is not in facts/tenants.yaml",
        "site s0: its certificate hds ended on 2026-11-21T00:00:00Z",
        "site s1: its certificate hds ends on 2026-12-22T00:00:00Z",
        "site s3: its certificate hds has no known end, so it does not count",
        "site s4: operator.compellable_by leaves out US, which is the operator's or its parent's own country",
    )
    assert remarks(loaded.content, None, NOW)[1:] == remarks(loaded.content, on, NOW)[1:2]
