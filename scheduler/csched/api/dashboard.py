"""The dashboard at `/`: a page the server renders, behind a token kept in a cookie that no script can read."""

from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from csched.api.identity import COOKIE, app_of, own_only, owner_of
from csched.api.sites import outlook_now, sites_now
from csched.app import App
from csched.domain.carbon import CarbonOutlook
from csched.domain.run import JobState
from csched.errors import InputError, Unavailable
from csched.report.page import dashboard, login_form
from csched.store.records import Token

router: Final = APIRouter(include_in_schema=False)

_ALIVE: Final = tuple(state for state in JobState if not state.final)
_SHOWN_JOBS: Final = 500
_STYLE: Final = files("csched.report").joinpath("templates/style.css").read_text(encoding="utf-8")


@router.get("/")
def page(request: Request) -> HTMLResponse:
    app = app_of(request)
    token = owner_of(app, request.cookies.get(COOKIE))
    if token is None:
        return HTMLResponse(login_form(), status_code=401)
    return HTMLResponse(_dashboard(app, token))


@router.post("/login")
async def login(request: Request) -> Response:
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=4)
    secret = form.get("token", [""])[0].strip()
    token = await run_in_threadpool(owner_of, app_of(request), secret)
    if token is None:
        return HTMLResponse(login_form("This token is not valid."), status_code=401)
    response = RedirectResponse("/", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=secure, max_age=12 * 3600)
    return response


@router.post("/logout")
def logout() -> RedirectResponse:
    response = RedirectResponse("/", status_code=303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/style.css")
def style() -> Response:
    return Response(_STYLE, media_type="text/css")


def _dashboard(app: App, token: Token) -> str:
    records = app.store.jobs(states=_ALIVE, user=own_only(token), limit=_SHOWN_JOBS)
    newest = app.store.plan()
    outlook, carbon = _carbon(app)
    return dashboard(
        user=f"{token.name} ({token.role})",
        now=app.clock.now(),
        records=records,
        plan=newest.plan if newest else None,
        sites=sites_now(app, outlook),
        carbon=carbon,
        entries=app.store.ledger(user=own_only(token)),
        errors=app.store.health().errors,
    )


def _carbon(app: App) -> tuple[CarbonOutlook | None, str]:
    """The intensities of now and whence they are; the page shows the queue also while no source can be read."""
    try:
        outlook = outlook_now(app)
    except (InputError, Unavailable) as error:
        return None, f"unknown, {error}"
    return outlook, f"{outlook.source}, method {outlook.method}"
