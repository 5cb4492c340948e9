"""The fleet: data centres, what they are made of, who runs them and what carbon may be traded for.

Unknown is `null` and stays unknown: a policy that needs the fact then excludes the site. Nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from csched.domain.base import Country, Instant, InstantOrDay, Slug, Value
from csched.domain.hardware import Hardware

MOST_GPUS, MOST_KW = 10_000_000, 1e9
"""Of one partition and of one site: more is a slip, and sums of such leave 64 bits."""


class Scheme(StrEnum):
    """Certification schemes. Levels are ordered inside one scheme only."""

    HDS = "hds"
    SECNUMCLOUD = "secnumcloud"
    BSI_C5 = "bsi-c5"
    ENS = "ens"
    EUCS = "eucs"
    ISO27001 = "iso27001"
    ISO27701 = "iso27701"
    ISO50001 = "iso50001"
    GAIAX = "gaiax"
    NEN7510 = "nen7510"


class SealObjective(StrEnum):
    """Objectives of the EU Cloud Sovereignty Framework v1.2.1."""

    STRATEGIC = "sov-1"
    LEGAL = "sov-2"
    DATA_AND_AI = "sov-3"
    OPERATIONAL = "sov-4"
    SUPPLY_CHAIN = "sov-5"
    TECHNOLOGY = "sov-6"
    SECURITY = "sov-7"
    ENVIRONMENT = "sov-8"


class Operator(Value):
    name: str | None = Field(default=None, max_length=200)
    country: Country | None = None
    ultimate_parent_country: Country | None = None
    compellable_by: tuple[Country, ...] | None = None
    """Countries whose courts can compel the operator or its parents; null is unknown, [] is none."""
    non_eu_capital_single_pct: float | None = Field(default=None, ge=0, le=100)
    non_eu_capital_total_pct: float | None = Field(default=None, ge=0, le=100)
    kind: (
        Literal["public_research", "public_admin", "private_eu", "private_third_country", "joint_undertaking"] | None
    ) = None
    adequacy: tuple[Literal["dpf-eu-us", "dpf-swiss-us", "uk-us-bridge", "pipeda", "appi", "pipa-kr"], ...] | None = (
        None
    )
    """Conditional adequacy decisions that cover the operator; null is unknown, and then none of them counts."""


class Support(Value):
    countries: tuple[Country, ...] | None = None
    """From where support staff can log in; remote access counts as a transfer."""


class Personnel(Value):
    location: Literal["EU27", "EEA", "any"] | None = None
    citizenship: Literal["EU27", "EEA", "any"] | None = None


class Confidential(Value):
    cpu_tee: Literal["none", "sev-snp", "tdx"] | None = None
    gpu_cc: Literal["off", "on", "ppcie"] | None = None
    attested: bool | None = None


class Certificate(Value):
    scheme: Scheme
    level: str | None = Field(default=None, max_length=32)
    type: int | None = Field(default=None, ge=1, le=2)
    version: str | None = Field(default=None, max_length=32)
    scope: str | None = Field(default=None, max_length=400)
    issuer: str | None = Field(default=None, max_length=200)
    valid_from: InstantOrDay | None = None
    valid_until: InstantOrDay | None = None
    """The certificate counts for a job only if it is valid until the job's end."""
    evidence_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class PowerCap(Value):
    """A cap on the site's IT power that holds in [from, to)."""

    from_: Instant = Field(alias="from")
    to: Instant
    kw: float = Field(ge=0, le=MOST_KW)


class SlurmCluster(Value):
    cluster: Slug


