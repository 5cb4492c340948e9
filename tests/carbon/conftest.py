"""Small series on disk, and the real ones where they are at hand."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

START = datetime(2022, 1, 3, tzinfo=UTC)
"""A Monday."""


@pytest.fixture
def carbon_csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes hourly rows from START on: `carbon_csv({"FR": [50, 60]})`."""

    def write(
        zones: dict[str, Iterable[float]], name: str = "carbon.csv", column: str = "carbon_intensity_lca"
    ) -> Path:
        rows = [f"timestamp,zone,{column}"]
        for zone, values in zones.items():
            for hour, value in enumerate(values):
                rows.append(f"{(START + timedelta(hours=hour)).isoformat()},{zone},{value}")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def real_series() -> Path:
    """The hourly life-cycle intensities of 36 zones, 2021-2023."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CSCHED_SHARED_DATA", beside)) / "carbon"
    if not folder.is_dir():
        pytest.skip("left out: the real carbon series of 2021-2023 are not here")
    return folder
