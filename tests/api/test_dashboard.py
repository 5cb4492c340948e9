"""The dashboard in a real browser: behind a token, readable on a desk and on a phone, without any script."""

import shutil
import socket
from collections.abc import Iterator
from threading import Thread

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

from csched.domain.job import Job
from csched.domain.run import Script

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def address(served) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(served.api, log_level="warning"))
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_shows_queue_and_sites(served, address: str, browser: Browser, width: int, tmp_path) -> None:
    script = Script(body="#!/bin/sh\n", work_dir="/tmp", stdout="/tmp/x")  # noqa: S108  (never run)
    name = "<script>alert(1)<\u2215script>"
    served.app.submit(Job(job="0", user="ada", gpus=8, time_limit_s=3600), script, name=name)
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    assert page.goto(address).status == 401
    problems.clear()  # the browser itself reports the 401
    page.fill("#token", served.ada)
    page.click("button")
    page.wait_for_selector("h2")
    assert page.inner_text("h1") == "csched"
    text = page.inner_text("body")
    assert name in text
    for line in served.app.fleet.sites:
        assert line.id in text
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow == 0
    assert problems == []
    page.screenshot(path=tmp_path / f"dashboard-{width}.png", full_page=True)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.click("text=Sign out")
    page.wait_for_selector("#token")
    page.close()
