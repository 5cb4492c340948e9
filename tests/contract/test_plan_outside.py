"""`csched plan` against the contract alone: everything recomputed from the input files, importing nothing of csched.

The reader, the arithmetic and the rules below are written from docs/formats.md by another hand and in another way
than the engine's: minute sums instead of integrals, loops instead of tables.
"""

import csv
import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SLOT = timedelta(minutes=15)
HORIZON = timedelta(hours=48)

KW_PER_GPU = {
    "dgx-a100": 6.5 / 8, "dgx-h100": 10.2 / 8, "dgx-h200": 10.2 / 8, "dgx-b200": 14.3 / 8, "dgx-b300": 14 / 8,
    "gb200-nvl72": 120 / 72, "gb300-nvl72": 132 / 72, "gh200-quad": 2.9 / 4, "leonardo-a100": 2.2 / 4,
    "h100-quad": 4.0 / 4, "mi250x-lumi": 2.4 / 8, "l40s-pcie": 4.0 / 8,
}  # fmt: skip
GPUS_PER_NODE = {"gb200-nvl72": 4, "gb300-nvl72": 4, "gh200-quad": 4, "leonardo-a100": 4, "h100-quad": 4}
NODES_PER_DOMAIN = {"gb200-nvl72": 18, "gb300-nvl72": 18}

