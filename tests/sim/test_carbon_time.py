"""On the real grids of single sites csched saves more than GAIA's carbon-time in less waiting."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from csched.carbon.csv_source import CsvSource
from csched.testing.builders import fleet, site
from csched.topology.catalogue import hardware_of
from csched_sim.setting import Setting
from csched_sim.simulation import simulate
from csched_sim.traces.generator import generate

START = datetime(2023, 5, 8, tzinfo=UTC)
JOBS, DAYS, NODES, SEED = 330, 3, 25, 20261122
"""Three days at about 65 % load; `bench/carbon_saved.py` plays larger ones."""
WAIT_KG = {"FR": 0.003, "DE": 0.03, "ES": 0.012, "GB": 0.03}
"""At these prices of waiting csched waits less than carbon-time does."""


@pytest.mark.parametrize("country", WAIT_KG)
def test_csched_saves_more_than_carbon_time_in_less_waiting(country: str, shared: Callable[[str], Path]) -> None:
    where = fleet(site(zone=country, nodes=NODES, hardware="dgx-h100"))
    sky = CsvSource(shared(f"carbon/em_lca_2021-2023/{country}.csv.gz"))
    setting = Setting(where, dict(hardware_of(where)), sky, None, SEED, 900, 172_800, 0)
    trace = list(generate(JOBS, SEED, START, DAYS))
    ours = f"csched:wait={WAIT_KG[country]}"
    played = simulate(trace, setting, [ours, "carbon-time"], "easy")
    kg, wait_h = {}, {}
    for result in played.results:
        compared = np.array([run.traced.job.job in played.compared for run in result.outcome.runs])
        kg[result.name] = float(result.accounts.carbon_kg[compared].sum())
        wait_h[result.name] = float(result.accounts.wait_h[compared].mean())
    assert len(played.compared) >= JOBS - 1
    assert kg[ours] < kg["carbon-time"] < kg["easy"]
    assert wait_h[ours] < wait_h["carbon-time"]
