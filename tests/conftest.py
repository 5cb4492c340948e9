"""What every test needs: the machine's own settings stay out."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _plain_surroundings() -> None:
    """A parallel run hands its workers the controller's COLUMNS, and tables would be folded to it."""
    for name in (
        "COLUMNS",
        *(name for name in os.environ if name.startswith("CSCHED_") and name != "CSCHED_SHARED_DATA"),
    ):
        os.environ.pop(name, None)
