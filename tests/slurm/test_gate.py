"""csched's gate in the job_submit.lua of real controllers, behind the site's own script."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from csched import shipped
from csched.domain.job import DataClass
from csched_slurm.cluster import ClusterJob
from csched_slurm.gate import without_snippet
from csched_slurm.transport import Done, JobChange, JobRequest, Known, Submitted
from slurm_lab.lab import Lab

from .ways_in import command_line

pytestmark = pytest.mark.slurm

Place = tuple[Lab, str]


@pytest.fixture(autouse=True)
def empty_afterwards(site: Place) -> Iterator[None]:
    yield
    lab, cluster = site
    for user in ("alice", "bob"):
        lab.run(cluster, ["scancel", f"--user={user}"], check=False)


def asked(site: Place, user: str, *command: str) -> tuple[bool, str]:
    """Whether it was accepted, and what was said."""
    lab, cluster = site
    done = subprocess.run(
        [*lab.prefix(cluster, user), *command],
        env={"PATH": "/usr/bin:/bin", "SLURM_CONF": str(lab.layout.conf(cluster))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def sbatch(site: Place, user: str, *options: str) -> tuple[bool, str]:
    return asked(site, user, "sbatch", "--parsable", "--chdir=/tmp", "--output=/dev/null", *options, "--wrap=sleep 60")


def handed_in(site: Place, user: str, *options: str) -> int:
    accepted, said = sbatch(site, user, *options)
    assert accepted, said
    return int(said.splitlines()[0])


def shown(site: Place, job_id: int) -> ClusterJob:
    lab, cluster = site
    answer = command_line(lab, cluster).job(job_id)
    assert isinstance(answer, Known), answer
    assert answer.value is not None
    return answer.value


def placed(site: Place, *, user: str = "bob", account: str = "clinic", cluster: str | None = None) -> int:
    """As csched's agent submits."""
    lab, name = site
    attempt = uuid4().hex
    request = JobRequest(
        name=f"csched-{attempt}",
        user=user,
        account=account,
        comment=f"csched:id={attempt};job=1;cluster={cluster or name}",
        script="#!/bin/sh\nsleep 60\n",
        work_dir="/",
        stdout="/dev/null",
        nodes=1,
        partition="gpu",
        time_limit_minutes=5,
    )
    answer = command_line(lab, name).submit(request)
    assert isinstance(answer, Submitted), answer
    return answer.job_id


def test_jobs_of_protected_accounts_run_where_csched_places_them_or_not_at_all(site: Place) -> None:
    for options in (["--account=clinic"], ["--account=health", "--comment=csched:class=health"]):
        accepted, said = sbatch(site, "bob", *options)
        assert not accepted
        assert "run where csched places them" in said
    _, cluster = site
    elsewhere = f"csched:id={'a' * 32};job=1;cluster=atlantis"
    accepted, said = sbatch(site, "bob", "--account=clinic", f"--job-name=csched-{'a' * 32}", f"--comment={elsewhere}")
    assert not accepted
    assert "planned for cluster `atlantis`" in said or "which csched alone says" in said
    for command in (["salloc"], ["srun"]):
        accepted, said = asked(site, "bob", *command, "--account=clinic", "--immediate=5", "true")
        assert not accepted
        assert "run where csched places them" in said
    job = shown(site, placed(site))
    assert job.held
    assert job.admin_comment == job.comment
    assert f"cluster={cluster}" in str(job.admin_comment)


def test_a_comment_makes_the_class_stricter_and_never_laxer(site: Place) -> None:
    accepted, said = sbatch(site, "bob", "--account=clinic", "--comment=csched:class=public")
    assert not accepted
    assert "(health)" in said
    assert sbatch(site, "bob", "--account=health", "--comment=csched:class=special", "--test-only")[0]


@pytest.mark.parametrize(
    "comment", ["csched:", "csched:id=17", "csched:class=secret", "csched:adopt", "csched:class=public;class=health"]
)
def test_a_comment_that_only_csched_writes_is_refused(site: Place, comment: str) -> None:
    accepted, said = sbatch(site, "alice", "--account=physics", f"--comment={comment}", "--test-only")
    assert not accepted
    assert "csched: the comment" in said


def test_the_owner_of_a_placed_job_neither_moves_nor_releases_it(site: Place) -> None:
    """However quickly: the orders follow the submission in the same breath."""
    job_id = placed(site)
    changes = ("Partition=short", "ReqNodeList=e1", "Account=health", "QOS=urgent", "Comment=mine", "Requeue=1")
    for change in (*changes, "JobName=mine"):
        accepted, said = asked(site, "bob", "scontrol", "update", f"JobId={job_id}", change)
        assert not accepted, change
        assert "denied" not in said
    for release in (["release", str(job_id)], ["update", f"JobId={job_id}", "Priority=1000"], ["top", str(job_id)]):
        asked(site, "bob", "scontrol", *release)
        job = shown(site, job_id)
        assert job.held, release
    assert (job.partition, job.account, job.qos) == ("gpu", "clinic", "normal")
    assert job.comment == job.admin_comment


