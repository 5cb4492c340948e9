"""A signed folder: whatever was not signed is refused, an older set does not come back, the last good one stays."""

import base64
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from policy_strategies import NOW, fleet, job

from csched import shipped
from csched.cli import main
from csched.clock import FixedClock
from csched.errors import CschedError, InputError, Refused
from csched.keys import generate_key, key_id, read_private_key, read_trust
from csched.store.repository import Repository
from csched_policies.load import load_policies
from csched_policies.manifest import (
    MANIFEST,
    SIGNATURE,
    read_signed,
    sign,
)
from csched_policies.signed import DENY_ALL, SignedPolicies

FLEET = fleet([{"country": "FR"}, {"country": "DE"}])
JOB = job({"job": "j", "gpus": 1, "time_limit_s": 60, "data_class": "health", "tenant": "hospital"})
RULE = "health-fr-hds.yaml"


class Signed:
    """The shipped library, copied and signed, the keys, and the store that remembers serials."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.key = home, home / "policies", home / "policy.key"
        shutil.copytree(shipped.policy_library(), self.folder)
        shutil.copytree(shipped.policy_library().parent / "facts", self.folder / "facts")
        self.trust = generate_key(self.key)
        self.store = Repository(f"sqlite:///{home / 'csched.db'}", FixedClock(NOW))
        self.sign()

    def sign(self, serial: int | None = None) -> int:
        return sign(self.folder, read_private_key(self.key), NOW, serial).serial

    def open(self) -> SignedPolicies:
        return SignedPolicies(self.folder, self.trust, self.store, FLEET)

    def change(self, name: str = RULE) -> None:
        file = self.folder / name
        file.write_text(file.read_text().replace("version: 1", "version: 2") + "\n")


@pytest.fixture
def signed(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Signed(tmp_path)
    yield made
    made.store.close()


def test_a_signed_folder_comes_into_force_with_its_own_digest(signed: Signed) -> None:
    policies = signed.open()
    assert (policies.refusal, policies.serial) == (None, 1)
    assert policies.digest == load_policies(signed.folder).digest
    assert policies.screen([JOB], FLEET, NOW)["j"][0].denials[0].rule == "health-fr-hds"


def test_the_private_key_is_its_owners_alone(signed: Signed) -> None:
    assert stat.S_IMODE(signed.key.stat().st_mode) == 0o600
    assert b"PRIVATE" not in signed.trust.read_bytes()
    with pytest.raises(Refused, match="already there"):
        generate_key(signed.key)
    signed.key.chmod(0o640)
    with pytest.raises(Refused, match="others can read"):
        read_private_key(signed.key)


def _rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def _renumber(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "serial": 9}))


TAMPERING: dict[str, Callable[[Path], object]] = {
    "a rule is changed": lambda folder: _rewrite(folder / RULE, lambda raw: raw.replace(b"[FR]", b"[FR, US]")),
    "a rule is truncated": lambda folder: _rewrite(folder / RULE, lambda raw: raw[: len(raw) // 2]),
    "a rule is emptied": lambda folder: _rewrite(folder / RULE, lambda _raw: b""),
    "a rule is taken away": lambda folder: (folder / RULE).unlink(),
    "a rule is added": lambda folder: shutil.copy(folder / RULE, folder / "other.yaml"),
    "a group is added": lambda folder: [
        (folder / "groups").mkdir(),
        shutil.copy(shipped.policy_groups() / "eea.yaml", folder / "groups/eea.yaml"),
    ],
    "tenants are changed": lambda folder: _rewrite(
        folder / "facts/tenants.yaml", lambda raw: raw.replace(b"FR", b"US")
    ),
    "the manifest is changed": _renumber,
    "the manifest is truncated": lambda folder: _rewrite(folder / MANIFEST, lambda raw: raw[:-20]),
    "the manifest is taken away": lambda folder: (folder / MANIFEST).unlink(),
    "the signature is taken away": lambda folder: (folder / SIGNATURE).unlink(),
    "the signature is truncated": lambda folder: _rewrite(folder / SIGNATURE, lambda raw: raw[:40]),
    "the signature is another": lambda folder: _rewrite(folder / SIGNATURE, lambda _raw: base64.b64encode(bytes(64))),
    "the signature is noise": lambda folder: _rewrite(folder / SIGNATURE, lambda _raw: b"\xff\xfe not base64"),
    "all is taken away": shutil.rmtree,
}


@pytest.mark.parametrize("tamper", TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_is_refused_and_the_last_good_set_stays(signed: Signed, tamper: Callable[[Path], object]) -> None:
    policies = signed.open()
    before = policies.in_force
    tamper(signed.folder)
    policies.refresh()
    assert policies.in_force is before
    assert isinstance(policies.refusal, CschedError)
    with pytest.raises(CschedError):
        read_signed(signed.folder, read_trust(signed.trust))
    afresh = signed.open()
    assert (afresh.digest, afresh.serial) == (DENY_ALL, None)


def test_without_a_valid_set_everything_is_denied_and_says_why(signed: Signed) -> None:
    (signed.folder / SIGNATURE).unlink()
    row = signed.open().screen([JOB], FLEET, NOW)["j"]
    assert [verdict.allowed for verdict in row] == [False, False]
    assert "no valid set of policies is in force" in row[0].denials[0].message
    assert "MANIFEST.sig" in row[0].denials[0].message


def test_a_repaired_folder_comes_back_into_force(signed: Signed) -> None:
    policies = signed.open()
    good = (signed.folder / RULE).read_bytes()
    signed.change()
    policies.refresh()
    assert policies.refusal is not None
    (signed.folder / RULE).write_bytes(good)
    policies.refresh()
    assert (policies.refusal, policies.serial) == (None, 1)


def test_a_newer_set_replaces_the_older_as_a_whole(signed: Signed) -> None:
    policies = signed.open()
    before = policies.in_force
    signed.change()
    assert signed.sign() == 2
    policies.refresh()
    assert (policies.serial, policies.refusal) == (2, None)
    assert policies.digest != before.digest
    assert before.screen([JOB], FLEET, NOW)["j"][0].denials  # who still holds the older set can finish with it


def test_an_older_set_does_not_come_back_even_after_a_restart(signed: Signed) -> None:
    shutil.copytree(signed.folder, signed.home / "older")
    signed.change()
    signed.sign()
    policies = signed.open()
    newer = policies.digest
    shutil.rmtree(signed.folder)
    shutil.copytree(signed.home / "older", signed.folder)
    policies.refresh()
    assert isinstance(policies.refusal, Refused)
    assert policies.digest == newer
    afresh = signed.open()
    assert afresh.digest == DENY_ALL
    assert afresh.refusal is not None
    assert afresh.refusal.hint is not None
    assert "--serial 3" in afresh.refusal.hint


def test_a_serial_stands_for_one_set_only(signed: Signed) -> None:
    policies = signed.open()
    signed.change()
    (signed.folder / MANIFEST).unlink()
    assert signed.sign() == 1
    policies.refresh()
    assert isinstance(policies.refusal, Refused)


def test_a_key_that_nobody_trusts_is_refused_and_two_may_be_trusted(signed: Signed) -> None:
    policies = signed.open()
    other = signed.home / "other.key"
    other_public = generate_key(other)
    name = key_id(read_private_key(other).public_key())
    sign(signed.folder, read_private_key(other), NOW)
    policies.refresh()
    assert policies.refusal is not None
    assert f"signed by key {name}, which is not trusted" in policies.refusal.message
    signed.trust.write_bytes(signed.trust.read_bytes() + other_public.read_bytes())
    policies.refresh()
    assert (policies.refusal, policies.serial) == (None, 2)


def test_nothing_unread_or_outside_the_folder_is_signed(signed: Signed) -> None:
    shutil.move(signed.folder / "facts", signed.home / "facts")
    with pytest.raises(InputError, match="would not be signed"):
        signed.sign()
    shutil.move(signed.home / "facts", signed.folder / "facts")
    (signed.folder / RULE).write_text("id: broken\n")
    with pytest.raises(InputError, match="is missing"):
        signed.sign()


def test_a_serial_rises(signed: Signed) -> None:
    assert signed.sign(7) == 7
    with pytest.raises(Refused, match="the serial must rise"):
        signed.sign(7)


def test_no_half_read_set_comes_into_force_while_a_folder_is_being_replaced(signed: Signed) -> None:
    """A writer that never rests; whatever the reader takes is one of the sets that were signed."""
    policies = signed.open()
    known, stop = {policies.digest}, threading.Event()

    def write() -> None:
        for number in range(2, 40):
            file = signed.folder / RULE
            file.write_text(file.read_text().replace(f"version: {number - 1}\n", f"version: {number}\n", 1))
            known.add(load_policies(signed.folder).digest)
            signed.sign()
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    taken = set()
    while not stop.is_set():
        policies.refresh()
        taken.add(policies.digest)
    writer.join()
    policies.refresh()
    assert (policies.refusal, policies.serial) == (None, 39)
    assert taken <= known


_RELOADER = """
import sys
from pathlib import Path
from csched.store.repository import Repository
from csched_policies.signed import SignedPolicies
from csched.formats.fleet import read_fleet
from csched import shipped
home = Path(sys.argv[1])
store = Repository(f"sqlite:///{home / 'csched.db'}")
policies = SignedPolicies(home / "policies", home / "policy.key.pub", store, read_fleet(shipped.demo_fleet()))
print("ready", flush=True)
while True:
    policies.refresh()
