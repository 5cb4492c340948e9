"""The agent's configuration: one YAML file, and the site's own table of users beside it."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from csched.domain.base import Slug, Value
from csched.errors import InputError, Refused, Where
from csched.formats.validation import input_error
from csched.formats.yaml_document import Document, load_document
from csched.settings import Duration
from csched_slurm.agent.attempt import Timing
from csched_slurm.agent.core_client import require_safe
from csched_slurm.agent.identities import IdentityMap, LocalUser, Name
from csched_slurm.agent.modes import Mode, Modes
from csched_slurm.gate import GateTable

_MOST_BYTES = 16 * 1024 * 1024


class Waits(Value):
    """Seconds; see csched_slurm.agent.attempt.Timing."""

    quiet_s: float = Field(default=Timing.quiet_s, ge=0)
    apart_s: float = Field(default=Timing.apart_s, ge=0)
    read_back_s: float = Field(default=Timing.read_back_s, ge=0)
    settle_s: float = Field(default=Timing.settle_s, ge=0)
    retry_s: float = Field(default=Timing.retry_s, ge=0)


class AgentSettings(Value):
    site: Slug
    """As in the core's fleet file."""
    cluster: Slug
    """ClusterName of slurm.conf."""
    core: str
    """Such as https://csched.example.eu; http:// for a core on this machine only."""
    token_file: Path
    """Holds the agent's token and nothing else; readable by its owner only."""
    trust: Path
    """PEM file of the public keys whose orders are taken."""
    ca: Path | None = None
    """PEM file of who vouches for the core's certificate; null: whom the machine trusts."""
    users: Path
    """The table of users, YAML."""
    state: Path
    """The folder of the agent's journal."""
    slurm_conf: Path
    slurmrestd: str | None = Field(default=None, pattern=r"^https?://[^\s]{1,200}$")
    """Submits and asks by it, with a token for each user; null: by the commands alone."""
    programs: Path = Path("/usr/bin")
    """The folder of sbatch, squeue and the like."""
    slurm_user: str = "slurm"
    """SlurmUser; the agent neither runs as it nor submits as it."""
    sudo: Path = Path("/usr/bin/sudo")
    submit: Path = Path("/usr/libexec/csched/submit")
    """The wrapper that a narrow rule of sudo lets the agent run as a user."""
    mode: Mode = Mode.OBSERVE
    modes: dict[Name, Mode] = Field(default={}, max_length=10_000)
    """Account -> mode, where it differs."""
    account: str = "csched"
    """The account that the agent runs as."""
    gate: GateTable = GateTable()
    most_held_gpu_hours: float = Field(default=10_000.0, ge=0)
    """Of plain sbatch that waits; what comes on top is let go at once."""
    away_after: Duration = timedelta(minutes=30)
    """The core was not heard for so long: plain sbatch is let go."""
    poll_every: Duration = timedelta(seconds=60)
    facts_every: Duration = timedelta(minutes=5)
    at_once: int = Field(default=8, ge=1, le=64)
    """Attempts that are worked on at the same time."""
    command_timeout_s: float = Field(default=30.0, gt=0)
    """Of one command; longer than the cluster's MessageTimeout."""
    waits: Waits = Waits()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        try:
            require_safe(self.core)
        except InputError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error
        return self

    @property
    def how_far(self) -> Modes:
        return Modes(mode=self.mode, accounts=self.modes)

    @property
    def timing(self) -> Timing:
        return Timing(**self.waits.model_dump())

    def token(self) -> str:
        """Raises Refused for a file that others can read."""
        if self.token_file.stat().st_mode & 0o077:
            raise Refused(f"others can read the token `{self.token_file}`", hint=f"chmod 600 {self.token_file}")
        return self.token_file.read_text(encoding="ascii").strip()


class _Users(Value):
    users: dict[str, LocalUser] = Field(max_length=1_000_000)


def read_settings(file: Path) -> AgentSettings:
    """Raises InputError with file, line and field."""
    document = _document(file)
    try:
        settings = AgentSettings.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, AgentSettings) from error
    beside = {
        name: file.parent / path
        for name in ("token_file", "trust", "ca", "users", "state")
        if (path := getattr(settings, name)) is not None
    }
    return settings.model_copy(update=beside)


def read_users(settings: AgentSettings) -> IdentityMap:
    """Raises InputError with file, line and field."""
    document = _document(settings.users)
    try:
        table = _Users.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, document.where, _Users) from error
    return IdentityMap(table.users, never=frozenset({settings.slurm_user, "root"}))


def _document(file: Path) -> Document:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"not readable: {error}", where=Where(str(file))) from error
    return load_document(text, str(file))
