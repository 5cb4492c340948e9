"""The table of mistakes: each gets its file, line, field and what was expected, and exit code 3."""

import pytest

from csched.errors import InputError
from csched.formats.fleet import parse_fleet
from csched.formats.jobs import parse_jobs

FLEET = """\
schema: csched/fleet/1
defaults: {pue: 1.2}
home: {default: essonne, tenants: {acme: munich}}
sites:
  - id: essonne
    country: FR
    grid_zone: FR
    operator: {name: Example SA, country: FR, compellable_by: [FR]}
    certs: [{scheme: hds, version: "2024", valid_until: 2027-05-01}]
    seal: {sov-1: 3}
    it_power_cap_kw: 400
    partitions:
      - {name: gb300, hardware: gb300-nvl72, domains: 2}
  - id: munich
    country: DE
    grid_zone: DE
    pue: 1.3
    partitions:
      - {name: b200, hardware: dgx-b200, nodes: 4}
links:
  - {between: [essonne, munich], gbit_per_s: 100}
objective: {wait_kg_per_gpu_h: 0.02}
"""

# what is replaced, by what -> line, field, words of the message
FLEET_MISTAKES = {
    "unknown key at the top": ("defaults:", "default:", 2, "default", "unknown key `default`"),
    "unknown key in a site": ("    country: FR", "    countri: FR", 6, "sites[0].countri", "unknown key `countri`"),
    "unknown key in an operator": ("name: Example SA", "nam: X", 8, "sites[0].operator.nam", "unknown key `nam`"),
    "no schema": ("schema: csched/fleet/1\n", "", 1, None, "`schema` is missing"),
    "another schema": ("csched/fleet/1", "csched/fleet/9", 1, "schema", "expected 'csched/fleet/1'"),
    "Greece as EL": ("country: FR\n", "country: EL\n", 6, "sites[0].country", "ISO 3166-1 alpha-2 says `GR`"),
    "Britain as UK": ("country: DE", "country: UK", 15, "sites[1].country", "ISO 3166-1 alpha-2 says `GB`"),
    "no country": ("country: DE", "country: XX", 15, "sites[1].country", "not an ISO 3166-1"),
    "country in small letters": ("country: DE", "country: de", 15, "sites[1].country", "not an ISO 3166-1"),
    "country as a list": ("country: DE", "country: [DE]", 15, "sites[1].country", "expected text"),
    "site twice": ("id: munich", "id: essonne", 1, None, "site `essonne` is there twice"),
    "site with a slash": ("id: munich", "id: ../munich", 14, "sites[1].id", "expected text that matches"),
    "partition twice": (
        "      - {name: b200, hardware: dgx-b200, nodes: 4}",
        "      - {name: b, hardware: h, nodes: 4}\n      - {name: b, hardware: h, nodes: 4}",
        14,
        "sites[1]",
        "partition `b` is there twice",
    ),
    "negative nodes": ("nodes: 4", "nodes: -4", 19, "sites[1].partitions[0].nodes", "expected at least 0, got `-4`"),
    "nodes and domains": ("nodes: 4", "nodes: 4, domains: 1", 19, "sites[1].partitions[0]", "either `domains` or"),
    "neither nodes nor domains": (", nodes: 4", "", 19, "sites[1].partitions[0]", "either `domains` or"),
    "nodes in words": ("nodes: 4", "nodes: four", 19, "sites[1].partitions[0].nodes", "expected a whole number"),
    "no partitions": (
        "      - {name: b200, hardware: dgx-b200, nodes: 4}",
        "      []",
        18,
        "sites[1].partitions",
        "at least 1",
    ),
    "pue below one": ("pue: 1.3", "pue: 0.3", 17, "sites[1].pue", "expected at least 1.0, got `0.3`"),
    "pue is not a number": ("pue: 1.3", "pue: .nan", 17, "sites[1].pue", "got `nan`"),
    "no pue at all": ("defaults: {pue: 1.2}\n", "", 1, None, "site `essonne` has no pue"),
    "negative power cap": ("kw: 400", "kw: -400", 5, "sites[0]", "it_power_cap_kw must be at least 0"),
    "home at no site": ("default: essonne", "default: paris", 1, None, "`paris` is not a site of this fleet"),
    "link to no site": ("[essonne, munich]", "[essonne, paris]", 1, None, "`paris` is not a site of this fleet"),
    "link without bandwidth": (", gbit_per_s: 100", "", 21, "links[0].gbit_per_s", "`gbit_per_s` is missing"),
    "unknown certificate scheme": ("scheme: hds", "scheme: hdx", 9, "sites[0].certs[0].scheme", "expected 'hds'"),
    "certificate without a day": ("2027-05-01", "May 2027", 9, "sites[0].certs[0].valid_until", "not an ISO 8601 time"),
    "SEAL level 7": ("sov-1: 3", "sov-1: 7", 5, "sites[0]", "a SEAL level is 0, 1, 2, 3 or 4"),
    "unknown SEAL objective": ("sov-1: 3", "sov-9: 3", 10, "sites[0].seal.sov-9", "expected 'sov-1'"),
    "negative exchange rate": (
        "wait_kg_per_gpu_h: 0.02",
        "wait_kg_per_gpu_h: -1",
        22,
        "objective.wait_kg_per_gpu_h",
        "at least 0",
    ),
    "key twice": (
        "    grid_zone: DE",
        "    grid_zone: DE\n    grid_zone: FR",
        17,
        "sites[1].grid_zone",
        "is there twice",
    ),
    "no YAML": ("defaults: {pue: 1.2}", "defaults: {pue: 1.2", None, None, "not YAML"),
    "a tag": ("country: DE", "country: !!python/name:os.system DE", 15, None, "is not allowed"),
    "an alias to nothing": ("country: DE", "country: *de", 15, None, "not YAML|stands for nothing|undefined"),
    "two documents": ("links:", "---\nlinks:", 1, None, "one YAML document was expected"),
    "unknown evidence": ("country: DE", "country: {value: UK, source: x}", 15, "sites[1].country", "says `GB`"),
}


