"""Parts of heterogeneous jobs as the check sees them; a job of one kind is its own only part.

Shares no code with the engine.
"""

from collections.abc import Iterator

from csched.domain.job import Job
from csched.domain.plan import Placement

_OF_A_PART = ("partition", "gpus", "end", "nodes", "domains")


def parts(job: Job) -> list[Job]:
    """Each part as a job of one kind; the data comes with the first."""
    if not job.components:
        return [job]
    return [
        job.model_copy(
            update={
                "gpus": part.gpus,
                "hardware": part.hardware or job.hardware,
                "components": (),
                "data_gb": 0.0 if number else job.data_gb,
            }
        )
        for number, part in enumerate(job.components)
    ]


def unfolded(placement: Placement, job: Job) -> list[tuple[Placement, Job]]:
    """Where each part is; empty where the placement does not show as many parts as the job has."""
    if not job.components:
        return [(placement, job)]
    own = parts(job)
    if len(own) != len(placement.components):
        return []
    return [
        (placement.model_copy(update={name: getattr(shown, name) for name in _OF_A_PART}), part)
        for shown, part in zip(placement.components, own, strict=True)
    ]


def odd_parts(placement: Placement, job: Job) -> Iterator[str]:
    """What a placement says of the whole that its parts do not."""
    if len(placement.components) != len(job.components):
        yield f"{job.job} shows {len(placement.components)} parts instead of {len(job.components)}"
    elif job.components and placement.partition != placement.components[0].partition:
        yield f"{job.job} is said to be at {placement.partition}, where its first part is not"
    if placement.gpus != job.gpus:
        yield f"{job.job} has {placement.gpus} GPUs instead of {job.gpus}"
