"""Every command of the README runs, in order, as a newcomer would type it, and answers what the README shows.

A block marked `console` holds commands after `$ ` and, below each, what it prints. `...` stands for any text; runs of
spaces count as one. Where nothing is shown, only the exit code counts.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(280)


@dataclass
class Command:
    line: int
    text: str
    shown: list[str] = field(default_factory=list)

    @property
    def pattern(self) -> str:
        """A regular expression for what the command prints; empty where nothing is shown."""
        words = " ".join(" ".join(self.shown).split())
        return re.escape(words).replace(r"\.\.\.", ".*").replace(r"\ .*\ ", r"\ (?:.*\ )?")


def commands(page: str) -> Iterator[Command]:
    inside, current = False, None
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("```"):
            if current is not None:
                yield current
            inside, current = line == "```console", None
        elif inside and line.startswith("$ "):
            if current is not None:
                yield current
            current = Command(number, line.removeprefix("$ "))
        elif inside and current is not None:
            current.shown.append(line)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder that looks like the checkout and may be written to."""
    for name in ("docs", "policies", "sim", "traces"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_every_command_runs_and_answers_as_shown(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    page = list(commands((ROOT / "README.md").read_text()))
    assert len(page) > 10
    environment = {
        "HOME": str(desk),
        "CSCHED_HOME": str(tmp_path_factory.mktemp("home")),
        "CSCHED_PLAN_EVERY": "1s",
        "CSCHED_BUDGET": "2s",
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "LANG": "C.UTF-8",
    }
    behind: list[subprocess.Popen[bytes]] = []
    log = (desk / "behind.log").open("wb")
    try:
        for command in page:
            if command.text.endswith(" &"):
                arguments = command.text.removesuffix(" &").split()
                behind.append(subprocess.Popen(arguments, cwd=desk, env=environment, stdout=log, stderr=log))
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command.text],
                cwd=desk,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )
            where = f"README.md:{command.line}: $ {command.text}\n"
            served = (desk / "behind.log").read_text()
            assert done.returncode == 0, f"{where}exit code {done.returncode}\n{done.stderr}\n{served}"
            if command.shown:
                said = " ".join(done.stdout.split())
                assert re.fullmatch(command.pattern, said), f"{where}{done.stdout}"
    finally:
        for process in behind:
            process.terminate()
            process.wait(30)
        log.close()


@pytest.mark.parametrize(
    ("shown", "said", "fits"),
    [
        ("Submitted batch job 1", "Submitted batch job 1", True),
        ("Submitted batch job 1", "Submitted batch job 17", False),
        ("csched ...", "csched 0.1.0", True),
        ("{\n...\n}", "{ }", True),
        ("...\nlast", "first last", True),
        ("...CHOSEN...", "site CHOSEN now", True),
        ("...CHOSEN...", "site now", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, said: str, *, fits: bool) -> None:
    command = Command(1, "", shown.splitlines())
    assert bool(re.fullmatch(command.pattern, said)) is fits


LINKS = [
    (page, link)
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    if "://" not in link
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{page.name}-{link}" for page, link in LINKS])
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()
