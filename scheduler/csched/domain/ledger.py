"""Energy and carbon of jobs, planned and real, beside what the same job would have caused at home and at once."""

from enum import StrEnum

from csched.domain.base import Instant, Slug, Value
from csched.domain.run import JobState


class EnergyMethod(StrEnum):
    """How the energy of a run was obtained; always shown."""

    MODEL = "model"
    """Rated power x load x true duration x PUE."""
    MEASURED = "measured"


class LedgerEntry(Value):
    """One ended job. kWh include the PUE; kg are kgCO2e, location-based (GHG Protocol scope 2)."""

    job: Slug
    user: str | None
    tenant: str | None
    project: str | None
    site: Slug
    state: JobState
    gpus: int
    submit: Instant
    start: Instant
    end: Instant
    planned_kwh: float | None
    planned_carbon_kg: float | None
    kwh: float
    carbon_kg: float
    egress_kg: float
    energy_method: EnergyMethod
    baseline_site: Slug
    baseline_kwh: float
    baseline_carbon_kg: float
    """The same duration, begun at submission at the submitter's home site."""
    carbon_source: str
    carbon_method: str

    @property
    def saved_kg(self) -> float:
        return self.baseline_carbon_kg - self.carbon_kg - self.egress_kg