EU27 = set("AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split())
EEA = EU27 | {"IS", "LI", "NO"}


class Inputs:
    """The three files, read plainly."""

    def __init__(self, fleet: Path, jobs: Path, carbon: Path) -> None:
        self.fleet: dict[str, Any] = yaml.safe_load(fleet.read_text())
        self.sites: dict[str, dict[str, Any]] = {site["id"]: site for site in self.fleet["sites"]}
        with jobs.open(newline="") as stream:
            self.jobs = {row["job"]: row for row in csv.DictReader(stream)}
        self.intensity: dict[str, dict[datetime, float]] = {}
        with carbon.open(newline="") as stream:
            for row in csv.DictReader(stream):
                at = instant(row["timestamp"])
                self.intensity.setdefault(row["zone"], {})[at] = float(row["carbon_intensity_lca"])

    def rate(self, name: str, default: float) -> float:
        return float(self.fleet.get("objective", {}).get(name, default))

    def pue(self, site: str) -> float:
        return float(self.sites[site].get("pue") or self.fleet["defaults"]["pue"])

    def partition(self, site: str, name: str) -> dict[str, Any]:
        return next(part for part in self.sites[site]["partitions"] if part["name"] == name)

    def link(self, one: str, other: str) -> dict[str, Any] | None:
        return next((link for link in self.fleet.get("links", []) if {one, other} == set(link["between"])), None)

    def mean_intensity(self, zone: str, start: datetime, end: datetime) -> float:
        """Mean of the hourly steps over [start, end), summed step by step with fractions of the outer ones."""
        steps = self.intensity[zone]
        total, at = 0.0, start
        while at < end:
            hour = at.replace(minute=0, second=0, microsecond=0)
            until = min(end, hour + timedelta(hours=1))
            total += steps[hour] * (until - at).total_seconds()
            at = until
        return total / (end - start).total_seconds()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def gpus_held(gpus: int, hardware: str) -> int:
    per_node = GPUS_PER_NODE.get(hardware, 8)
    return gpus if gpus < per_node else per_node * math.ceil(gpus / per_node)


def partition_gpus(partition: dict[str, Any]) -> int:
    hardware = partition["hardware"]
    nodes = partition.get("nodes") or partition["domains"] * NODES_PER_DOMAIN[hardware]
    return int(nodes * GPUS_PER_NODE.get(hardware, 8))


def slots_held(job: dict[str, str]) -> int:
    return math.ceil(int(job["time_limit_s"]) / SLOT.total_seconds())


def it_kw(job: dict[str, str], hardware: str) -> float:
    return int(job["gpus"]) * KW_PER_GPU[hardware] * float(job.get("load") or 0.76)


def figures(inputs: Inputs, job: dict[str, str], site: str, partition: str, start: datetime) -> dict[str, float]:
    """Every figure of one placement, by the contract's arithmetic."""
    hardware = inputs.partition(site, partition)["hardware"]
    hours = float(job.get("expected_runtime_s") or job["time_limit_s"]) / 3600
    kwh = it_kw(job, hardware) * hours * inputs.pue(site)
    zone = inputs.sites[site]["grid_zone"]
    carbon_kg = kwh * inputs.mean_intensity(zone, start, start + timedelta(hours=hours)) / 1000
    egress_kg, data_site = 0.0, job.get("data_site") or ""
    if data_site and data_site != site:
        link = inputs.link(data_site, site) or {}
        per_gb = link.get("g_co2_per_gb")
        rate = per_gb / 1000 if per_gb is not None else inputs.rate("egress_kg_per_gb", 0.002)
        egress_kg = float(job.get("data_gb") or 0) * rate
    wait_h = max(0.0, (start - ready(job)).total_seconds() / 3600)
    cost_kg = carbon_kg + egress_kg + inputs.rate("wait_kg_per_gpu_h", 0.02) * int(job["gpus"]) * wait_h
    return {"kwh": kwh, "carbon_kg": carbon_kg, "egress_kg": egress_kg, "wait_h": wait_h, "cost_kg": cost_kg}


def ready(job: dict[str, str]) -> datetime:
    named = [instant(job[name]) for name in ("submit", "earliest_start") if job.get(name)]
    return max(NOW, *named)


def policy_allows(inputs: Inputs, job: dict[str, str], site: dict[str, Any], end: datetime) -> bool:
    """Three rules of the shipped library, by hand: health in France with HDS, no US reach, EEA or adequacy."""
    classes = ["public", "internal", "personal", "special", "health"]
    rank = classes.index(job["data_class"])
    operator, support = site.get("operator", {}), site.get("support", {}).get("countries")
    if rank >= classes.index("health"):
        hds = [cert for cert in site.get("certs") or [] if cert["scheme"] == "hds" and cert["version"] >= "2024"]
        until = [cert["valid_until"] for cert in hds]
        if site["country"] != "FR" or not any(_aware(day) >= end for day in until):
            return False
    if rank >= classes.index("special"):
        reach = operator.get("compellable_by")
        if reach is None or support is None or "US" in reach or "US" in support:
            return False
    if rank >= classes.index("personal"):
        storage = site.get("storage_countries")
        if storage is None or support is None or not {site["country"], *storage, *support} <= EEA:
            return False
    return True


def _aware(day: Any) -> datetime:
    if isinstance(day, datetime):
        return day.astimezone(UTC)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def allowed_starts(inputs: Inputs, job: dict[str, str], *, policies: bool) -> list[tuple[str, str, datetime]]:
    """Every (site, partition, start) that is allowed, other jobs aside."""
    found = []
    limit = timedelta(seconds=int(job["time_limit_s"]))
    wanted = set(filter(None, (job.get("hardware") or "").split("|")))
    countries = set(filter(None, (job.get("countries") or "").split("|")))
    for site_id, site in inputs.sites.items():
        pinned = job.get("portable") == "false" and site_id != home(inputs, job)
        if pinned or (countries and site["country"] not in countries):
            continue
        begin = ready(job)
        if (
            (data_site := job.get("data_site") or "")
            and data_site != site_id
            and (link := inputs.link(data_site, site_id))
        ):
            begin += timedelta(seconds=float(job.get("data_gb") or 0) * 8 / link["gbit_per_s"])
        for partition in site["partitions"]:
            hardware = partition["hardware"]
            if wanted and hardware not in wanted:
                continue
            if gpus_held(int(job["gpus"]), hardware) > partition_gpus(partition):
                continue
            if site.get("it_power_cap_kw") is not None and it_kw(job, hardware) > site["it_power_cap_kw"]:
                continue
            for k in range(int(HORIZON / SLOT)):
                start = NOW + k * SLOT
                late = bool(job.get("deadline")) and start + limit > instant(job["deadline"])
                if start < begin or late or (policies and not policy_allows(inputs, job, site, start + limit)):
                    continue
                found.append((site_id, partition["name"], start))
    return found


def home(inputs: Inputs, job: dict[str, str]) -> str:
    named = inputs.fleet.get("home", {})
    tenant = named.get("tenants", {}).get(job.get("tenant") or "")
    return job.get("home_site") or tenant or named.get("default") or next(iter(inputs.sites))


def require_kept(inputs: Inputs, plan: dict[str, Any], *, policies: bool) -> None:
    """Each promise of the contract, in the order of its page."""
    placed = {placement["job"]: placement for placement in plan["placements"]}
    unplaced = {entry["job"]: entry for entry in plan["unplaced"]}
    assert len(placed) == len(plan["placements"]), "a job is placed twice"
    assert len(unplaced) == len(plan["unplaced"]), "a job is unplaced twice"
    assert not placed.keys() & unplaced.keys(), "a job is in both lists"
    assert placed.keys() | unplaced.keys() == inputs.jobs.keys(), "each job is in one list"

    starts = {name: allowed_starts(inputs, job, policies=policies) for name, job in inputs.jobs.items()}
    gpus: dict[tuple[str, str, int], int] = {}
    power: dict[tuple[str, int], float] = {}
    for name, placement in placed.items():
        job, start = inputs.jobs[name], instant(placement["start"])
        site, partition = placement["site"], placement["partition"]
        assert (site, partition, start) in starts[name], f"{name} starts where or when it is not allowed"
        for figure, expected in figures(inputs, job, site, partition, start).items():
            assert placement[figure] == pytest.approx(expected, rel=1e-6, abs=1e-9), (name, figure)
        hours = float(job.get("expected_runtime_s") or job["time_limit_s"])
        assert instant(placement["end"]) == start + timedelta(seconds=hours), name
        assert placement["gpus"] == int(job["gpus"])
        assert placement["topology_kg"] == pytest.approx((placement["sigma"] - 1) * placement["carbon_kg"])
        hardware = inputs.partition(site, partition)["hardware"]
        first = round((start - NOW) / SLOT)
        for slot in range(first, first + slots_held(job)):
            gpus[site, partition, slot] = gpus.get((site, partition, slot), 0) + gpus_held(int(job["gpus"]), hardware)
            power[site, slot] = power.get((site, slot), 0.0) + it_kw(job, hardware)
    for (site, partition, slot), held in gpus.items():
        assert held <= partition_gpus(inputs.partition(site, partition)), (site, partition, slot)
    for (site, slot), kw in power.items():
        assert kw <= inputs.sites[site].get("it_power_cap_kw", math.inf) * (1 + 1e-9), (site, slot)

    penalties = 0.0
    for name, entry in unplaced.items():
        job = inputs.jobs[name]
        assert entry["reasons"], f"{name} is unplaced without a reason"
        assert (entry["penalty_kg"] is None) == (not starts[name]), name
        for allowed in starts[name]:
            assert not fits(inputs, job, allowed, gpus, power), f"{name} still fits: {allowed}"
        if starts[name]:
            expected = penalty(inputs, job, starts[name])
            assert entry["penalty_kg"] == pytest.approx(expected, rel=1e-6)
            penalties += expected
    assert plan["placed_cost_kg"] == pytest.approx(sum(p["cost_kg"] for p in placed.values()), rel=1e-9)
    assert plan["cost_kg"] == pytest.approx(plan["placed_cost_kg"] + penalties, rel=1e-9)
    assert plan["bound_kg"] <= plan["cost_kg"] * (1 + 1e-9)
    if plan["placed_cost_kg"]:
        gap = (plan["cost_kg"] - plan["bound_kg"]) / plan["placed_cost_kg"]
        assert plan["gap"] == pytest.approx(gap, abs=1e-9)
    if plan["certificate"] is not None:
        assert plan["bound_kg"] <= bound_from(inputs, plan["certificate"], starts) * (1 + 1e-6) + 1e-9


def fits(
    inputs: Inputs,
    job: dict[str, str],
    allowed: tuple[str, str, datetime],
    gpus: dict[tuple[str, str, int], int],
    power: dict[tuple[str, int], float],
) -> bool:
    site, partition, start = allowed
    described = inputs.partition(site, partition)
    hardware, cap = described["hardware"], inputs.sites[site].get("it_power_cap_kw", math.inf)
    first = round((start - NOW) / SLOT)
    return all(
        gpus.get((site, partition, slot), 0) + gpus_held(int(job["gpus"]), hardware) <= partition_gpus(described)
        and power.get((site, slot), 0.0) + it_kw(job, hardware) <= cap
        for slot in range(first, first + slots_held(job))
    )


def penalty(inputs: Inputs, job: dict[str, str], starts: list[tuple[str, str, datetime]]) -> float:
    dearest = max(figures(inputs, job, *start)["cost_kg"] for start in starts)
    drop = inputs.rate("drop_kg_per_gpu_h", 0.5)
    return dearest + drop * int(job["gpus"]) * int(job["time_limit_s"]) / 3600


def bound_from(
    inputs: Inputs, certificate: dict[str, Any], starts: dict[str, list[tuple[str, str, datetime]]]
) -> float:
    """The Lagrangian bound, job by job and start by start."""
    for prices in (*certificate["gpu"].values(), *certificate.get("power", {}).values()):
        assert all(price >= 0 for price in prices)
    total = 0.0
    for name, allowed in starts.items():
        job = inputs.jobs[name]
        if not allowed:
            continue
        cheapest = penalty(inputs, job, allowed)
        for site, partition, start in allowed:
            hardware = inputs.partition(site, partition)["hardware"]
            first = round((start - NOW) / SLOT)
            held = range(first, first + slots_held(job))
            gpu_prices = certificate["gpu"].get(f"{site}/{partition}", [])
            kw_prices = certificate.get("power", {}).get(site, [])
            priced = figures(inputs, job, site, partition, start)["cost_kg"]
            priced += gpus_held(int(job["gpus"]), hardware) * sum(gpu_prices[s] for s in held if s < len(gpu_prices))
            priced += it_kw(job, hardware) * sum(kw_prices[s] for s in held if s < len(kw_prices))
            cheapest = min(cheapest, priced)
        total += cheapest
    for key, prices in certificate["gpu"].items():
        site, _, partition = key.partition("/")
        total -= sum(prices) * partition_gpus(inputs.partition(site, partition))
    for site, prices in certificate.get("power", {}).items():
        total -= sum(prices) * inputs.sites[site]["it_power_cap_kw"]
    return total


def plan(*arguments: object) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("csched")), "plan", *map(str, arguments), "--now", NOW.isoformat()]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in {0, 4}, done.stderr or done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def carbon(tmp_path: Path) -> Path:
    """A fortnight of waves, each zone with its own height and phase; gCO2e/kWh."""
    path = tmp_path / "carbon.csv"
    levels = {"FR": (55, 0), "DE": (330, 5), "FI": (80, 9), "IT-NO": (280, 2)}
    rows = ["timestamp,zone,carbon_intensity_lca"]
    for zone, (mean, phase) in levels.items():
        for hour in range(-24, 14 * 24):
            at = (NOW + timedelta(hours=hour)).isoformat().replace("+00:00", "Z")
            rows.append(f"{at},{zone},{mean * (1 + 0.4 * math.sin((hour + phase) / 24 * 2 * math.pi)):.3f}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("policies", [False, True], ids=["wishes only", "shipped policies"])
def test_the_shipped_examples_keep_every_promise(carbon: Path, tmp_path: Path, *, policies: bool) -> None:
    fleet, jobs = ROOT / "traces/fleets/demo.yaml", ROOT / "traces/jobs/demo.csv"
    inputs = Inputs(fleet, jobs, carbon)
    folder = tmp_path / "policies"
    folder.mkdir()
    if policies:
        for name in ("health-fr-hds.yaml", "special-no-us-reach.yaml", "personal-eea-or-adequacy.yaml"):
            (folder / name).write_text((ROOT / "policies/library" / name).read_text())
        inputs.jobs = {name: job for name, job in inputs.jobs.items() if job["data_class"]}
        kept = tmp_path / "classified.csv"
        with kept.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, next(iter(inputs.jobs.values())))
            writer.writeheader()
            writer.writerows(inputs.jobs.values())
        jobs = kept
    named = ("--policies", folder) if policies else ()
    answer = plan("--fleet", fleet, "--jobs", jobs, "--carbon", carbon, "--work", 400, *named)
    require_kept(inputs, answer, policies=policies)
    assert answer["placements"], "nothing was placed: this shows nothing"


