"""Sites, tenants, jobs and rules as plain data, drawn small enough that they often meet each other."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from csched.domain.job import Job
from csched.domain.site import Fleet, Site
from csched_policies.load import load_sources

NOW = datetime(2026, 11, 22, tzinfo=UTC)
COUNTRIES = ["FR", "DE", "NO", "CH", "GB", "US"]
CLASSES = ["public", "internal", "personal", "special", "health"]
SECTORS = ["research", "health", "finance"]
DAYS = [(NOW + timedelta(days=offset)).date().isoformat() for offset in (-40, -1, 0, 1, 7, 20, 45)]
GROUPS = {
    "UNION": ["FR", "DE"],
    "AREA": ["FR", "DE", "NO"],
    "adequate(GDPR)": [
        "CH",
        {"country": "GB", "valid_until": DAYS[4]},
        {"country": "US", "condition": "dpf-eu-us", "valid_until": DAYS[5]},
    ],
    "adequate(FADP)": [
        "FR",
        "DE",
        {"country": "NO", "valid_from": DAYS[3]},
        {"country": "US", "condition": "dpf-swiss-us"},
    ],
    "adequate(UKGDPR)": ["FR", {"country": "US", "valid_from": DAYS[1], "valid_until": DAYS[4]}],
}
TENANTS = {
    "acme": {"country": "DE", "sector": "finance", "law": "GDPR"},
    "clinic": {"country": "FR", "sector": "health", "law": ["GDPR", "FADP"]},
    "lab": {"country": "GB", "sector": "research", "law": "UKGDPR"},
    "quiet": {},
}

_OPTIONAL_COUNTRIES = st.none() | st.lists(st.sampled_from(COUNTRIES), max_size=3, unique=True)
_OPTIONAL_COUNTRY = st.none() | st.sampled_from(COUNTRIES)
_DAY = st.none() | st.sampled_from(DAYS)


@st.composite
def certificates(draw):
    scheme = draw(st.sampled_from(["hds", "bsi-c5", "ens"]))
    certificate = {"scheme": scheme, "valid_until": draw(_DAY)}
    if scheme == "hds":
        certificate["version"] = draw(st.sampled_from([None, "2018", "2024"]))
    if scheme == "bsi-c5":
        certificate["type"] = draw(st.sampled_from([None, 1, 2]))
    if scheme == "ens":
        certificate["level"] = draw(st.sampled_from([None, "basica", "media", "alta", "hoch"]))
    begins = draw(_DAY)
    if begins and (certificate["valid_until"] is None or begins < certificate["valid_until"]):
        certificate["valid_from"] = begins
    return certificate


SEAL = st.none() | st.fixed_dictionaries({f"sov-{n}": st.integers(0, 4) for n in range(1, 9)}).map(dict)


CONFIDENTIAL = st.fixed_dictionaries(
    {
        "cpu_tee": st.sampled_from([None, "none", "tdx"]),
        "gpu_cc": st.sampled_from([None, "off", "ppcie"]),
        "attested": st.sampled_from([None, False, True]),
    }
)


@st.composite
def sites(draw):
    seal = draw(SEAL)
    if seal and draw(st.booleans()):
        seal.pop("sov-2")
    return {
        "country": draw(_OPTIONAL_COUNTRY),
        "operator": {
            "compellable_by": draw(_OPTIONAL_COUNTRIES),
            "adequacy": draw(st.none() | st.lists(st.sampled_from(["dpf-eu-us", "dpf-swiss-us"]), unique=True)),
        },
        "storage_countries": draw(_OPTIONAL_COUNTRIES),
        "support": {"countries": draw(_OPTIONAL_COUNTRIES)},
        "certs": draw(st.none() | st.lists(certificates(), max_size=3)),
        "seal": seal,
        "ual": draw(st.none() | st.integers(0, 4)),
        "spe": draw(st.none() | st.booleans()),
        "keys": draw(st.sampled_from([None, "provider", "customer_hyok"])),
        "tenancy": draw(st.sampled_from([None, "shared", "exclusive_node", "exclusive_partition"])),
        "confidential": draw(CONFIDENTIAL),
    }


@st.composite
def links(draw, count):
    """Links among sites s0, s1 and so on: some pairs have one."""
    pairs = [(one, other) for one in range(count) for other in range(one)]
    return [
        {
            "between": [f"s{one}", f"s{other}"],
            "gbit_per_s": draw(st.sampled_from([0.1, 10])),
            "eur_per_gb": draw(st.sampled_from([None, 0.02])),
            "encrypted": draw(st.sampled_from([None, "none", "ipsec"])),
            "countries": draw(st.none() | st.lists(st.sampled_from(COUNTRIES), max_size=2, unique=True)),
        }
        for one, other in pairs
        if draw(st.booleans())
    ]


@st.composite
def jobs(draw):
    return {
        "job": f"j{draw(st.integers(0, 10**9))}",
        "gpus": draw(st.sampled_from([1, 8, 64])),
        "time_limit_s": 3600,
        "data_class": draw(st.sampled_from([None, *CLASSES])),
        "tenant": draw(st.sampled_from([None, "stranger", *TENANTS])),
        "data_gb": draw(st.sampled_from([0.0, 100.0])),
        "portable": draw(st.sampled_from([None, False, True])),
        "data_site": draw(st.sampled_from([None, "s0", "s1"])),
        "outputs_kind": draw(st.sampled_from([None, "results", "model_weights"])),
        "outputs_return_to": draw(st.sampled_from([None, "FR", "DE"])),
        "outputs_export": draw(st.sampled_from([None, "none", "EU27", "any"])),
        "outputs_inherit_class": draw(st.sampled_from([None, False])),
        **(draw(DEMANDS) if draw(st.integers(0, 3)) == 0 else {}),
    }


DEMANDS = st.fixed_dictionaries(
    {
        "requires_confidential": st.sampled_from([None, "none", "cpu", "gpu"]),
        "requires_tenancy": st.sampled_from([None, "shared", "exclusive_node", "exclusive_partition"]),
        "requires_min_seal": st.sampled_from([None, 0, 2]),
        "requires_min_ual": st.sampled_from([None, 0, 2]),
    }
)


def _some(words, size=3):
    return st.lists(st.sampled_from(words), min_size=1, max_size=size, unique=True)


_PLACES = _some([*COUNTRIES, "@UNION", "@AREA", "@adequate(GDPR)", "@adequate(data.law)", "@tenant.country"])
_SCALAR = st.one_of(
    st.fixed_dictionaries({"in": _PLACES}),
    st.fixed_dictionaries({"not_in": _PLACES}),
    st.fixed_dictionaries({"in": _PLACES, "not_in": _PLACES}),
    st.fixed_dictionaries({"eq": st.sampled_from(COUNTRIES)}),
)
_SET = st.fixed_dictionaries({"subset": _PLACES}) | st.fixed_dictionaries({"disjoint": _PLACES})
_LEVEL = st.integers(0, 4)
_NUMBER = (
    st.fixed_dictionaries({"ge": _LEVEL})
    | st.fixed_dictionaries({"le": _LEVEL})
    | st.fixed_dictionaries({"eq": _LEVEL})
)
_HAS = st.one_of(
    st.fixed_dictionaries(
        {"scheme": st.just("hds"), "valid": st.just("until_job_end")},
        optional={"version_at_least": st.sampled_from(["2018", "2024"])},
    ),
    st.fixed_dictionaries({"scheme": st.just("bsi-c5")}, optional={"type_at_least": st.sampled_from([1, 2])}),
    st.fixed_dictionaries({"scheme": st.just("ens")}, optional={"level_at_least": st.sampled_from(["media", "alta"])}),
)
_REQUIRE = {
    "site.country": _SCALAR,
    "site.storage_countries": _SET,
    "site.support.countries": _SET,
    "site.operator.compellable_by": _SET,
    "site.certs": st.fixed_dictionaries({"has": _HAS}),
    "site.seal.sov-2": _NUMBER,
    "site.seal.min": _NUMBER,
    "site.ual": _NUMBER,
    "site.spe": st.fixed_dictionaries({"eq": st.booleans()}),
    "site.keys": st.fixed_dictionaries({"in": _some(["provider", "customer_hyok", "customer_byok"])}),
    "tenant.sector": st.fixed_dictionaries({"not_in": _some(SECTORS)}),
    "site.tenancy": st.fixed_dictionaries({"not_in": _some(["shared", "exclusive_node"])}),
    "outputs.return_to": st.fixed_dictionaries({"in": _PLACES}),
    "outputs.export": st.fixed_dictionaries({"at_most": st.sampled_from(["none", "EU27", "EEA"])}),
    "outputs.inherit_class": st.fixed_dictionaries({"eq": st.booleans()}),
    "job.requires.min_seal": st.fixed_dictionaries({"ge": st.sampled_from([0, 1, 2])}),
    "job.requires.confidential": st.fixed_dictionaries({"at_least": st.sampled_from(["none", "cpu", "gpu"])}),
    "transfer.encrypted": st.fixed_dictionaries({"in": _some(["tls", "ipsec", "macsec"])}),
    "transfer.duration_h": st.fixed_dictionaries({"le": st.sampled_from([1, 3])}),
    "transfer.cost_eur": st.fixed_dictionaries({"le": st.sampled_from([1, 5])}),
    "path.countries": _SET,
}
CLOCKS = st.sampled_from(["00:00", "00:30", "01:00", "02:00", "06:30", "12:00", "21:00", "22:00", "23:30"])
ZONES = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata"])


def hours():
    """Hours of the day; about half of them hold at the midnight (UTC) at which the tests take place."""
    return st.builds(
        lambda operator, pair, zone: {operator: list(pair), "tz": zone},
        st.sampled_from(["between", "not_between"]),
        st.tuples(CLOCKS, CLOCKS).filter(lambda pair: pair[0] != pair[1]),
        ZONES,
    )


_HOURS = {"transfer.start": hours(), "transfer.hours": hours(), "job.start": hours()}
_WHEN = {
    "data.class": st.one_of(
        st.fixed_dictionaries({"at_least": st.sampled_from(CLASSES)}),
        st.fixed_dictionaries({"at_most": st.sampled_from(CLASSES)}),
        st.fixed_dictionaries({"not_in": _some(CLASSES)}),
    ),
    "tenant.id": st.fixed_dictionaries({"in": _some([*TENANTS, "stranger"])}),
    "tenant.sector": st.fixed_dictionaries({"in": _some(SECTORS)}),
    "tenant.country": st.fixed_dictionaries({"in": _some([*COUNTRIES, "@UNION", "@AREA"])}),
    "data.law": st.fixed_dictionaries({"disjoint": _some(["GDPR", "FADP"])}),
    "job.gpus": st.fixed_dictionaries({"ge": st.sampled_from([1, 8, 64])}),
    "data.gb": st.fixed_dictionaries({"le": st.sampled_from([0, 50, 100])}),
    "job.portable": st.fixed_dictionaries({"eq": st.booleans()}),
    "data.home_site": st.fixed_dictionaries({"in": _some(["s0", "s1", "s2"])}),
    "job.outputs.kind": st.fixed_dictionaries({"in": _some(["results", "model_weights"])}),
    "job.requires.tenancy": st.fixed_dictionaries({"at_least": st.sampled_from(["shared", "exclusive_node"])}),
    "transfer.size_gb": st.fixed_dictionaries({"ge": st.sampled_from([50, 100, 200])}),
    "transfer.from_country": st.fixed_dictionaries({"in": _PLACES}),
}


def _entries(table, least, most):
    return st.lists(st.sampled_from(sorted(table)), min_size=least, max_size=most, unique=True).flatmap(
        lambda paths: st.fixed_dictionaries({path: table[path] for path in paths})
    )


@st.composite
def rules(draw, levels=("hard", "overridable", "advisory"), clocks=True):
    rule = {
        "version": 1,
        "because": "a contract",
        "owner": "dpo@example.eu",
        "review_by": "2027-05-01",
        "enforce": draw(st.sampled_from(levels)),
        "mode": "enforce" if draw(st.integers(0, 5)) else "audit",
        "require": draw(_entries(_REQUIRE | (_HOURS if clocks else {}), 1, 3)),
    }
    when = draw(_entries(_WHEN, 0, 2))
    return {**rule, "when": when} if when else rule


def rule_sets(most=4, **options):
    return st.lists(rules(**options), min_size=1, max_size=most).map(
        lambda drawn: [{"id": f"rule-{number}", **rule} for number, rule in enumerate(drawn)]
    )


def sources(rule_set, groups=None, tenants=None):
    """Files of a policy folder; JSON is YAML."""
    written = {
        f"groups/{number}.yaml": json.dumps(
            {"group": name, "as_of": "2026-11-22", "sources": ["test"], "members": members}
        )
        for number, (name, members) in enumerate((groups or GROUPS).items())
    }
    written |= {f"{rule['id']}.yaml": json.dumps(rule) for rule in rule_set}
    return {**written, "facts/tenants.yaml": json.dumps(TENANTS if tenants is None else tenants)}


def policies(rule_set, **options):
    return load_sources(sources(rule_set, **options))


def fleet(facts, links=()):
    """A fleet of one site for each dictionary of facts."""
    common = {"grid_zone": "FR", "pue": 1.2, "partitions": [{"name": "p", "hardware": "dgx-h100", "nodes": 1}]}
    places = tuple(Site.model_validate({"id": f"s{n}", **common, **each}) for n, each in enumerate(facts))
    return Fleet.model_validate({"sites": places, "links": tuple(links)})


def job(columns):
    return Job.model_validate({name: value for name, value in columns.items() if value is not None})
