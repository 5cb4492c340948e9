"""The way of a job's data: what moves, from where, by which link, through whom, and who vouches until when."""

import json
from datetime import timedelta

import pytest
from policy_strategies import GROUPS, NOW, fleet, job, policies, sources

from csched.domain.site import Evidence
from csched_policies.cases import run_cases
from csched_policies.load import load_sources
from csched_policies.second_look import SecondLook

HEAD = {"version": 1, "because": "a contract", "owner": "dpo@example.eu", "review_by": "2027-05-01"}
PLACES = [{"country": "FR"}, {"country": "DE"}, {"country": "CH"}, {"country": "US"}]
LINKS = [
    {"between": ["s0", "s1"], "gbit_per_s": 1, "eur_per_gb": 0.5, "encrypted": "ipsec", "countries": []},
    {"between": ["s0", "s2"], "gbit_per_s": 10, "encrypted": "none", "countries": ["DE"]},
    {"between": ["s1", "s2"], "gbit_per_s": 10},
]


def rule(require, when=None, **more):
    text = {"id": "r", **HEAD, "enforce": "hard", "mode": "enforce", "require": require, **more}
    return {**text, "when": when} if when else text


def verdicts(require, columns, when=None, evidence=None, places=PLACES):
    one = job({"job": "j", "gpus": 8, "time_limit_s": 3600, **columns})
    where = fleet(places, LINKS).model_copy(update={"evidence": evidence or {}})
    loaded = policies([rule(require, when)])
    row = loaded.screen([one], where, NOW)["j"]
    looked = SecondLook(loaded.sources())
    for verdict in row:
        for end in (NOW, NOW + timedelta(hours=1), NOW + timedelta(days=3)):
            allowed = verdict.allowed and not any(ban.forbids(NOW) for ban in verdict.bans)
            allowed &= verdict.latest_end is None or end <= verdict.latest_end
            assert allowed == (looked.objections(one, where, verdict.site, NOW, end) == ()), (verdict, end)
    return row


def answers(require, columns, when=None, **more):
    """For each site, what was seen where it is refused, else True."""
    return [
        [(reason.code.removeprefix("Policy"), reason.seen) for reason in verdict.denials] or True
        for verdict in verdicts(require, columns, when, **more)
    ]


FROM_PARIS = {"data_site": "s0", "data_gb": 450.0}
UNKNOWN = ("UnknownFact", None)


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ({"transfer.encrypted": {"in": ["ipsec", "macsec"]}}, [True, True, [("HardDeny", "none")], [UNKNOWN]]),
        ({"transfer.duration_h": {"le": 0.5}}, [True, [("HardDeny", 1.0)], True, [UNKNOWN]]),
        ({"transfer.gbit_per_s": {"ge": 10}}, [True, [("HardDeny", 1.0)], True, [UNKNOWN]]),
        ({"transfer.cost_eur": {"le": 200}}, [True, [("HardDeny", 225.0)], [UNKNOWN], [UNKNOWN]]),
        ({"transfer.cost_eur": {"le": 225}}, [True, True, [UNKNOWN], [UNKNOWN]]),
        ({"transfer.size_gb": {"le": 449}}, [True, *[[("HardDeny", 450.0)]] * 3]),
        ({"transfer.from_country": {"in": ["DE"]}}, [True, *[[("HardDeny", "FR")]] * 3]),
        ({"transfer.start": {"not_between": ["22:00", "06:00"], "tz": "UTC"}}, [True, True, True, [UNKNOWN]]),
    ],
)
def test_each_fact_of_a_transfer_is_that_of_its_link(require, expected) -> None:
    """Where the data rests, nothing is asked of a transfer; where no link is known, nothing of it is."""
    assert answers(require, FROM_PARIS) == expected


@pytest.mark.parametrize(
    ("columns", "moves"),
    [
        (FROM_PARIS, True),
        ({"data_site": "s0"}, False),
        ({"data_gb": 0.0}, False),
        ({"data_gb": 5.0}, None),
        ({"data_site": "s1", "data_gb": 5.0}, False),
    ],
)
def test_a_rule_about_a_transfer_is_for_jobs_whose_data_moves(columns, moves) -> None:
    """It is for those of which that is not known, too: they are refused."""
    found = answers({"site.country": {"in": ["FR"]}}, columns, {"transfer.size_gb": {"ge": 1}})[1]
    assert found == {True: [("HardDeny", "DE")], False: True, None: [("UnknownFact", None)]}[moves]


def test_of_a_transfer_that_is_too_small_the_rule_does_not_speak() -> None:
    when = {"transfer.size_gb": {"ge": 500}, "transfer.from_country": {"in": ["FR"]}}
    assert answers({"site.country": {"in": ["FR"]}}, FROM_PARIS, when) == [True] * 4


