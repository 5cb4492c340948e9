"""Every fact that a rule may read, and nothing else: a closed vocabulary is what makes a typo an error.

A path that is not here is refused when the rules are loaded: a rule that csched could not apply must not look as if it
were applied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, get_args

from csched.domain.base import ISO_COUNTRIES
from csched.domain.job import (
    Confidentiality,
    DataClass,
    Export,
    OutputKind,
    Pattern,
    Purpose,
    Restriction,
    Tenancy,
)
from csched.domain.site import Confidential, Link, Operator, Personnel, Scheme, SealObjective, Site


class Kind(StrEnum):
    """What the values of a fact are, hence which operators may compare it."""

    COUNTRY = "country"
    COUNTRIES = "set of countries"
    WORD = "one of a few words"
    WORDS = "set of words"
    RANKED = "ordered words"
    NAME = "name"
    NAMES = "set of names"
    NUMBER = "number"
    TRUTH = "true or false"
    CERTIFICATES = "certificates"
    CLOCK = "time of day"
    QUOTA = "share of a month"


OPERATORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.COUNTRY: ("in", "not_in", "eq"),
    Kind.COUNTRIES: ("subset", "disjoint"),
    Kind.WORD: ("in", "not_in", "eq"),
    Kind.WORDS: ("subset", "disjoint"),
    Kind.RANKED: ("at_least", "at_most", "in", "not_in", "eq"),
    Kind.NAME: ("in", "not_in", "eq"),
    Kind.NAMES: ("subset", "disjoint"),
    Kind.NUMBER: ("ge", "le", "eq"),
    Kind.TRUTH: ("eq",),
    Kind.CERTIFICATES: ("has",),
    Kind.CLOCK: ("between", "not_between"),
    Kind.QUOTA: ("at_most_pct",),
}


class Law(StrEnum):
    """The data protection law under which a tenant exports data; it selects the list of adequate countries."""

    GDPR = "GDPR"
    FADP = "FADP"
    UKGDPR = "UKGDPR"


class Egress(StrEnum):
    """How far a dataset may be taken from where it rests."""

    FORBIDDEN = "forbidden"
    EEA = "eea"
    ADEQUACY = "adequacy"
    ANY = "any"


class Sector(StrEnum):
    RESEARCH = "research"
    PUBLIC = "public"
    HEALTH = "health"
    FINANCE = "finance"
    INDUSTRY = "industry"
    DEFENCE = "defence"


@dataclass(frozen=True)
class Attribute:
    """One fact: its path, what its values are and, where these are few, which."""

    path: str
    kind: Kind
    values: tuple[str, ...] = ()
    """All words the fact may have, in rising order where they are ordered; empty for names and numbers."""
    same_as: str = ""
    """The path of which this one is another spelling."""

    @property
    def fact(self) -> str:
        """The path under which the value is found."""
        return self.same_as or self.path

    @property
    def operators(self) -> tuple[str, ...]:
        return OPERATORS[self.kind]

    @property
    def of_site(self) -> bool:
        return is_of_site(self.path)

    @property
    def of_pair(self) -> bool:
        """Whether it is a fact of a job at a site: the way of the data between the two."""
        return is_of_pair(self.path)

    @property
    def is_country(self) -> bool:
        return self.kind in {Kind.COUNTRY, Kind.COUNTRIES}


def is_of_site(path: str) -> bool:
    return path.startswith("site.")


def is_of_pair(path: str) -> bool:
    return path.startswith(("transfer.", "path."))


def is_label(path: str) -> bool:
    """A fact of the job, of its data or of its tenant, whatever the site."""
    return not is_of_site(path) and not is_of_pair(path)


def _words(annotation: object) -> tuple[str, ...]:
    """The words of a field annotated `Literal[...] | None`, or `tuple[Literal[...], ...] | None`."""
    words: list[str] = []
    for argument in get_args(annotation):
        words += [argument] if isinstance(argument, str) else _words(argument)
    return tuple(words)


def _of(model: type[Site | Operator | Personnel | Confidential | Link], field: str) -> tuple[str, ...]:
    return _words(model.model_fields[field].annotation)


_SITE: Final = (
    Attribute("site.id", Kind.NAME),
    Attribute("site.country", Kind.COUNTRY),
    Attribute("site.grid_zone", Kind.NAME),
    Attribute("site.operator.country", Kind.COUNTRY),
    Attribute("site.operator.ultimate_parent_country", Kind.COUNTRY),
    Attribute("site.operator.compellable_by", Kind.COUNTRIES),
    Attribute("site.operator.non_eu_capital_single_pct", Kind.NUMBER),
    Attribute("site.operator.non_eu_capital_total_pct", Kind.NUMBER),
    Attribute("site.operator.kind", Kind.WORD, _of(Operator, "kind")),
    Attribute("site.operator.adequacy", Kind.WORDS, _of(Operator, "adequacy")),
    Attribute("site.storage_countries", Kind.COUNTRIES),
    Attribute("site.control_plane_country", Kind.COUNTRY),
    Attribute("site.support.countries", Kind.COUNTRIES),
    Attribute("site.personnel.location", Kind.WORD, _of(Personnel, "location")),
    Attribute("site.personnel.citizenship", Kind.WORD, _of(Personnel, "citizenship")),
    Attribute("site.certs", Kind.CERTIFICATES),
    *(Attribute(f"site.seal.{objective}", Kind.NUMBER) for objective in SealObjective),
    Attribute("site.seal.min", Kind.NUMBER),
    Attribute("site.seal.score", Kind.NUMBER),
    Attribute("site.ual", Kind.NUMBER),
    Attribute("site.spe", Kind.TRUTH),
    Attribute("site.confidential.cpu_tee", Kind.WORD, _of(Confidential, "cpu_tee")),
    Attribute("site.confidential.gpu_cc", Kind.WORD, _of(Confidential, "gpu_cc")),
    Attribute("site.confidential.attested", Kind.TRUTH),
    Attribute("site.keys", Kind.WORD, _of(Site, "keys")),
    Attribute("site.tenancy", Kind.WORD, _of(Site, "tenancy")),
    Attribute("site.civilian_only", Kind.TRUTH),
    Attribute("site.energy_metering", Kind.WORD, _of(Site, "energy_metering")),
    Attribute("site.pue", Kind.NUMBER),
)

_LABELS: Final = (
    Attribute("data.class", Kind.RANKED, tuple(DataClass)),
    Attribute("data.site", Kind.NAME),
    Attribute("data.gb", Kind.NUMBER),
    Attribute("data.law", Kind.WORDS, tuple(Law)),
    Attribute("data.id", Kind.NAME),
    Attribute("data.restricted", Kind.WORD, tuple(Restriction)),
    Attribute("data.home_site", Kind.NAME, same_as="data.site"),
    Attribute("data.size_gb", Kind.NUMBER, same_as="data.gb"),
    Attribute("data.replicas", Kind.NAMES),
    Attribute("data.egress", Kind.RANKED, tuple(Egress)),
    Attribute("tenant.id", Kind.NAME),
    Attribute("tenant.country", Kind.COUNTRY),
    Attribute("tenant.sector", Kind.WORD, tuple(Sector)),
    Attribute("tenant.law", Kind.WORDS, tuple(Law)),
    Attribute("tenant.contract_locations", Kind.COUNTRIES),
    Attribute("tenant.gpu_hours", Kind.QUOTA),
    Attribute("job.user", Kind.NAME),
    Attribute("job.gpus", Kind.NUMBER),
    Attribute("job.time_limit_s", Kind.NUMBER),
    Attribute("job.hardware", Kind.NAMES),
    Attribute("job.countries", Kind.COUNTRIES),
    Attribute("job.pattern", Kind.WORD, tuple(Pattern)),
    Attribute("job.load", Kind.NUMBER),
    Attribute("job.home_site", Kind.NAME),
    Attribute("job.priority", Kind.NUMBER),
    Attribute("job.portable", Kind.TRUTH),
    Attribute("job.purpose", Kind.WORD, tuple(Purpose)),
    Attribute("job.run_id", Kind.NAME),
    Attribute("job.start", Kind.CLOCK),
    Attribute("job.requires.confidential", Kind.RANKED, tuple(Confidentiality)),
    Attribute("job.requires.tenancy", Kind.RANKED, tuple(Tenancy)),
    Attribute("job.requires.min_seal", Kind.NUMBER),
    Attribute("job.requires.min_ual", Kind.NUMBER),
    Attribute("job.outputs.kind", Kind.WORD, tuple(OutputKind), same_as="outputs.kind"),
    Attribute("outputs.kind", Kind.WORD, tuple(OutputKind)),
    Attribute("outputs.return_to", Kind.COUNTRY),
    Attribute("outputs.retain_at_site_h", Kind.NUMBER),
    Attribute("outputs.export", Kind.RANKED, tuple(Export)),
    Attribute("outputs.aggregated_only", Kind.TRUTH),
    Attribute("outputs.inherit_class", Kind.TRUTH),
)

_PAIR: Final = (
    Attribute("transfer.from_country", Kind.COUNTRY),
    Attribute("transfer.size_gb", Kind.NUMBER),
    Attribute("transfer.duration_h", Kind.NUMBER),
    Attribute("transfer.gbit_per_s", Kind.NUMBER),
    Attribute("transfer.cost_eur", Kind.NUMBER),
    Attribute("transfer.encrypted", Kind.WORD, _of(Link, "encrypted")),
    Attribute("transfer.start", Kind.CLOCK),
    Attribute("transfer.hours", Kind.CLOCK),
    Attribute("path.countries", Kind.COUNTRIES),
)

VOCABULARY: Final[Mapping[str, Attribute]] = {attribute.path: attribute for attribute in (*_SITE, *_LABELS, *_PAIR)}

UNLESS_SAID: Final[Mapping[str, object]] = {
    "job.start": 0.0,
    "job.requires.confidential": Confidentiality.NONE,
    "job.requires.tenancy": Tenancy.SHARED,
    "job.requires.min_seal": 0,
    "job.requires.min_ual": 0,
    "outputs.inherit_class": True,
}
"""Labels that are known although the job says nothing: it asks for nothing, and its outputs are as its data."""

ALSO_CALLED: Final[Mapping[str, str]] = {
    "job.data_class": "data.class",
    "job.data_site": "data.site",
    "job.data_gb": "data.gb",
    "job.tenant": "tenant.id",
    "transfer.path.countries": "path.countries",
    "transfer.to_country": "site.country",
    "outputs.retention": "outputs.retain_at_site_h",
    "operator.compellable_by": "site.operator.compellable_by",
}
"""Other names by which people look for a path; each is answered with the right one."""

COUNTRY_REFERENCES: Final = ("tenant.country", "tenant.contract_locations")
"""`@tenant.country`: facts about the job whose countries a list of countries may name."""

LAW_PARAMETER: Final = "data.law"
"""`@adequate(data.law)`: the exporting law of the job's tenant picks the group."""

LEVELS: Final[Mapping[Scheme, tuple[str, ...]]] = {
    Scheme.ENS: ("basica", "media", "alta"),
    Scheme.EUCS: ("basic", "substantial", "high"),
    Scheme.GAIAX: ("standard", "l1", "l2", "l3"),
}
"""Levels in rising order, inside one scheme; no scheme is ever compared with another."""

SEAL_WEIGHTS: Final[Mapping[SealObjective, int]] = {
    SealObjective.STRATEGIC: 15,
    SealObjective.LEGAL: 10,
    SealObjective.DATA_AND_AI: 10,
    SealObjective.OPERATIONAL: 15,
    SealObjective.SUPPLY_CHAIN: 20,
    SealObjective.TECHNOLOGY: 15,
    SealObjective.SECURITY: 10,
    SealObjective.ENVIRONMENT: 5,
}
"""Per cent, from the Cloud Sovereignty Framework v1.2.1 (European Commission, October 2025)."""

TYPED_SCHEMES: Final = frozenset({Scheme.BSI_C5})
"""Schemes whose certificates have a type 1 (design) or 2 (effective over a period)."""

COUNTRIES: Final = ISO_COUNTRIES
