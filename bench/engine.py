"""The placement engine on both families, each case in a process of its own; ends with 1 if one leaves its range.

Ranges are in bench/placement/ranges.json; writes results.json and gap.svg beside it. Times are CPU seconds of the
planning process, so that other work on the machine does not count; ratios between engine and rivals are from the
same process.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent / "placement"


def main(most_jobs: int) -> int:
    results, missed = [], 0
    for entry in json.loads((HERE / "ranges.json").read_text()):
        if entry["case"][1] > most_jobs:
            continue
        told = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, str(HERE / "case.py"), *map(str, entry["case"])],
            capture_output=True,
            text=True,
            check=True,
        )
        result = json.loads(told.stdout)
        result["within"] = result["gap"] <= entry["gap"] and result["cpu_s"] <= entry["cpu_s"]
        missed += not result["within"]
        results.append(result)
        rivals = ", ".join(f"{name} {100 * rival['over_bound']:.1f} %" for name, rival in result["rivals"].items())
        sys.stdout.write(
            f"{'ok  ' if result['within'] else 'MISS'} {entry['case']}: gap {100 * result['gap']:.2f} % "
            f"in {result['cpu_s']} CPU s, {result['peak_gib']} GiB; over the bound: {rivals}\n"
        )
        sys.stdout.flush()
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    (HERE / "results.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    _plot(results)
    return min(missed, 1)


def _plot(results: list[dict]) -> None:
    """Cost over the bound, engine and rivals, by case; nothing where no case was small enough."""
    if not results:
        return
    figure = Figure(figsize=(9, 4))
    axes = figure.subplots()
    labels = [f"{each['family']} {each['jobs']:,}\nload {each['rho']}" for each in results]
    series = {"csched": [100 * each["over_bound"] for each in results]}
    for name in results[0]["rivals"]:
        series[name] = [100 * each["rivals"][name]["over_bound"] for each in results]
    for name, values in series.items():
        axes.plot(labels, values, marker="o", label=name)
    axes.set_ylabel("cost over the bound, %")
    axes.set_yscale("log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(HERE / "gap.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
