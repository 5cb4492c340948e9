"""A mistake in a rule is refused when it is loaded, with the file and the line. None is ever silently ignored."""

import pytest

from csched.errors import InputError
from csched_policies.load import load_sources

RULE = """\
id: health-fr-hds
version: 3
because: a contract
owner: dpo@example.eu
review_by: 2027-05-01
enforce: hard
mode: enforce
when:
  data.class: {at_least: health}
  tenant.id: {in: [acme]}
  data.gb: {ge: 10}
require:
  site.country: {in: [FR, "@EEA"]}
  site.operator.country: {eq: FR}
  site.storage_countries: {subset: ["@adequate(data.law)"]}
  site.support.countries: {disjoint: [US]}
  site.certs: {has: {scheme: hds, version_at_least: "2024", valid: until_job_end}}
  site.seal.sov-2: {ge: 3}
  site.spe: {eq: true}
  site.keys: {in: [customer_hyok]}
prefer:
  site.seal.score: {maximise: 2}
tests:
  - job: {data.class: health}
    site: {country: DE, certs: [{scheme: hds}], operator: {country: DE}}
    expect: deny
    clause: site.country
"""

TYPOS = [
    # attributes
    ("data.class:", "data.clas:"),
    ("data.class:", "data_class:"),
    ("data.class:", "Data.class:"),
    ("data.class: {at_least", "job.data_class: {at_least"),
    ("data.class: {at_least", "class: {at_least"),
    ("tenant.id", "tenant.name"),
    ("tenant.id", "tennant.id"),
    ("tenant.id", "job.tenant"),
    ("data.gb", "data.size_tb"),
    ("data.gb", "data.size"),
    ("data.gb", "transfer.size"),
    ("site.country:", "site.county:"),
    ("site.country:", "country:"),
    ("site.country:", "sites.country:"),
    ("site.operator.country", "site.operator.parnt"),
    ("site.operator.country", "operator.country"),
    ("site.operator.country", "site.operator.ultimate_parent.country"),
    ("site.storage_countries", "site.storage_country"),
    ("site.storage_countries", "site.storage.countries"),
    ("site.support.countries", "site.support_countries"),
    ("site.certs:", "site.certificates:"),
    ("site.seal.sov-2", "site.seal.sov-9"),
    ("site.seal.sov-2", "site.seal.sov2"),
    ("site.seal.sov-2", "site.seal.scores"),
    ("site.spe", "site.speed"),
    ("site.keys", "site.key"),
    ("site.keys: {in: [customer_hyok]}", "outputs.return_to: {subset: [FR]}"),
    ("site.keys: {in: [customer_hyok]}", "outputs.return_to: {in: [UK]}"),
    ("site.keys: {in: [customer_hyok]}", "outputs.kind: {in: [weights]}"),
    ("site.keys: {in: [customer_hyok]}", "job.purpose: {in: [defense]}"),
    ("site.keys: {in: [customer_hyok]}", "data.restricted: {in: [restricted]}"),
    ("site.keys: {in: [customer_hyok]}", "outputs.export: {at_most: EU}"),
    ("site.keys: {in: [customer_hyok]}", "outputs.aggregated: {eq: true}"),
    ("site.keys: {in: [customer_hyok]}", "path.country: {subset: [FR]}"),
    ("site.keys: {in: [customer_hyok]}", "path.countries: {in: [FR]}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.encrypted: {in: [IPSec]}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.encryption: {in: [ipsec]}"),
    ("data.gb: {ge: 10}", "job.requires.confidential: {at_least: gpus}"),
    ("data.gb: {ge: 10}", "job.requires.min_sealing: {ge: 1}"),
    ("data.gb: {ge: 10}", "data.egress: {in: [forbiden]}"),
    ("data.gb: {ge: 10}", "transfer.from_country: {in: [UK]}"),
    # hours
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '06:00']}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '06:00'], zone: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '06:00'], tz: Europe/Pariss}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '06:00'], tz: CET+1}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {notbetween: ['22:00', '06:00'], tz: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '24:00'], tz: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '6:00'], tz: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00'], tz: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: ['22:00', '22:00'], tz: Europe/Paris}"),
    ("site.keys: {in: [customer_hyok]}", "transfer.start: {not_between: [22, 6], tz: Europe/Paris}"),
    ("data.gb: {ge: 10}", "job.start: {between: ['06:00', '22:00'], tz: Europe/Paris}"),
    # shares
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hours: {at_most: 20, outside: [DE], per: month}"),
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hours: {at_most_pct: 120, outside: [DE], per: month}"),
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hours: {at_most_pct: 20, outside: [DE], per: week}"),
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hours: {at_most_pct: 20, per: month}"),
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hours: {at_most_pct: 20, outside: [GER], per: month}"),
    ("site.keys: {in: [customer_hyok]}", "tenant.gpu_hour: {at_most_pct: 20, outside: [DE], per: month}"),
    # preferences
    ("site.seal.score: {maximise: 2}", "site.seal.scores: {maximise: 2}"),
    ("site.seal.score: {maximise: 2}", "site.seal.score: {maximize: 2}"),
    ("site.seal.score: {maximise: 2}", "site.seal.score: {maximise: much}"),
    ("site.seal.score: {maximise: 2}", "site.seal.score: {maximise: 0}"),
    ("site.seal.score: {maximise: 2}", "site.country: {maximise: 2}"),
    ("site.seal.score: {maximise: 2}", "site.country: {in: [FR]}"),
    ("site.seal.score: {maximise: 2}", "data.class: {at_least: health, weight: 1}"),
    ("site.seal.score: {maximise: 2}", "near_data: {weight: 1, max_transfer: 6}"),
    ("site.seal.score: {maximise: 2}", "near_data: {weight: 1}"),
    ("prefer:", "prefers:"),
    # operators
    ("at_least: health", "atleast: health"),
    ("at_least: health", "ge: health"),
    ("at_least: health", "at-least: health"),
    ("in: [acme]", "is: [acme]"),
    ("in: [acme]", "In: [acme]"),
    ("data.gb: {ge: 10}", "data.gb: {gt: 10}"),
    ("data.gb: {ge: 10}", "data.gb: {at_least: 10}"),
    ("data.gb: {ge: 10}", "data.gb: 10"),
    ('in: [FR, "@EEA"]', 'notin: [FR, "@EEA"]'),
    ('in: [FR, "@EEA"]', 'subset: [FR, "@EEA"]'),
    ('{in: [FR, "@EEA"]}', "FR"),
    ('{in: [FR, "@EEA"]}', "{}"),
    ('subset: ["@adequate', 'in: ["@adequate'),
    ("disjoint: [US]", "disjunct: [US]"),
    ("disjoint: [US]", "not_in: [US]"),
    ("has: {scheme", "have: {scheme"),
    ("{eq: true}", "{in: [true]}"),
    # values
    ("at_least: health", "at_least: helth"),
    ("at_least: health", "at_least: Health"),
    ("at_least: health", "at_least: [health]"),
    ("in: [acme]", "in: acme"),
    ("in: [acme]", "in: []"),
    ("in: [acme]", "in: [acme, acme]"),
    ("in: [acme]", "in: [7]"),
    ("data.gb: {ge: 10}", "data.gb: {ge: ten}"),
    ("data.gb: {ge: 10}", "data.gb: {ge: true}"),
    ("data.gb: {ge: 10}", "data.gb: {ge: .nan}"),
    ('[FR, "@EEA"]', '[fr, "@EEA"]'),
    ('[FR, "@EEA"]', '[FX, "@EEA"]'),
    ('[FR, "@EEA"]', '[UK, "@EEA"]'),
    ('[FR, "@EEA"]', '[EL, "@EEA"]'),
    ('[FR, "@EEA"]', "[FR, EEA]"),
    ('[FR, "@EEA"]', '[FR, "@EAA"]'),
    ('[FR, "@EEA"]', '[FR, "@eea"]'),
    ('[FR, "@EEA"]', '[FR, "@EU"]'),
    ('[FR, "@EEA"]', '[FR, "@adequate"]'),
    ('[FR, "@EEA"]', '[FR, "@adequate(GPDR)"]'),
    ('[FR, "@EEA"]', '[FR, "@tenant.contry"]'),
    ("{eq: FR}", "{eq: France}"),
    ("@adequate(data.law)", "@adequate(data.laws)"),
    ("@adequate(data.law)", "@adequat(data.law)"),
    ("[US]", "[USA]"),
    ("scheme: hds, version", "scheme: HDS, version"),
    ("scheme: hds, version", "scheme: hsd, version"),
    ("scheme: hds, version", "schema: hds, version"),
    ("version_at_least", "version_atleast"),
    ('version_at_least: "2024"', "version_at_least: latest"),
    ('version_at_least: "2024"', "type_at_least: 2"),
    ('version_at_least: "2024"', "level_at_least: high"),
    ("until_job_end", "until_job_ends"),
    ("until_job_end", "true"),
    ("sov-2: {ge: 3}", 'sov-2: {ge: "3"}'),
    ("{eq: true}", '{eq: "true"}'),
    ("{eq: true}", "{eq: yes}"),
    ("customer_hyok", "customer-hyok"),
    # the frame
    ("id: health-fr-hds", "id: health fr hds"),
    ("id: health-fr-hds", "name: health-fr-hds"),
    ("version: 3", "version: three"),
    ("version: 3", 'version: "3"'),
    ("version: 3", "version: 0"),
    ("because: a contract", 'because: ""'),
    ("review_by: 2027-05-01", "review_by: 2027-13-01"),
    ("review_by: 2027-05-01", "review_by: soon"),
    ("enforce: hard", "enforce: strict"),
    ("enforce: hard", "enforced: hard"),
    ("mode: enforce", "mode: enforced"),
    ("mode: enforce", "mode: dry-run"),
    ("when:", "where:"),
    ("require:", "requires:"),
    ("data.class: {at_least: health}", "site.spe: {eq: true}"),
    # the cases
    ("job: {data.class: health}", "job: {data.clas: health}"),
    ("job: {data.class: health}", "job: {data.class: helth}"),
    ("job: {data.class: health}", "job: {site.country: FR}"),
    ("site: {country: DE", "site: {county: DE"),
    ("site: {country: DE", "site: {country: GER"),
    ("certs: [{scheme: hds}]", "certs: [{scheme: hsd}]"),
    ("operator: {country: DE}", "operator: {contry: DE}"),
    ("expect: deny", "expect: denied"),
    ("clause: site.country", "clause: site.county"),
]


