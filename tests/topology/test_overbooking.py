"""Reservations that promise more GPUs than a partition has are refused; those that fit are not."""

import pytest

from csched.errors import InputError
from csched.formats.fleet import parse_fleet
from csched.topology.catalogue import hardware_of

FLEET = """\
schema: csched/fleet/1
sites:
  - {id: essonne, country: FR, grid_zone: FR, pue: 1.2, partitions: [{name: gb300, hardware: gb300-nvl72, domains: 2}]}
"""


@pytest.mark.parametrize(
    ("course", "told"),
    [
        ("gpus: 73, ", "sets 145 GPUs"),
        ("", "sets 216 GPUs"),
        ("partition: gb300, gpus: 145, from: 2026-12-03T08:00Z, ", "`course` sets 145 GPUs of essonne/gb300 aside"),
    ],
    ids=["a GPU too many together", "all, beside others", "more than there are"],
)
def test_reservations_that_overbook_a_partition_are_refused(course: str, told: str) -> None:
    with pytest.raises(InputError, match="which has 144") as caught:
        hardware_of(parse_fleet(FLEET + beside_half(course), "fleet.yaml"))
    assert told in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.field == "reservations[1]"


@pytest.mark.parametrize("course", ["gpus: 72, ", "from: 2026-12-02T18:00Z, ", "maintenance: true, "])
def test_reservations_that_fit_beside_each_other_are_read(course: str) -> None:
    """Half and half; one after another; and maintenance, which takes what was reserved."""
    assert hardware_of(parse_fleet(FLEET + beside_half(course), "fleet.yaml"))


def beside_half(course: str) -> str:
    """Half of the partition for a day, and `course` beside it."""
    begin = "" if "from:" in course else "from: 2026-12-02T12:00Z, "
    return f"""\
reservations:
  - {{name: half, site: essonne, partition: gb300, gpus: 72, from: 2026-12-02T08:00Z, to: 2026-12-02T18:00Z}}
  - {{name: course, site: essonne, {course}{begin}to: 2026-12-03T18:00Z}}
"""