def test_a_crowded_fleet_keeps_every_promise(carbon: Path, tmp_path: Path) -> None:
    """More work than fits: the bound, the penalties and "a job that still fits is never left out" are at stake."""
    rows = ["job,gpus,time_limit_s,expected_runtime_s,submit,deadline,countries,load,data_site,data_gb"]
    for number in range(60):
        gpus = (4, 8, 16, 64, 128)[number % 5]
        limit = 3600 * (2 + number % 9) + 61 * number
        deadline = (NOW + timedelta(hours=12 + number)).isoformat() if number % 3 else ""
        countries = ("DE", "FR|DE", "", "IT")[number % 4]
        data = ("munich,500", ",")[number % 2]
        load = 0.5 + number % 5 / 10
        rows.append(f"j{number},{gpus},{limit},{limit // 2},{NOW.isoformat()},{deadline},{countries},{load},{data}")
    jobs = tmp_path / "jobs.csv"
    jobs.write_text("\n".join(rows) + "\n")
    fleet = ROOT / "traces/fleets/demo.yaml"
    answer = plan("--fleet", fleet, "--jobs", jobs, "--carbon", carbon, "--work", 400)
    require_kept(Inputs(fleet, jobs, carbon), answer, policies=False)
    assert answer["unplaced"], "everything fitted: this shows little"
