"""The API over a store of its own, with a user's and an admin's token; no daemon and no network."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from csched.api.application import create_api
from csched.app import App, open_app
from csched.settings import Settings


@dataclass(frozen=True)
class Served:
    app: App
    api: FastAPI
    ada: str
    """Token of the user ada."""
    bob: str
    admin: str


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    app = open_app(Settings(home=tmp_path / "home"))
    _, ada = app.store.create_token("ada")
    _, bob = app.store.create_token("bob")
    _, admin = app.store.create_token("root", "admin")
    yield Served(app, create_api(app, ["testserver"]), ada, bob, admin)
    app.close()
