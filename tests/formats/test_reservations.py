"""The example of reservations in docs/formats.md is what the fleet reader reads."""

import re
from pathlib import Path

import pytest

from csched.errors import InputError
from csched.formats.fleet import parse_fleet

DOCS = Path(__file__).parents[2] / "docs/formats.md"
FLEET = """\
schema: csched/fleet/1
sites:
  - {id: essonne, country: FR, grid_zone: FR, pue: 1.2, partitions: [{name: gb300, hardware: gb300-nvl72, domains: 2}]}
"""


def test_the_example_of_the_docs_is_read() -> None:
    example = re.search(r"```yaml\n(reservations:.*?)```", DOCS.read_text(), re.DOTALL)
    assert example
    works, course = parse_fleet(FLEET + example[1], "fleet.yaml").reservations
    assert (works.maintenance, works.gpus, course.gpus) == (True, None, 16)
    assert (course.is_for("ana", None), course.is_for("ben", None)) == (True, False)


def test_a_reservation_of_no_partition_is_refused_with_those_there_are() -> None:
    wrong = (
        "reservations: [{name: r, site: essonne, partition: h100, from: 2026-12-01T06:00Z, to: 2026-12-02T06:00Z}]\n"
    )
    with pytest.raises(InputError, match="no partition `h100`; it has gb300"):
        parse_fleet(FLEET + wrong, "fleet.yaml")