def test_csched_releases_it_and_then_its_owner_may_hold_and_release(site: Place) -> None:
    lab, cluster = site
    agent = command_line(lab, cluster)
    job_id = placed(site)
    assert agent.update(job_id, JobChange(name="train", time_limit_minutes=7)) == Done()
    assert asked(site, "bob", "scontrol", "hold", str(job_id))[0]
    assert asked(site, "bob", "scontrol", "release", str(job_id))[0]
    assert not shown(site, job_id).held


def test_plain_sbatch_of_an_adopted_account_waits_for_its_plan_and_says_so(site: Place) -> None:
    job_id = handed_in(site, "alice", "--account=climate", "--comment=of my own")
    job = shown(site, job_id)
    assert (job.held, job.comment) == (True, "csched: waits for its planned start")
    assert job.admin_comment == "csched:adopt;comment=of my own"
    asked(site, "alice", "scontrol", "release", str(job_id))
    asked(site, "alice", "scontrol", "update", f"JobId={job_id}", "Comment=of my own")
    assert shown(site, job_id).held
    assert shown(site, job_id).comment == job.comment
    lab, cluster = site
    assert command_line(lab, cluster).release(job_id) == Done()
    assert not shown(site, job_id).held


def test_interactive_jobs_and_those_of_other_accounts_are_never_held(site: Place) -> None:
    assert asked(site, "alice", "srun", "--account=climate", "--immediate=20", "true")[0]
    assert asked(site, "alice", "salloc", "--account=climate", "--immediate=20", "true")[0]
    assert not shown(site, handed_in(site, "alice", "--account=physics")).held


def test_a_job_cannot_be_moved_into_a_protected_account(site: Place) -> None:
    job_id = handed_in(site, "bob", "--account=health", "--hold")
    assert not asked(site, "bob", "scontrol", "update", f"JobId={job_id}", "Account=clinic")[0]
    assert shown(site, job_id).account == "health"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("this is no lua", "syntax"), ("return { submit = function() return nil + 1 end }", "run time"), ("", "empty")],
    ids=lambda value: value if len(str(value)) < 9 else "",
)
def test_a_fault_of_the_gate_stops_protected_accounts_and_nobody_else(site: Place, fault: str, kind: str) -> None:
    lab, cluster = site
    gate, script = (lab.layout.conf(cluster).with_name(name) for name in ("csched_gate.lua", "job_submit.lua"))
    sound = gate.read_text()
    try:
        gate.write_text(fault)
        _read_anew(script)
        accepted, said = sbatch(site, "bob", "--account=clinic")
        assert not accepted
        assert "the gate failed" in said
        for account, user in (("health", "bob"), ("climate", "alice"), ("physics", "alice")):
            assert sbatch(site, user, f"--account={account}", "--test-only")[0], account
        accepted, said = sbatch(site, "alice", "--account=physics", "--comment=site:refuse", "--test-only")
        assert "the site takes no such jobs" in said, "the site's own script still counts"
    finally:
        gate.write_text(sound)
        _read_anew(script)
    assert "run where csched places them" in sbatch(site, "bob", "--account=clinic")[1]


def _read_anew(script: Path) -> None:
    """Slurm reads a script again when its time has changed, to the second."""
    text = script.read_text()
    stamp = script.stat().st_mtime + 2
    script.write_text(text)
    os.utime(script, (stamp, stamp))


def test_the_gate_knows_every_data_class_in_their_order_and_calls_nothing_outside() -> None:
    text = (shipped.slurm_site() / "gate/csched_gate.lua").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("local CLASSES")]
    told = dict(pair.strip().split(" = ") for pair in line.split("{")[1].split("}")[0].split(","))
    assert told == {kind.value: str(kind.rank + 1) for kind in DataClass}
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    assert not [word for word in ("os.", "io.", "require", "dofile", "loadfile", "package") if word in code]


def test_the_lines_are_taken_out_again_and_leave_the_sites_own_script(site: Place) -> None:
    lab, cluster = site
    script = lab.layout.conf(cluster).with_name("job_submit.lua").read_text()
    own = without_snippet(script)
    assert "csched_gate" in script
    assert "csched_gate" not in own
    assert "site:refuse" in own
    assert own.rstrip().endswith("return slurm.SUCCESS")