@pytest.mark.parametrize(
    ("columns", "paths"),
    [
        ({**FROM_PARIS, "outputs_return_to": "FR"}, [("FR",), ("DE", "FR"), ("CH", "DE", "FR"), None]),
        ({"outputs_return_to": "FR"}, [("FR",), ("DE", "FR"), ("CH", "DE", "FR"), None]),
        ({"outputs_return_to": "DE"}, [("DE", "FR"), ("DE",), None, None]),
        ({"outputs_return_to": "US"}, [None, None, None, ("US",)]),
        (FROM_PARIS, [None] * 4),
        ({"data_gb": 5.0, "outputs_return_to": "FR"}, [None] * 4),
    ],
)
def test_the_path_is_the_way_in_and_the_way_back(columns, paths) -> None:
    found = answers({"path.countries": {"subset": ["NO"]}}, columns)
    assert found == [[UNKNOWN] if path is None else [("HardDeny", path)] for path in paths]
    assert answers({"path.countries": {"subset": ["FR"]}}, {"outputs_return_to": "FR"})[0] is True


def test_a_site_without_a_country_has_no_path() -> None:
    nowhere = [{"country": None}, *PLACES[1:]]
    assert answers({"path.countries": {"disjoint": ["US"]}}, {"outputs_return_to": "DE"}, places=nowhere)[:2] == [
        [UNKNOWN],
        True,
    ]


SOON = Evidence(source="x", valid_until=NOW + timedelta(days=1))
LATER = Evidence(source="x", valid_until=NOW + timedelta(days=2))


@pytest.mark.parametrize(
    ("require", "evidence", "days"),
    [
        ({"transfer.encrypted": {"in": ["ipsec"]}}, {"links[0].encrypted": SOON}, 1),
        ({"transfer.encrypted": {"in": ["ipsec"]}}, {"links[0]": LATER, "links[0].encrypted": SOON}, 1),
        ({"transfer.encrypted": {"in": ["ipsec"]}}, {"links[1].encrypted": SOON}, None),
        ({"transfer.hours": {"between": ["20:00", "03:00"], "tz": "UTC"}}, {"links[0]": SOON}, 1),
        ({"transfer.size_gb": {"le": 450}}, {"links[0]": SOON}, None),
        ({"transfer.from_country": {"in": ["FR"]}}, {"sites[0].country": SOON}, 1),
        ({"transfer.from_country": {"in": ["FR"]}}, {"sites[1].country": SOON}, None),
        ({"path.countries": {"subset": ["FR", "DE"]}}, {"sites[0].country": SOON}, 1),
        ({"path.countries": {"subset": ["FR", "DE"]}}, {"sites[1].country": LATER}, 2),
        ({"path.countries": {"subset": ["FR", "DE"]}}, {"links[0].countries": SOON, "sites[1]": LATER}, 1),
        ({"path.countries": {"subset": ["FR", "DE"]}}, {"links[2]": SOON}, None),
    ],
)
def test_a_link_is_believed_as_long_as_somebody_vouches_for_it(require, evidence, days) -> None:
    columns = {**FROM_PARIS, "outputs_return_to": "FR"}
    verdict = verdicts(require, columns, evidence=evidence)[1]
    assert verdict.allowed
    assert verdict.latest_end == (None if days is None else NOW + timedelta(days=days))


FROM_FRANCE = {"transfer.from_country": {"in": ["FR"]}}
FROM_ABROAD = {"transfer.from_country": {"in": ["US", "@AREA"], "not_in": ["FR"]}}
HOME_SOON = {"sites[0].country": SOON}


@pytest.mark.parametrize("when", [FROM_FRANCE, FROM_ABROAD, {**FROM_FRANCE, "data.class": {"in": ["health"]}}])
def test_a_rule_binds_once_nobody_vouches_for_what_its_when_reads(when) -> None:
    """Whether it is for the job now or not: from that day on nobody knows."""
    columns = {**FROM_PARIS, "data_class": "public"}
    verdict = verdicts({"site.country": {"in": ["DE"]}}, columns, when, evidence=HOME_SOON)[1]
    assert (verdict.allowed, verdict.latest_end) == (True, SOON.valid_until)
    assert verdict.latest_end_reason.code == "PolicyUnknownFact"
    assert verdict.latest_end_reason.message == (
        "transfer.from_country is vouched for only until 2026-11-23T00:00:00Z, and rule r reads it"
    )
    gone = {"sites[0].country": Evidence(source="x", valid_until=NOW)}
    after = verdicts({"site.country": {"in": ["DE"]}}, columns, when, evidence=gone)[1].denials
    assert {(reason.code, reason.clause) for reason in after} == {("PolicyUnknownFact", "transfer.from_country")}


