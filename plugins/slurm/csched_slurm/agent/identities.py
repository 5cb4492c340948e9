"""Who a user of the core is at this site: the site's own table decides, and nobody in it is more than a user."""

import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from csched.domain.base import Value

LOWEST_UID: Final = 1000
"""Below are the machine's own accounts."""
_NOBODY: Final = 65534

LocalName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class LocalUser(Value):
    """One line of the table. Somebody has opted in, or their jobs do not come here."""

    local: LocalName
    accounts: tuple[Name, ...] = Field(default=(), max_length=1000)
    """Accounts of Slurm that the user may charge; the first is taken where the job names none."""
    qos: tuple[Name, ...] = Field(default=(), max_length=1000)
    opted_in: bool = False


@dataclass(frozen=True)
class Identity:
    user: str
    account: str | None
    qos: str | None


@dataclass(frozen=True)
class NoAccount:
    """Why there is nobody to run the job as."""

    message: str


@dataclass(frozen=True)
class IdentityMap:
    """The table, and whom it must never name: those whom Slurm or csched itself run as."""

    users: Mapping[str, LocalUser]
    never: frozenset[str] = frozenset()

    def owner_of(self, local: str | None) -> str | None:
        """Who at the core is this user of the machine; null for nobody, or for several."""
        found = [owner for owner, user in self.users.items() if user.local == local and user.opted_in]
        return found[0] if len(found) == 1 and _fault(str(local), self.never) is None else None

    def resolve(self, owner: str, account: str | None, qos: str | None) -> Identity | NoAccount:
        """Who runs the job of `owner`, at whose cost."""
        known = self.users.get(owner)
        if known is None:
            return NoAccount(f"user `{owner}` is not in this site's table")
        if not known.opted_in:
            return NoAccount(f"user `{owner}` has not opted in at this site")
        fault = _fault(known.local, self.never)
        if fault is not None:
            return NoAccount(f"user `{owner}` is `{known.local}` here, and {fault}")
        if account is not None and account not in known.accounts:
            return NoAccount(f"user `{owner}` may not charge account `{account}` here")
        if qos is not None and qos not in known.qos:
            return NoAccount(f"user `{owner}` may not use the QOS `{qos}` here")
        return Identity(
            user=known.local,
            account=account or (known.accounts[0] if known.accounts else None),
            qos=qos or (known.qos[0] if known.qos else None),
        )


def _fault(local: str, never: frozenset[str]) -> str | None:
    """Why nothing may be submitted as this user of the machine."""
    if local in never:
        return "nothing is submitted as that user"
    try:
        uid = pwd.getpwnam(local).pw_uid
    except KeyError:
        return "this machine has no such user"
    if uid < LOWEST_UID or uid == _NOBODY:
        return f"that is an account of the system (uid {uid})"
    return None
