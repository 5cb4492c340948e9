"""Tokens for slurmrestd, of one user for some minutes each; what makes them is sudo's narrow rule, never a key here."""

import pwd
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from csched.errors import Unavailable
from csched_slurm.bounded_process import Cut, Ended, run

LIFESPAN_S: Final = 300
"""As sudo's rule spells it."""
_USED_FOR_S: Final = 200.0
"""A call that begins then ends before the token does."""
_TIMEOUT_S: Final = 15.0


@dataclass
class Tokens:
    """Any number of threads."""

    account: str
    """The agent's own, which makes its own tokens."""
    slurm_user: str
    environment: Mapping[str, str]
    programs: Path = Path("/usr/bin")
    sudo: Path = Path("/usr/bin/sudo")
    seconds: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, user: str) -> str:
        """Raises Unavailable where none is given."""
        with self._lock:
            made, token = self._known.get(user, (float("-inf"), ""))
            if self.seconds() - made > _USED_FOR_S:
                made, token = self.seconds(), self._make(user)
                self._known[user] = (made, token)
            return token

    def _make(self, user: str) -> str:
        pwd.getpwnam(user)
        words = [str(self.programs / "scontrol"), "token", f"username={user}", f"lifespan={LIFESPAN_S}"]
        if user == self.account:
            words.remove(f"username={user}")
        else:
            words = [str(self.sudo), "-n", "-u", self.slurm_user, "--", *words]
        return token_in(run(words, self.environment, timeout_s=_TIMEOUT_S), user)


def token_in(end: Ended | Cut, user: str) -> str:
    """Raises Unavailable; what was said may hold a token and is not repeated."""
    said = end.stdout.decode(errors="replace").strip() if isinstance(end, Ended) and end.code == 0 else ""
    name, _, token = said.partition("=")
    if name != "SLURM_JWT" or not token or not token.isprintable():
        raise Unavailable(
            f"no token of `{user}` for slurmrestd is made", hint="see the lines for it in /etc/sudoers.d/csched-token"
        )
    return token
