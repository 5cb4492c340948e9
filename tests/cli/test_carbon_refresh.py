"""csched carbon refresh: read the source anew, or say that there is nothing to read."""

from pathlib import Path

import pytest

HEADER = "timestamp,zone,carbon_intensity_lca\n"


def test_the_shipped_climatology_is_never_read_anew(csched) -> None:
    assert csched("carbon", "refresh", "--json").json == {"source": "climatology", "refreshed": False}


def test_a_file_is_read_anew_and_kept(csched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "sky.csv"
    zones = [site["zone"] for site in csched("site", "list", "--json").json["sites"]]
    hours = [f"2026-01-01T{hour:02}:00:00Z" for hour in range(24)]
    file.write_text(HEADER + "".join(f"{hour},{zone},50\n" for zone in dict.fromkeys(zones) for hour in hours))
    monkeypatch.setenv("CSCHED_CARBON", str(file))
    assert csched("carbon", "refresh").out == f"{file} was read anew\n"
    file.unlink()
    ran = csched("carbon", "refresh")
    assert ran.code == 5
    assert "cannot be read since" in ran.err
    assert csched("site", "list").code == 0  # from the reading that was kept
