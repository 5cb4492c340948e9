"""Golden samples of Slurm 22.05 and 24.11, read: the same work in both, told by each in its own way."""

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from csched.domain.run import ExitCode
from csched_slurm.cluster import ClusterJob, Limits, State
from csched_slurm.parsing.accounting import read_accounted_jobs
from csched_slurm.parsing.accounts import (
    read_associations,
    read_printed_associations,
    read_printed_qos,
    read_qos,
)
from csched_slurm.parsing.configuration import read_printed_facts
from csched_slurm.parsing.fields import Unreadable, document, lines_of_pairs, resources, seconds, table, whole
from csched_slurm.parsing.jobs import read_jobs
from csched_slurm.parsing.nodes import read_nodes
from csched_slurm.parsing.partitions import read_partitions, read_printed_partitions
from csched_slurm.parsing.reservations import (
    read_licences,
    read_printed_licences,
    read_printed_reservations,
    read_reservations,
)

SAMPLES = Path(__file__).with_name("samples")
MARK = "csched-0b9f6a1e-1c2d-4e3f-8a9b-0123456789ab"
RELEASES = ("22.05", "24.11")
APIS = {"v0.0.38": "22.05", "v0.0.40": "24.11", "v0.0.41": "24.11", "v0.0.42": "24.11"}

every_release = pytest.mark.parametrize("release", RELEASES)
every_api = pytest.mark.parametrize("api", APIS)


def sample(release: str, name: str) -> str:
    return gzip.decompress((SAMPLES / release / f"{name}.gz").read_bytes()).decode()


def rest(api: str, name: str) -> str:
    return sample(APIS[api], f"{name}-{api}.json")


def named(jobs: tuple[ClusterJob, ...]) -> Mapping[str, ClusterJob]:
    return {job.name: job for job in jobs}


def told(release: str) -> list[Mapping[str, ClusterJob]]:
    """The jobs of a release as each of its ways tells them."""
    texts = [sample(release, "squeue.json")]
    texts += [rest(api, "slurm-jobs") for api, serves in APIS.items() if serves == release]
    return [named(read_jobs(text)) for text in texts]


@every_release
def test_a_held_job_is_told_with_its_name_and_no_nodes(release: str) -> None:
    for jobs in told(release):
        job = jobs[MARK]
        assert (job.state, job.held, job.reason, job.nodes) == (State.PENDING, True, "JobHeldUser", ())
        assert (job.user, job.account, job.partition, job.qos) == ("alice", "physics", "gpu", "normal")
        assert (job.node_count, job.tres["gres/gpu"], job.requeue) == (2, 8, False)
        assert job.start is None
        assert job.exit_code is None


@every_release
def test_a_running_job_is_told_with_the_gpus_it_has_on_each_node(release: str) -> None:
    for jobs in told(release):
        job = jobs["runs"]
        assert job.state is State.RUNNING
        assert [share.gpus for share in job.nodes] == [(0, 1), (0, 1)]
        assert len({share.node for share in job.nodes}) == 2
        assert job.time_limit_s == 600
        assert job.start is not None
        assert job.end == job.start + timedelta(seconds=600)
        assert job.licenses == "solver:2"


@every_release
def test_ends_are_told_with_code_and_signal(release: str) -> None:
    for jobs in told(release):
        assert (jobs["ends"].state, jobs["ends"].exit_code) == (State.COMPLETED, ExitCode())
        assert (jobs["fails"].state, jobs["fails"].exit_code) == (State.FAILED, ExitCode(status=3))
        assert jobs["killed"].state is State.FAILED
        assert jobs["killed"].exit_code == ExitCode(signal=9)
        assert jobs["cancelled"].state is State.CANCELLED


@every_release
def test_arrays_and_components_say_what_they_belong_to(release: str) -> None:
    for text in [sample(release, "squeue.json"), *(rest(api, "slurm-jobs") for api in APIS if APIS[api] == release)]:
        jobs = read_jobs(text)
        array = [job for job in jobs if job.name == "array"]
        assert {job.array_job for job in array} == {min(job.array_job or 0 for job in array)}
        assert sorted(job.array_task or "" for job in array) == ["0", "1", "2-5%2"]
        het = [job for job in jobs if job.name == "het"]
        assert sorted(job.het_offset for job in het if job.het_offset is not None) == [0, 1]
        assert len({job.het_job for job in het}) == 1
        assert {job.het_job for job in jobs if job.name != "het"} == {None}


@every_release
def test_a_users_odd_words_stay_as_they_are(release: str) -> None:
    for jobs in told(release):
        assert jobs['odd "name"\nsecond line'].comment == "it's | odd; ü"


@every_release
def test_every_way_tells_the_same_of_a_release(release: str) -> None:
    first, *others = [{name: lasting(job) for name, job in jobs.items()} for jobs in told(release)]
    for other in others:
        assert other == first


