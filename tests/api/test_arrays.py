"""Arrays over HTTP, and a dashboard that folds them and outlives its carbon source."""

from pathlib import Path
from typing import Any

import httpx

from csched.api.application import create_api
from csched.app import open_app
from csched.settings import Settings

from .test_api import ask, submit

SCRIPT = "#!/bin/sh\n#SBATCH --gpus=1 --time=5 --array=0-3\ntrue\n"


def body(answer: httpx.Response) -> Any:
    return answer.json()


def test_an_array_is_handed_in_shown_and_withdrawn(served) -> None:
    array = body(submit(served, served.ada, script=SCRIPT))["job_id"]
    tasks = body(ask(served, "GET", f"/api/v1/arrays/{array}", served.ada))["jobs"]
    assert [(task["array_job"], task["array_task"]) for task in tasks] == [(array, number) for number in range(4)]
    one = tasks[2]["id"]
    assert body(ask(served, "DELETE", f"/api/v1/jobs/{one}", served.ada))["array_task"] == 2
    ended = body(ask(served, "DELETE", f"/api/v1/arrays/{array}", served.ada))["jobs"]
    assert [task["array_task"] for task in ended] == [0, 1, 3]


def test_an_array_is_its_owners(served) -> None:
    array = body(submit(served, served.ada, script=SCRIPT))["job_id"]
    assert ask(served, "GET", f"/api/v1/arrays/{array}", served.bob).status_code == 404
    assert ask(served, "DELETE", f"/api/v1/arrays/{array}", served.bob).status_code == 404
    assert ask(served, "GET", f"/api/v1/arrays/{array}", served.admin).status_code == 200
    alone = body(submit(served, served.ada, script=SCRIPT.replace("--array=0-3", "")))["job_id"]
    assert ask(served, "GET", f"/api/v1/arrays/{alone}", served.ada).status_code == 404


def test_the_dashboard_folds_tasks(served) -> None:
    submit(served, served.ada, script=SCRIPT)
    page = ask(served, "GET", "/", headers={"Cookie": f"csched_token={served.ada}"})
    assert page.status_code == 200
    assert "1_[0-3]" in page.text


def test_the_dashboard_outlives_its_carbon_source(tmp_path: Path) -> None:
    app = open_app(Settings(home=tmp_path / "home", carbon=str(tmp_path / "gone.csv")))
    served = type("Served", (), {"api": create_api(app, ["testserver"])})
    _, secret = app.store.create_token("ada")
    page = ask(served, "GET", "/", headers={"Cookie": f"csched_token={secret}"})
    app.close()
    assert page.status_code == 200
    assert "Carbon intensity: unknown" in page.text
    assert "gone.csv" in page.text
    assert "munich" in page.text
