"""Settings come from the environment, else from config.yaml; a mistake is shown with its place."""

from datetime import timedelta
from pathlib import Path

import pytest

from csched.errors import InputError
from csched.settings import load_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path))
    return tmp_path


def test_without_settings_all_is_in_home(home: Path) -> None:
    settings = load_settings()
    assert settings.database_url == f"sqlite:///{home}/csched.db"
    assert settings.spool == home / "spool"


def test_the_environment_goes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.yaml").write_text("horizon: 24h\nslot: 30m\n")
    monkeypatch.setenv("CSCHED_SLOT", "5m")
    settings = load_settings()
    assert (settings.horizon, settings.slot) == (timedelta(hours=24), timedelta(minutes=5))


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("carbn: x\n", "config.yaml:1: carbn: unknown key `carbn`", "did you mean `carbon`?"),
        ("carbon: climatology\nslot: soon\n", "config.yaml:2: slot: `soon` is not a duration", None),
    ],
)
def test_a_mistake_in_the_file_has_its_line(home: Path, text: str, told: str, hint: str | None) -> None:
    (home / "config.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        load_settings()
    assert told in str(raised.value)
    assert raised.value.hint == hint


def test_a_mistake_in_the_environment_has_its_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSCHED_BUDGET", "a while")
    with pytest.raises(InputError, match="environment: CSCHED_BUDGET: `a while`"):
        load_settings()