def lasting(job: ClusterJob) -> ClusterJob:
    """Without what the local scheduler thinks anew every second."""
    fleeting = dict.fromkeys(("reason", "start", "end", "dependency"))
    return job if job.state is not State.PENDING else job.model_copy(update=fleeting)


@every_api
def test_an_unknown_job_is_an_error_and_no_empty_answer(api: str) -> None:
    with pytest.raises(Unreadable, match="Invalid job id"):
        read_jobs(rest(api, "slurm-job-9999"))


@every_release
def test_nodes_say_what_they_have_and_whether_they_serve(release: str) -> None:
    texts = [sample(release, "nodes.json"), *(rest(api, "slurm-nodes") for api in APIS if APIS[api] == release)]
    for text in texts:
        nodes = read_nodes(text)
        assert [node.gpus for node in nodes] == [4, 4, 4, 4]
        assert {node.gpu_type for node in nodes} == {"gb200"}
        assert sum(node.gpus_used for node in nodes) == 4
        *serving, drained = nodes
        assert all(node.takes_jobs for node in serving)
        assert not drained.takes_jobs
        assert drained.reason is not None
        assert drained.reason.startswith("fan_broken")
        assert {"gpu", "short", "physics"} == set(drained.partitions)


def ways(release: str, printed: Callable[[str], object], written: Callable[[str], object], name: str) -> list[object]:
    of_rest = [written(rest(api, f"slurm-{name}")) for api in APIS if APIS[api] == release]
    return [printed(sample(release, f"{name}.txt")), *of_rest]


@every_release
def test_partitions_say_whom_they_take_and_for_how_long(release: str) -> None:
    for answer in ways(release, read_printed_partitions, read_partitions, "partitions"):
        assert isinstance(answer, tuple)
        partitions = {partition.name: partition for partition in answer}
        assert partitions["gpu"].max_time_s == 7 * 86_400
        assert partitions["gpu"].allow_accounts is None
        assert len(partitions["gpu"].nodes) == 4
        assert (partitions["short"].max_time_s, partitions["short"].default_time_s) == (3600, 600)
        assert partitions["short"].allow_qos == {"normal"}
        assert (partitions["physics"].max_nodes, partitions["physics"].allow_accounts) == (2, {"physics"})
        assert {partition.state for partition in answer} == {"UP"}


@every_release
def test_reservations_tell_maintenance_from_courses(release: str) -> None:
    printed, *written = ways(release, read_printed_reservations, read_reservations, "reservations")
    for answer in written:
        assert answer == printed
    assert isinstance(printed, tuple)
    reservations = {reservation.name: reservation for reservation in printed}
    assert reservations["upgrade"].maintenance
    assert reservations["upgrade"].end - reservations["upgrade"].start == timedelta(hours=2)
    assert not reservations["course"].maintenance
    assert reservations["course"].accounts == {"physics"}


@every_release
def test_licences_are_counted(release: str) -> None:
    for answer in ways(release, read_printed_licences, read_licences, "licenses"):
        assert isinstance(answer, tuple)
        (solver,) = answer
        assert (solver.name, solver.total, solver.used) == ("solver", 10, 2)


HEALTH = Limits(
    max_jobs=7,
    max_submit=8,
    group_jobs=3,
    group_submit=20,
    group_tres={"cpu": 100, "gres/gpu": 4},
    group_tres_minutes={"gres/gpu": 90},
    max_wall_s=7200,
)
URGENT = Limits(
    max_jobs=5,
    max_submit=9,
    group_tres={"gres/gpu": 16},
    group_tres_minutes={"gres/gpu": 6000},
    max_tres_per_user={"gres/gpu": 8},
    max_wall_s=86_400,
)


@every_release
def test_associations_carry_their_limits(release: str) -> None:
    answers = [read_printed_associations(sample(release, "associations.txt"))]
    answers += [read_associations(rest(api, "slurmdb-associations")) for api in APIS if APIS[api] == release]
    cluster = {"22.05": "essonne", "24.11": "munich"}[release]
    for answer in answers:
        mine = {(one.account, one.user): one for one in answer if one.cluster == cluster}
        assert mine["health", None].limits == HEALTH
        assert mine["health", None].fair_share == 7
        assert mine["health", "bob"].limits.max_jobs == 7
        assert mine["physics", "alice"].limits == Limits()
        assert mine["physics", "alice"].qos == {"normal", "urgent"}
        assert ("health", "alice") not in mine


def test_qos_carry_their_limits() -> None:
    answers = [read_printed_qos(sample(release, "qos.txt")) for release in RELEASES]
    answers.append(read_qos(rest("v0.0.42", "slurmdb-qos")))
    for answer in answers:
        qos = {one.name: one for one in answer}
        assert (qos["urgent"].priority, qos["urgent"].limits) == (100, URGENT)
        assert qos["normal"].limits == Limits()


