"""/api/v1 answers those with a token, each about their own jobs, and says what is wrong in one form."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from csched.api.guard import MAX_BODY_BYTES
from csched.api.metrics import metrics_text
from csched.app import open_app
from csched.domain.run import JobState
from csched.settings import Settings

SCRIPT = "#!/bin/sh\n#SBATCH -G 1 -t 5 -J small\n#CSCHED --data-class=public --tenant=acme\necho hi\n"
PROTECTED = [
    ("GET", "/api/v1/jobs"),
    ("POST", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/1"),
    ("DELETE", "/api/v1/jobs/1"),
    ("GET", "/api/v1/jobs/1/explain"),
    ("GET", "/api/v1/arrays/1"),
    ("DELETE", "/api/v1/arrays/1"),
    ("GET", "/api/v1/plans/last"),
    ("GET", "/api/v1/sites"),
    ("GET", "/api/v1/report"),
    ("GET", "/api/v1/agents/essonne/orders"),
    ("POST", "/api/v1/agents/essonne/reports"),
    ("POST", "/api/v1/agents/essonne/facts"),
    ("POST", "/api/v1/agents/essonne/adopted"),
]


def ask(served, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(served.api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            return await client.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)

    return asyncio.run(once())


def submit(served, token: str, **body: Any) -> httpx.Response:
    return ask(served, "POST", "/api/v1/jobs", token, json={"script": SCRIPT, **body})


def test_every_path_of_the_api_is_in_the_list_above(served) -> None:
    described = ask(served, "GET", "/openapi.json").json()["paths"]
    paths = {
        (method.upper(), path.replace("{job_id}", "1").replace("{array}", "1").replace("{site}", "essonne"))
        for path, methods in described.items()
        for method in methods
    }
    assert paths == {*PROTECTED, ("GET", "/healthz"), ("GET", "/metrics")}


def test_nobody_is_answered_without_a_token(served) -> None:
    for token in (None, "", "wrong", "é", "x" * 5000):
        headers = {"Cookie": f"csched_token={served.admin}".encode()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}".encode()
        for method, path in PROTECTED:
            answer = ask(served, method, path, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_token_is_worthless(served) -> None:
    assert ask(served, "GET", "/api/v1/jobs", served.ada).status_code == 200
    served.app.store.revoke_token(1)
    assert ask(served, "GET", "/api/v1/jobs", served.ada).status_code == 401


def test_a_job_is_handed_in_seen_and_withdrawn(served) -> None:
    answer = submit(served, served.ada, options={"priority": "7", "hold": None})
    assert (answer.status_code, answer.json()["job_id"]) == (201, 1)
    job = ask(served, "GET", answer.headers["Location"], served.ada).json()
    assert (job["name"], job["user"], job["priority"], job["hold"]) == ("small", "ada", 7, "user")
    assert ask(served, "DELETE", "/api/v1/jobs/1", served.ada).json()["state"] == "CANCELLED"
    again = ask(served, "DELETE", "/api/v1/jobs/1", served.ada)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Refused")


def test_a_repeated_request_with_a_key_is_the_same_job(served) -> None:
    def post(token: str, key: str = "run-7", script: str = SCRIPT) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return ask(served, "POST", "/api/v1/jobs", token, json={"script": script}, headers=headers)

    answers = [post(served.ada) for _ in range(2)]
    assert [(answer.status_code, answer.json()["job_id"]) for answer in answers] == [(201, 1), (201, 1)]
    assert post(served.bob).json()["job_id"] == 2
    other = post(served.ada, script=SCRIPT + "true\n")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "Refused")
    assert post(served.ada, key="a b").status_code == 422


def test_users_see_their_own_jobs_and_admins_all(served) -> None:
    submit(served, served.ada)
    for method, path in (("GET", "/api/v1/jobs/1"), ("DELETE", "/api/v1/jobs/1"), ("GET", "/api/v1/jobs/1/explain")):
        assert ask(served, method, path, served.bob).status_code == 404
    assert ask(served, "GET", "/api/v1/jobs", served.bob).json() == {"jobs": []}
    assert ask(served, "GET", "/api/v1/jobs?user=ada", served.bob).json() == {"jobs": []}
    assert len(ask(served, "GET", "/api/v1/jobs", served.admin).json()["jobs"]) == 1
    assert served.app.store.job(1).state == "PENDING"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"script": "echo hi"}, 400, None),
        ({"options": {"gpsu": "3"}}, 400, "options"),
        ({"options": {"array": "3-1"}}, 400, "options.array"),
        ({"options": {"gpus": "0"}}, 400, "options.gpus"),
        ({"work_dir": "relative"}, 400, "work_dir"),
        ({"options": {"export": "HOME"}}, 400, "options.export"),
        ({"unknown": 1}, 422, "body.unknown"),
        ({"script": ""}, 422, "body.script"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(served, body: dict[str, Any], status: int, field: str | None) -> None:
    answer = submit(served, served.ada, **body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "where"}
    assert field is None or error["where"]["field"] == field
    assert served.app.store.last_job_id() is None


def test_requests_have_a_size_and_a_host(served) -> None:
    large = "x" * (MAX_BODY_BYTES + 1)
    assert ask(served, "POST", "/api/v1/jobs", served.ada, content=large).status_code == 413

    async def unsaid():
        yield large.encode()

    assert ask(served, "POST", "/api/v1/jobs", served.ada, content=unsaid()).status_code == 413
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::2]:8080"):
        answer = ask(served, "GET", "/healthz", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "UnknownHost")
        assert answer.headers["Content-Security-Policy"]
    for host in ("LOCALHOST:1", "127.0.0.1", "[::1]:8080"):
        assert ask(served, "GET", "/healthz", headers={"Host": host}).status_code == 200


def test_health_names_neither_users_nor_files(served) -> None:
    answer = ask(served, "GET", "/healthz").json()
    assert (answer["status"], answer["daemon"]) == ("degraded", False)
    assert answer["policies"] > 0


def test_metrics_are_prometheus_text_without_names(served) -> None:
    submit(served, served.ada)
    submit(served, served.ada)
    served.app.store.request_cancel(2)
    text = ask(served, "GET", "/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    jobs = {sample.labels["state"]: sample.value for sample in families["csched_jobs"].samples}
    assert len(jobs) == len(JobState)
    assert {state: count for state, count in jobs.items() if count} == {"pending": 1.0, "cancelled": 1.0}
    assert families["csched_carbon_intensity_g_per_kwh"].samples
    assert "ada" not in text


def test_metrics_outlive_a_carbon_source_that_cannot_be_read(tmp_path: Path) -> None:
    app = open_app(Settings(home=tmp_path / "home", carbon=str(tmp_path / "missing.csv")))
    text = metrics_text(app).decode()
    app.close()
    assert "csched_carbon_unknown 1.0" in text
    assert "csched_jobs" in text


def test_one_plan_is_made_explained_and_shown(served) -> None:
    submit(served, served.ada, options={"begin": "now+3hours"})
    assert served.app.plan_once() is not None
    explained = ask(served, "GET", "/api/v1/jobs/1/explain", served.ada).json()
    assert explained["chosen"] in {option["site"] for option in explained["options"]}
    assert len(ask(served, "GET", "/api/v1/plans/last", served.ada).json()["placements"]) == 1
    assert ask(served, "GET", "/api/v1/plans/last", served.bob).json()["placements"] == []
    assert "csched_plan_gap_ratio" in ask(served, "GET", "/metrics").text


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", "/api/v1/jobs"), ("GET", "/docs")])
def test_what_is_not_there_is_said_in_the_same_form(served, method: str, path: str) -> None:
    answer = ask(served, method, path, served.ada)
    assert answer.status_code in {404, 405}
    assert set(answer.json()["error"]) == {"code", "message", "hint", "where"}
