"""The page for admins, word for word: from "I must keep hospital data in France" to a signed, tested policy."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from csched.cli import main

ROOT = Path(__file__).parents[2]
STORY = "I must keep hospital data in France"


def steps() -> list[list[str]]:
    """The commands of the story, in order."""
    text = (ROOT / "docs" / "policies.md").read_text().partition(f"\n## {STORY}\n")[2].partition("\n## ")[0]
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [shlex.split(line) for line in re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)]


def test_the_story_tells_of_every_step() -> None:
    told = [" ".join(step[:3]) for step in steps() if step[0] == "csched"]
    for command in ("check", "test", "explain", "audit", "diff", "keygen", "sign", "verify"):
        assert any(step.startswith(f"csched policy {command}") for step in told), command


def test_its_commands_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name in ("policies", "traces"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path / "home"))
    said = []
    for step in steps():
        if step[0] == "mkdir":
            Path(step[-1]).mkdir(parents=True)
        elif step[0] == "cp":
            shutil.copy(step[1], step[2])
        else:
            assert step[0] == "csched", step
            assert main(step[1:]) == 0, step
            said.append(capsys.readouterr().out)
    assert sorted(path.name for path in Path("my-policies").rglob("*.*")) == [
        "MANIFEST.json",
        "MANIFEST.sig",
        "health-fr-hds.yaml",
        "tenants.yaml",
    ]
    assert "cases as expected" in said[1]
    assert "health-fr-hds" in said[2]