"""


def test_kill_9_while_reloading_leaves_a_set_that_loads(signed: Signed) -> None:
    dice = random.Random(7)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", _RELOADER, str(signed.home)], stdout=subprocess.PIPE, env=dict(os.environ)
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(dice.randrange(1, 4)):
                signed.sign()
            time.sleep(dice.uniform(0, 0.02))
            process.kill()
        newest = signed.sign()
        afresh = signed.open()
        assert (afresh.refusal, afresh.serial) == (None, newest)


def test_the_commands_make_keys_sign_and_verify(capsys, tmp_path: Path) -> None:
    folder, key = tmp_path / "rules", tmp_path / "policy.key"
    shutil.copytree(shipped.policy_library(), folder)
    shutil.copytree(shipped.policy_library().parent / "facts", folder / "facts")
    assert main(["policy", "keygen", str(key)]) == 0
    assert main(["policy", "sign", str(folder), "--key", str(key)]) == 0
    capsys.readouterr()
    assert main(["policy", "verify", str(folder), "--trust", f"{key}.pub", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["serial"], document["digest"]) == (1, load_policies(folder).digest)
    (folder / "more.yaml").write_text("id: x\n")
    assert main(["policy", "verify", str(folder), "--trust", f"{key}.pub", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "not among the signed files"
    assert error["where"]["file"] == str(folder / "more.yaml")
    assert main(["policy", "sign", str(folder), "--key", f"{key}.pub"]) in {3, 6}
    assert "PRIVATE" not in "".join(capsys.readouterr())
