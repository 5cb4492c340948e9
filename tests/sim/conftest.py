"""What the simulator's tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CSCHED_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """A file or folder of the real data; where it is not at hand, the test says so and is left out."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"left out: {name} is not at hand (set CSCHED_SHARED_DATA)")
        return path

    return find
