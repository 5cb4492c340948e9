"""What every request passes: a known host, a bounded body, and answers that a browser keeps in their place."""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csched.api.failures import error_response

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A script of 4 MiB in which every character is escaped once, and little beside it."""

_LONGEST_HOST: Final = 255

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses bodies beyond the limit, said or unsaid, before anything reads them, and sets the headers above."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        body = await _bounded_body(scope, receive)
        if body is None:
            refusal = error_response(413, "TooLarge", f"a request has at most {MAX_BODY_BYTES} bytes")
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, _replay(body, receive), send_with_headers)


class KnownHosts:
    """Answers only under names that it is known by: a page elsewhere may point its own name here (DNS rebinding)."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (name := _host_name(scope)) not in self._names:
            refusal = error_response(
                400, "UnknownHost", f"this server is not known as `{name}`", hint="csched serve --allow-host NAME"
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host_name(scope: Scope) -> str:
    """The name in the Host header, without the port and without the brackets of an IPv6 address."""
    host = Headers(scope=scope).get("host", "")[:_LONGEST_HOST].lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


async def _bounded_body(scope: Scope, receive: Receive) -> bytes | None:
    """The body; null where it is too large."""
    said = Headers(scope=scope).get("content-length", "0")
    if not said.isdecimal() or int(said) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, once, and then waits for what else comes."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
