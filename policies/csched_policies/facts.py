"""What is known of a site and of a job, under the paths of the vocabulary; None is unknown.

A fact that nobody stated stays unknown. Nothing is derived except `site.seal.min` and `.score`, which need all
eight objectives.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from csched.domain.base import Country, Slug, Value
from csched.domain.job import DataClass, Restriction
from csched.domain.site import Fleet, SealObjective, Site
from csched.domain.start_ban import ClockTime, ZoneName
from csched.errors import InputError
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document
from csched_policies.vocabulary import SEAL_WEIGHTS, UNLESS_SAID, VOCABULARY, Egress, Law, Sector

Facts = Mapping[str, Any]
"""Path -> value: text, number, truth, a tuple of these, or a tuple of certificates; None is unknown."""


def _as_list(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


class OpenHours(Value):
    """Hours of every day in which something may happen, by the clock of a zone; over midnight where `to` is earlier."""

    from_: ClockTime = Field(alias="from")
    to: ClockTime
    tz: ZoneName

    @model_validator(mode="after")
    def _some_of_the_day(self) -> Self:
        if self.from_ == self.to:
            raise ValueError("the hours begin and end at the same time")
        return self


class Dataset(Value):
    """What is known of a dataset; null is unknown and fails every rule that reads it."""

    class_: DataClass | None = Field(default=None, alias="class")
    restricted: Restriction | None = None
    law: Annotated[tuple[Law, ...] | None, BeforeValidator(_as_list)] = None
    """The law under which it was collected; where it is left out, that of the job's tenant."""
    home_site: Slug | None = None
    """Where it rests; where it is left out, what the job says (`data_site`)."""
    size_gb: float | None = Field(default=None, ge=0)
    """How much of it a job moves; where it is left out, what the job says (`data_gb`)."""
    replicas: tuple[Slug, ...] | None = None
    """Sites where there is a copy: nothing moves to them."""
    egress: Egress | None = None
    """How far it may be taken; binds every job that reads it, with or without a rule."""
    egress_hours: OpenHours | None = None
    """When it may travel; binds likewise."""


class Tenant(Value):
    """What is known of a tenant; null is unknown and fails every rule that reads it."""

    country: Country | None = None
    sector: Sector | None = None
    law: Annotated[tuple[Law, ...] | None, BeforeValidator(_as_list)] = None
    """One law, or all the laws under which the tenant exports data: then a country must be adequate under each."""
    contract_locations: tuple[Country, ...] | None = None
    """Countries that the contract with the tenant names."""


_TENANTS: Final = TypeAdapter(dict[Slug, Tenant])


def read_tenants(document: Document) -> dict[str, Tenant]:
    """`facts/tenants.yaml`: tenant -> {country, sector, law}.

    Raises:
        InputError: with file, line and field.
    """
    if not isinstance(document.data, dict):
        raise InputError("a mapping `tenant: {country, sector, law}` was expected", where=document.where())
    try:
        return _TENANTS.validate_python(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, _Tenants) from error


_DATASETS: Final = TypeAdapter(dict[Slug, Dataset])


def read_datasets(document: Document) -> dict[str, Dataset]:
    """`facts/datasets.yaml`: dataset -> {class, restricted, law}.

    Raises:
        InputError: with file, line and field.
    """
    if not isinstance(document.data, dict):
        raise InputError("a mapping `dataset: {class, restricted, law}` was expected", where=document.where())
    try:
        return _DATASETS.validate_python(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, _Datasets) from error


class _Datasets(Value):
    """Lets a misspelt key of a dataset be answered with the right one."""

    dataset: Dataset


class _Tenants(Value):
    """Lets a misspelt key of a tenant be answered with the right one."""

    tenant: Tenant


