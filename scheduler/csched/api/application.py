"""The API as one ASGI application."""

from collections.abc import Sequence
from datetime import timedelta

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from csched import __version__
from csched.api import agents, dashboard, routes
from csched.api.documents import Health
from csched.api.failures import add_handlers
from csched.api.guard import Guard, KnownHosts
from csched.api.identity import Application
from csched.api.metrics import metrics_text
from csched.api.site_agents import sites_in_trouble
from csched.app import App
from csched.report.words import iso

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PATIENCE = timedelta(seconds=30)


def create_api(app: App, hosts: Sequence[str] = (), *, with_agents: bool = True) -> FastAPI:
    """`hosts` are names by which this machine is reached besides loopback; others are refused (DNS rebinding).

    `with_agents` false leaves out what sites' agents ask for: tokens and scripts never travel in the clear.
    """
    api = FastAPI(
        title="csched",
        version=__version__,
        summary="Carbon- and sovereignty-aware placement of GPU batch jobs",
        docs_url=None,  # the pages of docs_url load scripts from other hosts
        redoc_url=None,
    )
    api.state.csched = app
    add_handlers(api)
    api.include_router(routes.router)
    api.include_router(dashboard.router)
    if with_agents:
        api.include_router(agents.router)
    _add_open_routes(api)
    api.add_middleware(KnownHosts, names=[*LOOPBACK, *hosts])
    api.add_middleware(Guard)
    return api


def _add_open_routes(api: FastAPI) -> None:
    """What needs no token: it names no user, no job and no file."""

    @api.get("/healthz")
    def healthz(app: Application) -> Health:
        """Whether the store answers (else 503), the daemon works, and when it planned last."""
        health = app.store.health()
        patience = max(_PATIENCE, 5 * app.settings.poll_every)
        second_look = ["second-look"] if app.store.withdrawals().held else []
        failing = sorted([*health.errors, *second_look, *sites_in_trouble(app)])
        daemon = health.poll_at is not None and app.clock.now() - health.poll_at <= patience
        return Health(
            status="ok" if daemon and not failing else "degraded",
            daemon=daemon,
            plan_at=iso(health.plan_at),
            poll_at=iso(health.poll_at),
            policies=len(app.policies.sources()),
            failing=failing,
        )

    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics(app: Application) -> Response:
        """Prometheus text format."""
        return Response(metrics_text(app), media_type=CONTENT_TYPE_LATEST)
