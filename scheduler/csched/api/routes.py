"""/api/v1: jobs, plans, sites and accounts."""

from pathlib import PurePosixPath
from threading import Lock
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Response

from csched.accounting.aggregation import aggregate, total
from csched.api.documents import Jobs, SubmitRequest, Submitted
from csched.api.failures import ONE_JOB, RESPONSES, Failure
from csched.api.identity import Application, Identity, may_touch, own_only
from csched.api.sites import outlook_now, sites_now
from csched.app import App
from csched.domain.plan import Plan
from csched.domain.run import JobState
from csched.errors import InputError, Where
from csched.formats.batch_options import ON_COMMAND_LINE
from csched.formats.batch_script import BatchJob
from csched.formats.directives import Given
from csched.formats.validation import did_you_mean
from csched.report.accounts import accounts
from csched.report.jobs import job_document
from csched.report.options import options as rendered_options
from csched.report.sites import sites
from csched.store.records import JobRecord, Token

router: Final = APIRouter(prefix="/api/v1", responses=RESPONSES)

JobId = Annotated[int, Path(ge=1, le=2**63 - 1)]

SubmissionKey = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[!-~]{1,64}$")]

_planning = Lock()  # a plan takes all the cores there are: one question at a time


@router.get("/jobs")
def list_jobs(
    app: Application,
    token: Identity,
    *,
    state: Annotated[list[JobState] | None, Query(max_length=8)] = None,
    user: Annotated[str | None, Query(max_length=64)] = None,
    site: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> Jobs:
    """The newest jobs first; a user's token sees that user's."""
    mine = own_only(token)
    if mine is not None and user not in {None, mine}:
        return Jobs(jobs=[])
    records = app.store.jobs(states=state, user=mine or user, site=site, newest_first=True, limit=limit)
    plan = _newest_plan(app, records)
    return Jobs(jobs=[job_document(record, plan) for record in records])


@router.post("/jobs", status_code=201, responses={409: ONE_JOB[409]})
def submit_job(
    app: Application, token: Identity, request: SubmitRequest, response: Response, key: SubmissionKey = None
) -> Submitted:
    """Hand in a batch script; it runs with no environment but what `--export` states as NAME=VALUE.

    A request that is repeated with the same Idempotency-Key is answered with the job of the first one.
    """
    batch = _batch_job(app, token, request)
    job_id = app.submit_batch(batch, key)
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return Submitted(job_id=job_id, remarks=list(batch.remarks))


@router.get("/jobs/{job_id}", responses=ONE_JOB)
def show_job(app: Application, token: Identity, job_id: JobId) -> dict[str, Any]:
    record = _job(app, token, job_id)
    return job_document(record, _newest_plan(app, [record]))


@router.delete("/jobs/{job_id}", responses=ONE_JOB)
def cancel_job(app: Application, token: Identity, job_id: JobId) -> dict[str, Any]:
    """End a running job or withdraw a waiting one."""
    _job(app, token, job_id)
    return job_document(app.store.request_cancel(job_id))


@router.get("/arrays/{array}", responses=ONE_JOB)
def show_array(app: Application, token: Identity, array: JobId) -> Jobs:
    """Each task of an array, by task."""
    records = _tasks(app, token, array)
    plan = _newest_plan(app, records)
    return Jobs(jobs=[job_document(record, plan) for record in records])


@router.delete("/arrays/{array}", responses=ONE_JOB)
def cancel_array(app: Application, token: Identity, array: JobId) -> Jobs:
    """End the running tasks and withdraw the waiting ones; those that have ended are passed over."""
    living = [record.id for record in _tasks(app, token, array) if not record.state.final]
    return Jobs(jobs=[job_document(record) for record in app.store.request_cancel_all(living)])


@router.get("/jobs/{job_id}/explain", responses=ONE_JOB)
def explain_job(app: Application, token: Identity, job_id: JobId) -> dict[str, Any]:
    """For each site the verdict, the reasons, the best start and its carbon."""
    record = _job(app, token, job_id)
    with _planning:
        explanation = app.explain(job_id)
    home = app.fleet.home_site(record.job.home_site, record.job.tenant)
    return _document(rendered_options(explanation, home).document)


@router.get("/plans/last", responses={404: ONE_JOB[404]})
def last_plan(app: Application, token: Identity) -> dict[str, Any]:
    """The newest committed plan; a user's token sees that user's jobs in it."""
    newest = app.store.plan()
    if newest is None:
        raise Failure(404, "NotFound", "there is no plan yet")
    document = newest.plan.model_dump(mode="json", by_alias=True)
    mine = own_only(token)
    if mine is not None:
        own = {str(record.id) for record in app.store.jobs(user=mine, limit=100_000)}
        for part in ("placements", "unplaced"):
            document[part] = [item for item in document[part] if item["job"] in own]
    return document


@router.get("/sites")
def list_sites(app: Application, _token: Identity) -> dict[str, Any]:
    """The fleet's sites with the carbon intensity of now."""
    outlook = outlook_now(app)
    return _document(sites(sites_now(app, outlook), outlook).document)


@router.get("/report")
def report(
    app: Application, token: Identity, by: Literal["user", "project", "site", "month"] = "user"
) -> dict[str, Any]:
    """Energy, carbon and what was saved by the jobs that have ended; a user's token sees that user's."""
    entries = app.store.ledger(user=own_only(token))
    return _document(accounts(entries, by, aggregate(entries, by), total(entries)).document)


def _job(app: App, token: Token, job_id: int) -> JobRecord:
    """The job, if the token may see it; another's job is not told from one that does not exist."""
    found = app.store.jobs(ids=[job_id])
    if not found or not may_touch(token, found[0]):
        raise Failure(404, "NotFound", f"there is no job `{job_id}`", hint="GET /api/v1/jobs lists yours")
    return found[0]


def _tasks(app: App, token: Token, array: int) -> tuple[JobRecord, ...]:
    tasks = app.store.jobs(ids=(), arrays=[array])
    if not tasks or not may_touch(token, tasks[0]):
        raise Failure(404, "NotFound", f"there is no array `{array}`", hint="GET /api/v1/jobs lists your jobs")
    return tasks


def _batch_job(app: App, token: Token, request: SubmitRequest) -> BatchJob:
    folder = PurePosixPath(request.work_dir) if request.work_dir else PurePosixPath(app.home() / "work")
    if not folder.is_absolute() or "\0" in str(folder):
        raise InputError("an absolute path is expected", where=Where(field="work_dir"))
    if request.work_dir is None:
        (app.home() / "work").mkdir(exist_ok=True)
    given = [_given(request.options)]
    return app.read_script(
        request.script, request.name, request.args, given, user=token.name, folder=folder, environment={}
    )


def _given(options: dict[str, str | None]) -> list[Given]:
    given = []
    for name, value in options.items():
        option = ON_COMMAND_LINE.get(name)
        if option is None:
            hint = did_you_mean(name, list(ON_COMMAND_LINE))
            raise InputError(f"unknown option `{name}`", hint=hint, where=Where(field="options"))
        given.append(Given(option, value, Where(field=f"options.{name}")))
    return given


def _newest_plan(app: App, records: "list[JobRecord] | tuple[JobRecord, ...]") -> Plan | None:
    """The newest plan where one of the jobs waits without a place: only then it has something to say."""
    if not any(record.state is JobState.PENDING and record.placement is None for record in records):
        return None
    newest = app.store.plan()
    return newest.plan if newest else None


def _document(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise TypeError(f"a JSON object was expected, not {type(document)}")
    return document
