"""The placement engine on both families, beside its rivals; ends with 1 if a case leaves its range.

Each case is a process of its own, so that its memory is its own; the engine and its rivals share it. Ranges are in
bench/placement/ranges.json; results.json, gap.svg and cost.svg beside it hold the newest figures of each case. Times
are CPU seconds of planning.

python -m bench.engine [MOST_JOBS]        leaves out what is larger, and keeps its older figures
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.placement.pictures import cost_over_jobs, gap_over_time

HERE = Path(__file__).parent / "placement"
ALL_JOBS = 1_000_000


def main(most_jobs: int) -> int:
    ranges = json.loads((HERE / "ranges.json").read_text())
    told = _Told.read()
    missed = 0
    for entry in (each for each in ranges["cases"] if each["case"][1] <= most_jobs):
        result = _run("case.py", *entry["case"])
        result["faults"] = _faults(result, entry)
        missed += bool(result["faults"])
        told.keep("results", result)
        _say_case(result)
    for case in (each for each in ranges["monoliths"] if each[1] <= most_jobs):
        for shape in ("intervals", "booleans"):
            each = _run("monolith.py", shape, *case) | dict(zip(_Told.CASE, case, strict=True))
            told.keep("monoliths", each)
            cost = "no plan" if each["cost_kg"] is None else f"{each['cost_kg']:,.1f} kg"
            sys.stdout.write(f"CP-SAT {shape} {case}: {cost}, {each['peak_gib']} GiB\n")
    for case in (each for each in ranges["anytime"] if each[1] <= most_jobs):
        told.keep("anytime", _run("anytime.py", *case))
    gap_over_time(told.of("anytime"), HERE / "gap.svg")
    cost_over_jobs(told.of("results"), HERE / "cost.svg")
    return min(missed, 1)


class _Told:
    """results.json: the newest figures of each case, written down as soon as they are known."""

    PATH = HERE / "results.json"
    CASE = ("family", "jobs", "sites", "rho", "seed")

    def __init__(self, tables: dict[str, Any]) -> None:
        self._tables = tables

    @classmethod
    def read(cls) -> "_Told":
        return cls(json.loads(cls.PATH.read_text()) if cls.PATH.exists() else {})

    def of(self, table: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._tables.get(table, [])
        return rows

    def keep(self, table: str, row: dict[str, Any]) -> None:
        others = [each for each in self.of(table) if self._key(each) != self._key(row)]
        self._tables[table] = sorted([*others, row], key=self._key)
        self._tables["machine"] = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        }
        self.PATH.write_text(json.dumps(self._tables, indent=1) + "\n")

    def _key(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return (*(row[name] for name in self.CASE), row.get("shape", ""))


def _run(script: str, *arguments: object) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, str(HERE / script), *map(str, arguments)], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def _faults(result: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Which figures are above their range; the engine is to be cheaper than every rival besides."""
    above = [name for name in ("gap", "cpu_s", "peak_gib") if result[name] > entry[name]]
    beaten = [name for name, rival in result["rivals"].items() if rival["over_bound"] < result["over_bound"]]
    return [*above, *beaten]


def _say_case(result: dict[str, Any]) -> None:
    rivals = ", ".join(f"{name} {100 * rival['over_bound']:.1f} %" for name, rival in result["rivals"].items())
    said = "MISS " + ", ".join(result["faults"]) if result["faults"] else "ok  "
    case = [result[name] for name in ("family", "jobs", "sites", "rho", "seed")]
    sys.stdout.write(
        f"{said} {case}: gap {100 * result['gap']:.2f} % in {result['cpu_s']} CPU s, {result['peak_gib']} GiB; "
        f"over the bound: {rivals}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ALL_JOBS))