def test_a_rule_prefers_for_as_long_as_what_its_when_reads_is_known() -> None:
    text = rule({"site.country": {"not_in": ["US"]}}, FROM_FRANCE, prefer={"site.pue": {"minimise": 2}})
    where = fleet(PLACES, LINKS).model_copy(update={"evidence": HOME_SOON})
    one = job({"job": "j", "gpus": 8, "time_limit_s": 3600, **FROM_PARIS})
    verdict = policies([text]).screen([one], where, NOW)["j"][1]
    assert [each.rule for each in verdict.preferences] == ["r"]


@pytest.mark.parametrize(("operator", "expected"), [("in", [True, False, False]), ("not_in", [False, True, False])])
def test_a_member_under_a_condition_counts_in_when_where_the_operator_is_covered(operator, expected) -> None:
    """The tenant is at home in the US: which operators are covered, each site says for itself."""
    covered = {"country": "DE", "operator": {"adequacy": ["dpf-eu-us"]}}
    places = [covered, {**covered, "operator": {"adequacy": []}}, {"country": "DE"}]
    when = {"tenant.country": {operator: ["@adequate(GDPR)"]}}
    groups = {"adequate(GDPR)": [{"country": "US", "condition": "dpf-eu-us"}]}
    far = {"far": {"country": "US"}}
    loaded = policies([rule({"site.country": {"in": ["FR"]}}, when)], groups=groups, tenants=far)
    one, where = job({"job": "j", "gpus": 8, "time_limit_s": 3600, "tenant": "far"}), fleet(places)
    looked = SecondLook(loaded.sources())
    bound = [bool(verdict.denials) for verdict in loaded.screen([one], where, NOW)["j"]]
    assert bound == expected
    assert bound == [bool(looked.objections(one, where, site.id, NOW, NOW)) for site in where.sites]


def test_data_of_one_country_is_told_apart_by_who_vouches_for_where_it_is() -> None:
    """Two datasets, each kept at both sites of France; for the country of one home somebody vouches until tomorrow."""
    places = [{"country": "FR"}, {"country": "FR"}, {"country": "DE"}]
    sets = {
        "here": {"home_site": "s0", "size_gb": 450, "replicas": ["s1"]},
        "there": {"home_site": "s1", "size_gb": 450, "replicas": ["s0"]},
    }
    files = sources([rule(FROM_FRANCE)]) | {"facts/datasets.yaml": json.dumps(sets)}
    pair = [job({"job": name, "gpus": 8, "time_limit_s": 3600, "datasets": [name]}) for name in ("there", "here")]
    where = fleet(places).model_copy(update={"evidence": HOME_SOON})
    row = load_sources(files).screen(pair, where, NOW)
    assert [row[name][2].latest_end for name in ("there", "here")] == [None, SOON.valid_until]


def test_where_nothing_moves_no_link_bounds_the_job() -> None:
    require = {"transfer.encrypted": {"in": ["ipsec"]}}
    assert verdicts(require, {"data_site": "s1", "data_gb": 9.0}, evidence={"links[0]": SOON})[1].latest_end is None


@pytest.mark.parametrize("link", [len(LINKS), 9])
def test_evidence_for_a_link_that_is_not_there_is_passed_over(link) -> None:
    evidence = {f"links[{link}]": SOON}
    assert verdicts({"transfer.size_gb": {"ge": 1}}, FROM_PARIS, evidence=evidence)[1].latest_end is None


@pytest.mark.parametrize(
    ("hours", "closed"),
    [
        ({"not_between": ["22:00", "23:30"], "tz": "UTC"}, {"transfer.start": True, "transfer.hours": True}),
        ({"not_between": ["23:30", "23:45"], "tz": "UTC"}, {"transfer.start": False, "transfer.hours": True}),
        ({"not_between": ["00:00", "06:00"], "tz": "UTC"}, {"transfer.start": False, "transfer.hours": False}),
        ({"between": ["23:00", "00:00"], "tz": "UTC"}, {"transfer.start": False, "transfer.hours": False}),
        ({"between": ["23:00", "23:30"], "tz": "UTC"}, {"transfer.start": False, "transfer.hours": True}),
        ({"between": ["00:00", "01:00"], "tz": "Europe/Paris"}, {"transfer.start": False, "transfer.hours": False}),
    ],
)
def test_a_transfer_ends_as_the_job_starts(hours, closed) -> None:
    """The tests take place at midnight; the data is under way for the hour before."""
    for path, shut in closed.items():
        (ban,) = verdicts({path: hours}, FROM_PARIS)[1].bans
        assert ban.forbids(NOW) is shut, path
        assert (ban.rule, ban.clause) == ("r", path)
        assert "1 h before the start" in ban.message


