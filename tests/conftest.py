"""What every test needs: the machine's own settings stay out."""

import os

import pytest
from hypothesis import settings

settings.register_profile("ci", settings.get_profile("ci"), derandomize=True)
"""The same cases for the same code: what CI says is about the change. New cases are drawn everywhere else."""
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="session")
def _plain_surroundings() -> None:
    """A parallel run hands its workers the controller's COLUMNS, and tables would be folded to it."""
    for name in (
        "COLUMNS",
        *(name for name in os.environ if name.startswith("CSCHED_") and name != "CSCHED_SHARED_DATA"),
    ):
        os.environ.pop(name, None)
