"""csched simulate from the command line to its files, on the shipped trace and on real data."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from csched import shipped
from csched.cli import main
from csched_sim.outputs import write_outputs
from csched_sim.play import play
from csched_sim.scenario import read_scenario
from csched_sim.strategies import STRATEGIES

SCENARIO = shipped.scenarios() / "mixed-week.yaml"
DEMO = str(shipped.demo_fleet())


@pytest.fixture(scope="module")
def mixed_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped scenario, played once, cut to its first 150 jobs."""
    out = tmp_path_factory.mktemp("mixed-week")
    assert main(["simulate", str(SCENARIO), "--jobs", "150", "--out", str(out), "--quiet"]) == 0
    return out


def summary_of(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return read


def test_the_summary_has_the_fields_that_others_rely_on(mixed_week: Path) -> None:
    summary = summary_of(mixed_week)
    promised = {"schema", "scenario", "seed", "jobs", "gpu_hours", "span", "carbon_source", "bound", "strategies"}
    assert promised <= summary.keys()
    assert (summary["schema"], summary["scenario"], summary["jobs"]) == ("csched/simulation/1", "mixed-week", 150)
    assert {"carbon_kg", "method"} <= summary["bound"].keys()
    assert list(summary["strategies"]) == ["fifo", "easy", "csched"]
    figures = {
        "jobs_completed", "kwh", "carbon_kg", "saved_vs_baseline_pct", "captured_of_bound_pct", "mean_wait_h",
        "p95_wait_h", "mean_bounded_slowdown", "utilisation", "makespan_h", "deadline_misses", "policy_violations",
        "mean_sigma", "decisions",
    }  # fmt: skip
    for strategy in summary["strategies"].values():
        assert figures <= strategy.keys()


def test_csched_saves_carbon_and_breaks_no_rule(mixed_week: Path) -> None:
    strategies = summary_of(mixed_week)["strategies"]
    assert strategies["easy"]["saved_vs_baseline_pct"] == 0
    assert strategies["csched"]["policy_violations"] == 0
    assert strategies["csched"]["saved_vs_baseline_pct"] > 50
    assert 0 < strategies["csched"]["captured_of_bound_pct"] <= 100


def test_every_expectation_stands_beside_what_was_seen(mixed_week: Path) -> None:
    expectations = summary_of(mixed_week)["expectations"]
    assert {expected["figure"] for expected in expectations} >= {"saved_vs_baseline_pct", "policy_violations"}
    assert [expected for expected in expectations if not expected["met"]] == []


def test_rows_of_jobs_add_up_to_the_summary(mixed_week: Path) -> None:
    strategies = summary_of(mixed_week)["strategies"]
    rows = pq.read_table(mixed_week / "jobs.parquet").to_pylist()
    assert len(rows) == 3 * 150
    for name, figures in strategies.items():
        ran = [row for row in rows if row["strategy"] == name and row["state"] == "COMPLETED"]
        assert len(ran) == figures["jobs_completed"]
        assert sum(row["carbon_kg"] for row in ran) == pytest.approx(figures["carbon_kg"], rel=1e-12)
        assert sum(row["kwh"] for row in ran) == pytest.approx(figures["kwh"], rel=1e-12)
        assert sum(row["wait_h"] for row in ran) / len(ran) == pytest.approx(figures["mean_wait_h"], rel=1e-12)
        assert all((row["end"] - row["start"]).total_seconds() == row["runtime_s"] for row in ran)


def test_what_never_ran_has_a_row_and_a_reason(mixed_week: Path) -> None:
    rows = [row for row in pq.read_table(mixed_week / "jobs.parquet").to_pylist() if row["state"] == "PENDING"]
    missing = {name: figures["never_ran"] for name, figures in summary_of(mixed_week)["strategies"].items()}
    assert len(rows) == sum(missing.values())
    assert all(row["why"] and row["start"] is None for row in rows)


def test_csched_keeps_the_power_cap(mixed_week: Path) -> None:
    scenario = read_scenario(SCENARIO).model_copy(update={"jobs": 150, "strategies": ("csched",), "baseline": "csched"})
    [result] = play(scenario).simulation.results
    changes: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for run in result.outcome.runs:
        kw = run.traced.job.gpus * run.berth.hardware.kw_per_gpu * run.traced.job.load
        changes[run.berth.site.id] += [(run.start_s, kw), (run.end_s, -kw)]
    cap = next(site.it_power_cap_kw for site in play_fleet().sites if site.id == "munich")
    drawn, peak = 0.0, 0.0
    for _, kw in sorted(changes["munich"]):
        drawn += kw
        peak = max(peak, drawn)
    assert isinstance(cap, float)
    assert peak <= cap + 1e-9
    assert {run.traced.job.job: run.start_s for run in result.outcome.runs} == started(mixed_week, "csched")


def play_fleet() -> Any:
    from csched.formats.fleet import read_fleet

    return read_fleet(shipped.demo_fleet())


def started(folder: Path, strategy: str) -> dict[str, int]:
    rows = pq.read_table(folder / "jobs.parquet").to_pylist()
    return {
        row["job"]: int(row["start"].timestamp())
        for row in rows
        if row["strategy"] == strategy and row["start"] is not None
    }


def test_same_scenario_and_seed_same_bytes(tmp_path: Path) -> None:
    for run in ("one", "two"):
        assert main(["simulate", str(SCENARIO), "--jobs", "40", "--out", str(tmp_path / run), "--quiet"]) == 0
    assert (tmp_path / "one" / "summary.json").read_bytes() == (tmp_path / "two" / "summary.json").read_bytes()
    timing = json.loads((tmp_path / "one" / "timing.json").read_text())
    assert all(figures.keys() == {"wall_s", "cpu_s", "jobs_per_cpu_s"} for figures in timing.values())


def test_without_policies_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = str(shipped.example_jobs().parents[1] / "generated" / "mixed-500.csv")
    arguments = ["--trace", trace, "--fleet", DEMO, "--carbon", "climatology", "--strategy", "fifo", "--jobs", "30"]
    assert main(["simulate", *arguments, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "no policies were given" in said.err
    assert "fifo" in said.out
    assert "easy" in said.out, "the baseline runs even where it was not asked for"


def test_an_unknown_strategy_is_a_usage_error_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["simulate", str(SCENARIO), "--strategy", "esay", "--out", str(tmp_path), "--json"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert code == 2
    assert error["message"] == "no strategy is called `esay`"
    assert error["hint"] == f"did you mean `easy`? there are {', '.join(STRATEGIES)}"


def test_missing_options_and_files_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--fleet", DEMO, "--out", str(tmp_path)]) == 2
    assert "--trace, --carbon is missing" in capsys.readouterr().err
    (tmp_path / "taken").write_text("")
    assert main(["simulate", str(SCENARIO), "--out", str(tmp_path / "taken")]) == 3
    assert "cannot write there" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "no.yaml"), "--out", str(tmp_path)]) == 3
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "said"), [
    ("slot: 15 parsecs", "is not a duration such as 15m"),
    ("strategys: [easy]", "did you mean `strategies`?"),
    ("expected: {csched: {carbon_kg: {}}}", "give `at_least`, `at_most` or both"),
])  # fmt: skip
def test_a_wrong_scenario_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"name: wrong\nfleet: f.yaml\ntrace: t.csv\ncarbon: climatology\n{line}\n")
    assert main(["simulate", str(path), "--out", str(tmp_path)]) == 3
    error = capsys.readouterr().err
    assert said in error
    assert "wrong.yaml:5" in error


