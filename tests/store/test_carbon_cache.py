"""One reading for each source: the newest."""

from datetime import UTC, datetime, timedelta

from csched.store.repository import Repository
from csched.testing.carbon import FixedCarbon

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_newest_reading_replaces_the_earlier_one(store: Repository) -> None:
    cache = store.carbon_cache
    assert cache.kept("a.csv") is None
    for hour, g_per_kwh in enumerate((50.0, 70.25)):
        outlook = FixedCarbon({"FR": g_per_kwh}).outlook(["FR"], NOON, NOON, NOON + timedelta(hours=1))
        cache.keep("a.csv", outlook, NOON + timedelta(hours=hour))
    kept = cache.kept("a.csv")
    assert kept is not None
    assert (kept[0].zone("FR").g_per_kwh, kept[1]) == ((70.25,), NOON + timedelta(hours=1))
    assert cache.kept("b.csv") is None
