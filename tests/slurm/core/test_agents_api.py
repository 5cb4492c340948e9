"""The core's door for agents: each site fetches its own orders, tells its own news, and reaches nothing else."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from csched.api.application import create_api
from csched.app import App
from csched.domain.array import ArrayTask
from csched.domain.job import Job
from csched.domain.run import DispatchOrder, JobState, Script
from csched.keys import generate_key, read_trust
from csched.settings import Settings
from csched.testing.planner import everything_at
from csched_slurm.protocol.messages import Alarm, AttemptReport, Fate, OrderPage, OrderRefusal, ReportBatch
from csched_slurm.protocol.orders import CancelOrder, StartOrder
from csched_slurm.protocol.signing import verify


@dataclass
class Core:
    app: App
    api: FastAPI
    trust: Path
    tokens: dict[str, str]

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.api, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                headers = {"Content-Type": "application/json"} if "content" in more else {}
                if token:
                    headers["Authorization"] = f"Bearer {token}"
                return await client.request(method, f"/api/v1{path}", headers=headers, **more)

        return asyncio.run(once())

    def orders(self, site: str, after: int = 0) -> list[StartOrder | CancelOrder]:
        answer = self.ask("GET", f"/agents/{site}/orders", self.tokens[site], params={"after": after})
        assert answer.status_code == 200, answer.text
        page = OrderPage.model_validate_json(answer.content)
        return [verify(signed, read_trust(self.trust)) for signed in page.orders]

    def report(self, site: str, **parts: Any) -> int:
        batch = ReportBatch(**parts).model_dump_json()
        token = self.tokens[site]
        return self.ask("POST", f"/agents/{site}/reports", token, content=batch).status_code

    def start(self, site: str, **columns: Any) -> int:
        """A job that is due at the site."""
        wanted = {"job": "new", "user": "ada", "gpus": 4, "time_limit_s": 600, "data_class": "public", **columns}
        script = Script(body="#!/bin/sh\n", work_dir="/", stdout="/dev/null")
        job_id = self.app.submit(Job.model_validate(wanted), script, name="train")
        record = self.app.store.job(job_id)
        partition = next(each for each in self.app.fleet.sites if each.id == site).partitions[0].name
        self.app.store.commit(
            everything_at([record.job], site, partition, self.app.clock.now()), {job_id: record.revision}
        )
        self.app.poll()
        return job_id


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    trust = generate_key(tmp_path / "orders.pem")
    app = App(Settings(home=tmp_path / "home", order_key=tmp_path / "orders.pem"))
    tokens = {site: app.store.create_token(site, "agent")[1] for site in ("essonne", "bologna", "mars")}
    tokens["ada"] = app.store.create_token("ada")[1]
    tokens["admin"] = app.store.create_token("root", "admin")[1]
    yield Core(app, create_api(app), trust, tokens)
    app.close()


def report_of(order: StartOrder | CancelOrder, state: JobState, **more: Any) -> AttemptReport:
    return AttemptReport.model_validate({"attempt": order.attempt, "version": 2, "state": state, **more})


def test_an_order_waits_for_its_site_alone_and_comes_signed_and_whole(core: Core) -> None:
    job_id = core.start("essonne", tenant="acme")
    (order,) = core.orders("essonne")
    assert isinstance(order, StartOrder)
    assert (order.site, order.cluster, order.sequence, order.job.id) == ("essonne", "essonne", 1, str(job_id))
    assert (order.job.owner, order.job.tenant, order.job.data_class) == ("ada", "acme", "public")
    assert (order.placement.nodes, order.placement.gpus_per_node, order.placement.whole_nodes) == (1, 4, True)
    assert order.policy_digest == core.app.policies.digest
    assert core.orders("bologna") == []
    assert core.orders("essonne", after=1) == []


def test_a_task_of_an_array_knows_which_it_is(core: Core) -> None:
    core.start("essonne")
    (order,) = core.orders("essonne")
    assert isinstance(order, StartOrder)
    told = DispatchOrder(
        job="7",
        attempt="b" * 32,
        name="train",
        user="ada",
        site="essonne",
        partition=order.placement.partition,
        gpus=4,
        time_limit_s=600,
        script=order.job.script,
        array=ArrayTask(job="5", task=2, count=3, lowest=0, highest=2, step=1),
    )
    core.app.dispatcher.dispatch(told)
    task = core.orders("essonne")[-1]
    assert isinstance(task, StartOrder)
    environment = task.job.script.environment
    assert (environment["SLURM_ARRAY_TASK_ID"], environment["CSCHED_JOB_ID"]) == ("2", "7")


def test_a_token_opens_its_own_site_and_nothing_else(core: Core) -> None:
    of_essonne = core.tokens["essonne"]
    for token, path, status in (
        (None, "/agents/essonne/orders", 401),
        ("made up", "/agents/essonne/orders", 401),
        (of_essonne, "/agents/bologna/orders", 403),
        (core.tokens["ada"], "/agents/essonne/orders", 403),
        (core.tokens["admin"], "/agents/essonne/orders", 403),
        (core.tokens["mars"], "/agents/mars/orders", 404),
        (of_essonne, "/jobs", 401),
        (of_essonne, "/sites", 401),
    ):
        assert core.ask("GET", path, token).status_code == status, (token, path)


def test_agents_are_not_served_where_tokens_would_travel_in_the_clear(core: Core) -> None:
    core.api = create_api(core.app, with_agents=False)
    assert core.ask("GET", "/agents/essonne/orders", core.tokens["essonne"]).status_code == 404


def test_news_moves_the_job_and_older_news_does_not_move_it_back(core: Core) -> None:
    job_id = core.start("essonne")
    (order,) = core.orders("essonne")
    now = core.app.clock.now()
    running = report_of(order, JobState.RUNNING, start=now, nodes=["e1"])
    done = report_of(order, JobState.COMPLETED, start=now, end=now, exit_code={"status": 0}, version=3)
    for batch in ([running], [done], [done], [running]):
        assert core.report("essonne", reports=batch) == 204
        core.app.poll()
    record = core.app.store.job(job_id)
    assert (record.state, str(record.exit_code)) == (JobState.COMPLETED, "0:0")
    assert core.orders("essonne") == [], "what has ended is no longer kept"


def test_a_site_cannot_speak_of_another_sites_attempts(core: Core) -> None:
    job_id = core.start("essonne")
    (order,) = core.orders("essonne")
    core.report("bologna", reports=[report_of(order, JobState.COMPLETED)])
    core.app.poll()
    assert core.app.store.job(job_id).state is JobState.CONFIGURING


def test_a_refusal_gives_the_job_back_with_its_reason_and_the_next_snapshot_heeds_it(core: Core) -> None:
    job_id = core.start("essonne")
    (order,) = core.orders("essonne")
    told = {"fate": Fate.REFUSED, "clean": True, "reason": "NoAccount", "message": "user `ada` has not opted in"}
    core.report("essonne", reports=[report_of(order, JobState.PENDING, **told)])
    core.app.poll()
    record = core.app.store.job(job_id)
    assert (record.state, record.reason, record.placement) == (JobState.PENDING, "NoAccount", None)
    (refusal,) = core.app.snapshot().refusals
    assert (refusal.job, refusal.reason.site, refusal.reason.code) == (str(job_id), "essonne", "NoAccount")


def test_a_failed_node_gives_the_job_back_only_once_it_is_clean_and_only_so_often(core: Core) -> None:
    job_id = core.start("essonne")
    for restart in range(4):
        order = core.orders("essonne")[-1]
        failed = {"fate": Fate.NODE_FAILURE, "start": core.app.clock.now()}
        core.report("essonne", reports=[report_of(order, JobState.NODE_FAIL, **failed)])
        core.app.poll()
        assert core.app.store.job(job_id).state is JobState.CONFIGURING
        core.report("essonne", reports=[report_of(order, JobState.NODE_FAIL, **failed, clean=True, version=3)])
        core.app.poll()
        record = core.app.store.job(job_id)
        assert record.state is (JobState.PENDING if restart < 3 else JobState.NODE_FAIL)
        if record.state is JobState.PENDING:
            partition = core.app.fleet.site("essonne").partitions[0].name
            plan = everything_at([record.job], "essonne", partition, core.app.clock.now())
            core.app.store.commit(plan, {job_id: record.revision})
            core.app.poll()


def test_cancelling_is_an_order_too_and_is_given_once(core: Core) -> None:
    job_id = core.start("essonne")
    core.app.store.request_cancel(job_id)
    core.app.poll()
    core.app.poll()
    start, cancel = core.orders("essonne")
    assert isinstance(cancel, CancelOrder)
    assert (cancel.attempt, cancel.sequence) == (start.attempt, 2)


def test_an_alarm_stops_the_site_until_a_person_resumes_it(core: Core) -> None:
    core.orders("essonne")
    alarm = Alarm(code="JobsVanished", message="7 of 9 jobs are unknown at once", since=core.app.clock.now())
    core.report("essonne", alarm=alarm)
    (drain,) = core.app.store.drains()
    assert (drain.site, drain.reason) == ("essonne", "alarm: 7 of 9 jobs are unknown at once")
    assert "agent:essonne" in core.ask("GET", "/../../healthz").json()["failing"]
    core.app.resume("essonne")
    assert core.app.store.drains() == ()
    page = core.ask("GET", "/agents/essonne/orders", core.tokens["essonne"])
    assert OrderPage.model_validate_json(page.content).alarm_cleared is not None
    core.report("essonne", alarm=alarm)
    assert core.app.store.drains() == (), "an agent that has not heard of it yet repeats the alarm"


def test_an_agent_that_knows_more_than_the_core_is_told_so(core: Core) -> None:
    core.start("essonne")
    answer = core.ask("GET", "/agents/essonne/orders", core.tokens["essonne"], params={"after": 5})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "AheadOfCore")


def test_what_the_agent_refused_is_kept_for_the_admin_up_to_a_bound(core: Core) -> None:
    refusals = [OrderRefusal(sequence=n, code="BadSignature", message="not signed") for n in range(1, 31)]
    assert core.report("essonne", refusals=refusals) == 204
    (agent,) = core.app.store.mailboxes.agents()
    assert [refused["sequence"] for refused in agent.refused] == list(range(11, 31))


def test_too_long_a_batch_is_refused_whole(core: Core) -> None:
    reports = [{"attempt": f"a{n}", "version": 1, "state": "RUNNING"} for n in range(1001)]
    answer = core.ask("POST", "/agents/essonne/reports", core.tokens["essonne"], json={"reports": reports})
    assert answer.status_code == 422


def test_silence_is_noticed(core: Core) -> None:
    core.orders("essonne")
    assert not any("agent:" in each for each in core.ask("GET", "/../../healthz").json()["failing"])
    later = core.app.clock.now() + timedelta(minutes=6)
    core.app.clock = _At(later)
    assert "agent:essonne" in core.ask("GET", "/../../healthz").json()["failing"]


@dataclass
class _At:
    at: Any

    def now(self) -> Any:
        return self.at