SIX_ZONES = {
    "munich": ("DE", 48),
    "essonne": ("FR", 16),
    "madrid": ("ES", 16),
    "warsaw": ("PL", 16),
    "lulea": ("SE", 16),
    "bologna": ("IT-NO", 16),
}
"""Site -> its grid zone and its nodes of eight A100."""


NO_SWEDEN = """\
id: no-sweden
version: 1
because: "a contract of this test"
owner: dpo@example.eu
review_by: 2099-01-01
enforce: hard
mode: enforce
require: {site.country: {in: [DE, FR, ES, PL, IT]}}
"""


def test_work_at_an_unlawful_home_is_counted_and_csched_takes_it_elsewhere(tmp_path: Path) -> None:
    """The home is moved to the site of a US-owned operator, where neither health nor special data may go."""
    fleet = tmp_path / "fleet.yaml"
    text = shipped.demo_fleet().read_text()
    moved = text.replace("home: {default: munich, tenants: {hospital: essonne}}", "home: {default: kajaani}")
    assert moved != text
    fleet.write_text(moved)
    scenario = read_scenario(SCENARIO).model_copy(update={"jobs": 60, "fleet": fleet, "strategies": ("easy", "csched")})
    easy, csched = play(scenario).simulation.results
    hospital = sum(run.traced.job.tenant == "hospital" for run in easy.outcome.runs)
    assert easy.policy_violations >= hospital > 0
    assert csched.policy_violations == 0
    assert {run.berth.site.id for run in csched.outcome.runs if run.traced.job.tenant == "hospital"} == {"essonne"}


