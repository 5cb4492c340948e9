"""Where the real topology files lie: CSCHED_SHARED_DATA, else ../shared/data beside the checkout."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CSCHED_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture
def shared_topology() -> Callable[[str], Path]:
    """A real file or folder by its name below topo/, or the test is left out in one line."""

    def find(name: str = "") -> Path:
        path = SHARED / "topo" / name
        if not path.exists():
            pytest.skip(f"left out: the real topology files are not at {SHARED / 'topo'}")
        return path

    return find
