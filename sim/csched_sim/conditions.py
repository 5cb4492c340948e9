"""The world beside the trace as a scenario describes it: drains, late openings, failing nodes, other people's jobs."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from csched.domain.base import Instant, Slug, Value
from csched.units import parse_duration_s


def _seconds(raw: object) -> object:
    return parse_duration_s(raw) if isinstance(raw, str) else raw


Duration = Annotated[int, BeforeValidator(_seconds), Field(ge=1)]


class Drain(Value):
    """The site starts nothing new in [from, to); what runs there goes on."""

    site: Slug
    from_: Instant = Field(alias="from")
    to: Instant
    why: str = Field(default="maintenance", max_length=200)


class Opening(Value):
    """The site takes no job before `at`."""

    site: Slug
    at: Instant


class Failures(Value):
    """Nodes fail independently, exponentially distributed; a repair takes its time and the job on the node is lost."""

    node_mtbf: Duration
    """Mean time between the failures of one node."""
    repair: Duration


class Background(Value):
    """Jobs of others in the site's own queue, which csched neither sends nor counts."""

    site: Slug
    share: float = Field(gt=0, lt=1)
    """Of the GPUs of each partition, on average."""
    gpus: int = Field(default=8, ge=1)
    mean_length: Duration = 2 * 3600
    """Lengths are exponentially distributed; the limit is twice the length."""


class Conditions(Value):
    drains: tuple[Drain, ...] = ()
    openings: tuple[Opening, ...] = ()
    failures: Failures | None = None
    background: tuple[Background, ...] = ()
    checkpoint: Duration | None = None
    """A job that loses its node goes on from its last multiple of this; null: from the beginning."""

    def named_sites(self) -> set[str]:
        sites = [drain.site for drain in self.drains] + [opening.site for opening in self.openings]
        return {*sites, *(background.site for background in self.background)}


UNDISTURBED = Conditions()