def site_facts(site: Site) -> dict[str, Any]:
    """All facts of one site, by path."""
    operator, seal = site.operator, site.seal or {}
    facts: dict[str, Any] = {
        "site.id": site.id,
        "site.country": site.country,
        "site.grid_zone": site.grid_zone,
        "site.operator.country": operator.country,
        "site.operator.ultimate_parent_country": operator.ultimate_parent_country,
        "site.operator.compellable_by": operator.compellable_by,
        "site.operator.non_eu_capital_single_pct": operator.non_eu_capital_single_pct,
        "site.operator.non_eu_capital_total_pct": operator.non_eu_capital_total_pct,
        "site.operator.kind": operator.kind,
        "site.operator.adequacy": operator.adequacy,
        "site.storage_countries": site.storage_countries,
        "site.control_plane_country": site.control_plane_country,
        "site.support.countries": site.support.countries,
        "site.personnel.location": site.personnel.location,
        "site.personnel.citizenship": site.personnel.citizenship,
        "site.certs": site.certs,
        "site.seal.min": min(seal.values()) if len(seal) == len(SealObjective) else None,
        "site.seal.score": _seal_score(seal),
        "site.ual": site.ual,
        "site.spe": site.spe,
        "site.confidential.cpu_tee": site.confidential.cpu_tee,
        "site.confidential.gpu_cc": site.confidential.gpu_cc,
        "site.confidential.attested": site.confidential.attested,
        "site.keys": site.keys,
        "site.tenancy": site.tenancy,
        "site.civilian_only": site.civilian_only,
        "site.energy_metering": site.energy_metering,
        "site.pue": site.pue,
    }
    return facts | {f"site.seal.{objective}": seal.get(objective) for objective in SealObjective}


def _seal_score(seal: Mapping[SealObjective, int]) -> float | None:
    """Levels weighted as the framework does, on its scale of 0 to 4."""
    if len(seal) < len(SealObjective):
        return None
    return sum(SEAL_WEIGHTS[objective] * level for objective, level in seal.items()) / sum(SEAL_WEIGHTS.values())


_FROM_SEAL: Final = frozenset({"seal.min", "seal.score"})
_OF_SITE: Final = re.compile(r"sites\[(?P<index>[0-9]+)\](\.(?P<path>[^\[]+))?")


def ends_of_evidence(fleet: Fleet) -> tuple[dict[str, datetime], ...]:
    """For each site: path of a fact -> the instant from which nobody vouches for it, where the fleet file says so.

    An end given for a whole (`operator`) is an end for each part, one given for an entry of a list for the list.
    """
    ends: tuple[dict[str, datetime], ...] = tuple({} for _ in fleet.sites)
    for spelled, told in fleet.evidence.items():
        match = _OF_SITE.match(spelled)
        if match is None or told.valid_until is None or int(match["index"]) >= len(ends):
            continue
        of_site = ends[int(match["index"])]
        for path in _within(match["path"]):
            of_site[path] = min(told.valid_until, of_site.get(path, told.valid_until))
    return ends


def _within(stated: str | None) -> Iterator[str]:
    """Facts that rest on what was stated under a path of the site; all of them where it was the site itself."""
    for path in VOCABULARY:
        if not path.startswith("site."):
            continue
        own = path.removeprefix("site.")
        derived = own in _FROM_SEAL and (stated or "").startswith("seal")
        if stated is None or derived or own == stated or own.startswith(f"{stated}."):
            yield path


