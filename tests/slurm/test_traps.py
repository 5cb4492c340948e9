"""Slurm when it does not answer: a lost answer is unknown, an id is no name, and dependencies are csched's own."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from csched_slurm.cluster import ClusterJob, State
from csched_slurm.transport import Done, JobChange, JobRequest, Known, Ping, Refused, Submitted, Transport, Unknown
from slurm_lab.lab import Lab

from .ways_in import command_line, rest

pytestmark = pytest.mark.slurm

CLUSTER = "kajaani"
CONTROLLER = f"{CLUSTER}-slurmctld"


@pytest.fixture
def commands(slurm_lab: Lab) -> Iterator[Transport]:
    yield command_line(slurm_lab, CLUSTER)
    for job in _known_jobs(slurm_lab):
        if not job.state.ended:
            slurm_lab.run(CLUSTER, ["scancel", str(job.id)])


def _known_jobs(lab: Lab) -> tuple[ClusterJob, ...]:
    answer = command_line(lab, CLUSTER).jobs()
    assert isinstance(answer, Known), answer
    return answer.value


def _request(**changes: object) -> JobRequest:
    base = {
        "name": f"csched-{uuid4()}",
        "user": "alice",
        "account": "physics",
        "script": "#!/bin/bash\nsleep 30\n",
        "work_dir": "/home/alice",
        "stdout": "/dev/null",
        "nodes": 1,
        "time_limit_minutes": 5,
    }
    return JobRequest.model_validate(base | changes)


def _found(transport: Transport, name: str, within_s: float = 20) -> list[ClusterJob]:
    end = time.monotonic() + within_s
    while True:
        answer = transport.look_up(name)
        if isinstance(answer, Known) and answer.value:
            return list(answer.value)
        assert time.monotonic() < end, answer
        time.sleep(0.2)


def test_a_submission_that_timed_out_may_have_left_a_job(slurm_lab: Lab, commands: Transport) -> None:
    by_commands, by_slurmrestd = _request(), _request()
    door = rest(slurm_lab, CLUSTER)
    assert door.ping() == Known(Ping(up=True))
    slurm_lab.freeze(CONTROLLER)
    try:
        answers = [commands.submit(by_commands), door.submit(by_slurmrestd)]
    finally:
        slurm_lab.thaw(CONTROLLER)
        door.close()
    assert [type(answer) for answer in answers] == [Unknown, Unknown], answers
    for request in (by_commands, by_slurmrestd):
        (job,) = _found(commands, request.name)
        assert job.held, "so nothing runs of which csched knows nothing"


def test_a_submission_that_was_cut_short_appears_later(slurm_lab: Lab, commands: Transport) -> None:
    request = _request(comment="site:slow")
    hasty = command_line(slurm_lab, CLUSTER, timeout_s=1)
    assert isinstance(hasty.submit(request), Unknown)
    (job,) = _found(commands, request.name)
    assert job.held


def test_a_dead_controller_is_known_at_once_by_ping_alone(slurm_lab: Lab, commands: Transport) -> None:
    request = _request()
    slurm_lab.kill(CONTROLLER)
    try:
        began = time.monotonic()
        ping = commands.ping()
        pinged = time.monotonic()
        answer = commands.submit(request)
        assert isinstance(ping, Known)
        assert not ping.value.up
        assert isinstance(answer, Unknown), answer
        assert time.monotonic() - pinged > pinged - began, "a submission keeps trying"
    finally:
        slurm_lab.start(CONTROLLER)
        slurm_lab.await_controller(CLUSTER)
        slurm_lab.await_nodes(CLUSTER)
    assert commands.look_up(request.name) == Known(())


def test_an_id_may_be_lost_and_given_to_another_job(slurm_lab: Lab, commands: Transport) -> None:
    for _ in range(10):
        first = _request()
        answer = commands.submit(first)
        assert isinstance(answer, Submitted)
        slurm_lab.kill(CONTROLLER)
        slurm_lab.start(CONTROLLER)
        slurm_lab.await_controller(CLUSTER)
        second = commands.submit(_request())
        assert isinstance(second, Submitted)
        if commands.look_up(first.name) == Known(()):
            assert second.job_id == answer.job_id
            there = commands.job(answer.job_id)
            assert isinstance(there, Known)
            assert there.value is not None
            assert there.value.name != first.name
            break
    else:
        pytest.fail("ten controllers killed right after an answer kept every job")
    slurm_lab.await_nodes(CLUSTER)


def test_a_dependency_on_an_unknown_id_is_taken_for_satisfied(commands: Transport) -> None:
    answer = commands.submit(_request(dependency="afterok:3999999"))
    assert isinstance(answer, Submitted)
    assert commands.release(answer.job_id) == Done()
    end = time.monotonic() + 30
    while True:
        job = commands.job(answer.job_id)
        assert isinstance(job, Known)
        assert job.value is not None
        if job.value.state is State.RUNNING:
            break
        assert time.monotonic() < end, job
        time.sleep(0.2)


def test_segments_stay_within_a_domain_on_the_newer_slurm(slurm_2411: Lab) -> None:
    transport = command_line(slurm_2411, "munich")
    answer = transport.submit(_request(nodes=2, gpus_per_node=4, exclusive=True, segment=2, script="#!/bin/bash\n:\n"))
    assert isinstance(answer, Submitted), answer
    assert transport.release(answer.job_id) == Done()
    end = time.monotonic() + 30
    while True:
        job = transport.job(answer.job_id)
        assert isinstance(job, Known)
        assert job.value is not None
        if job.value.state.ended:
            break
        assert time.monotonic() < end, job
        time.sleep(0.2)
    assert job.value.state is State.COMPLETED
    racks = slurm_2411.layout.cluster("munich").racks
    assert tuple(share.node for share in job.value.nodes) in racks


def test_an_older_slurm_refuses_segments(commands: Transport) -> None:
    assert isinstance(commands.submit(_request(segment=2)), Refused)


def test_an_operator_may_not_write_an_admin_comment_but_may_rename(slurm_lab: Lab, commands: Transport) -> None:
    """So what stands there was written by a gate, or by somebody who may do anything."""
    request = _request()
    answer = commands.submit(request)
    assert isinstance(answer, Submitted)
    forged = ["scontrol", "update", f"JobId={answer.job_id}", "AdminComment=csched:id=1"]
    slurm_lab.run(CLUSTER, forged, user="csched", check=False)
    assert [job.admin_comment for job in _found(commands, request.name)] == [None]
    assert commands.update(answer.job_id, JobChange(name="mine")) == Done()
