"""Job arrays (sbatch(1) --array): many jobs of one script, told apart by a number."""

from typing import Final, Self

from pydantic import Field, model_validator

from csched.domain.base import Slug, Value

MOST_TASKS: Final = 10_001
HIGHEST_TASK: Final = 4_000_000
"""The largest index that any Slurm takes (slurm.conf(5), MaxArraySize)."""


class ArrayTasks(Value):
    """The tasks of an array on its way in, ascending."""

    tasks: tuple[int, ...] = Field(min_length=1, max_length=MOST_TASKS)
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.tasks) != sorted(set(self.tasks)) or not 0 <= self.tasks[0] <= self.tasks[-1] <= HIGHEST_TASK:
            raise ValueError(f"tasks are numbers from 0 to {HIGHEST_TASK}, ascending and each there once")
        return self


class ArrayTask(Value):
    """Which task of which array a job is, and what its script may ask of the array as a whole."""

    job: Slug
    """The array's id: that of its first task's job."""
    task: int
    count: int
    lowest: int
    highest: int
    step: int

    @property
    def environment(self) -> dict[str, str]:
        """What a task finds in its environment, under Slurm's names."""
        return {
            "SLURM_ARRAY_JOB_ID": self.job,
            "SLURM_ARRAY_TASK_ID": str(self.task),
            "SLURM_ARRAY_TASK_COUNT": str(self.count),
            "SLURM_ARRAY_TASK_MIN": str(self.lowest),
            "SLURM_ARRAY_TASK_MAX": str(self.highest),
            "SLURM_ARRAY_TASK_STEP": str(self.step),
        }
