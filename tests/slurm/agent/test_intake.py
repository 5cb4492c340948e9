"""From the wire to the journal: who may run what here is the site's own decision, whatever the core has signed."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from csched.clock import FixedClock
from csched.domain.run import JobState, Script
from csched.errors import InputError, Refused
from csched.keys import key_id
from csched.testing.builders import MONDAY
from csched_slurm.agent.attempt import Stage
from csched_slurm.agent.core_client import CoreClient, require_safe
from csched_slurm.agent.identities import IdentityMap, LocalUser, NoAccount
from csched_slurm.agent.intake import Intake
from csched_slurm.agent.journal import Journal
from csched_slurm.agent.modes import Mode, Modes
from csched_slurm.agent.script import wrapped
from csched_slurm.agent.service import require_unprivileged
from csched_slurm.agent.settings import read_settings
from csched_slurm.agent.submission import Unfit, passed_on
from csched_slurm.protocol.admission import Door
from csched_slurm.protocol.messages import Fate
from csched_slurm.protocol.orders import CancelOrder, OrderJob, OrderPlacement, StartOrder
from csched_slurm.protocol.signing import sign

KEY = Ed25519PrivateKey.generate()
PERSON = "nobody-else"


@pytest.fixture
def a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of the machine with an ordinary uid, without making one."""
    import pwd

    real = pwd.getpwnam

    def found(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((PERSON, "x", 1500, 1500, "", "/", "/bin/sh")) if name == PERSON else real(name)

    monkeypatch.setattr(pwd, "getpwnam", found)


@pytest.fixture
def intake(tmp_path: Path, a_person: None) -> Intake:
    users = {
        "ada": LocalUser(local=PERSON, accounts=("physics",), qos=("normal",), opted_in=True),
        "ben": LocalUser(local=PERSON, accounts=("physics",)),
        "eve": LocalUser(local="root", accounts=("physics",), opted_in=True),
        "dan": LocalUser(local="daemon", opted_in=True),
    }
    door = Door("essonne", "essonne", {key_id(KEY.public_key()): KEY.public_key()})
    table = IdentityMap(users, never=frozenset({"slurm", "root"}))
    return Intake(door, Journal(tmp_path / "journal.db"), table, FixedClock(MONDAY), Modes(mode=Mode.ENFORCE))


def start(sequence: int = 1, **more: object) -> StartOrder:
    job = {
        "id": "7",
        "name": "train",
        "owner": more.pop("owner", "ada"),
        "account": more.pop("account", None),
        "parts": more.pop("parts", 1),
        "script": Script(
            body="#!/bin/sh\n",
            work_dir="/",
            stdout="/dev/null",
            options=tuple(more.pop("options", ())),  # type: ignore[arg-type]
        ),
    }
    plain = {
        "site": "essonne",
        "cluster": "essonne",
        "attempt": f"{sequence:032x}",
        "sequence": sequence,
        "issued_at": MONDAY,
        "expires_at": MONDAY + timedelta(minutes=15),
        "placement": OrderPlacement(
            partition="gpu", nodes=2, gpus=8, gpus_per_node=4, whole_nodes=True, time_limit_s=601, start=MONDAY
        ),
        "job": OrderJob.model_validate(job),
        "policy_digest": "f" * 64,
    }
    return StartOrder.model_validate({**plain, **more})


def test_an_order_becomes_an_intent_and_a_request_on_disk(intake: Intake) -> None:
    intake.take([sign(start(options=["--mem=4G", "--qos=normal"]), KEY)])
    (attempt,) = intake.journal.alive()
    request = intake.journal.request(attempt.attempt)
    assert (attempt.stage, attempt.own_name, attempt.user) == (Stage.INTENDED, "train", PERSON)
    assert (request.name, request.user, request.account, request.qos) == (attempt.name, PERSON, "physics", "normal")
    assert (request.nodes, request.gpus_per_node, request.exclusive, request.time_limit_minutes) == (2, 4, True, 11)
    assert request.options == ("--mem=4G",)
    assert intake.journal.cursor == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"owner": "zoe"}, "NoAccount"),
        ({"owner": "ben"}, "NoAccount"),
        ({"owner": "eve"}, "NoAccount"),
        ({"owner": "dan"}, "NoAccount"),
        ({"account": "health"}, "NoAccount"),
        ({"options": ["--qos=urgent"]}, "NoAccount"),
        ({"parts": 2}, "JobConstraint"),
        ({"options": ["--uid=0"]}, "JobConstraint"),
        ({"options": ["--nodelist=e1"]}, "JobConstraint"),
        ({"options": ["-Mbologna"]}, "JobConstraint"),
        ({"options": ["--comment=x", "--mem=4G\n--uid=0"]}, "JobConstraint"),
    ],
)
def test_what_the_site_does_not_allow_is_given_back_with_the_reason(intake: Intake, more: dict, reason: str) -> None:
    intake.take([sign(start(**more), KEY)])
    (report,) = intake.journal.untold(10)
    assert (report.fate, report.reason, report.clean) == (Fate.REFUSED, reason, True)
    assert intake.journal.alive() == ()


