"""The shipped climatology: what it answers, and that it is what the script makes of the real series."""

import importlib.util
import io
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from csched.carbon.climatology import shipped_climatology
from csched.carbon.sources import open_source
from csched.domain.carbon import Method, Origin
from csched.errors import InputError

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)


def test_it_gives_the_mean_of_month_and_hour_for_any_year():
    start = datetime(2031, 6, 30, 22, 20, tzinfo=UTC)
    outlook = open_source("climatology").outlook(["FR", "IT-NO"], start, start, start + 3 * HOUR)
    means = shipped_climatology()["IT-NO"]
    assert outlook.zone("IT-NO").g_per_kwh == (means[5, 22], means[5, 23], means[6, 0], means[6, 1])
    assert outlook.zone("IT-NO").origin_at(start) is Origin.CLIMATOLOGY
    assert (outlook.method, outlook.source, outlook.warnings) == (Method.CLIMATOLOGY, "climatology", ())


@pytest.mark.parametrize(("zone", "nearest"), [("IT-NOR", "IT-NO"), ("fr", "FR")])
def test_an_unknown_zone_names_the_nearest(zone, nearest):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError, match=f"there is no carbon intensity for zone `{zone}` in climatology") as error:
        open_source("climatology").outlook([zone], now, now, now + HOUR)
    assert error.value.hint == f"did you mean `{nearest}`?"


def test_every_zone_has_every_month_and_hour():
    assert len(shipped_climatology()) == 36
    assert {means.shape for means in shipped_climatology().values()} == {(12, 24)}
    assert all((means > 0).all() and (means < 1500).all() for means in shipped_climatology().values())


def test_the_means_order_the_grids_as_everyone_knows_them():
    yearly = {zone: means.mean() for zone, means in shipped_climatology().items()}
    assert yearly["SE-SE2"] < yearly["FR"] < yearly["ES"] < yearly["IT-NO"] < yearly["DE"] < yearly["PL"]


def test_it_is_what_the_script_makes_of_the_real_series(real_series):
    spec = importlib.util.spec_from_file_location("make_climatology", ROOT / "traces" / "make_climatology.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = io.StringIO()
    script.write(real_series / "em_lca_2021-2023", made)
    assert made.getvalue() == (resources.files("csched.carbon") / "data" / "climatology.csv").read_text()


def test_its_yearly_mean_is_that_of_the_real_series(real_series):
    source = open_source(str(real_series / "em_lca_2021-2023"))
    start, end = datetime(2021, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    zones = ["DE", "FI", "FR", "IT-NO", "PL", "SE-SE2"]
    real = source.outlook(zones, start, start, end)
    mean = open_source("climatology").outlook(zones, start, start, end)
    for zone in zones:
        integrals = [outlook.zone(zone).integral_g_h_per_kwh(start, end) for outlook in (real, mean)]
        # February has one day more or less; else both are sums over the same hours, rounded to 0.01.
        assert integrals[1] == pytest.approx(integrals[0], rel=1e-4)