def test_the_rule_without_a_typo_is_accepted() -> None:
    assert load_sources({"rule.yaml": RULE}).rules[0].id == "health-fr-hds"


@pytest.mark.parametrize(("right", "wrong"), TYPOS, ids=[f"{right} -> {wrong}" for right, wrong in TYPOS])
def test_a_typo_is_refused_with_its_line(right: str, wrong: str) -> None:
    before, found, after = RULE.partition(right)
    assert found
    with pytest.raises(InputError) as refused:
        load_sources({"rule.yaml": before + wrong + after})
    where = refused.value.where
    assert where is not None
    assert where.file == "rule.yaml"
    missing_key = "is missing" in refused.value.message
    assert where.line == (1 if missing_key else before.count("\n") + 1), str(refused.value)
    assert refused.value.exit_code == 3


def test_the_corpus_is_large() -> None:
    assert len(set(TYPOS)) == len(TYPOS) >= 60


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (("site.country:", "site.county:"), "did you mean `site.country`?"),
        (("at_least: health", "at_least: helth"), "did you mean `health`?"),
        (("at_least: health", "atleast: health"), "did you mean `at_least`?"),
        (("[FR,", "[fr,"), "did you mean `FR`?"),
        (("@EEA", "@eea"), "did you mean `@EEA`?"),
        (("job: {data.class", "job: {job.data_class"), "did you mean `data.class`?"),
    ],
)
def test_a_typo_is_answered_with_what_was_probably_meant(wrong: tuple[str, str], hint: str) -> None:
    with pytest.raises(InputError) as refused:
        load_sources({"rule.yaml": RULE.replace(*wrong, 1)})
    assert refused.value.hint == hint
