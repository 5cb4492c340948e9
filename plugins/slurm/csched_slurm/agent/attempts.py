"""What becomes of one attempt, as a pure machine: what is known of it, and what an answer of the cluster means.

An attempt is on disk before anything of it leaves the agent. It is submitted held, under a name of its own, so that a
lost answer costs nothing: the job is looked up by that name, and a second one is cancelled while it is held. Only a
job that was read back, alone under its name, is released. Nothing is ever concluded from an answer that is not whole.

    intended -> submitting -> held -> releasing -> released -> ended
                    |           |         |
                    +-> looking <---------+        (no clear answer, or an id that is another job's by now)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from csched.domain.run import ExitCode, JobState
from csched.domain.verdict import ReasonCode
from csched_slurm.agent.attempt import (
    AskAccounts,
    AskPing,
    Attempt,
    Cancel,
    Inspect,
    LookUp,
    Release,
    Rename,
    Rest,
    Stage,
    Step,
    Submit,
    Timing,
    is_marked,
    is_waiting,
)
from csched_slurm.cluster import AccountedJob, ClusterJob, Ping, State
from csched_slurm.protocol.messages import LONGEST_MESSAGE, Fate
from csched_slurm.transport import Answer, Failed, Known, OrderAnswer, Refused, SubmitAnswer, Submitted, Unknown

_ENOUGH_LOOKS: Final = 2
_CLOCK_STEP: Final = timedelta(seconds=2)
"""How far two records of one submission may lie apart."""


def next_step(attempt: Attempt, now: datetime) -> Step:
    """What to do now."""
    busy = attempt.cancel or attempt.expired or attempt.duplicates
    if attempt.stage is Stage.ENDED or (attempt.stage is Stage.RELEASED and not busy):
        return Rest(None)
    if attempt.not_before is not None and now < attempt.not_before:
        return Rest(attempt.not_before)
    if attempt.stage is Stage.INTENDED:
        return Submit()
    if attempt.stage in {Stage.SUBMITTING, Stage.LOOKING}:
        return _look(attempt)
    return Cancel(attempt.duplicates) if attempt.duplicates else _let_go(attempt)


def _look(attempt: Attempt) -> Step:
    if not attempt.answered:
        return AskPing()
    return LookUp() if attempt.empty_looks < _ENOUGH_LOOKS else AskAccounts()


def _let_go(attempt: Attempt) -> Step:
    if attempt.stage is Stage.HELD and not attempt.releases:
        return Inspect() if attempt.adopted else LookUp()
    if attempt.stage is Stage.HELD and attempt.empty_looks:
        return AskAccounts()
    if attempt.answered and not (attempt.cancel or attempt.expired):
        return Release() if attempt.named else Rename()
    return Inspect()


def before(attempt: Attempt, step: Step, now: datetime) -> Attempt:
    """What must be on disk before the step is taken."""
    if isinstance(step, Submit):
        return _to(attempt, Stage.SUBMITTING, now)
    if isinstance(step, Release):
        return attempt.model_copy(update={"releases": attempt.releases + 1})
    return attempt


def recovered(attempt: Attempt, now: datetime) -> Attempt:
    """As a new process finds it: what was under way may have happened, and may happen still."""
    if attempt.stage is Stage.SUBMITTING:
        return _to(attempt, Stage.LOOKING, now)
    if attempt.stage is Stage.RELEASING:
        return attempt.model_copy(update={"answered": False})
    return attempt


def ordered_to_end(attempt: Attempt, now: datetime) -> Attempt:
    """The core wants it cancelled."""
    if attempt.stage is Stage.ENDED:
        return attempt
    if attempt.stage is Stage.INTENDED:
        return ended(attempt, now, JobState.CANCELLED, "cancelled before it was submitted")
    return attempt.model_copy(update={"cancel": True})


# What the answers mean


def after_submit(attempt: Attempt, answer: SubmitAnswer, now: datetime, timing: Timing) -> Attempt:
    if isinstance(answer, Submitted):
        return _held(attempt, answer.job_id, now, timing.read_back_s)
    if isinstance(answer, Refused):
        return refused(attempt, now, ReasonCode.SITE_LIMIT, answer.message)
    return _to(attempt, Stage.LOOKING, now)


def after_ping(attempt: Attempt, answer: Answer[Ping], now: datetime, timing: Timing) -> Attempt:
    if isinstance(answer, Known) and answer.value.up:
        waited = attempt.model_copy(update={"answered": True, "empty_looks": 0})
        return _wait(waited, now, timing.quiet_s)
    return _wait(attempt, now, timing.retry_s)


def after_look_up(attempt: Attempt, answer: Answer[tuple[ClusterJob, ...]], now: datetime, timing: Timing) -> Attempt:
    """All jobs of its name: while looking, and once more before it is released."""
    if isinstance(answer, Failed):
        again = {"answered": attempt.stage is Stage.HELD, "empty_looks": 0}
        return _wait(attempt.model_copy(update=again), now, timing.retry_s)
    mine = sorted((job for job in answer.value if attempt.is_mine(job)), key=_telling)
    if not mine:
        return _not_found(attempt, now, timing)
    keeper = mine[0]
    others = tuple(job.id for job in mine[1:] if not job.state.ended)
    known = attempt.model_copy(update={"duplicates": others, "submitted": keeper.submit})
    if not keeper.held or _launch_failed(keeper):
        return observed(_to(known, Stage.RELEASED, now, job_id=keeper.id), keeper, now, timing)
    if attempt.stage is not Stage.HELD or attempt.job_id != keeper.id:
        return _held(known, keeper.id, now, timing.read_back_s)
    return known if others else _read_back(known, now)


def _not_found(attempt: Attempt, now: datetime, timing: Timing) -> Attempt:
    if attempt.stage is Stage.HELD:
        return _missing(attempt, now)
    once_more = attempt.model_copy(update={"empty_looks": attempt.empty_looks + 1})
    return _wait(once_more, now, timing.apart_s)


def _missing(attempt: Attempt, now: datetime) -> Attempt:
    """Its id is gone or another's. What was never let go has never run; of anything else accounting must tell."""
    if attempt.releases:
        return _to(attempt, Stage.RELEASED, now)
    if attempt.adopted:
        return ended(attempt, now, JobState.CANCELLED, "the job is no longer at its site")
    return _to(attempt, Stage.LOOKING, now, job_id=None, submitted=None)


