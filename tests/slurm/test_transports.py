"""Both transports on real clusters of two releases: what is asked for is what Slurm does, and no answer is made up."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from csched_slurm.cluster import ClusterJob, State
from csched_slurm.transport import (
    Done,
    Failed,
    JobChange,
    JobRequest,
    Known,
    Refused,
    Submitted,
    Transport,
)
from slurm_lab.lab import Lab

pytestmark = pytest.mark.slurm


def request_for(lab: Lab, **changes: object) -> JobRequest:
    base = {
        "name": f"csched-{uuid4()}",
        "user": "alice",
        "account": "physics",
        "script": "#!/bin/bash\nenv >&2\nsleep 3\necho done\n",
        "work_dir": str(lab.layout.home / "jobs"),
        "stdout": f"{lab.layout.home}/jobs/%j.out",
        "nodes": 1,
        "time_limit_minutes": 5,
    }
    return JobRequest.model_validate(base | changes)


def submitted(transport: Transport, request: JobRequest) -> int:
    answer = transport.submit(request)
    assert isinstance(answer, Submitted), answer
    return answer.job_id


def the_job(transport: Transport, job_id: int) -> ClusterJob:
    answer = transport.job(job_id)
    assert isinstance(answer, Known), answer
    assert answer.value is not None
    return answer.value


def waited_for(
    transport: Transport, job_id: int, reached: Callable[[ClusterJob], bool], within_s: float = 40
) -> ClusterJob:
    end = time.monotonic() + within_s
    while not reached(job := the_job(transport, job_id)):
        assert time.monotonic() < end, job
        time.sleep(0.2)
    return job


def test_a_job_is_submitted_held_changed_released_and_ends(site: tuple[Lab, str], transport: Transport) -> None:
    lab, cluster = site
    request = request_for(lab, nodes=2, gpus_per_node=4, gpu_type="gb200", exclusive=True, comment="of csched's own")
    job_id = submitted(transport, request)

    found = transport.look_up(request.name)
    assert isinstance(found, Known)
    (held,) = found.value
    assert (held.id, held.cluster, held.user, held.held, held.requeue) == (job_id, cluster, "alice", True, False)
    assert (held.node_count, held.tres["gres/gpu"], held.time_limit_s) == (2, 8, 300)

    change = JobChange(name="mine", comment="of its owner", time_limit_minutes=7)
    assert transport.update(job_id, change) == Done()
    changed = the_job(transport, job_id)
    assert (changed.name, changed.comment, changed.time_limit_s) == ("mine", "of its owner", 420)
    assert transport.look_up(request.name) == Known(())

    assert transport.release(job_id) == Done()
    running = waited_for(transport, job_id, lambda job: job.state is State.RUNNING)
    assert [share.gpus for share in running.nodes] == [(0, 1, 2, 3)] * 2
    assert running.tres["cpu"] == 288, "whole nodes"
    ended = waited_for(transport, job_id, lambda job: job.state.ended)
    assert ended.state is State.COMPLETED, ended
    assert [share.gpus for share in ended.nodes] == [None] * 2, "Slurm has forgotten them"
    said = (lab.layout.home / "jobs" / f"{job_id}.out").read_text().splitlines()
    assert said[-1] == "done"
    assert "HOME=/home/alice" in said, "the user's login"
    assert not [line for line in said if line.startswith(("CSCHED_", "TZ=", "SLURM_CONF_SERVER"))]


def test_a_limit_a_licence_and_a_partition_are_carried(site: tuple[Lab, str], transport: Transport) -> None:
    lab, _ = site
    request = request_for(lab, partition="short", qos="normal", licenses="solver:2", gpus_per_node=1, features="nvl72")
    job = the_job(transport, submitted(transport, request))
    assert (job.partition, job.qos, job.licenses, job.tres["gres/gpu"]) == ("short", "normal", "solver:2", 1)
    assert transport.cancel(job.id) == Done()
    assert the_job(transport, job.id).state is State.CANCELLED


@pytest.mark.parametrize(
    "wrong",
    [
        {"partition": "nowhere"},
        {"account": "health"},
        {"comment": "site:refuse"},
        {"options": ("--no-such-option",)},
    ],
    ids=str,
)
def test_a_refusal_is_told_as_such(site: tuple[Lab, str], transport: Transport, wrong: dict[str, object]) -> None:
    lab, _ = site
    request = request_for(lab, **wrong)
    answer = transport.submit(request)
    assert isinstance(answer, Refused), answer
    assert answer.message
    assert transport.look_up(request.name) == Known(())


def test_an_id_that_nobody_has_is_none_and_its_orders_are_refused(transport: Transport) -> None:
    assert transport.job(4_000_000) == Known(None)
    for order in (transport.release, transport.hold, transport.cancel, transport.requeue):
        assert isinstance(order(4_000_000), Refused), order
    assert transport.accounting(ids=[4_000_000]) == Known(())
    assert transport.accounting(names=["nobody-has-this-name"]) == Known(())
    assert transport.look_up("nobody-has-this-name") == Known(())


def test_a_held_job_of_an_operator_stays_held_by_its_owner(site: tuple[Lab, str], transport: Transport) -> None:
    """priority=0 is what sbatch --hold sets, and the owner takes it away; an operator's hold the owner does not."""
    lab, cluster = site
    job_id = submitted(transport, request_for(lab, script="#!/bin/bash\nsleep 60\n"))
    lab.run(cluster, ["scontrol", "release", str(job_id)], user="alice")
    assert not the_job(transport, job_id).held
    waited_for(transport, job_id, lambda job: job.state is State.RUNNING)
    assert isinstance(transport.requeue(job_id), Refused), "it was submitted with --no-requeue"
    assert transport.update(job_id, JobChange(requeue=True)) == Done()
    assert transport.requeue(job_id, hold=True) == Done()
    waited_for(transport, job_id, lambda job: job.held)
    assert transport.hold(job_id) == Done()
    with pytest.raises(RuntimeError, match="denied"):
        lab.run(cluster, ["scontrol", "release", str(job_id)], user="alice")
    assert transport.cancel(job_id) == Done()