@pytest.mark.parametrize("mistake", FLEET_MISTAKES)
def test_fleet(mistake: str) -> None:
    written, instead, line, field, words = FLEET_MISTAKES[mistake]
    assert FLEET.count(written) >= 1
    with pytest.raises(InputError) as caught:
        parse_fleet(FLEET.replace(written, instead, 1), "fleet.yaml")
    require_told(caught.value, "fleet.yaml", line, field, words)


def test_the_fleet_without_mistakes_is_read() -> None:
    assert [site.id for site in parse_fleet(FLEET, "fleet.yaml").sites] == ["essonne", "munich"]


HEADER = "job,gpus,time_limit_s"

JOB_MISTAKES = {
    "no GPUs": (f"{HEADER}\na,0,60\n", 2, "gpus", "expected at least 1, got `0`"),
    "negative GPUs": (f"{HEADER}\na,1,60\nb,-8,60\n", 3, "gpus", "expected at least 1, got `-8`"),
    "half a GPU": (f"{HEADER}\na,0.5,60\n", 2, "gpus", "expected a whole number, got `0.5`"),
    "GPUs in words": (f"{HEADER}\na,many,60\n", 2, "gpus", "expected a whole number, got `many`"),
    "empty GPUs": (f"{HEADER}\na,,60\n", 2, "gpus", "`gpus` is missing"),
    "no limit": (f"{HEADER}\na,1,0\n", 2, "time_limit_s", "expected at least 1"),
    "a limit of NaN": (f"{HEADER}\na,1,nan\n", 2, "time_limit_s", "expected a whole number"),
    "missing column": ("job,gpus\na,1\n", 1, "time_limit_s", "the column `time_limit_s` is missing"),
    "unknown column": (f"{HEADER},deadlin\na,1,60,\n", 1, "deadlin", "unknown column `deadlin`"),
    "column twice": (f"{HEADER},gpus\na,1,60,1\n", 1, "gpus", "the column `gpus` is there twice"),
    "empty file": ("", 1, "job", "the column `job` is missing"),
    "too many cells": (f"{HEADER}\na,1,60,extra\n", 2, None, "4 cells, but the header has 3 columns"),
    "too few cells": (f"{HEADER}\na,1\n", 2, None, "2 cells, but the header has 3 columns"),
    "job twice": (f"{HEADER}\na,1,60\nb,1,60\na,2,60\n", 4, "job", "job `a` is there twice, first in line 2"),
    "job with a slash": (f"{HEADER}\n../a,1,60\n", 2, "job", "expected text that matches"),
    "job like an option": (f"{HEADER}\n--uid=0,1,60\n", 2, "job", "expected text that matches"),
    "submit without zone": (f"{HEADER},submit\na,1,60,2026-11-22T12:00\n", 2, "submit", "has no zone"),
    "deadline in words": (f"{HEADER},deadline\na,1,60,tomorrow\n", 2, "deadline", "not an ISO 8601 time"),
    "no such month": (f"{HEADER},deadline\na,1,60,2026-13-01T00:00:00Z\n", 2, "deadline", "not an ISO 8601 time"),
    "unknown class": (f"{HEADER},data_class\na,1,60,secret\n", 2, "data_class", "expected 'public', 'internal'"),
    "unknown pattern": (f"{HEADER},pattern\na,1,60,tp9\n", 2, "pattern", "expected 'none', 'dp'"),
    "country UK": (f"{HEADER},countries\na,1,60,FR|UK\n", 2, "countries", "ISO 3166-1 alpha-2 says `GB`"),
    "negative data": (f"{HEADER},data_gb\na,1,60,-3\n", 2, "data_gb", "expected at least 0"),
    "data of NaN": (f"{HEADER},data_gb\na,1,60,nan\n", 2, "data_gb", "expected a finite number"),
    "load above one": (f"{HEADER},load\na,1,60,1.5\n", 2, "load", "expected at most 1"),
    "load of nothing": (f"{HEADER},load\na,1,60,0\n", 2, "load", "expected more than 0"),
    "portable perhaps": (f"{HEADER},portable\na,1,60,perhaps\n", 2, "portable", "expected true or false"),
    "expected beyond the limit": (f"{HEADER},expected_runtime_s\na,1,60,61\n", 2, None, "longer than time_limit_s"),
    "a quote left open": (f'{HEADER}\n"a,1,60\n', None, None, "not CSV"),
}


