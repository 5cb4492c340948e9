"""Who asks. Nobody is trusted for being near: loopback needs a token like everyone else."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from csched.api.failures import Failure
from csched.app import App
from csched.store.records import JobRecord, Token

COOKIE = "csched_token"
ADMIN = "admin"
AGENT = "agent"
"""A site's agent: its token opens csched.api.agents and nothing else."""
_LONGEST_SECRET = 256

_bearer = HTTPBearer(auto_error=False, description="`csched token create NAME` makes one")


def app_of(request: Request) -> App:
    app: App = request.app.state.csched
    return app


def identity(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Token:
    """The token of the Authorization header. The dashboard's cookie does not count here, so no page can forge a call.

    Secrets are looked up by their SHA-256, so that the time it takes tells nothing of a secret.
    """
    token = owner_of(app_of(request), credentials.credentials if credentials else None)
    if token is None:
        raise Failure(
            401, "Unauthenticated", "a valid bearer token is needed", hint="csched token create NAME makes one"
        )
    return token


def owner_of(app: App, secret: str | None) -> Token | None:
    """Whose secret this is; null for none, an agent's, an overlong one and one that is not ASCII."""
    if not secret or len(secret) > _LONGEST_SECRET or not secret.isascii():
        return None
    token = app.store.token(secret)
    return None if token is None or token.role == AGENT else token


def own_only(token: Token) -> str | None:
    """The user whose jobs the token may see and change; null for all."""
    return None if token.role == ADMIN else token.name


def may_touch(token: Token, record: JobRecord) -> bool:
    return token.role == ADMIN or record.user == token.name


Application = Annotated[App, Depends(app_of)]
Identity = Annotated[Token, Depends(identity)]