def _read_back(attempt: Attempt, now: datetime) -> Attempt:
    """It lies there held, alone under its name. Set back behind an earlier release, it may have run: ask accounting."""
    if attempt.releases and attempt.empty_looks == 0:
        return attempt.model_copy(update={"empty_looks": 1})
    return _to(attempt, Stage.RELEASING, now, answered=True, expired=now >= attempt.expires_at)


def after_accounts(
    attempt: Attempt, answer: Answer[tuple[AccountedJob, ...]], now: datetime, timing: Timing
) -> Attempt:
    """Nothing there either: it may be submitted anew, or, where it was set back, released once more."""
    if isinstance(answer, Failed):
        return _wait(attempt, now, timing.retry_s)
    mine = [job for job in answer.value if same_run(attempt, job)]
    if attempt.stage is Stage.HELD:
        if any(job.nodes for job in mine):
            return _lost_track(attempt, "the cluster set the job back after it had begun to run")
        return _read_back(attempt, now)
    if mine:
        return accounted(_to(attempt, Stage.RELEASED, now, job_id=mine[-1].id), mine[-1], now)
    return _nowhere(attempt, now)


def _nowhere(attempt: Attempt, now: datetime) -> Attempt:
    """There is no such job, and none is on its way."""
    if attempt.cancel:
        return ended(attempt, now, JobState.CANCELLED, "cancelled; the cluster knows no such job")
    if now >= attempt.expires_at:
        return refused(attempt, now, None, "the order ran out before the cluster took the job")
    return _to(attempt, Stage.INTENDED, now)


def after_inspect(attempt: Attempt, answer: Answer[ClusterJob | None], now: datetime, timing: Timing) -> Attempt:
    """The job of its id: before it is released or cancelled, and after an order that had no clear answer."""
    if isinstance(answer, Failed):
        return _wait(attempt, now, timing.retry_s)
    job = answer.value
    if job is None or not attempt.is_mine(job):
        if attempt.stage is Stage.RELEASED:
            return _wait(attempt, now, timing.retry_s)  # reconciling finds out what became of it
        return _missing(attempt, now)
    return _known_by_id(attempt, job, now, timing)


