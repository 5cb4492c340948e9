"""csched serve: the daemon and the HTTP API in one process."""

import ipaddress
import signal
import socket
import time
from contextlib import closing, suppress
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING

import click

from csched.cli.job_ids import ALIVE
from csched.cli.output import Output, pass_output
from csched.errors import Unavailable

if TYPE_CHECKING:
    from uvicorn import Server

    from csched.app import App

_LOOK_EVERY_S = 0.2
_LAST_ANSWERS_WITHIN_S = 3  # an agent that waits for orders asks again elsewhere, or later


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name this machine is reached by.")
@click.option("--tls-cert", type=click.Path(dir_okay=False), help="Certificate chain, PEM; with --tls-key.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="Its private key, PEM.")
@click.option("--behind-tls-proxy", is_flag=True, help="A proxy in front of this address ends TLS: serve agents too.")
@click.option("--until-idle", is_flag=True, help="End when no job waits or runs any more; for demos and tests.")
@pass_output
def command(
    output: Output,
    *,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    tls_cert: str | None,
    tls_key: str | None,
    behind_tls_proxy: bool,
    until_idle: bool,
) -> None:
    """Plan, start and account jobs, and answer at /api/v1, /metrics, /healthz and a dashboard at /.

    \b
    Examples:
      csched serve
      csched serve --host 0.0.0.0 --allow-host csched.example.eu
      csched serve --host 0.0.0.0 --allow-host csched.example.eu --tls-cert chain.pem --tls-key key.pem
      csched serve --until-idle --port 0
    """
    import uvicorn

    from csched.api.application import create_api
    from csched.app import open_app
    from csched.daemon import Daemon

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    safe = tls_cert is not None or behind_tls_proxy or _is_loopback(host)
    with closing(open_app()) as app, _listening(host, port) as listener:
        _require_parts(app)
        if app.signed_policies and app.signed_policies.refusal:
            output.remark(f"the policies are refused, {_instead(app)}: {app.signed_policies.refusal}")
        daemon = Daemon(app)
        if not safe and app.settings.order_key is not None:
            output.remark(f"agents are not served on {host}: that needs --tls-cert and --tls-key")
        api = create_api(app, [host, *hosts], with_agents=safe)
        config = uvicorn.Config(
            api,
            log_level="warning",
            server_header=False,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
            timeout_graceful_shutdown=_LAST_ANSWERS_WITHIN_S,
        )
        server = uvicorn.Server(config)
        _end_on_signals(server)
        taken = listener.getsockname()[1]
        address = f"{'https' if tls_cert else 'http'}://{host}:{taken}"
        output.remark(f"serving {address} from {app.settings.home}; Ctrl-C ends it and running jobs go on")
        daemon.start()
        try:
            if until_idle:
                Thread(target=_end_when_idle, args=(app, server), daemon=True).start()
            server.run(sockets=[listener])
        finally:
            daemon.stop()


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _require_parts(app: "App") -> None:
    """Fail now, with the place, rather than at the first plan. Raises what the parts raise."""
    app.policies.sources()
    app.carbon  # noqa: B018  (opening it is the check)


def _instead(app: "App") -> str:
    return "everything is denied" if not app.policies.sources() else "the last good set stays"


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unavailable(f"cannot listen on {host}:{port}: {reason}", hint="choose another with --port") from error


def _end_on_signals(server: "Server") -> None:
    """SIGTERM and SIGINT end the server; what stands after it then still runs."""

    def end(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _end_when_idle(app: "App", server: "Server") -> None:
    """A held job waits for a person, not for the daemon."""
    while any(not record.hold for record in app.store.jobs(states=ALIVE)) or app.store.unbilled(limit=1):
        time.sleep(_LOOK_EVERY_S)
    server.should_exit = True
