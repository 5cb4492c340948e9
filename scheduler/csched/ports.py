"""What the core asks of the world. Production, simulator and tests each bring their own; the core knows none."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from csched.domain.carbon import CarbonOutlook
from csched.domain.job import Job
from csched.domain.plan import Placement, Plan
from csched.domain.quota import QuotaRow
from csched.domain.run import DispatchOrder, RunReport
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Objection, Verdicts


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware UTC."""
        ...


class Policies(Protocol):
    """A loaded, valid set of rules."""

    @property
    def digest(self) -> str:
        """SHA-256 of the rules and their group files; part of every decision."""
        ...

    def sources(self) -> Mapping[str, str]:
        """File name -> text, enough to load the same set again."""
        ...

    def screen(self, jobs: Sequence[Job], fleet: Fleet, now: datetime) -> Verdicts:
        """One verdict for each job and site; sees no carbon, no load and no other job."""
        ...

    def quotas(self, snapshot: Snapshot) -> tuple[QuotaRow, ...]:
        """Shares of a tenant's GPU-hours that may be spent at some sites, each with what has been used of it."""
        ...


class Gate(Protocol):
    def objection(self, job: Job, site: str) -> Objection | None:
        """Why the job must not start at the site at this moment, by a reading of the rules that is independent of
        `Policies.screen`; None where it may."""
        ...


class CarbonSource(Protocol):
    def outlook(self, zones: Sequence[str], now: datetime, start: datetime, end: datetime) -> CarbonOutlook:
        """Intensities of `zones` over all of [start, end) as known at `now`, gaps past the data filled and flagged.

        Raises:
            InputError: a zone that the source does not know.
            Unavailable: a remote source that does not answer and no cached values.
        """
        ...


@runtime_checkable
class RefreshableCarbon(Protocol):
    """A carbon source whose values may change while csched runs; the climatology has nothing to refresh."""

    def refresh(self) -> None:
        """Read it anew. Raises Unavailable where that fails; the last good reading stays in force."""
        ...


class CarbonCache(Protocol):
    def keep(self, source: str, outlook: CarbonOutlook, read_at: datetime) -> None:
        """Keep this reading in place of the source's earlier one."""
        ...

    def kept(self, source: str) -> tuple[CarbonOutlook, datetime] | None:
        """The source's last good reading and when it was taken."""
        ...


class Dispatcher(Protocol):
    """Starts jobs where the plan says and tells what became of them. Every call may be repeated."""

    def dispatch(self, order: DispatchOrder) -> None:
        """Start this attempt once, however often it is asked for. Returns when the attempt is safely known."""
        ...

    def poll(self, attempts: Mapping[str, str]) -> Sequence[RunReport]:
        """States of these attempts (attempt -> job); an attempt that is not in the answer is unknown, not ended."""
        ...

    def cancel(self, attempt: str) -> None:
        """Ask the attempt to end; the end itself comes by `poll`."""
        ...

    def forget(self, attempt: str) -> None:
        """Drop what is kept of an attempt whose end is safely known elsewhere. It is never dispatched again."""
        ...


class PowerMeter(Protocol):
    def energy_kwh(self, attempt: str) -> float | None:
        """Measured IT energy of an ended attempt; None where nothing was measured."""
        ...


class World(Protocol):
    """What one planning cycle needs: a frozen view, a transaction and a way to act."""

    def snapshot(self) -> Snapshot: ...

    def commit(self, plan: Plan) -> Sequence[Placement]:
        """Keep the plan in one transaction. Returns the placements that are due and still stood: dispatch these."""
        ...

    def dispatch(self, placement: Placement) -> None: ...
