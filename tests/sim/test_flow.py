"""Runs that are let go as they end leave the same figures and rows as runs that are kept."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from csched.carbon.sources import open_source
from csched.testing.builders import BOX, fleet, site
from csched_sim import flow
from csched_sim.setting import Setting
from csched_sim.simulation import simulate
from csched_sim.traces.generator import generate


@pytest.mark.parametrize("name", ["easy", "wait-awhile", "csched"])
def test_what_is_let_go_is_accounted_for_as_what_is_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "AT_ONCE", 7)
    where = fleet(site(zone="DE", nodes=8))
    setting = Setting(where, {"box8": BOX}, open_source("climatology"), None, 0, 900, 86_400, 0)
    jobs = list(generate(40, 1, datetime(2022, 1, 1, tzinfo=UTC), 1))
    [kept] = simulate(jobs, setting, [name], name).results
    totals = flow.play_through(name, iter(jobs), setting, tmp_path / "jobs.parquet")
    assert (totals.jobs, totals.never_ran) == (len(kept.outcome.runs), len(kept.outcome.never_ran))
    assert totals.jobs > 3 * 7
    assert totals.carbon_kg == pytest.approx(float(kept.accounts.carbon_kg.sum()))
    assert totals.wait_h == pytest.approx(float(kept.accounts.wait_h.sum()))
    rows = pq.read_table(tmp_path / "jobs.parquet").to_pylist()
    assert {row["job"] for row in rows} == {traced.job.job for traced in jobs}
    assert {row["job"]: row["start"].timestamp() for row in rows if row["start"]} == {
        run.traced.job.job: run.start_s for run in kept.outcome.runs
    }