def _known_by_id(attempt: Attempt, job: ClusterJob, now: datetime, timing: Timing) -> Attempt:
    free = attempt.stage is not Stage.RELEASED and (not job.held or _launch_failed(job))
    if job.state.ended or free:
        return observed(_to(attempt, Stage.RELEASED, now), job, now, timing)
    if attempt.adopted and now >= attempt.expires_at and not attempt.cancel:
        return refused(attempt, now, None, "the order ran out before the job could be released; it still waits there")
    if attempt.cancel or attempt.expired:
        return attempt.model_copy(update={"duplicates": (job.id,)})
    if attempt.stage is Stage.HELD:
        return _read_back(attempt, now)
    named = not is_waiting(job) if attempt.adopted else job.name != attempt.name
    return attempt.model_copy(update={"answered": True, "named": named})


def after_rename(attempt: Attempt, answer: OrderAnswer, now: datetime, timing: Timing) -> Attempt:
    if isinstance(answer, Refused | Unknown):
        return _wait(attempt.model_copy(update={"answered": False}), now, timing.retry_s)
    return attempt.model_copy(update={"named": True})


def after_release(attempt: Attempt, answer: OrderAnswer, now: datetime, timing: Timing) -> Attempt:
    if isinstance(answer, Refused | Unknown):
        return _wait(attempt.model_copy(update={"answered": False}), now, timing.retry_s)
    return _to(attempt, Stage.RELEASED, now)


def after_cancel(attempt: Attempt, step: Cancel, now: datetime, timing: Timing) -> Attempt:
    """The answer is no proof: the next look is."""
    stage = Stage.RELEASED if attempt.job_id in step.ids else attempt.stage
    return _wait(attempt.model_copy(update={"stage": stage, "duplicates": ()}), now, timing.retry_s)


# What is seen of it once it is released


def observed(attempt: Attempt, job: ClusterJob, now: datetime, timing: Timing) -> Attempt:
    """The controller's word on a released attempt; the job is its own."""
    if job.state.ended:
        ran = Run(job.state, job.exit_code, job.start, job.end, tuple(share.node for share in job.nodes))
        return _over(attempt, ran, now, settled="COMPLETING" not in job.flags)
    if not job.held and not attempt.free and now >= attempt.since + timedelta(seconds=timing.read_back_s):
        attempt = attempt.model_copy(update={"free": True})
    nodes = tuple(share.node for share in job.nodes) or None
    if job.state is not State.PENDING:
        return attempt.model_copy(
            update=_news(attempt, state=JobState.RUNNING, start=job.start, nodes=nodes, message=None)
        )
    if _launch_failed(job):
        return _lost_track(attempt, "the cluster lost its record of the run: it may have run, in part or to its end")
    if job.held and attempt.releases and (job.name == attempt.name or not attempt.free):  # the controller was set back
        if attempt.state is JobState.RUNNING:
            return _lost_track(attempt, "the cluster set the job back while it ran")
        return _held(attempt, job.id, now, timing.settle_s)
    message = "held at the site by its owner or an admin" if job.held else None
    return attempt.model_copy(update=_news(attempt, message=message))


def _launch_failed(job: ClusterJob) -> bool:
    """What a controller says of a job that its nodes knew to run while it did not itself."""
    return "launch failed" in (job.reason or "").replace("_", " ").lower()


def accounted(attempt: Attempt, job: AccountedJob, now: datetime) -> Attempt:
    """Accounting's word on a released attempt that the controller knows no more."""
    if not job.state.ended:
        return attempt
    return _over(attempt, Run(job.state, job.exit_code, job.start, job.end, job.nodes), now, settled=True)


def vanished(attempt: Attempt, now: datetime) -> Attempt:
    """Neither controller nor accounting know it. Whether it ran is lost, so it is never begun anew by itself."""
    message = "the site's Slurm has lost the job and any record of its end"
    done = ended(attempt, now, JobState.NODE_FAIL, message)
    return done.model_copy(update={"fate": Fate.VANISHED})


def nodes_clean(attempt: Attempt, now: datetime) -> Attempt:
    """Nothing of the failed attempt can run any more."""
    return _to(attempt.model_copy(update=_news(attempt, clean=True)), Stage.ENDED, now)


def ended(attempt: Attempt, now: datetime, state: JobState, message: str | None = None) -> Attempt:
    told = _news(attempt, state=state, end=attempt.end or now, clean=True, message=message)
    return _to(attempt.model_copy(update=told), Stage.ENDED, now)


