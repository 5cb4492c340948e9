"""Reservations, maintenance and run times by hardware, against docs/formats.md alone; imports nothing of csched."""

import json
import math
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SLOT = timedelta(minutes=15)
WORKS = (NOW + timedelta(hours=2, minutes=5), NOW + timedelta(hours=4, minutes=5))
"""All of north's small partition; a slot that it touches is lost."""
COURSE = (NOW + timedelta(hours=1, minutes=5), NOW + timedelta(hours=7))
"""Half of south, for ana."""
FLEET = f"""\
schema: csched/fleet/1
sites:
  - id: north
    country: FI
    grid_zone: FI
    pue: 1.1
    partitions: [{{name: a, hardware: dgx-a100, nodes: 2}}, {{name: h, hardware: dgx-h100, nodes: 2}}]
  - id: south
    country: FR
    grid_zone: FR
    pue: 1.3
    partitions: [{{name: h, hardware: dgx-h100, nodes: 4}}]
reservations:
  - {{name: works, site: north, partition: a, from: {WORKS[0]:%FT%TZ}, to: {WORKS[1]:%FT%TZ}, maintenance: true}}
  - {{name: course, site: south, from: {COURSE[0]:%FT%TZ}, to: {COURSE[1]:%FT%TZ}, gpus: 16, users: [ana]}}
"""
GPUS = {("north", "a"): 16, ("north", "h"): 16, ("south", "h"): 32}
HARDWARE = {("north", "a"): "dgx-a100", ("north", "h"): "dgx-h100", ("south", "h"): "dgx-h100"}
KW = {"dgx-a100": 6.5 / 8, "dgx-h100": 10.2 / 8}
PUE = {"north": 1.1, "south": 1.3}
HORIZON_H = 12
LIMITS_S = (3600, 5400, 2700)


def rows() -> dict[str, dict[str, Any]]:
    """Jobs that fill the sites for half a day; on the older hardware each takes two and a half times as long."""
    plain = {
        f"j{number}": {"user": "ben", "gpus": 8, "time_limit_s": LIMITS_S[number % 3], "expected_runtime_s": 1800}
        for number in range(70)
    }
    course = {
        f"c{number}": {"user": "ana", "gpus": 8, "time_limit_s": 3600, "reservation": "course"} for number in range(14)
    }
    stranger = {"user": "ben", "gpus": 8, "time_limit_s": 3600, "reservation": "course"}
    return {**plain, **course, "stranger": stranger}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("rooms")
    jobs = rows()
    given = [{"job": name, "runtime_factors": {"dgx-a100": 2.5}, **row} for name, row in jobs.items()]
    (folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    (folder / "fleet.yaml").write_text(FLEET)
    inputs = ["--fleet", str(folder / "fleet.yaml"), "--jobs", str(folder / "jobs.jsonl"), "--carbon", "climatology"]
    done = csched("plan", *inputs, "--now", NOW.isoformat(), "--horizon", f"{HORIZON_H}h", "--work", "50", "--json")
    assert done.returncode == 0, done.stderr
    (folder / "plan.json").write_text(done.stdout)
    checked = csched("verify", str(folder / "plan.json"), *inputs)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return jobs, json.loads(done.stdout)


def csched(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("csched")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def held(row: dict[str, Any], placement: dict[str, Any]) -> tuple[datetime, int]:
    """Start and slots held: the limit, stretched by the factor of the hardware, rounded up."""
    factor = 2.5 if placement["partition"] == "a" else 1.0
    return datetime.fromisoformat(placement["start"]), math.ceil(row["time_limit_s"] * factor / SLOT.total_seconds())


def test_run_times_follow_the_hardware(planned: tuple[dict[str, dict[str, Any]], dict[str, Any]]) -> None:
    jobs, plan = planned
    assert {placement["partition"] for placement in plan["placements"]} == {"a", "h"}
    for placement in plan["placements"]:
        row, place = jobs[placement["job"]], (placement["site"], placement["partition"])
        run_s = row.get("expected_runtime_s", row["time_limit_s"]) * (2.5 if placement["partition"] == "a" else 1.0)
        assert datetime.fromisoformat(placement["end"]) == held(row, placement)[0] + timedelta(seconds=run_s)
        kwh = 8 * KW[HARDWARE[place]] * 0.76 * run_s / 3600 * PUE[placement["site"]]
        assert placement["kwh"] == pytest.approx(kwh)


def test_nobody_is_in_the_way_of_maintenance_or_of_a_reservation(
    planned: tuple[dict[str, dict[str, Any]], dict[str, Any]],
) -> None:
    jobs, plan = planned
    in_use: Counter[tuple[str, str, datetime]] = Counter()
    for placement in plan["placements"]:
        start, slots = held(jobs[placement["job"]], placement)
        assert placement.get("reservation") == jobs[placement["job"]].get("reservation")
        inside = placement.get("reservation") == "course"
        for slot in range(slots):
            at = start + slot * SLOT
            assert not inside or COURSE[0] <= at <= COURSE[1] - SLOT
            in_use[placement["site"], "course" if inside else placement["partition"], at] += 8
    for (site, room, at), gpus in in_use.items():
        whole = 16 if room == "course" else GPUS[site, room]
        if (site, room) == ("north", "a") and WORKS[0] - SLOT < at < WORKS[1]:
            whole = 0
        if (site, room) == ("south", "h") and COURSE[0] - SLOT < at < COURSE[1]:
            whole -= 16
        assert gpus <= whole, (site, room, at)


def test_the_reservation_is_for_those_it_names_and_as_large_as_it_is(
    planned: tuple[dict[str, dict[str, Any]], dict[str, Any]],
) -> None:
    _, plan = planned
    left_out = {each["job"]: each for each in plan["unplaced"]}
    assert left_out["stranger"]["penalty_kg"] is None
    assert {why["site"]: why["code"] for why in left_out["stranger"]["reasons"]}.keys() == {"north", "south"}
    inside = [each for each in plan["placements"] if each.get("reservation") == "course"]
    assert len(inside) == 10  # from 07:15 to 13:00 five times an hour, twice at once; the other four wait in vain
    assert sum(name.startswith("c") for name in left_out) == 4
    assert plan["certificate"] is None or "south/h/course" in plan["certificate"]["gpu"]
