"""The shipped fleet of real European sites: its counts, and a source for every value in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from csched.formats.fleet import read_fleet
from csched.topology.catalogue import hardware_of

EU_2026 = Path(__file__).parents[2] / "traces" / "fleets" / "eu-2026.yaml"

NAMES = {"id", "name", "schema"}
"""What we call things is no fact about them."""


@pytest.fixture(scope="module")
def fleet():
    return read_fleet(EU_2026)


def known_leaves(value: object, path: str = "") -> Iterator[str]:
    """The path of every value that is neither unknown nor a mere name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (key in NAMES and "operator" not in path):
                yield from known_leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from known_leaves(inner, f"{path}[{index}]")
    elif value is not None:
        yield path


def test_the_fleet_counts_the_gpus_that_were_reported(fleet):
    hardware = hardware_of(fleet)
    gpus = {site.id: sum(p.gpu_count(hardware[p.hardware]) for p in site.partitions) for site in fleet.sites}
    assert gpus == {
        "essonne": 192 * 72,  # 13,800 announced
        "juelich": 23_752,
        "bologna": 13_824,
        "kajaani": 23_824,
        "barcelona": 4_480,
        "orsay": 1_456,
        "munich": 10_000,
        "paris": 1_016,
        "lugano": 10_752,
        "bristol": 5_448,
    }


def test_every_known_value_has_source_date_and_confidence(fleet):
    told = fleet.evidence
    written = fleet.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"evidence"})
    leaves = list(known_leaves(written))
    assert len(leaves) > 80
    assert [leaf for leaf in leaves if leaf not in told] == []
    assert [path for path, e in told.items() if not (e.source and e.as_of and e.confidence)] == []


def test_what_nobody_published_stays_unknown(fleet):
    assert all(site.certs is None and site.storage_countries is None for site in fleet.sites)
    assert all(site.operator.compellable_by is None for site in fleet.sites)
    assert [site.id for site in fleet.sites if site.pue is not None] == ["barcelona"]
    assert fleet.defaults.pue == 1.2


def test_each_site_lies_in_the_grid_zone_of_its_country(fleet):
    assert all(site.grid_zone.split("-")[0] == site.country for site in fleet.sites)
