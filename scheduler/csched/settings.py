"""What an admin may set: by environment (`CSCHED_HOME`, ...), else in `CSCHED_HOME/config.yaml`, else the defaults."""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from csched.domain.base import Slug, Value
from csched.domain.carbon import CarbonRisk
from csched.errors import InputError, Where
from csched.formats.validation import input_error, input_errors
from csched.formats.yaml_document import Document, load_document
from csched.units import parse_duration_s

CONFIG_FILE = "config.yaml"
EXAMPLE_TENANT = "local"
"""A tenant of the shipped facts/tenants.yaml."""


def _duration(raw: object) -> object:
    if isinstance(raw, str | int | float) and not isinstance(raw, bool):
        return timedelta(seconds=parse_duration_s(str(raw)))
    return raw


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Written `48h`, `15m`, `30s`; a bare number is seconds."""


def default_home() -> Path:
    return Path(os.environ.get("CSCHED_HOME") or user_data_path("csched")).expanduser().absolute()


class ClusterDoor(Value):
    """How a site's Slurm is asked what it is and can do: by its commands, by slurmrestd, or by both."""

    slurm_conf: Path | None = None
    """What SLURM_CONF is for the cluster."""
    programs: Path = Path("/usr/bin")
    """The folder of squeue, scontrol and the like."""
    slurmrestd: str | None = Field(default=None, pattern=r"^(https?://|unix:/).+")
    """`http://host:port` with tokens, or `unix:/path` of a slurmrestd that runs as `user`."""
    user: str = "csched"
    token_file: Path | None = None
    """Holds the user's token, and is read anew for each call."""


class Settings(BaseSettings):
    """Everything csched needs to know of the place where it runs; frozen for the life of a process."""

    model_config = SettingsConfigDict(env_prefix="CSCHED_", extra="forbid", frozen=True, env_ignore_empty=True)

    home: Path = Field(default_factory=default_home)
    """The folder of the database, the spool and config.yaml; made with mode 0700."""
    database: str | None = None
    """SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`; null is `csched.db` in home."""
    fleet: Path | None = None
    """Fleet file; null is the shipped demo fleet."""
    policies: Path | None = None
    """Folder of policies; null is the shipped library."""
    policy_keys: Path | None = None
    """PEM file of the public keys that may sign the folder of policies; null: it needs no signature."""
    order_key: Path | None = None
    """Private key that signs the orders to the agents of sites with a Slurm cluster; null: all jobs run here."""
    clusters: Mapping[Slug, ClusterDoor] = {}
    """ClusterName of slurm.conf -> how `csched site check` reaches it."""
    tenant: str | None = Field(default=None, max_length=64)
    """Whose the jobs are that name no tenant. Null is nobody's: every rule that reads the tenant refuses them."""
    calibration: Path | None = None
    """What `csched topo calibrate --keep` measured of links; null is `calibration.yaml` in home."""
    carbon: str = "climatology"
    """A CSV, a folder of them, or the word `climatology`."""
    carbon_risk: CarbonRisk = CarbonRisk.EXPECTED
    """Plan by what forecasts expect, or by the upper end that they state; what has passed counts as it came."""
    horizon: Duration = timedelta(hours=48)
    slot: Duration = timedelta(minutes=15)
    budget: Duration = timedelta(seconds=20)
    """Wall-clock limit of one solve; it ends well before the next plan is due."""
    end_quantile: float | None = Field(default=None, gt=0, le=1)
    """GPUs of running jobs count as free once this share of their user's earlier runs would have ended; null: at the
    time limit."""
    plan_every: Duration = timedelta(seconds=30)
    poll_every: Duration = timedelta(seconds=1)
    carbon_every: Duration = timedelta(minutes=30)
    kill_wait: Duration = timedelta(seconds=30)
    """How long a job has between SIGTERM and SIGKILL (Slurm's KillWait)."""

    @cached_property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'csched.db'}"

    @property
    def tenant_of_unnamed(self) -> str | None:
        """With the shipped policies everything is an example, and so is whose an unnamed job is."""
        return self.tenant or (EXAMPLE_TENANT if self.policies is None else None)

    @property
    def calibration_file(self) -> Path:
        return self.calibration or self.home / "calibration.yaml"

    @property
    def spool(self) -> Path:
        """Where the local dispatcher keeps what it runs."""
        return self.home / "spool"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (the hook's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _ConfigFile(settings_cls)


class _ConfigFile(PydanticBaseSettingsSource):
    """`config.yaml` in home, where it is there."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  (the hook's signature)
        return (_config_values().get(field_name), field_name, False)

    def __call__(self) -> dict[str, Any]:
        return _config_values()


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        InputError: an unknown key (with the nearest known one) or a value of the wrong kind, in either place.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise input_error(error, _place, Settings) from error


def settings_mistakes() -> list[InputError]:
    """All that is wrong with the settings of this process; empty where nothing is."""
    try:
        Settings()
    except ValidationError as error:
        return input_errors(error, _place, Settings)
    return []


def _place(path: tuple[str | int, ...]) -> Where:
    variable = f"CSCHED_{path[0]}".upper() if path else ""
    if variable in os.environ:
        return Where("environment", field=variable)
    document = _config()
    return document.where(path) if document else Where(field=".".join(map(str, path)))


def _config() -> Document | None:
    file = default_home() / CONFIG_FILE
    if not file.is_file() or not (text := file.read_text(encoding="utf-8")).strip():
        return None
    document = load_document(text, str(file))
    if not isinstance(document.data, dict):
        raise InputError("a mapping such as `carbon: climatology` was expected", where=document.where())
    return document


def _config_values() -> dict[str, Any]:
    document = _config()
    return document.data if document is not None and isinstance(document.data, dict) else {}
