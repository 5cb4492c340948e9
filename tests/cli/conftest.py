"""A home of its own for each test, and csched run in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from csched.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Csched = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("CSCHED_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def csched(home: Path, capsys: pytest.CaptureFixture[str]) -> Csched:
    def run(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.sh"
    path.write_text(
        "#!/bin/bash\n#SBATCH --job-name=train --gpus=8 -t 2:00:00 --account=vision\n"
        "#CSCHED --data-class=health --tenant=hospital\n\necho hello\n"
    )
    return path
