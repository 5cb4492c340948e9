"""An interrupted simulation goes on where it was, and ends with the same bytes."""

from pathlib import Path

import pytest

from csched import shipped
from csched.cli import main
from csched_sim import simulation
from csched_sim.strategies import strategy

SCENARIO = str(shipped.scenarios() / "mixed-week.yaml")


def simulate(out: Path, *more: str) -> int:
    chosen = ["--strategy", "easy", "--strategy", "wait-awhile", "--strategy", "greenest"]
    return main(["simulate", SCENARIO, "--jobs", "40", *chosen, "--out", str(out), *more])


def test_ctrl_c_keeps_what_is_through_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played: list[str] = []

    def interrupted(name: str) -> object:
        def play(trace: object, setting: object) -> object:
            played.append(name)
            if name == "greenest" and played.count(name) == 1:
                raise KeyboardInterrupt
            return strategy(name)(trace, setting)  # type: ignore[arg-type]

        return play

    monkeypatch.setattr(simulation, "strategy", interrupted)
    assert simulate(tmp_path / "out") == 130
    assert "the same command goes on after them" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "unfinished").glob("*.json"))) == 2
    assert simulate(tmp_path / "out") == 0
    assert played == ["easy", "wait-awhile", "greenest", "greenest"]
    assert not (tmp_path / "out" / "unfinished").exists()
    assert simulate(tmp_path / "whole") == 0
    assert (tmp_path / "out" / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


def test_another_seed_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[tuple[str, int]] = []

    def watched(name: str) -> object:
        def play(trace: object, setting: object) -> object:
            played.append((name, setting.seed))  # type: ignore[attr-defined]
            if len(played) == 2:
                raise KeyboardInterrupt
            return strategy(name)(trace, setting)  # type: ignore[arg-type]

        return play

    monkeypatch.setattr(simulation, "strategy", watched)
    assert simulate(tmp_path / "out", "--seed", "1", "--quiet") == 130
    assert simulate(tmp_path / "out", "--seed", "2", "--quiet") == 0
    assert played == [("easy", 1), ("wait-awhile", 1), ("easy", 2), ("wait-awhile", 2), ("greenest", 2)]
