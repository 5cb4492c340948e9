"""A job may run only where each dataset it reads may be. What it says of itself narrows that and never widens it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_strategies import CLASSES, NOW, fleet, job, jobs, rule_sets, sites, sources

from csched.domain.verdict import ReasonCode, SiteVerdict
from csched.errors import InputError
from csched_policies.load import load_sources
from csched_policies.second_look import SecondLook

DATASETS = {
    "scans": {"class": "health", "law": "GDPR"},
    "survey": {"class": "personal", "law": ["GDPR", "FADP"], "restricted": "none"},
    "weather": {"class": "public"},
    "code": {"class": "internal", "restricted": "export_controlled"},
    "quiet": {},
}
NAMES = st.lists(st.sampled_from([*DATASETS, "nobody-knows"]), min_size=1, max_size=3, unique=True)
RULE = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
when: {%s}
require: {site.country: {in: [FR]}}
"""


def verdict(rules: list[dict[str, Any]], columns: dict[str, Any], facts: dict[str, Any]) -> SiteVerdict:
    one = job(columns)
    files = sources(rules) | {"facts/datasets.yaml": json.dumps(DATASETS)}
    return load_sources(files).screen([one], fleet([facts]), NOW)[one.job][0]


def not_larger(less: SiteVerdict, more: SiteVerdict) -> bool:
    if not less.allowed:
        return True
    return more.allowed and (
        more.latest_end is None or (less.latest_end is not None and less.latest_end <= more.latest_end)
    )


@given(rules=rule_sets(), columns=jobs(), facts=sites(), names=NAMES)
@settings(max_examples=60, deadline=None)
def test_a_job_is_allowed_no_more_than_with_each_dataset_alone(rules, columns, facts, names) -> None:
    together = verdict(rules, {**columns, "datasets": names}, facts)
    alone = [verdict(rules, {**columns, "datasets": [name]}, facts) for name in names]
    assert all(not_larger(together, each) for each in alone)
    assert together.allowed == all(each.allowed for each in alone)


@given(
    data_class=st.sampled_from([None, *CLASSES]), name=st.sampled_from(sorted(DATASETS)), floor=st.sampled_from(CLASSES)
)
@settings(max_examples=60, deadline=None)
def test_a_job_can_raise_the_class_of_its_data_and_never_lower_it(data_class, name, floor) -> None:
    text = RULE % f"data.class: {{at_least: {floor}}}"
    loaded = load_sources({"r.yaml": text, "facts/datasets.yaml": json.dumps(DATASETS)})
    stated = {"job": "j", "gpus": 1, "time_limit_s": 60, "datasets": [name]}
    pair = [job({**stated, "job": "said", "data_class": data_class}), job(stated)]
    found = loaded.screen(pair, fleet([{"country": "DE"}]), NOW)
    assert not_larger(found["said"][0], found["j"][0])


@given(rules=rule_sets(levels=("hard",)), columns=jobs(), facts=sites(), names=NAMES)
@settings(max_examples=60, deadline=None)
def test_the_second_look_reads_datasets_alike(rules, columns, facts, names) -> None:
    files = sources(rules) | {"facts/datasets.yaml": json.dumps(DATASETS)}
    one, on = job({**columns, "datasets": names}), fleet([facts])
    found = load_sources(files).screen([one], on, NOW)[one.job][0]
    objections = SecondLook(files).objections(one, on, "s0", NOW, NOW + timedelta(seconds=1))
    assert found.allowed == (objections == ())


@pytest.mark.parametrize(
    ("names", "when", "code"),
    [
        (["weather"], "data.class: {at_least: health}", None),
        (["weather", "scans"], "data.class: {at_least: health}", ReasonCode.POLICY_HARD_DENY),
        (["weather", "nobody-knows"], "data.class: {at_least: health}", ReasonCode.POLICY_UNKNOWN_FACT),
        (["code"], "data.restricted: {in: [export_controlled]}", ReasonCode.POLICY_HARD_DENY),
        (["survey"], "data.restricted: {in: [export_controlled]}", None),
        (["weather", "scans"], "data.id: {in: [scans]}", ReasonCode.POLICY_HARD_DENY),
        (["weather", "survey"], "data.id: {in: [scans]}", None),
        ([], "data.id: {in: [scans]}", ReasonCode.POLICY_UNKNOWN_FACT),
    ],
)
def test_every_dataset_counts(names: list[str], when: str, code: ReasonCode | None) -> None:
    loaded = load_sources({"r.yaml": RULE % when, "facts/datasets.yaml": json.dumps(DATASETS)})
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60, "datasets": names})
    found = loaded.screen([one], fleet([{"country": "DE"}]), NOW)["j"][0]
    assert {reason.code for reason in found.denials} == ({code} if code else set())


def test_a_mark_on_the_data_and_one_on_the_job_both_count() -> None:
    loaded = load_sources(
        {"r.yaml": RULE % "data.restricted: {in: [eu_restricted]}", "facts/datasets.yaml": json.dumps(DATASETS)}
    )
    marked = {"job": "j", "gpus": 1, "time_limit_s": 60, "datasets": ["code"], "data_restricted": "eu_restricted"}
    assert not loaded.screen([job(marked)], fleet([{"country": "DE"}]), NOW)["j"][0].allowed


def test_a_change_of_a_dataset_changes_the_digest() -> None:
    files = {"r.yaml": RULE % "data.class: {at_least: health}", "facts/datasets.yaml": json.dumps(DATASETS)}
    other = {**files, "facts/datasets.yaml": json.dumps({**DATASETS, "scans": {"class": "public"}})}
    assert load_sources(files).digest != load_sources(other).digest


@pytest.mark.parametrize("wrong", ["scans: {clas: health}", "scans: {class: helth}", "scans: {law: GPDR}", "- scans"])
def test_a_mistake_in_the_datasets_is_refused_with_its_place(wrong: str) -> None:
    with pytest.raises(InputError) as refused:
        load_sources({"r.yaml": RULE % "data.class: {at_least: health}", "facts/datasets.yaml": wrong})
    assert str(refused.value.where).startswith("facts/datasets.yaml:1")
