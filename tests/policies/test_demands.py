"""What a job and its datasets ask for themselves binds whatever the rules say, and can only narrow."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import DEMANDS, NOW, TENANTS, fleet, job, jobs, links, policies, rule_sets, sites, sources

from csched.domain.verdict import ReasonCode
from csched_policies.demands import demands
from csched_policies.load import load_sources
from csched_policies.second_look import SecondLook

ANYTHING = {
    "id": "any",
    "version": 1,
    "because": "a contract",
    "owner": "dpo@example.eu",
    "review_by": "2027-05-01",
    "enforce": "hard",
    "mode": "enforce",
    "require": {"site.id": {"not_in": ["nowhere"]}},
}
SEAL = {f"sov-{n}": 3 for n in range(1, 9)}


def refused(columns, facts, datasets=None, joined=()):
    """(who asks, clause) of every refusal at the first site; the second reader must agree."""
    files = {**sources([ANYTHING]), "facts/datasets.yaml": json.dumps(datasets or {"unused": {}})}
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, **columns})
    where = fleet(facts, joined)
    found = load_sources(files).screen([one], where, NOW)["j"][0]
    closed = any(ban.forbids(NOW) for ban in found.bans)
    assert bool(SecondLook(files).objections(one, where, "s0", NOW, NOW)) == (closed or not found.allowed)
    return [(reason.rule, reason.clause) for reason in found.denials], closed


@pytest.mark.parametrize(
    ("columns", "facts", "clauses"),
    [
        ({"requires_confidential": "none"}, {}, []),
        ({"requires_confidential": "cpu"}, {"confidential": {"cpu_tee": "tdx"}}, []),
        ({"requires_confidential": "cpu"}, {"confidential": {"cpu_tee": "none"}}, ["site.confidential.cpu_tee"]),
        (
            {"requires_confidential": "gpu"},
            {"confidential": {"cpu_tee": "sev-snp", "gpu_cc": "off", "attested": False}},
            ["site.confidential.gpu_cc", "site.confidential.attested"],
        ),
        ({"requires_confidential": "gpu"}, {"confidential": {"cpu_tee": "tdx", "gpu_cc": "on", "attested": True}}, []),
        ({"requires_tenancy": "shared"}, {}, []),
        ({"requires_tenancy": "exclusive_node"}, {"tenancy": "shared"}, ["site.tenancy"]),
        ({"requires_tenancy": "exclusive_node"}, {"tenancy": "exclusive_node"}, []),
        ({"requires_tenancy": "exclusive_node"}, {"tenancy": "exclusive_partition"}, []),
        ({"requires_tenancy": "exclusive_partition"}, {"tenancy": "exclusive_node"}, ["site.tenancy"]),
        ({"requires_tenancy": "exclusive_partition"}, {}, ["site.tenancy"]),
        ({"requires_min_seal": 3}, {"seal": SEAL}, []),
        ({"requires_min_seal": 3}, {"seal": {**SEAL, "sov-5": 2}}, ["site.seal.sov-5"]),
        ({"requires_min_seal": 0}, {}, []),
        ({"requires_min_ual": 2}, {"ual": 2}, []),
        ({"requires_min_ual": 2}, {"ual": 1}, ["site.ual"]),
        ({"requires_min_ual": 2}, {}, ["site.ual"]),
    ],
)
def test_a_job_gets_what_it_asks_for(columns, facts, clauses) -> None:
    assert refused(columns, [facts]) == ([("job.requires", clause) for clause in clauses], False)


def test_what_a_job_asks_for_is_no_policy() -> None:
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, "requires_min_ual": 2})
    (denial,) = policies([ANYTHING]).screen([one], fleet([{"ual": 1}]), NOW)["j"][0].denials
    assert (denial.code, denial.seen, denial.needed) == (ReasonCode.JOB_CONSTRAINT, 1, "at least 2")
    assert denial.message == "site.ual is 1, and the job itself needs at least 2"


FR, US = {"country": "FR", "storage_countries": ["FR"]}, {"country": "US", "storage_countries": ["US"]}
CH = {"country": "CH", "storage_countries": ["CH"]}


@pytest.mark.parametrize(
    ("dataset", "facts", "clauses"),
    [
        ({"egress": "any"}, [US], []),
        ({"egress": "forbidden", "home_site": "s0"}, [US], []),
        ({"egress": "forbidden", "home_site": "s1", "replicas": ["s0"]}, [US, FR], []),
        ({"egress": "forbidden", "home_site": "s1"}, [FR, FR], ["site.id"]),
        ({"egress": "forbidden"}, [FR], ["site.id"]),
        ({"egress": "eea"}, [US], ["site.country", "site.storage_countries"]),
        ({"egress": "eea"}, [{**FR, "storage_countries": ["FR", "US"]}], ["site.storage_countries"]),
        ({"egress": "adequacy", "law": "GDPR"}, [CH], []),
        ({"egress": "adequacy", "law": "FADP"}, [US], ["site.country", "site.storage_countries"]),
        ({"egress": "adequacy"}, [CH], ["site.country", "site.storage_countries"]),
        ({}, [US], []),
    ],
)
def test_a_dataset_goes_no_further_than_it_says(dataset, facts, clauses) -> None:
    """`EEA` and `territory` are groups of the shipped files here, since the tests bring their own of other names."""
    files = {"any.yaml": json.dumps(ANYTHING), "facts/datasets.yaml": json.dumps({"d": dataset})}
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, "datasets": ["d"]})
    loaded, where = load_sources(files), fleet(facts)
    found = loaded.screen([one], where, NOW)["j"][0]
    assert [(reason.rule, reason.clause) for reason in found.denials] == [("dataset d", clause) for clause in clauses]
    looked = SecondLook({**files, **{name: text for name, text in loaded.sources().items() if "/" in name}})
    assert bool(looked.objections(one, where, "s0", NOW, NOW)) == bool(clauses)


@pytest.mark.parametrize(
    ("dataset", "needed"),
    [
        ({"home_site": "s1", "replicas": ["s2"]}, "one of s1, s2"),
        ({}, "one of no known site"),
    ],
)
def test_a_dataset_that_stays_tells_where_it_rests(dataset, needed) -> None:
    files = {"any.yaml": json.dumps(ANYTHING)}
    files["facts/datasets.yaml"] = json.dumps({"d": {"egress": "forbidden", **dataset}})
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, "datasets": ["d"]})
    (reason,) = load_sources(files).screen([one], fleet([FR, FR, FR]), NOW)["j"][0].denials
    assert reason.needed == needed


def test_a_dataset_travels_at_its_hours_only() -> None:
    """The tests take place at midnight in London; 450 GB need an hour."""
    joined = [{"between": ["s0", "s1"], "gbit_per_s": 1}]
    hours = {"home_site": "s1", "size_gb": 450, "egress_hours": {"from": "22:30", "to": "06:00", "tz": "Europe/London"}}
    columns = {"datasets": ["d"]}
    assert refused(columns, [FR, FR], {"d": hours}, joined) == ([], False)
    late = {**hours, "egress_hours": {**hours["egress_hours"], "from": "23:30"}}
    assert refused(columns, [FR, FR], {"d": late}, joined) == ([], True)
    assert refused(columns, [FR, FR], {"d": late}) == ([("dataset d", "transfer.hours")], False)
    assert refused(columns, [FR, FR], {"d": {**late, "replicas": ["s0"]}}, joined) == ([], False)


DATASET = st.fixed_dictionaries(
    {
        "class": st.sampled_from([None, "public", "health"]),
        "egress": st.sampled_from([None, "forbidden", "any"]),
        "home_site": st.sampled_from([None, "s0", "s1"]),
    }
)


@given(
    rules=rule_sets(),
    columns=jobs(),
    asked=DEMANDS,
    facts=st.lists(sites(), min_size=2, max_size=2),
    told=st.tuples(links(2), DATASET),
)
@settings(max_examples=80, deadline=None)
def test_job_dataset_tenant_and_site_rules_together_allow_only_what_each_allows(
    rules, columns, asked, facts, told
) -> None:
    """The constraint in effect is the intersection: whoever asks for more, nothing opens."""
    joined, dataset = told
    files = {**sources(rules, tenants=TENANTS), "facts/datasets.yaml": json.dumps({"d": dataset})}
    loaded, where = load_sources(files), fleet(facts, joined)
    asking_less = {**columns, **dict.fromkeys(asked)}
    plain, demanding, reading = (
        job({**each, "job": name})
        for name, each in (
            ("a", asking_less),
            ("b", {**columns, **asked}),
            ("c", {**columns, **asked, "datasets": ["d"]}),
        )
    )
    row = loaded.screen([plain, demanding, reading], where, NOW)
    for index in range(2):
        without, with_demands, with_data = (row[name][index] for name in "abc")
        if with_demands.allowed:
            assert without.allowed
            assert without.latest_end == with_demands.latest_end
            assert set(without.bans) <= set(with_demands.bans)
        alone = [load_sources(sources([rule])).screen([demanding], where, NOW)["b"][index] for rule in rules]
        assert with_demands.allowed == all(verdict.allowed for verdict in alone)
        if with_data.allowed and dataset["egress"] == "forbidden":
            assert where.sites[index].id == (dataset["home_site"] or columns["data_site"])


def test_who_says_nothing_asks_for_nothing() -> None:
    assert demands({}) == ()
    assert demands({"job.requires.tenancy": "shared", "job.requires.confidential": "none"}) == ()


def test_a_dataset_goes_where_its_law_recognises_the_country_as_long_as_it_does() -> None:
    """The shipped list: the decision on GB ends with 27 December 2031."""
    files = {"any.yaml": json.dumps(ANYTHING)}
    files["facts/datasets.yaml"] = json.dumps({"d": {"egress": "adequacy", "law": "GDPR"}})
    one = job({"job": "j", "gpus": 8, "time_limit_s": 60, "datasets": ["d"]})
    where = fleet([{"country": "GB", "storage_countries": ["GB"]}])
    (verdict,) = load_sources(files).screen([one], where, NOW)["j"]
    assert verdict.allowed
    assert verdict.latest_end is not None
    (later,) = load_sources(files).screen([one], where, verdict.latest_end)["j"]
    assert [reason.clause for reason in later.denials] == ["site.country", "site.storage_countries"]