class Partition(Value):
    """Nodes of one hardware. `domains` counts NVLink domains, `nodes` counts nodes; give one of them."""

    name: Slug
    hardware: Slug
    domains: int | None = Field(default=None, ge=0, le=MOST_GPUS)
    nodes: int | None = Field(default=None, ge=0, le=MOST_GPUS)
    spare_nodes_per_domain: int = Field(default=0, ge=0, le=1000)
    """Nodes of each domain that no job gets, whichever they are: 2 of an NVL72's 18 are its maintenance reserve."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.domains is None) == (self.nodes is None):
            raise ValueError("give either `domains` or `nodes`")
        return self

    def node_count(self, hardware: Hardware) -> int:
        return self.nodes if self.nodes is not None else (self.domains or 0) * hardware.nodes_per_domain

    def gpu_count(self, hardware: Hardware) -> int:
        """GPUs that jobs can have: those of all nodes but the spares."""
        whole, rest = divmod(self.node_count(hardware), hardware.nodes_per_domain)
        spare = self.spare_nodes_per_domain
        offered = whole * max(0, hardware.nodes_per_domain - spare) + max(0, rest - spare)
        return offered * hardware.gpus_per_node

    def offered(self, hardware: Hardware) -> Hardware:
        """The hardware as jobs meet it here: domains without their spares, and none larger than the partition."""
        whole = min(hardware.nodes_per_domain, self.node_count(hardware))
        nodes = max(1, whole - self.spare_nodes_per_domain)
        same = nodes == hardware.nodes_per_domain
        return hardware if same else hardware.model_copy(update={"nodes_per_domain": nodes})


class Site(Value):
    id: Slug
    country: Country | None = None
    grid_zone: str = Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,10})*$")
    """Electricity Maps zone key, such as FR or IT-NO."""
    name: str | None = Field(default=None, max_length=200)
    operator: Operator = Operator()
    storage_countries: tuple[Country, ...] | None = None
    control_plane_country: Country | None = None
    support: Support = Support()
    personnel: Personnel = Personnel()
    certs: tuple[Certificate, ...] | None = None
    seal: Mapping[SealObjective, int] | None = None
    """SEAL level 0..4 per objective."""
    ual: int | None = Field(default=None, ge=0, le=4)
    spe: bool | None = None
    """An EHDS secure processing environment."""
    confidential: Confidential = Confidential()
    keys: Literal["provider", "customer_byok", "customer_hyok"] | None = None
    tenancy: Literal["shared", "exclusive_node", "exclusive_partition"] | None = None
    civilian_only: bool | None = None
    energy_metering: Literal["measured", "estimated", "none"] | None = None
    pue: float | None = Field(default=None, ge=1, le=5)
    it_power_cap_kw: float | tuple[PowerCap, ...] | None = None
    slurm: SlurmCluster | None = None
    partitions: tuple[Partition, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse_twice("partition", [partition.name for partition in self.partitions])
        if self.seal is not None and any(not 0 <= level <= 4 for level in self.seal.values()):
            raise ValueError("a SEAL level is 0, 1, 2, 3 or 4")
        if isinstance(self.it_power_cap_kw, float) and not 0 <= self.it_power_cap_kw <= MOST_KW:
            raise ValueError(f"it_power_cap_kw must be at least 0 and at most {MOST_KW:g}")
        return self

    def power_cap_kw(self, at: datetime) -> float | None:
        """The cap on IT power in force at `at`; null where none holds."""
        if self.it_power_cap_kw is None or isinstance(self.it_power_cap_kw, float):
            return self.it_power_cap_kw
        return min((cap.kw for cap in self.it_power_cap_kw if cap.from_ <= at < cap.to), default=None)


class Link(Value):
    """A wide-area link, the same in both directions."""

    between: tuple[Slug, Slug]
    gbit_per_s: float = Field(gt=0)
    g_co2_per_gb: float | None = Field(default=None, ge=0)
    eur_per_gb: float | None = Field(default=None, ge=0)
    encrypted: Literal["none", "tls", "ipsec", "macsec"] | None = None
    countries: tuple[Country, ...] | None = None
    """Countries that it passes between its two ends; [] is none, null is unknown."""


class Reservation(Value):
    """GPUs set aside for a time: for those named, or for nobody (maintenance). Nodes are not promised, only GPUs."""

    name: Slug
    site: Slug
    partition: Slug | None = None
    """null is every partition of the site."""
    from_: Instant = Field(alias="from")
    to: Instant
    gpus: int | None = Field(default=None, ge=1, le=MOST_GPUS)
    """In each partition; null is all of them."""
    maintenance: bool = False
    """Nobody runs in it, and no job that could reach into it is begun on its GPUs."""
    users: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    """Who may name it with `--reservation`; with `users` empty too, everybody."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.to <= self.from_:
            raise ValueError("a reservation ends after it begins")
        return self

    def is_for(self, user: str | None, tenant: str | None) -> bool:
        """Who may name it."""
        return not (self.users or self.tenants) or user in self.users or tenant in self.tenants


class FleetDefaults(Value):
    """Used where a site's value is null, and flagged in every report."""

    pue: float | None = Field(default=None, ge=1, le=5)


class Home(Value):
    """Where jobs would run without csched: the ground of baselines and savings."""

    default: Slug | None = None
    tenants: Mapping[str, Slug] = {}


