"""The rules to copy from: each holds for itself, shows every clause in a case and says where its law ends."""

from pathlib import Path

import pytest
from policy_strategies import NOW

from csched import shipped
from csched.domain.job import Job
from csched.formats.fleet import read_fleet
from csched_policies.cases import clauses_without_case, run_cases
from csched_policies.contradictions import find_conflicts
from csched_policies.load import load_policies, load_sources
from csched_policies.policy_set import PolicySet

PACKS = sorted(shipped.policy_packs().glob("*.yaml"))
ASKED_FOR = """
    confidential-whole-node dataset-pinned eurohpc-civilian-only finance-dora-locations gdpr-control-plane health-de-c5
    health-ehds-secondary-use model-data-union public-seal3 public-ual2 restricted-marking secnumcloud-like-capital
    tenant-acme-de-c5 tenant-on-premises weights-return-fr
    dataset-near night-export-ban outputs-keep-class special-encrypted-links tenant-share-abroad
""".split()


def loaded(path: Path) -> PolicySet:
    return load_sources({path.name: path.read_text(encoding="utf-8")})


def test_what_an_admin_would_look_for_is_there() -> None:
    assert [path.stem for path in PACKS] == sorted(ASKED_FOR)


@pytest.mark.parametrize("path", PACKS, ids=[path.stem for path in PACKS])
def test_every_case_holds_and_every_clause_has_one(path: Path) -> None:
    pack = loaded(path)
    (rule,) = pack.rules
    outcomes = run_cases(pack, None, NOW)
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert clauses_without_case(pack, outcomes) == ()
    assert {clause.path for clause in rule.when} <= {path for outcome in outcomes for path in outcome.denied_by}
    assert any(case.expect == "allow" for case in rule.text.tests)


@pytest.mark.parametrize("path", PACKS, ids=[path.stem for path in PACKS])
def test_each_names_its_source_and_limits_and_some_site_can_meet_it(path: Path) -> None:
    pack = loaded(path)
    (rule,) = pack.rules
    assert rule.id == path.stem
    assert rule.text.limits is not None
    assert rule.text.limits.startswith("Not legal advice.")
    assert find_conflicts(pack.content, None, NOW) == ()


def test_two_that_leave_no_site_together_are_found_and_counted() -> None:
    """What the first five rules ever written for csched hid: health data of a tenant that is bound to Germany."""
    health = load_policies(shipped.policy_library()).sources()["health-fr-hds.yaml"]
    acme = (shipped.policy_packs() / "tenant-acme-de-c5.yaml").read_text(encoding="utf-8")
    both = load_sources({"health.yaml": health, "acme.yaml": acme})
    (found,) = find_conflicts(both.content, None, NOW)
    assert found.rules == ("health-fr-hds", "tenant-acme-de-c5")
    assert found.message == (
        "no site can meet rules health-fr-hds and tenant-acme-de-c5 together for 1 combination of labels, "
        "such as data.class: health, tenant.id: acme, because of site.country"
    )


def test_a_gang_that_would_share_a_confidential_node_is_refused() -> None:
    """With PPCIE one confidential machine owns a node's GPUs and switches, so no other job can be beside it."""
    pack = loaded(shipped.policy_packs() / "confidential-whole-node.yaml")
    fleet = read_fleet(shipped.demo_fleet())
    confidential = fleet.sites[0].model_copy(
        update={
            "confidential": fleet.sites[0].confidential.model_copy(
                update={"cpu_tee": "tdx", "gpu_cc": "ppcie", "attested": True}
            )
        }
    )
    on = fleet.model_copy(update={"sites": (confidential,), "links": ()})
    stated = {"time_limit_s": 3600, "data_class": "special"}
    pair = [Job.model_validate({"job": f"g{gpus}", "gpus": gpus, **stated}) for gpus in (4, 8)]
    found = pack.screen(pair, on, NOW)
    assert [reason.clause for reason in found["g4"][0].denials] == ["job.gpus"]
    assert found["g8"][0].allowed
