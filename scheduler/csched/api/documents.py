"""What goes in and out of /api/v1. Jobs, plans and sites have the fields of the commands' --json."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class SubmitRequest(BaseModel):
    """A batch script and what sbatch's command line would say."""

    model_config = ConfigDict(extra="forbid")

    script: str = Field(min_length=1, max_length=4_194_304, description="begins with #!; its #SBATCH lines count")
    name: str = Field(default="script", min_length=1, max_length=64, description="stands for the script's file name")
    args: list[str] = Field(default=[], max_length=1000)
    options: dict[str, str | None] = Field(
        default={}, max_length=100, description="long option -> value, null for a flag: {'data-class': 'health'}"
    )
    work_dir: str | None = Field(default=None, max_length=4096, description="absolute; default is a folder of csched")


class Submitted(BaseModel):
    job_id: int
    remarks: list[str]


class Jobs(BaseModel):
    jobs: list[dict[str, Any]]


class Health(BaseModel):
    status: str
    """`ok`, or `degraded` where the daemon is away or something fails."""
    daemon: bool
    plan_at: str | None
    poll_at: str | None
    policies: int
    failing: list[str]