@pytest.mark.parametrize("mistake", JOB_MISTAKES)
def test_jobs(mistake: str) -> None:
    text, line, field, words = JOB_MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        parse_jobs(text, "jobs.csv", json_lines=False)
    require_told(caught.value, "jobs.csv", line, field, words)


JSON_MISTAKES = {
    "no JSON": ('{"job": "a", "gpus": 1, "time_limit_s": 60}\n{"job": ', 2, None, "not JSON"),
    "a list": ("[1, 2]", 1, None, "one JSON object a line"),
    "unknown key": ('{"job": "a", "gpus": 1, "time_limit_s": 60, "gpu": 2}', 1, "gpu", "unknown key `gpu`"),
    "true GPUs": ('{"job": "a", "gpus": "x", "time_limit_s": 60}', 1, "gpus", "expected a whole number"),
    "deep": ("[" * 100_000, 1, None, "not JSON"),
}


@pytest.mark.parametrize("mistake", JSON_MISTAKES)
def test_json_jobs(mistake: str) -> None:
    text, line, field, words = JSON_MISTAKES[mistake]
    with pytest.raises(InputError) as caught:
        parse_jobs(text, "jobs.jsonl", json_lines=True)
    require_told(caught.value, "jobs.jsonl", line, field, words)


def require_told(error: InputError, file: str, line: int | None, field: str | None, words: str) -> None:
    """File, line, field and words are those expected; `|` separates words of which one is enough."""
    assert error.exit_code == 3
    assert error.where is not None
    assert error.where.file == file
    if line is not None:
        assert error.where.line == line, error
    if field is not None:
        assert error.where.field == field, error
    assert any(word in error.message for word in words.split("|")), error
