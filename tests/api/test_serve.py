"""`csched serve` as a process: a job handed in over HTTP runs to its account, and SIGTERM ends the server."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from csched.app import open_app
from csched.settings import Settings

_PATIENCE_S = 90
SCRIPT = "#!/bin/sh\n#SBATCH -G 1 -t 5 -J served\n#CSCHED --data-class=public\necho hi\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client with a user's token, of a server on a free port."""
    home = tmp_path / "home"
    with closing(open_app(Settings(home=home))) as app:
        _, secret = app.store.create_token("ada")
    log = tmp_path / "serve.log"
    command = [sys.executable, "-c", "from csched.cli import main; main(['serve', '--port', '0'])"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, env={**os.environ, "CSCHED_HOME": str(home)}, stderr=stream)
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := re.search(r"serving (http://\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=found[1], headers=headers, timeout=_PATIENCE_S) as client:
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(_PATIENCE_S) == 0
    assert '"stopped"' in log.read_text().splitlines()[-1]


def test_a_job_goes_the_whole_way_over_http(server: httpx.Client) -> None:
    submitted = server.post("/api/v1/jobs", json={"script": SCRIPT})
    assert submitted.status_code == 201
    deadline = time.monotonic() + _PATIENCE_S
    while not (lines := server.get("/api/v1/report").json()["lines"]):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    job = server.get(submitted.headers["Location"]).json()
    assert (job["state"], job["exit_code"], job["name"]) == ("COMPLETED", "0:0", "served")
    assert Path(job["stdout"]).read_text() == "hi\n"
    assert lines[0]["jobs"] == 1
    assert server.get("/healthz").json()["daemon"] is True
