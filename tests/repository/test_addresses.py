"""Pins are hashes: where packages come from is the business of the machine that installs them."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", ".venv", ".hypothesis", "build", "dist", "__pycache__"}

# Spelled in parts, so that this file does not name what it looks for.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("piwheels", "org"),
        ("anaconda", "org"),
        ("registry", "npmjs"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("ghcr", "io"),
        ("docker", "io"),
    ]
]
INDEX_OPTION = re.compile(r"(?<!no-emit-)(index-url|find-links|trusted-host)[ =]+\S*[:/]\S*")


def project_files() -> Iterator[Path]:
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in NOT_OURS and not name.endswith("_cache")]
        yield from (Path(folder, name) for name in names)


def test_no_file_names_a_registry_or_an_index() -> None:
    faults = []
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        faults += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRY_HOSTS if host in text.lower()]
        faults += [f"{path.relative_to(ROOT)}: {match[0]}" for match in INDEX_OPTION.finditer(text)]
    assert faults == []


def test_the_search_for_addresses_sees_them() -> None:
    assert INDEX_OPTION.search("--extra-index" + "-url https://mirror.example/simple")
    assert INDEX_OPTION.search("find" + "-links = /somewhere")
    assert not INDEX_OPTION.search("--no-emit-index-url --no-emit-find-links")


PINS = sorted(path for path in (ROOT / "requirements").glob("*.txt") if not path.name.startswith("debian"))


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_by_version_and_hash(path: Path) -> None:
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-zA-Z0-9._-]+(\[[a-z,]+\])?==\S+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line


def test_everything_the_project_asks_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = {
        "runtime.txt": [
            *project["project"]["dependencies"],
            *(need for extra in project["project"]["optional-dependencies"].values() for need in extra),
        ],
        "test.txt": groups["test"],
        "lint.txt": groups["lint"],
        "build.txt": [*groups["build"], *project["build-system"]["requires"]],
    }
    for name, needs in asked.items():
        pinned = re.findall(
            r"^([a-zA-Z0-9._-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), flags=re.MULTILINE
        )
        for need in map(Requirement, needs):
            versions = [version for package, version in pinned if package == canonicalize_name(need.name)]
            assert versions, f"{need} is not in requirements/{name}: run `make requirements`"
            assert all(need.specifier.contains(version) for version in versions), f"{need} moved on: {versions}"