def test_philly_on_six_real_zones(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    """Microsoft's trace of 2017 as if it had begun in January 2022, at home in Munich, on measured intensities."""
    carbon = tmp_path / "carbon"
    carbon.mkdir()
    for zone, _ in SIX_ZONES.values():
        shutil.copy(shared(f"carbon/em_lca_2021-2023/{zone}.csv.gz"), carbon)
    sites = [
        {"id": name, "country": zone[:2], "grid_zone": zone, "pue": 1.2, "partitions": [a100(nodes)]}
        for name, (zone, nodes) in SIX_ZONES.items()
    ]
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(json.dumps({"schema": "csched/fleet/1", "home": {"default": "munich"}, "sites": sites}))
    jobs = tmp_path / "jobs.csv"
    philly = shared("jobs/philly_2017-09-04_2017-11-12.csv.gz")
    convert = ["--format", "philly", "--limit", "2000", "--start", "2022-01-03T00:00:00Z", "--out", str(jobs)]
    assert main(["trace", "convert", str(philly), *convert]) == 0
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "no-sweden.yaml").write_text(NO_SWEDEN)
    world = ["--trace", str(jobs), "--fleet", str(fleet), "--carbon", str(carbon), "--policies", str(policies)]
    world += ["--slot", "1h", "--horizon", "24h"]
    chosen = ["--strategy", "fifo", "--strategy", "easy", "--strategy", "csched"]
    assert main(["simulate", *world, *chosen, "--out", str(tmp_path / "out")]) == 0
    strategies = summary_of(tmp_path / "out")["strategies"]
    assert {name: figures["jobs_completed"] for name, figures in strategies.items()} == dict.fromkeys(strategies, 2000)
    assert strategies["csched"]["saved_vs_baseline_pct"] > 20
    assert strategies["csched"]["policy_violations"] == 0
    sites_used = {row["site"] for row in pq.read_table(tmp_path / "out" / "jobs.parquet").to_pylist()}
    assert "essonne" in sites_used
    assert "lulea" not in sites_used, "the cleanest grid is the one that the rule forbids"


def a100(nodes: int) -> dict[str, object]:
    return {"name": "gpu", "hardware": "dgx-a100", "nodes": nodes}


def test_the_report_stands_alone(mixed_week: Path) -> None:
    page = (mixed_week / "report.html").read_text()
    pictures = {"frontier", "carbon", "waits", "queue", "power", "utilisation", "gantt"}
    assert page.count("<svg") == len(pictures)
    assert {path.stem for path in (mixed_week / "plots").iterdir()} == pictures
    assert "<script" not in page
    assert not [part for part in ('src="', "@import", "<link") if part in page], "nothing is loaded from elsewhere"
    for name in ("fifo", "easy", "csched", "mixed-week", "climatology"):
        assert name in page


def test_a_scenario_s_words_cannot_become_markup(tmp_path: Path) -> None:
    trap = "<script>alert(1)</script>"
    scenario = read_scenario(SCENARIO).model_copy(
        update={"jobs": 5, "name": trap, "about": trap, "strategies": ("easy",)}
    )
    write_outputs(play(scenario), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