COLUMN: Final[Mapping[str, str]] = {
    "data.class": "data_class",
    "data.site": "data_site",
    "data.gb": "data_gb",
    "data.law": "tenant",
    "data.id": "datasets",
    "data.restricted": "data_restricted",
    "data.replicas": "datasets",
    "data.egress": "datasets",
    "tenant.id": "tenant",
    "tenant.country": "tenant",
    "tenant.sector": "tenant",
    "tenant.law": "tenant",
    "tenant.contract_locations": "tenant",
    "tenant.gpu_hours": "tenant",
    "job.user": "user",
    "job.gpus": "gpus",
    "job.time_limit_s": "time_limit_s",
    "job.hardware": "hardware",
    "job.countries": "countries",
    "job.pattern": "pattern",
    "job.load": "load",
    "job.home_site": "home_site",
    "job.priority": "priority",
    "job.portable": "portable",
    "job.purpose": "purpose",
    "job.run_id": "run_id",
    "job.requires.confidential": "requires_confidential",
    "job.requires.tenancy": "requires_tenancy",
    "job.requires.min_seal": "requires_min_seal",
    "job.requires.min_ual": "requires_min_ual",
    "outputs.kind": "outputs_kind",
    "outputs.return_to": "outputs_return_to",
    "outputs.retain_at_site_h": "outputs_retain_at_site_h",
    "outputs.export": "outputs_export",
    "outputs.aggregated_only": "outputs_aggregated_only",
    "outputs.inherit_class": "outputs_inherit_class",
}
"""Path of a label -> the column of the job from which it comes."""

_PATHS: Final = {column: tuple(path for path in COLUMN if COLUMN[path] == column) for column in COLUMN.values()}
_FROM_TENANT: Final[Mapping[str, Callable[[Tenant], object]]] = {
    "data.law": lambda tenant: tenant.law,
    "tenant.law": lambda tenant: tenant.law,
    "tenant.country": lambda tenant: tenant.country,
    "tenant.sector": lambda tenant: tenant.sector,
    "tenant.contract_locations": lambda tenant: tenant.contract_locations,
}


_FROM_DATASET: Final = frozenset({"data.replicas", "data.egress"})
"""Known once it is known which dataset is meant (`inputs`)."""


def label_facts(columns: Mapping[str, Any], tenants: Mapping[str, Tenant]) -> dict[str, Any]:
    """Facts of a job, by path, from the columns at hand; an empty list is unknown, as in the jobs file."""
    facts: dict[str, Any] = dict(UNLESS_SAID)
    for column, stated in columns.items():
        known = tenants.get(stated) if column == "tenant" and stated is not None else None
        for path in _PATHS.get(column, ()):
            value = stated
            if path in _FROM_TENANT:
                value = _FROM_TENANT[path](known) if known else None
            elif path in _FROM_DATASET:
                continue
            facts[path] = UNLESS_SAID.get(path) if value is None or value == () else value
    return facts


def inputs(labels: Facts, datasets: Mapping[str, Dataset]) -> tuple[Facts, ...]:
    """The labels under which a job is judged: once for each dataset that it reads, else once.

    What the job itself says of its data can only narrow: the higher class counts, and each marking is judged. Where
    a dataset rests and how large it is, the dataset says.
    """
    found: list[Facts] = []
    for name in labels.get("data.id") or ():
        dataset = datasets.get(name, Dataset())
        of_data = {
            "data.id": name,
            "data.class": _higher(dataset.class_, labels.get("data.class")),
            "data.law": dataset.law or labels.get("data.law"),
            "data.site": dataset.home_site or labels.get("data.site"),
            "data.gb": labels.get("data.gb") if dataset.size_gb is None else dataset.size_gb,
            "data.replicas": dataset.replicas,
            "data.egress": dataset.egress,
            EGRESS_HOURS: dataset.egress_hours,
        }
        marks = dict.fromkeys(mark for mark in (dataset.restricted, labels.get("data.restricted")) if mark)
        found += [{**labels, **of_data, "data.restricted": mark} for mark in marks or (None,)]
    return tuple(found) or ({**labels, **_NO_DATASET},)


EGRESS_HOURS: Final = "data.egress_hours"
"""Not a fact that rules can compare: only the dataset itself asks for it."""
_NO_DATASET: Final = dict.fromkeys(("data.id", "data.replicas", "data.egress"))


def _higher(of_dataset: DataClass | None, of_job: DataClass | None) -> DataClass | None:
    if of_dataset is None or of_job is None:
        return of_dataset
    return max(of_dataset, of_job, key=lambda each: each.rank)