def test_a_rule_that_only_advises_says_which_hours_it_would_close() -> None:
    text = rule({"job.start": {"not_between": ["22:00", "06:00"], "tz": "UTC"}}, mode="audit")
    one = job({"job": "j", "gpus": 8, "time_limit_s": 3600})
    (verdict,) = policies([text]).screen([one], fleet(PLACES[:1]), NOW)["j"]
    assert verdict.bans == ()
    assert [(reason.clause, reason.needed) for reason in verdict.advice] == [
        ("job.start", "outside 22:00 to 06:00 UTC")
    ]


def test_a_rule_binds_where_one_thing_that_its_when_reads_is_unknown_though_another_would_decide() -> None:
    """FR is listed by itself; which countries the tenant's law recognises is not known, and might matter."""
    when = {"transfer.from_country": {"in": ["FR", "@adequate(data.law)"]}}
    narrow = {"site.country": {"in": ["FR"]}}
    columns = {**FROM_PARIS, "tenant": "quiet"}
    seen = verdicts(narrow, columns, when)
    assert [[(r.code, r.clause) for r in each.denials] for each in seen] == [
        [],  # nothing moves to where the data rests
        *[[("PolicyUnknownFact", "transfer.from_country")]] * 3,
    ]
    assert "data.law is not known of this job" in seen[1].denials[0].message
    assert answers(narrow, {**columns, "tenant": "acme"}, when)[1] == [("HardDeny", "DE")]


def test_a_rule_binds_where_the_law_recognises_countries_that_nobody_lists() -> None:
    """No group says what is adequate under one of the laws: nothing is known, so the job is not let through."""
    one = job({"job": "j", "gpus": 8, "time_limit_s": 3600, "tenant": "lab", **FROM_PARIS})
    listed = {name: members for name, members in GROUPS.items() if name != "adequate(UKGDPR)"}
    when = {"transfer.from_country": {"in": ["@adequate(data.law)"]}}
    loaded = policies([rule({"site.country": {"in": ["FR"]}}, when)], groups=listed)
    verdict = loaded.screen([one], fleet(PLACES, LINKS), NOW)["j"][1]
    assert [(r.code, r.clause) for r in verdict.denials] == [("PolicyUnknownFact", "transfer.from_country")]
    assert verdict.denials[0].message.startswith("part of transfer.from_country is not known")


def test_of_data_that_is_nobody_knows_where_no_fact_is_known_but_that_it_may_move() -> None:
    nowhere = {"data_gb": 450.0}
    assert answers({"transfer.size_gb": {"ge": 1}}, nowhere) == [[UNKNOWN]] * 4
    spoken_of = answers({"site.country": {"not_in": ["US"]}}, nowhere, {"transfer.size_gb": {"ge": 1}})
    assert spoken_of == [[UNKNOWN]] * 4


def test_of_data_that_is_nobody_knows_how_much_no_fact_is_known_but_that_it_may_move() -> None:
    """A case states facts one by one; a job's file always says how much."""
    case = {"job": {"data.site": "s0"}, "site": {"country": "DE"}, "expect": "deny", "clause": "transfer.from_country"}
    loaded = policies([rule({"transfer.from_country": {"not_in": ["US"]}}, tests=[case])])
    (outcome,) = run_cases(loaded, None, NOW)
    assert outcome.passed, outcome


def test_data_at_a_site_that_the_fleet_does_not_have_comes_from_nowhere_known() -> None:
    elsewhere = {"data_site": "elsewhere", "data_gb": 450.0}
    assert answers({"transfer.from_country": {"not_in": ["US"]}}, elsewhere) == [[UNKNOWN]] * 4


def test_a_link_that_the_outputs_need_not_take_bounds_no_job() -> None:
    """They stay in the country; that another site of it hangs on a link makes no difference."""
    places = [{"country": "FR"}, {"country": "FR"}, {"country": "CH"}]
    vouched = {"links[0]": Evidence(source="x", valid_until=NOW + timedelta(days=1))}
    columns = {"outputs_return_to": "FR", "data_gb": 0.0}
    row = verdicts({"path.countries": {"subset": ["FR"]}}, columns, evidence=vouched, places=places)
    assert (row[0].allowed, row[0].latest_end) == (True, None)


def test_hours_of_the_start_say_nothing_of_a_way() -> None:
    (ban,) = verdicts({"job.start": {"between": ["00:00", "06:00"], "tz": "UTC"}}, FROM_PARIS)[0].bans
    assert ban.message == "job.start must be between 00:00 and 06:00 UTC, rule r says"
    (ban,) = verdicts({"transfer.start": {"between": ["00:00", "06:00"], "tz": "UTC"}}, FROM_PARIS)[1].bans
    assert ban.message.endswith("; the data is under way for 1 h before the start")
