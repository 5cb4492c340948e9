"""The hardware catalogue: what csched knows of each kind of GPU node, and whence it knows it."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

from pydantic import Field, ValidationError

from csched.domain.base import Slug, Value
from csched.domain.hardware import EmbodiedCarbon, Hardware
from csched.domain.site import Evidence, Fleet
from csched.errors import InputError, Where
from csched.formats.validation import did_you_mean, input_error
from csched.formats.yaml_document import load_document
from csched.topology.overbooking import refuse_overbooking

T = TypeVar("T")


class CatalogueEntry(Value):
    hardware: Hardware
    evidence: Mapping[str, Evidence]
    """Field of the hardware (and `rated_kw`, from which `kw_per_gpu` is computed) -> whence its value."""


@cache
def entries() -> Mapping[str, CatalogueEntry]:
    """The shipped catalogue with its sources, by key, in the order of the file."""
    file = resources.files("csched.topology") / "catalogue.yaml"
    document = load_document(file.read_text(encoding="utf-8"), file.name)
    try:
        catalogue = _Catalogue.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, _Catalogue) from error
    return MappingProxyType({key: row.entry(key) for key, row in catalogue.hardware.items()})


@cache
def shipped() -> Mapping[str, Hardware]:
    """The shipped catalogue: key -> hardware."""
    return MappingProxyType({key: entry.hardware for key, entry in entries().items()})


def hardware_of(fleet: Fleet) -> Mapping[str, Hardware]:
    """The hardware that the fleet's partitions name; its own `hardware:` section goes before the catalogue.

    Raises:
        InputError: a partition names hardware that neither has, or an own entry is filed under another key; or
            reservations set more GPUs of a partition aside than that hardware has there.
    """
    known = {**shipped(), **_own(fleet)}
    named: dict[str, Hardware] = {}
    for position, site in enumerate(fleet.sites):
        for index, partition in enumerate(site.partitions):
            key = partition.hardware
            if key not in known:
                raise InputError(
                    f"partition `{site.id}/{partition.name}` has unknown hardware `{key}`",
                    hint=did_you_mean(key, list(known)) or "describe it under `hardware:` in the fleet file",
                    where=Where(field=f"sites[{position}].partitions[{index}].hardware"),
                )
            named[key] = known[key]
    refuse_overbooking(fleet, named)
    return named


def _own(fleet: Fleet) -> Mapping[str, Hardware]:
    for key, hardware in fleet.hardware.items():
        if hardware.key != key:
            raise InputError(
                f"hardware `{key}` calls itself `{hardware.key}`",
                hint="give both the same name",
                where=Where(field=f"hardware.{key}.key"),
            )
    return fleet.hardware


class _Sourced(Value, Generic[T]):
    """A value of the catalogue file and whence it comes; every one of the three is needed."""

    value: T
    source: str
    as_of: str
    confidence: Literal["verified", "derived", "memory", "assumed", "unknown"]

    @property
    def evidence(self) -> Evidence:
        return Evidence(source=self.source, as_of=self.as_of, confidence=self.confidence)


class _Row(Value):
    """One entry as the file spells it: the rated power is that of all nodes of one NVLink domain."""

    rated_kw: _Sourced[float]
    gpus_per_node: _Sourced[int]
    nodes_per_domain: _Sourced[int]
    nvlink_graph: _Sourced[Literal["switch", "mesh", "pcie", "irregular"]]
    nvlink_gb_per_s: _Sourced[float | None]
    nic_gb_per_s: _Sourced[float | None]
    gpu_memory_gb: _Sourced[float | None]
    embodied_kg_per_gpu_h: _Sourced[EmbodiedCarbon | None]
    assumed: bool = False

    def entry(self, key: str) -> CatalogueEntry:
        gpus = self.gpus_per_node.value * self.nodes_per_domain.value
        hardware = Hardware(
            key=key,
            kw_per_gpu=self.rated_kw.value / gpus,
            gpus_per_node=self.gpus_per_node.value,
            nodes_per_domain=self.nodes_per_domain.value,
            nvlink_gb_per_s=self.nvlink_gb_per_s.value,
            nvlink_graph=self.nvlink_graph.value,
            nic_gb_per_s=self.nic_gb_per_s.value,
            gpu_memory_gb=self.gpu_memory_gb.value,
            embodied_kg_per_gpu_h=self.embodied_kg_per_gpu_h.value,
            assumed=self.assumed,
        )
        told = {name: value.evidence for name, value in self if isinstance(value, _Sourced)}
        return CatalogueEntry(hardware=hardware, evidence={**told, "kw_per_gpu": told["rated_kw"]})


class _Catalogue(Value):
    schema_: Literal["csched/hardware/1"] = Field(alias="schema")
    hardware: Mapping[Slug, _Row]
