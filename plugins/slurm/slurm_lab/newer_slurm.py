"""Slurm of Debian trixie in a folder of its own, and the way into it: no container engine, no second machine.

The folder is made once by debootstrap, from the mirror that this machine's apt uses, and kept. To run something in it,
a process holds a private mount namespace in which /dev, /proc and the lab are mounted below the folder (`hold`); others
enter that namespace. The mounts vanish with the last of them.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slurm_lab.processes import Daemon

_SUITE: Final = "trixie"
_PACKAGES: Final = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "slurmrestd",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-jwt-plugin",
    "slurm-wlm-mysql-plugin",
)
_ANSWERS: Final = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
HOLDER: Final = "newer-slurm"
"""Name of the process that holds the mounts."""


def cache_folder() -> Path:
    """`CSCHED_LAB_CACHE`, else csched's folder in the user's cache."""
    given = os.environ.get("CSCHED_LAB_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "csched"


def newer_root() -> Path:
    """The folder with the newer Slurm, made where it is not there; that takes one or two minutes and 400 MB.

    Raises:
        RuntimeError: no mirror, or debootstrap failed; its own words are in the log that is named.
    """
    recipe = hashlib.sha256(" ".join((_SUITE, *_PACKAGES)).encode()).hexdigest()[:12]
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"{_SUITE}-{recipe}"
    with (cache / f"{_SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            unfinished = root.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _debootstrap(unfinished, cache / f"{_SUITE}.log")
            unfinished.rename(root)
    return root


def _debootstrap(root: Path, log: Path) -> None:
    options = ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    with log.open("wb") as words:
        done = subprocess.run(  # noqa: S603
            ["debootstrap", *options, _SUITE, root, mirror()],  # noqa: S607
            env={**os.environ, **_ANSWERS},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"debootstrap cannot make Debian {_SUITE}; its own words are in {log}")
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


def mirror() -> str:
    """Where this machine's apt gets Debian's main archive from.

    Raises:
        RuntimeError: apt names none, or one that debootstrap cannot read.
    """
    address = _named_mirror()
    if address is None:  # apt knows whose a mirror is only once it has read its lists
        subprocess.run(["apt-get", "-qq", "update"], check=False)  # noqa: S607
        address = _named_mirror()
    if address is None:
        raise RuntimeError("apt on this machine names no mirror of Debian that debootstrap can read")
    return address


def _named_mirror() -> str | None:
    targets = ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)"]
    chosen = ["Created-By: Packages", "Origin: Debian"]
    done = subprocess.run([*targets, *chosen], capture_output=True, text=True, check=True)  # noqa: S603
    for line in done.stdout.splitlines():
        codename, component, address = line.split()
        if component == "main" and "-" not in codename and address.startswith(("http://", "https://", "file:")):
            return address
    return None


def holder(root: Path, home: Path) -> Daemon:
    """The process that makes the mounts and keeps them."""
    argv = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", __name__, str(root), str(home)]
    return Daemon(HOLDER, argv, environment={"PYTHONPATH": str(Path(__file__).parents[1])})


def inside(holder_pid: int, root: Path, user: str | None, argv: Sequence[str]) -> list[str]:
    """This command as it is run inside; root only may enter."""
    userspec = [f"--userspec={user}:"] if user else []
    return ["/usr/bin/nsenter", f"--mount=/proc/{holder_pid}/ns/mnt", "/usr/sbin/chroot", *userspec, str(root), *argv]


def hold(root: Path, home: Path) -> None:
    """Mount and wait to be ended. Runs in a mount namespace of its own, so nothing outside sees any of it."""
    for folder in dict.fromkeys(["/dev", "/proc", "/tmp", "/home", str(home)]):  # noqa: S108
        place = root / folder.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        _mount("--rbind", folder, place)
    for file in ("passwd", "shadow", "group", "hosts", "resolv.conf"):
        place = root / "etc" / file
        place.touch()
        _mount("--bind", f"/etc/{file}", place)
    (home / "run" / HOLDER).touch()
    signal.pause()


def _mount(how: str, what: str, place: Path) -> None:
    subprocess.run(["mount", how, what, str(place)], check=True)  # noqa: S603, S607


if __name__ == "__main__":
    hold(Path(sys.argv[1]), Path(sys.argv[2]))