def test_an_order_that_came_too_late_is_given_back_and_never_taken_again(intake: Intake) -> None:
    late = sign(start(), KEY)
    intake.clock.set(MONDAY + timedelta(hours=1))  # type: ignore[attr-defined]
    intake.take([late])
    intake.clock.set(MONDAY)  # type: ignore[attr-defined]
    intake.take([late])
    assert intake.journal.alive() == ()
    (report,) = intake.journal.untold(10)
    assert (report.fate, report.state) == (Fate.REFUSED, JobState.PENDING)
    assert [refusal.code for refusal in intake.journal.refusals(10)] == ["Expired"]


def test_an_order_that_nobody_trusted_has_signed_leaves_only_its_refusal(intake: Intake) -> None:
    intake.take([sign(start(), Ed25519PrivateKey.generate())])
    assert (intake.journal.alive(), intake.journal.untold(10)) == ((), ())
    assert [refusal.code for refusal in intake.journal.refusals(10)] == ["UnknownKey"]


def test_a_replay_does_not_touch_the_attempt_it_names(intake: Intake) -> None:
    intake.take([sign(start(), KEY), sign(start(policy_digest="0" * 64), KEY)])
    (attempt,) = intake.journal.alive()
    assert attempt.fate is None
    assert [refusal.code for refusal in intake.journal.refusals(10)] == ["Replayed"]


def test_cancelling_before_anything_was_submitted_ends_the_attempt(intake: Intake) -> None:
    first = start()
    cancel = CancelOrder(
        site="essonne",
        cluster="essonne",
        attempt=first.attempt,
        sequence=2,
        issued_at=MONDAY,
        expires_at=MONDAY + timedelta(hours=1),
    )
    intake.take([sign(first, KEY), sign(cancel, KEY)])
    (report,) = intake.journal.untold(10)
    assert report.state is JobState.CANCELLED


def test_the_journal_outlives_its_process(intake: Intake, tmp_path: Path) -> None:
    intake.take([sign(start(), KEY)])
    intake.journal.close()
    again = Journal(tmp_path / "journal.db")
    assert [attempt.attempt for attempt in again.alive()] == [start().attempt]
    assert (again.cursor, (tmp_path / "journal.db").stat().st_mode & 0o077) == (1, 0)


def test_a_table_never_makes_anyone_more_than_a_user(a_person: None) -> None:
    table = IdentityMap({"ada": LocalUser(local=PERSON, opted_in=True)}, never=frozenset({PERSON}))
    assert isinstance(table.resolve("ada", None, None), NoAccount)


@pytest.mark.parametrize(
    "core", ["http://csched.example.eu", "http://10.0.0.1:8080", "ftp://localhost", "http://127.0.0.1.example.eu"]
)
def test_no_token_and_no_script_travels_in_the_clear(core: str) -> None:
    with pytest.raises(InputError, match="not reached by TLS"):
        CoreClient(core, "essonne", "secret")


def test_a_core_on_this_machine_needs_no_tls() -> None:
    for core in ("http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080", "https://csched.example.eu"):
        require_safe(core)


@pytest.mark.skipif(os.geteuid() != 0, reason="left out: only root is refused for being root")
def test_the_agent_is_never_root() -> None:
    with pytest.raises(Refused, match="does not run as `root`"):
        require_unprivileged("slurm")


def test_the_configuration_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        "site: essonne\ncluster: essonne\ncore: http://csched.example.eu\ntoken_file: token\ntrust: t\nusers: u\n"
        "state: s\nslurm_conf: /etc/slurm/slurm.conf\n"
    )
    with pytest.raises(InputError, match="not reached by TLS"):
        read_settings(file)
    file.write_text(file.read_text().replace("http:", "https:"))
    assert read_settings(file).users == tmp_path / "u"


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        "site: essonne\ncluster: essonne\ncore: https://csched.example.eu\ntoken_file: token\ntrust: t\nusers: u\n"
        "state: s\nslurm_conf: /etc/slurm/slurm.conf\n"
    )
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(Refused, match="others can read"):
        read_settings(file).token()
    (tmp_path / "token").chmod(0o600)
    assert read_settings(file).token() == "secret"


@pytest.mark.parametrize(
    "script",
    [
        Script(body="echo no interpreter\n", work_dir="/", stdout="/x"),
        Script(body="#!\n", work_dir="/", stdout="/x"),
        Script(body="#!/bin/sh\n\0", work_dir="/", stdout="/x"),
        Script(body="#!/bin/sh\ncsched-a-end\n", work_dir="/", stdout="/x"),
        Script(body="#!/bin/sh\n", work_dir="/", stdout="/x", environment={"A B": "c"}),
    ],
)
def test_a_script_that_would_break_its_wrapper_is_refused(script: Script) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (what is wrong differs; that it is refused does not)
        wrapped(script, "a")


def test_an_option_is_one_word_from_the_list() -> None:
    assert passed_on(["--mem=4G", "--requeue", "--contiguous"]) == ("--mem=4G", "--contiguous")
    for bad in ("--mem", "--contiguous=yes", "mem=4G", "--wrap=id", "--MEM=4G", ""):
        with pytest.raises(Unfit):
            passed_on([bad])