class ExchangeRates(Value):
    """What one hour of waiting, one transferred GB or one job left out is worth, in kgCO2e."""

    wait_kg_per_gpu_h: float = Field(default=0.02, ge=0)
    egress_kg_per_gb: float = Field(default=0.002, ge=0)
    drop_kg_per_gpu_h: float = Field(default=0.5, ge=0)
    move_kg_per_gpu: float = Field(default=0.02, ge=0)
    """Moving a start that was announced, another site or another time; steers the search and is no part of a cost."""


class Evidence(Value):
    """Whence a value of the fleet file comes; written there beside it: `{value, source, asserted_by, valid_until}`."""

    source: str | None = Field(default=None, max_length=1000)
    as_of: str | None = Field(default=None, max_length=32)
    confidence: str | None = Field(default=None, max_length=32)
    asserted_by: str | None = Field(default=None, max_length=200)
    """Who answers for it: the operator itself, an auditor."""
    valid_until: InstantOrDay | None = None
    """From then on no rule counts on the value any more."""


class Fleet(Value):
    schema_: Literal["csched/fleet/1"] = Field(default="csched/fleet/1", alias="schema")
    defaults: FleetDefaults = FleetDefaults()
    home: Home = Home()
    sites: tuple[Site, ...] = Field(min_length=1, max_length=1000)
    links: tuple[Link, ...] = Field(default=(), max_length=100_000)
    reservations: tuple[Reservation, ...] = Field(default=(), max_length=10_000)
    objective: ExchangeRates = ExchangeRates()
    hardware: Mapping[Slug, Hardware] = {}
    """Kinds of hardware beside, or instead of, those of the shipped catalogue."""
    evidence: Mapping[str, Evidence] = {}
    """Path in the file -> whence the value; filled by the reader."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [site.id for site in self.sites]
        _refuse_twice("site", ids)
        known = set(ids)
        named = [
            self.home.default,
            *self.home.tenants.values(),
            *(end for link in self.links for end in link.between),
            *(reservation.site for reservation in self.reservations),
        ]
        for end in named:
            if end is not None and end not in known:
                raise ValueError(f"`{end}` is not a site of this fleet")
        _refuse_twice("reservation", [reservation.name for reservation in self.reservations])
        for reservation in self.reservations:
            partitions = [
                partition.name for site in self.sites if site.id == reservation.site for partition in site.partitions
            ]
            if reservation.partition is not None and reservation.partition not in partitions:
                raise ValueError(
                    f"reservation `{reservation.name}`: site `{reservation.site}` has no partition "
                    f"`{reservation.partition}`; it has {', '.join(partitions)}"
                )
        _refuse_twice("link", [" - ".join(sorted(link.between)) for link in self.links])
        if self.defaults.pue is None:
            for site in self.sites:
                if site.pue is None:
                    raise ValueError(f"site `{site.id}` has no pue and there is no `defaults: {{pue: …}}`")
        return self

    def site(self, site_id: str) -> Site:
        """Raises KeyError for a site that is not in the fleet."""
        return self._by_id[site_id]

    def reservations_at(self, site: str, partition: str) -> tuple[Reservation, ...]:
        """What is set aside in a partition, maintenance included, in the order of the file."""
        return tuple(each for each in self._reservations.get(site, ()) if each.partition in {None, partition})

    @cached_property
    def _reservations(self) -> Mapping[str, Sequence[Reservation]]:
        by_site: dict[str, list[Reservation]] = {}
        for reservation in self.reservations:
            by_site.setdefault(reservation.site, []).append(reservation)
        return by_site

    @cached_property
    def _by_id(self) -> Mapping[str, Site]:
        return {site.id: site for site in self.sites}

    def pue(self, site: Site) -> float:
        pue = site.pue if site.pue is not None else self.defaults.pue
        if pue is None:  # the validator above has refused such a fleet
            raise ValueError(f"site `{site.id}` has no pue")
        return pue

    def link(self, one: str, other: str) -> Link | None:
        return next((link for link in self.links if set(link.between) == {one, other}), None)

    def home_site(self, home_site: str | None, tenant: str | None) -> str:
        """Where a job would run without csched: its own home site, its tenant's, the fleet's, else the first site."""
        return home_site or self.home.tenants.get(tenant or "") or self.home.default or self.sites[0].id


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} `{name}` is there twice")
        seen.add(name)
