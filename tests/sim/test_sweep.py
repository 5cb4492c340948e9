"""csched sweep on a real local cluster of dask: every combination, failures apart, finished runs kept."""

import json
from pathlib import Path

import pytest

from csched import shipped
from csched.cli import main

SCENARIO = shipped.scenarios() / "mixed-week.yaml"


def sweep(folder: Path, vary: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(f"name: seeds\nscenario: {SCENARIO}\nstrategies: [easy, greenest]\nvary: {vary}\n")
    return path


def test_every_combination_is_run_once_and_a_failure_loses_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = shipped.demo_fleet()
    file = sweep(tmp_path, f"{{jobs: [15, 30], fleet: [{fleet}, {tmp_path / 'missing.yaml'}]}}")
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert [run["error"] is None for run in told["runs"]] == [True, False, True, False]
    assert "missing.yaml" in said.err
    assert [run["settings"]["jobs"] for run in told["runs"]] == [15, 15, 30, 30]
    assert told["runs"][0]["strategies"]["easy"]["jobs_completed"] == 15
    assert json.loads((tmp_path / "out" / "sweep.json").read_text()) == told
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 2, "the frontier and the tornado"
    assert "missing.yaml" in page

    finished = tmp_path / "out" / "runs" / "0001" / "summary.json"
    written = finished.stat().st_mtime_ns
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    assert finished.stat().st_mtime_ns == written, "a finished run is not run again"


def test_places_and_fields_that_are_not_there_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = sweep(tmp_path, "{seed: [1]}")
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--on", "slurm"]) == 2
    assert "`slurm` is not a place to run on" in capsys.readouterr().err
    assert main(["sweep", str(sweep(tmp_path, "{sed: [1]}")), "--out", str(tmp_path / "out")]) == 3
    assert main(["sweep", str(sweep(tmp_path, "{seed: [-1]}")), "--out", str(tmp_path / "out")]) == 3
    assert "vary.seed" in capsys.readouterr().err
