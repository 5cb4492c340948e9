"""The last good reading of a source stays in force when the source goes away, and every outlook says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from csched.carbon.kept import KeptCarbon
from csched.carbon.sources import open_source
from csched.clock import FixedClock
from csched.errors import InputError, Unavailable
from csched.store.carbon_cache import CarbonCacheTable
from csched.store.database import Database

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def cache(tmp_path: Path) -> CarbonCacheTable:
    return CarbonCacheTable(Database(f"sqlite:///{tmp_path / 'csched.db'}"))


def write(path: Path, g_per_kwh: float) -> None:
    rows = [f"{(NOON + n * HOUR).isoformat()},FR,{g_per_kwh}" for n in range(-24, 24 * 14)]
    path.write_text("\n".join(["timestamp,zone,carbon_intensity_lca", *rows]) + "\n", encoding="utf-8")


def source(path: Path, cache: CarbonCacheTable, clock: FixedClock) -> KeptCarbon:
    return KeptCarbon(str(path), lambda: open_source(str(path)), ["FR"], cache, clock)


def at_noon(carbon: KeptCarbon) -> float:
    return carbon.outlook(["FR"], NOON, NOON, NOON + HOUR).zone("FR").at(NOON)


def test_a_refresh_sees_what_the_file_says_now(tmp_path: Path, cache: CarbonCacheTable) -> None:
    path = tmp_path / "carbon.csv"
    write(path, 50)
    carbon = source(path, cache, FixedClock(NOON))
    assert at_noon(carbon) == 50
    write(path, 70)
    assert at_noon(carbon) == 50
    carbon.refresh()
    assert at_noon(carbon) == 70


def test_a_broken_file_leaves_the_last_good_reading_in_force(tmp_path: Path, cache: CarbonCacheTable) -> None:
    path = tmp_path / "carbon.csv"
    write(path, 50)
    clock = FixedClock(NOON)
    carbon = source(path, cache, clock)
    carbon.refresh()
    path.write_text("half a li", encoding="utf-8")
    with pytest.raises(Unavailable, match=r"cannot be read since 2026-11-22T12:00:00Z, the last good reading is used"):
        carbon.refresh()
    clock.set(NOON + HOUR)
    with pytest.raises(Unavailable, match="since 2026-11-22T12:00:00Z"):
        carbon.refresh()
    outlook = carbon.outlook(["FR"], NOON, NOON, NOON + HOUR)
    assert outlook.zone("FR").at(NOON) == 50
    assert "cannot be read since 2026-11-22T12:00:00Z" in outlook.warnings[-1]
    write(path, 60)
    carbon.refresh()
    assert carbon.outlook(["FR"], NOON, NOON, NOON + HOUR).warnings == ()
    assert at_noon(carbon) == 60


def test_after_a_restart_the_reading_comes_from_the_store(tmp_path: Path, cache: CarbonCacheTable) -> None:
    path = tmp_path / "carbon.csv"
    write(path, 50)
    source(path, cache, FixedClock(NOON)).refresh()
    path.unlink()
    outlook = source(path, cache, FixedClock(NOON)).outlook(["FR"], NOON, NOON, NOON + timedelta(days=12))
    assert outlook.zone("FR").at(NOON + timedelta(days=10)) == 50, "past the reading: the same hour a week earlier"
    assert any("an earlier week" in warning for warning in outlook.warnings)
    assert "cannot be read since" in outlook.warnings[-1]


def test_what_was_never_read_is_an_error(tmp_path: Path, cache: CarbonCacheTable) -> None:
    with pytest.raises(InputError, match="neither a file nor a folder"):
        at_noon(source(tmp_path / "missing.csv", cache, FixedClock(NOON)))


def test_a_zone_that_the_reading_lacks_is_an_error(tmp_path: Path, cache: CarbonCacheTable) -> None:
    path = tmp_path / "carbon.csv"
    write(path, 50)
    source(path, cache, FixedClock(NOON)).refresh()
    path.unlink()
    with pytest.raises(InputError, match="DE"):
        source(path, cache, FixedClock(NOON)).outlook(["DE"], NOON, NOON, NOON + HOUR)