def refused(attempt: Attempt, now: datetime, reason: ReasonCode | None, message: str) -> Attempt:
    """The site does not run it, and nothing of it is left there."""
    told = _news(
        attempt, state=JobState.PENDING, fate=Fate.REFUSED, clean=True, reason=reason, message=message[:LONGEST_MESSAGE]
    )
    return _to(attempt.model_copy(update=told), Stage.ENDED, now)


_ENDS: Final = {
    State.COMPLETED: JobState.COMPLETED,
    State.FAILED: JobState.FAILED,
    State.OUT_OF_MEMORY: JobState.FAILED,
    State.TIMEOUT: JobState.TIMEOUT,
    State.DEADLINE: JobState.TIMEOUT,
    State.CANCELLED: JobState.CANCELLED,
}


@dataclass(frozen=True)
class Run:
    """How a job ended, whoever says so. What never had nodes has never run, whatever its start says."""

    state: State
    exit_code: ExitCode | None
    start: datetime | None
    end: datetime | None
    nodes: tuple[str, ...]


def _over(attempt: Attempt, run: Run, now: datetime, *, settled: bool) -> Attempt:
    if attempt.fate is Fate.VANISHED:  # cancelled because nobody knows how far it came
        return _to(attempt.model_copy(update=_news(attempt, end=run.end or now)), Stage.ENDED, now)
    if attempt.expired and not run.nodes:
        return refused(attempt, now, None, "the order ran out before the job could be released")
    told: dict[str, object] = {
        "exit_code": run.exit_code,
        "start": run.start if run.nodes else None,
        "end": run.end or now,
        "nodes": run.nodes or attempt.nodes,
    }
    if run.state in _ENDS:
        message = "out of memory" if run.state is State.OUT_OF_MEMORY else None
        told |= {"state": _ENDS[run.state], "clean": settled, "message": message}
        return _to(attempt.model_copy(update=_news(attempt, **told)), Stage.ENDED, now)
    preempted = run.state is State.PREEMPTED
    told |= {"state": JobState.NODE_FAIL, "fate": Fate.PREEMPTED if preempted else Fate.NODE_FAILURE}
    told["clean"] = preempted and settled
    update = _news(attempt, **told)
    return _to(attempt.model_copy(update=update), Stage.ENDED if told["clean"] else Stage.RELEASED, now)


def _lost_track(attempt: Attempt, message: str) -> Attempt:
    """It is cancelled where it lies held, and ends as a failure that nobody repeats unasked."""
    update = _news(attempt, state=JobState.NODE_FAIL, fate=Fate.VANISHED, message=message)
    told = attempt.model_copy(update={**update, "cancel": True})
    return told if told.stage is Stage.RELEASED else told.model_copy(update={"stage": Stage.RELEASED})


def _news(attempt: Attempt, **fields: object) -> dict[str, object]:
    """The fields, under the next version where they tell the core anything new."""
    new = any(getattr(attempt, name) != value for name, value in fields.items())
    return {**fields, "version": attempt.version + new}


def _held(attempt: Attempt, job_id: int, now: datetime, believed_after_s: float) -> Attempt:
    return _to(attempt, Stage.HELD, now, job_id=job_id, not_before=now + timedelta(seconds=believed_after_s))


def _to(attempt: Attempt, stage: Stage, now: datetime, **more: object) -> Attempt:
    """Into a stage, with nothing left of what the last one had noted down."""
    fresh = {"not_before": None, "answered": False, "empty_looks": 0, "named": False}
    return attempt.model_copy(update={"stage": stage, "since": now, **fresh, **more})


def _wait(attempt: Attempt, now: datetime, seconds: float) -> Attempt:
    return attempt.model_copy(update={"not_before": now + timedelta(seconds=seconds)})


def _telling(job: ClusterJob) -> tuple[int, int]:
    """Whose job is kept of several: one that was let go, else the oldest that lives, else one that has ended."""
    rank = 2 if job.state.ended else 1 if job.held else 0
    return rank, job.id


def same_run(attempt: Attempt, job: AccountedJob) -> bool:
    """Whether accounting speaks of this attempt. Its own name and mark say so; its owner's name, which others share,
    only beside its id and a submission that is not older: ids are given anew."""
    if job.user not in {None, attempt.user}:
        return False
    if job.name == attempt.name or is_marked(job, attempt.mark):
        return True
    if job.name != attempt.own_name or job.id != attempt.job_id:
        return False
    if attempt.submitted is None or job.submit is None:
        return False
    return job.submit >= attempt.submitted - _CLOCK_STEP
