"""/api/v1/agents/{site}: where a site's agent fetches its orders and tells what it knows. An agent's token is good for
its own site and for nothing else."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from csched.api.failures import RESPONSES, ErrorDocument, Failure
from csched.api.identity import AGENT, Application
from csched.app import App
from csched.domain.base import Slug
from csched.store.mailboxes import AgentRecord, Mailboxes, News
from csched_slurm.core.adoption import adopt
from csched_slurm.protocol.adoption import AdoptionAnswer, AdoptionReport
from csched_slurm.protocol.messages import (
    LONGEST_WAIT_S,
    ORDERS_AT_ONCE,
    OrderPage,
    ReportBatch,
    SiteFacts,
)
from csched_slurm.protocol.signing import MOST_CHARACTERS, SignedOrder

_LOOK_EVERY_S: Final = 0.25
_LONGEST_SECRET: Final = 256

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    **RESPONSES,
    403: {"model": ErrorDocument, "description": "not the token of this site's agent"},
    404: {"model": ErrorDocument, "description": "the fleet has no such site with a cluster"},
    409: {"model": ErrorDocument, "description": "the agent knows of orders that this core has not given"},
}

router: Final = APIRouter(prefix="/api/v1/agents/{site}", responses=_ANSWERS)
_bearer = HTTPBearer(auto_error=False, description="`csched token create SITE --role agent` makes one")


def site_of(
    app: Application,
    site: Annotated[Slug, Path()],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """The site whose agent asks."""
    secret = credentials.credentials if credentials else ""
    token = app.store.token(secret) if 0 < len(secret) <= _LONGEST_SECRET and secret.isascii() else None
    if token is None:
        hint = "csched token create SITE --role agent makes one"
        raise Failure(401, "Unauthenticated", "a valid bearer token is needed", hint=hint)
    if token.role != AGENT or token.name != site:
        raise Failure(403, "Forbidden", f"this is not the token of the agent of `{site}`")
    if not any(known.id == site and known.slurm for known in app.fleet.sites):
        raise Failure(404, "NotFound", f"the fleet has no site `{site}` with a Slurm cluster")
    return site


Site = Annotated[str, Depends(site_of)]


@router.get("/orders")
async def orders(
    request: Request,
    app: Application,
    site: Site,
    *,
    after: Annotated[int, Query(ge=0, lt=2**53)] = 0,
    wait_s: Annotated[int, Query(ge=0, le=LONGEST_WAIT_S)] = 0,
) -> OrderPage:
    """Orders with a number above `after`, oldest first; where there is none, after up to `wait_s` seconds an empty
    page. Asking is also the sign that the agent lives."""
    agent = await run_in_threadpool(_called, app, site, after)
    waits_until = asyncio.get_running_loop().time() + wait_s
    while True:
        page = await run_in_threadpool(_page, app.store.mailboxes, agent, after)
        late = asyncio.get_running_loop().time() >= waits_until
        if page.orders or late or await request.is_disconnected():
            return page
        await asyncio.sleep(_LOOK_EVERY_S)


@router.post("/reports", status_code=204)
def reports(app: Application, site: Site, batch: ReportBatch) -> None:
    """What became of attempts, and orders that were not carried out. The same again changes nothing."""
    mailboxes = app.store.mailboxes
    mailboxes.called(site, refused=[refusal.model_dump(mode="json") for refusal in batch.refusals])
    news = [News(report.attempt, report.version, report.model_dump(mode="json")) for report in batch.reports]
    mailboxes.keep_news(site, news)
    if batch.alarm is not None:
        alarm = batch.alarm
        mailboxes.raise_alarm(site, alarm.model_dump(mode="json"), alarm.since, f"alarm: {alarm.message}")


@router.post("/adopted")
def adopted(app: Application, site: Site, report: AdoptionReport) -> AdoptionAnswer:
    """Plain sbatch that waits at the site, and what no longer does. The same again changes nothing."""
    return adopt(app, site, report)


@router.post("/facts", status_code=204)
def facts(app: Application, site: Site, found: SiteFacts) -> None:
    """What the agent found at its site: kept as what was last known."""
    app.store.mailboxes.called(site, facts=found.model_dump(mode="json"))


def _called(app: App, site: str, after: int) -> AgentRecord:
    agent = app.store.mailboxes.called(site)
    if after > app.store.mailboxes.newest(site):
        raise Failure(
            409,
            "AheadOfCore",
            f"the agent has orders up to {after}, this core has never given so many",
            hint="the core's database is older than the site: restore a newer one",
        )
    return agent


def _page(mailboxes: Mailboxes, agent: AgentRecord, after: int) -> OrderPage:
    letters = mailboxes.letters(agent.site, after, limit=ORDERS_AT_ONCE, most_characters=MOST_CHARACTERS)
    signed = (
        SignedOrder(
            sequence=letter.sequence, key_id=letter.key_id, document=letter.document, signature=letter.signature
        )
        for letter in letters
    )
    return OrderPage(orders=tuple(signed), alarm_cleared=agent.alarm_cleared)