@pytest.mark.parametrize("api", ["v0.0.38", "v0.0.40", "v0.0.41"])
def test_older_slurmrestds_tell_no_whole_qos(api: str) -> None:
    with pytest.raises(Unreadable):
        read_qos(rest(api, "slurmdb-qos"))


@every_release
def test_accounting_knows_runs_and_no_held_job(release: str) -> None:
    texts = [sample(release, "sacct.json"), *(rest(api, "slurmdb-jobs") for api in APIS if APIS[api] == release)]
    for text in texts:
        jobs = {job.name: job for job in read_accounted_jobs(text)}
        assert MARK not in jobs
        assert (jobs["fails"].state, jobs["fails"].exit_code) == (
            State.FAILED,
            ExitCode(status=3 if release != "22.05" else 0),
        )
        assert jobs["killed"].exit_code == ExitCode(signal=9)
        assert jobs["runs"].tres["gres/gpu"] == 4
        assert "energy" not in jobs["runs"].tres
        assert len(jobs["runs"].nodes) == 2
        assert {job.cluster for job in jobs.values()} == {"essonne" if release == "22.05" else "munich"}


@every_release
def test_the_configuration_says_what_the_cluster_is(release: str) -> None:
    printed = sample(release, "config.txt")
    stamp = printed.partition("as of ")[2].partition("\n")[0]
    now = datetime.fromisoformat(stamp).replace(tzinfo=UTC) - timedelta(seconds=42)
    facts = read_printed_facts(printed, now)
    assert facts.release == {"22.05": (22, 5), "24.11": (24, 11)}[release]
    assert facts.topology_plugin == {"22.05": "topology/tree", "24.11": "topology/block"}[release]
    assert facts.segments is (release == "24.11")
    assert facts.clock_skew_s == 42
    assert (facts.message_timeout_s, facts.min_job_age_s, facts.kill_wait_s) == (10, 300, 5)
    assert facts.job_submit_plugins == ("lua",)
    assert facts.private_data == frozenset()
    assert facts.accounting_enforced == {"associations", "limits", "qos"}


@pytest.mark.parametrize("text", ["", "slurm_load_jobs error", "[]", '{"jobs": 3}', '{"jobs": [3]}', '{"jobs": [{}]}'])
def test_what_is_no_answer_is_no_empty_answer(text: str) -> None:
    with pytest.raises(Unreadable):
        read_jobs(text)


def test_a_state_of_a_slurm_to_come_is_not_guessed_at() -> None:
    text = sample("24.11", "squeue.json").replace('"COMPLETED"', '"EVAPORATED"')
    with pytest.raises(Unreadable, match="EVAPORATED"):
        read_jobs(text)


def test_a_job_that_22_05_only_calls_completing_still_holds_its_nodes() -> None:
    text = sample("22.05", "squeue.json").replace('"job_state": "RUNNING"', '"job_state": "COMPLETING"')
    job = named(read_jobs(text))["runs"]
    assert (job.state, job.flags) == (State.RUNNING, {"COMPLETING"})


def test_errors_beside_an_answer_are_the_answer() -> None:
    with pytest.raises(Unreadable, match="it broke"):
        document('{"jobs": [], "errors": [{"error": "it broke"}]}')


def test_slurmdbd_of_22_05_calls_nothing_an_error() -> None:
    assert read_accounted_jobs('{"jobs": [], "errors": [{"error_number": 9003, "error": "Nothing found"}]}') == ()


@pytest.mark.parametrize(
    ("printed", "span_s"),
    [("7-00:00:00", 604_800), ("02:00:00", 7200), ("05:30", 330), ("30", 1800), ("UNLIMITED", None), ("", None)],
)
def test_spans_of_time(printed: str, span_s: int | None) -> None:
    assert seconds(printed) == span_s


def test_unset_numbers_are_unknown_in_every_width() -> None:
    assert [
        whole(raw) for raw in (0xFFFFFFFE, 0xFFFF, -2, {"set": False, "number": 3}, {"set": True, "infinite": True})
    ] == [None] * 5
    assert whole({"set": True, "infinite": False, "number": 0}) == 0


def test_memory_is_counted_in_mebibytes() -> None:
    assert resources("cpu=4,mem=1.5G,gres/gpu=2") == {"cpu": 4, "mem": 1536, "gres/gpu": 2}


def test_values_with_blanks_end_at_the_next_key() -> None:
    assert lines_of_pairs("NodeName=e1 Reason=fan is broken State=IDLE\n") == [
        {"NodeName": "e1", "Reason": "fan is broken", "State": "IDLE"}
    ]


def test_a_table_that_breaks_off_is_no_table() -> None:
    with pytest.raises(Unreadable):
        table("Name|Priority\nnormal|0\nurg")
