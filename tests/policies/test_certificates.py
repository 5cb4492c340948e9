"""A certificate counts from its first day to its last, at the right level, and not a second longer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from policy_strategies import NOW, fleet, job

from csched.domain.verdict import ReasonCode, SiteVerdict
from csched_policies.load import load_sources

RULE = """\
id: r
version: 1
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
require: {site.certs: {has: {%s}}}
"""
END = datetime(2027, 5, 1, tzinfo=UTC)
DENY, UNKNOWN = ReasonCode.POLICY_HARD_DENY, ReasonCode.POLICY_UNKNOWN_FACT


def judged(asked: str, certificates: list[dict[str, Any]] | None, now: datetime = NOW) -> SiteVerdict:
    loaded = load_sources({"r.yaml": RULE % asked})
    return loaded.screen([job({"job": "j", "gpus": 1, "time_limit_s": 60})], fleet([{"certs": certificates}]), now)[
        "j"
    ][0]


@pytest.mark.parametrize(
    ("asked", "certificate", "code"),
    [
        ("scheme: hds", {"scheme": "hds"}, None),
        ("scheme: hds", {"scheme": "ens"}, DENY),
        ("scheme: hds, version_at_least: 2024", {"scheme": "hds", "version": "2024"}, None),
        ("scheme: hds, version_at_least: 2024", {"scheme": "hds", "version": "2025"}, None),
        ("scheme: hds, version_at_least: 2024", {"scheme": "hds", "version": "2018"}, DENY),
        ("scheme: hds, version_at_least: 2024", {"scheme": "hds", "version": "newest"}, UNKNOWN),
        ("scheme: hds, version_at_least: 2024", {"scheme": "hds"}, UNKNOWN),
        ('scheme: secnumcloud, version_at_least: "3.2"', {"scheme": "secnumcloud", "version": "3.10"}, None),
        ('scheme: secnumcloud, version_at_least: "3.2"', {"scheme": "secnumcloud", "version": "3.1"}, DENY),
        ("scheme: bsi-c5, type_at_least: 2", {"scheme": "bsi-c5", "type": 2}, None),
        ("scheme: bsi-c5, type_at_least: 2", {"scheme": "bsi-c5", "type": 1}, DENY),
        ("scheme: bsi-c5, type_at_least: 1", {"scheme": "bsi-c5", "type": 2}, None),
        ("scheme: bsi-c5, type_at_least: 2", {"scheme": "bsi-c5"}, UNKNOWN),
        ("scheme: ens, level_at_least: media", {"scheme": "ens", "level": "media"}, None),
        ("scheme: ens, level_at_least: media", {"scheme": "ens", "level": "alta"}, None),
        ("scheme: ens, level_at_least: media", {"scheme": "ens", "level": "basica"}, DENY),
        ("scheme: ens, level_at_least: media", {"scheme": "ens", "level": "top"}, UNKNOWN),
        ("scheme: ens, level_at_least: media", {"scheme": "ens"}, UNKNOWN),
    ],
)
def test_levels_are_ordered_inside_a_scheme(asked: str, certificate: dict[str, Any], code: ReasonCode | None) -> None:
    found = judged(asked, [{**certificate, "valid_until": END}])
    assert [reason.code for reason in found.denials] == ([code] if code else [])
    assert found.latest_end == (None if code else END)


@pytest.mark.parametrize(("certificates", "code"), [(None, UNKNOWN), ([], DENY), ([{"scheme": "hds"}], UNKNOWN)])
def test_what_nobody_has_stated_does_not_count(certificates: list[dict[str, Any]] | None, code: ReasonCode) -> None:
    assert [reason.code for reason in judged("scheme: hds", certificates).denials] == [code]


def test_the_last_instant_is_not_part_of_the_validity_and_the_first_is() -> None:
    second = timedelta(seconds=1)
    held = [{"scheme": "hds", "valid_from": NOW, "valid_until": END}]
    assert not judged("scheme: hds", held, NOW - second).allowed
    assert judged("scheme: hds", held, NOW).allowed
    assert judged("scheme: hds", held, END - second).allowed
    assert not judged("scheme: hds", held, END).allowed


def test_a_renewal_that_follows_at_once_extends_the_validity_and_a_gap_does_not() -> None:
    later = END + timedelta(days=100)
    first, after = {"scheme": "hds", "valid_until": END}, {"scheme": "hds", "valid_until": later}
    assert judged("scheme: hds", [first, {**after, "valid_from": END}]).latest_end == later
    assert judged("scheme: hds", [first, {**after, "valid_from": END + timedelta(days=1)}]).latest_end == END


def test_of_several_bounds_the_first_holds() -> None:
    rules = {f"{name}.yaml": (RULE % f"scheme: {name}").replace("id: r", f"id: {name}") for name in ("hds", "ens")}
    ends = {"ens": END, "hds": END + timedelta(days=1)}
    site = {"certs": [{"scheme": scheme, "valid_until": end} for scheme, end in ends.items()]}
    one = job({"job": "j", "gpus": 1, "time_limit_s": 60})
    found = load_sources(rules).screen([one], fleet([site]), NOW)["j"][0]
    assert found.latest_end == END
    assert found.latest_end_reason is not None
    assert found.latest_end_reason.rule == "ens"


def test_what_is_missing_is_named() -> None:
    (reason,) = judged("scheme: hds", [{"scheme": "hds"}]).denials
    assert reason.message.startswith("part of site.certs is not known, and rule r needs site.certs to be ")
    (reason,) = judged("scheme: hds", None).denials
    assert reason.message.startswith("site.certs is not known, and rule r needs site.certs to be ")


def test_a_table_made_as_a_certificate_begins_does_not_speak_of_the_time_before() -> None:
    held = fleet([{"certs": [{"scheme": "hds", "valid_from": NOW, "valid_until": END}]}])
    kept, one = load_sources({"r.yaml": RULE % "scheme: hds"}), job({"job": "j", "gpus": 1, "time_limit_s": 60})
    assert kept.screen([one], held, NOW)["j"][0].allowed
    assert not kept.screen([one], held, NOW - timedelta(seconds=1))["j"][0].allowed
