"""Policies that bind a daemon: only a set somebody trusted has signed comes into force, and the last good one stays.

Where there has never been a valid set, everything is denied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from csched.domain.job import Job
from csched.domain.quota import QuotaRow
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot
from csched.domain.verdict import Reason, ReasonCode, SiteVerdict, Verdicts
from csched.errors import CschedError, Refused, Unavailable, Where
from csched.keys import read_trust
from csched.ports import Policies
from csched_policies.load import files_in, load_texts
from csched_policies.manifest import MANIFEST, SIGNATURE, read_signed
from csched_policies.policy_set import PolicySet

DENY_ALL: Final = "deny-all"
"""What stands for the digest where no set is in force."""


class SerialMemory(Protocol):
    """Remembers the newest set that was accepted, for ever."""

    def accept_policies(self, serial: int, sha256: str) -> tuple[int, str]:
        """Keep this pair unless a higher serial, or the same with another content, is kept; return what is kept."""
        ...


@dataclass(frozen=True)
class DenyAll:
    """No valid set, no job: implements csched.ports.Policies."""

    why: str

    @property
    def digest(self) -> str:
        return DENY_ALL

    def sources(self) -> Mapping[str, str]:
        return {}

    def screen(self, jobs: Sequence[Job], fleet: Fleet, now: datetime) -> Verdicts:  # noqa: ARG002  (the port's signature)
        message = f"no valid set of policies is in force, so nothing may run: {self.why}"
        row = tuple(
            SiteVerdict(
                site=site.id,
                denials=(Reason(site=site.id, code=ReasonCode.POLICY_HARD_DENY, clause="policies", message=message),),
            )
            for site in fleet.sites
        )
        return dict.fromkeys((job.job for job in jobs), row)

    def quotas(self, snapshot: Snapshot) -> tuple[QuotaRow, ...]:  # noqa: ARG002  (the port's signature)
        return ()


class SignedPolicies:
    """The set in force, looked at again whenever somebody asks for `refresh`; implements csched.ports.Policies.

    A decision takes `in_force` once and keeps to it: a reload replaces that object and never changes it.
    """

    def __init__(self, folder: Path, trust_file: Path, memory: SerialMemory, fleet: Fleet) -> None:
        self._folder = folder
        self._trust_file = trust_file
        self._memory = memory
        self._fleet = fleet
        self._lock = Lock()
        self._looked_at: object = None
        self.in_force: Policies = DenyAll("none has been looked for yet")
        self.serial: int | None = None
        """Of the set in force; null where everything is denied."""
        self.refusal: CschedError | None = None
        """Why the folder as it is now is not in force; null where it is."""
        self.refresh()

    @property
    def digest(self) -> str:
        return self.in_force.digest

    def sources(self) -> Mapping[str, str]:
        return self.in_force.sources()

    def screen(self, jobs: Sequence[Job], fleet: Fleet, now: datetime) -> Verdicts:
        return self.in_force.screen(jobs, fleet, now)

    def quotas(self, snapshot: Snapshot) -> tuple[QuotaRow, ...]:
        return self.in_force.quotas(snapshot)

    def refresh(self) -> None:
        """Bring the folder's set into force if it is valid; else keep the last good one and say why in `refusal`."""
        with self._lock:
            seen = self._marks()
            if seen is not None and seen == self._looked_at:
                return
            try:
                serial, policies = self._read()
            except CschedError as error:
                self.refusal = error
                if self.serial is None:
                    self.in_force = DenyAll(str(error))
            else:
                self.in_force, self.serial, self.refusal = policies, serial, None
            transient = isinstance(self.refusal, Unavailable)
            self._looked_at = None if transient else seen

    def _read(self) -> tuple[int, PolicySet]:
        """Verified, then understood, then remembered: each step refuses before the next one can act."""
        signed = read_signed(self._folder, read_trust(self._trust_file))
        policies = load_texts(signed.texts, self._fleet, self._folder)
        offered = (signed.manifest.serial, signed.manifest_sha256)
        kept = self._memory.accept_policies(*offered)
        if kept != offered:
            what = "another set has" if kept[0] == offered[0] else f"a set is known that has serial {kept[0]}, this one"
            raise Refused(
                f"{what} serial {offered[0]}: only a newer set comes into force",
                hint=f"csched policy sign {self._folder} --key FILE --serial {kept[0] + 1}",
                where=Where(str(self._folder / MANIFEST)),
            )
        return signed.manifest.serial, policies

    def _marks(self) -> object:
        """Changes with every change of a file, as far as the file system tells; null where it cannot be said."""
        try:
            files = [*files_in(self._folder).values(), self._folder / MANIFEST, self._folder / SIGNATURE]
            found = [(str(file), file.stat()) for file in (*files, self._trust_file)]
        except (CschedError, OSError):
            return None
        return [(name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) for name, stat in found]