def test_a_requeued_job_waits_for_its_credential_and_runs_again(site: tuple[Lab, str], transport: Transport) -> None:
    lab, _ = site
    job_id = submitted(transport, request_for(lab, script="#!/bin/bash\nsleep 60\n"))
    transport.release(job_id)
    waited_for(transport, job_id, lambda job: job.state is State.RUNNING)
    assert transport.update(job_id, JobChange(requeue=True)) == Done()
    assert transport.requeue(job_id, hold=False) == Done()
    waiting = waited_for(transport, job_id, lambda job: job.state is State.PENDING)
    assert waiting.restart_count == 1
    again = waited_for(transport, job_id, lambda job: job.state is State.RUNNING)
    assert again.restart_count == 1
    end = time.monotonic() + 40
    while not the_job(transport, job_id).state.ended:  # a signal before the script has begun is lost
        assert time.monotonic() < end
        transport.signal(job_id, "KILL")
        time.sleep(0.5)


def test_accounting_tells_an_ended_job_and_no_held_one(site: tuple[Lab, str], transport: Transport) -> None:
    lab, cluster = site
    held, ran = request_for(lab), request_for(lab, gpus_per_node=2)
    held_id, ran_id = submitted(transport, held), submitted(transport, ran)
    transport.release(ran_id)
    waited_for(transport, ran_id, lambda job: job.state.ended)

    expected = {(cluster, ran_id, ran.name, 2.0)}
    end = time.monotonic() + 30
    while (found := accounted(transport, [held.name, ran.name])) != expected:
        assert time.monotonic() < end, found
        time.sleep(0.5)
    assert transport.cancel(held_id) == Done()


def accounted(transport: Transport, names: list[str]) -> set[tuple[str, int, str, float]]:
    answer = transport.accounting(names=names)
    assert isinstance(answer, Known), answer
    return {(job.cluster, job.id, job.name, job.tres.get("gres/gpu", 0)) for job in answer.value if job.state.ended}


def test_the_whole_site_is_told(site: tuple[Lab, str], transport: Transport) -> None:
    lab, cluster = site
    facts = transport.facts()
    assert isinstance(facts, Known)
    assert facts.value.cluster == cluster
    assert facts.value.version is not None
    assert facts.value.version.startswith(lab.layout.cluster(cluster).release)
    assert facts.value.gate is True
    assert facts.value.api_tested
    nodes = transport.nodes()
    assert isinstance(nodes, Known)
    assert tuple(node.name for node in nodes.value) == lab.layout.cluster(cluster).nodes
    for ask in (transport.jobs, transport.partitions, transport.licences, transport.associations, transport.qos):
        answer = ask()
        assert isinstance(answer, Known), answer
        assert answer.value
    assert transport.reservations() == Known(())


def test_a_dead_controller_is_no_empty_queue(site: tuple[Lab, str], transport: Transport) -> None:
    lab, cluster = site
    lab.stop(f"{cluster}-slurmctld")
    try:
        ping = transport.ping()
        assert isinstance(ping, Known)
        assert not ping.value.up
        assert isinstance(transport.jobs(), Failed)
    finally:
        lab.start(f"{cluster}-slurmctld")
        lab.await_controller(cluster)
        lab.await_nodes(cluster)
