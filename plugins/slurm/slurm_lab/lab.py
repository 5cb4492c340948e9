"""A lab: bring it up, look into it, break parts of it, take it down."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from slurm_lab import daemons, newer_slurm, ports
from slurm_lab.configuration import DATABASE_PASSWORD, database, write_configuration
from slurm_lab.layout import NEW, Cluster, Layout, dbd
from slurm_lab.processes import Daemon, Processes, succeeds, wait_for

USERS: Final = ("csched", "alice", "bob")
"""csched runs csched, and may hold and release everybody's jobs; alice and bob are people with jobs."""
ACCOUNTS: Final = {
    "csched": ("csched",),
    "physics": ("alice", "csched"),
    "health": ("bob", "csched"),
    "climate": ("alice",),
    "clinic": ("bob",),
}


class Lab:
    """Real clusters in one folder. Needs root: slurmd starts jobs as other users."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._processes = Processes(layout.home)

    @classmethod
    def make(cls, home: Path, *, nodes: int = 4, old: bool = True, new: bool = False) -> "Lab":
        """A new lab in an empty folder, not yet up.

        Raises:
            PermissionError: not root.
        """
        if os.geteuid() != 0:
            raise PermissionError("the lab needs root: slurmd starts jobs as other users")
        home.mkdir(parents=True, exist_ok=True)
        layout = Layout.plan(home.resolve(), ports.take(home.resolve()), nodes=nodes, old=old, new=new)
        layout.write()
        return cls(layout)

    @classmethod
    def open(cls, home: Path) -> "Lab":
        """The lab that lies in this folder."""
        return cls(Layout.read(home.resolve()))

    def up(self) -> None:
        """Start everything; returns when every node is idle.

        Raises:
            TimeoutError: something did not come up in time; the logs lie in `log/`.
        """
        layout = self.layout
        _add_users()
        self._lay_out()
        write_configuration(layout)
        self._start(daemons.munged(layout))
        if NEW in layout.releases:
            self._hold_newer_slurm()
        self._start_database()
        for release in layout.releases:
            self._start(daemons.slurmdbd(layout, release))
        for release in layout.releases:
            self._await_accounting(release)
        self._add_accounts()
        for cluster in layout.clusters:
            self._start(daemons.slurmctld(layout, cluster))
        for cluster in layout.clusters:
            self.await_controller(cluster.name)
            for daemon in daemons.slurmds(layout, cluster):  # one that finds no controller tries again after 10 s only
                self._start(daemon)
            for daemon in daemons.slurmrestds(layout, cluster):
                self._start(daemon)
        for cluster in layout.clusters:
            self.await_nodes(cluster.name)
            wait_for(f"slurmrestd of {cluster.name}", layout.rest_socket(cluster.name).exists, 10)

    def down(self, *, wipe: bool = True) -> None:
        """End everything that the lab started, its jobs first: their steps outlive every daemon."""
        for cluster in self.layout.clusters:
            if self.pid(f"{cluster.name}-slurmctld") is not None:
                self._processes.send(f"{cluster.name}-slurmctld", signal.SIGCONT)
                for user in USERS:  # scancel takes one
                    self.run(cluster.name, ["scancel", f"--user={user}"], check=False)
        running = self._processes.running()
        for names in _in_order_of_stopping(running):
            self._processes.stop(names)
        if wipe:
            shutil.rmtree(self.layout.home)
        ports.give_back(self.layout.first_port)

    def run(
        self,
        cluster: str,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: str | None = None,
        check: bool = True,
    ) -> str:
        """What a command of this cluster's Slurm prints, run as this user (root by default)."""
        prefix = self.prefix(cluster, user)
        done = subprocess.run(  # noqa: S603
            [*prefix, *argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SLURM_CONF": str(self.layout.conf(cluster))},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def prefix(self, cluster: str, user: str | None) -> list[str]:
        """Words before a command so that it is run as this user, with this cluster's release of Slurm."""
        if self.layout.cluster(cluster).release == NEW:
            return newer_slurm.inside(self._holder_pid, self._newer_root, user, [])
        return ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []

    def token(self, cluster: str, user: str, lifespan_s: int = 3600) -> str:
        """A token for slurmrestd, made by root as a site's admin may."""
        answer = self.run(cluster, ["scontrol", "token", f"username={user}", f"lifespan={lifespan_s}"])
        return answer.strip().partition("=")[2]

    def names(self) -> list[str]:
        """What runs: `essonne-slurmctld`, `essonne-e1`, `essonne-slurmrestd-jwt`, `slurmdbd-22.05`, ..."""
        return self._processes.running()

    def pid(self, name: str) -> int | None:
        return self._processes.pid(name)

    def freeze(self, name: str) -> None:
        self._processes.send(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes.send(name, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """kill -9."""
        self._processes.send(name, signal.SIGKILL)
        self._processes.await_end(name)

    def stop(self, name: str) -> None:
        """An orderly end."""
        self._processes.stop([name])

    def start(self, name: str) -> None:
        """Start again what was killed or stopped; does not wait for it."""
        self._start(next(daemon for daemon in self._daemons() if daemon.name == name))

    def await_controller(self, cluster: str) -> None:
        command = [*self.prefix(cluster, None), "scontrol", "ping"]
        conf = {"SLURM_CONF": str(self.layout.conf(cluster))}
        wait_for(f"slurmctld of {cluster}", lambda: succeeds(command, conf, says="UP"), 30)

    def await_nodes(self, cluster: str) -> None:
        """Until all nodes are idle."""
        command = ["sinfo", "--noheader", "--Node", "--partition=gpu", "--states=idle", "--format=%N"]
        count = self.layout.cluster(cluster).node_count
        wait_for(
            f"{count} idle nodes of {cluster}",
            lambda: len(self.run(cluster, command, check=False).split()) == count,
            60,
        )

    def _start(self, daemon: Daemon) -> None:
        if daemons.release_of(daemon, self.layout) == NEW:
            argv = newer_slurm.inside(self._holder_pid, self._newer_root, daemon.user, daemon.argv)
            daemon = replace(daemon, argv=argv, user=None)
        self._processes.start(daemon)

    def _daemons(self) -> Iterator[Daemon]:
        yield daemons.munged(self.layout)
        yield daemons.mariadbd(self.layout)
        for release in self.layout.releases:
            yield daemons.slurmdbd(self.layout, release)
        for cluster in self.layout.clusters:
            yield daemons.slurmctld(self.layout, cluster)
            yield from daemons.slurmds(self.layout, cluster)
            yield from daemons.slurmrestds(self.layout, cluster)

    def _lay_out(self) -> None:
        home = self.layout.home
        home.chmod(0o755)  # munge, mysql and slurm pass through it
        owners = {
            "etc": None,
            "run": None,
            "run/munge": "munge",
            "run/rest": "csched",
            "log": None,
            "jobs": None,
            "dev": None,
            "var": None,
            "var/munge": "munge",
            "var/mysql": "mysql",
            **{f"var/{dbd(release)}.d": "slurm" for release in self.layout.releases},
            **{f"var/{cluster.name}": "slurm" for cluster in self.layout.clusters},
            **{f"var/{cluster.name}/ctld": "slurm" for cluster in self.layout.clusters},
            **{f"var/{cluster.name}/{node}": None for cluster in self.layout.clusters for node in cluster.nodes},
        }
        for name, owner in owners.items():
            (home / name).mkdir(exist_ok=True)
            if owner:
                shutil.chown(home / name, owner, owner)
        for name in ("log", "jobs"):
            (home / name).chmod(0o1777)
        _write_key(home / "var/munge/key", "munge", 1024)
        _write_key(home / "var/jwt.key", "slurm", 32)
        for number in range(4):
            device = home / "dev" / f"gpu{number}"
            if not device.exists():
                os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
                device.chmod(0o666)

    def _hold_newer_slurm(self) -> None:
        self._processes.start(newer_slurm.holder(self._newer_root, self.layout.home))
        wait_for("the newer Slurm's mounts", (self.layout.home / "run" / newer_slurm.HOLDER).exists, 10)

    @cached_property
    def _newer_root(self) -> Path:
        return newer_slurm.newer_root()

    @property
    def _holder_pid(self) -> int:
        pid = self.pid(newer_slurm.HOLDER)
        if pid is None:
            raise RuntimeError("the newer Slurm is not up")
        return pid

    def _start_database(self) -> None:
        data, unix_socket = self.layout.home / "var/mysql", self.layout.mariadb_socket
        if not (data / "mysql").is_dir():
            with (self.layout.home / "log/mariadb-install.out").open("wb") as log:
                install = ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-test-db"]
                options = ["--auth-root-authentication-method=socket", "--skip-name-resolve"]
                subprocess.run([*install, *options], stdout=log, stderr=log, check=True)  # noqa: S603
        self._start(daemons.mariadbd(self.layout))
        client = ["--no-defaults", f"--socket={unix_socket}"]
        wait_for("mariadbd", lambda: succeeds(["mariadb-admin", *client, "ping"]), 30)
        statements = [f"CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '{DATABASE_PASSWORD}';"]
        for release in self.layout.releases:
            statements += [
                f"CREATE DATABASE IF NOT EXISTS {database(release)};",
                f"GRANT ALL ON {database(release)}.* TO 'slurm'@'127.0.0.1';",
            ]
        subprocess.run(["mariadb", *client], input="\n".join(statements), text=True, check=True)  # noqa: S603, S607

    def _await_accounting(self, release: str) -> None:
        first = next(cluster for cluster in self.layout.clusters if cluster.release == release)
        command = [*self.prefix(first.name, None), "sacctmgr", "--noheader", "list", "cluster"]
        conf = {"SLURM_CONF": str(self.layout.conf(first.name))}
        wait_for(f"slurmdbd {release}", lambda: succeeds(command, conf), 60)

    def _add_accounts(self) -> None:
        for release in self.layout.releases:
            clusters = [cluster for cluster in self.layout.clusters if cluster.release == release]
            first = clusters[0].name
            for entry in _accounts(clusters):
                self.run(first, ["sacctmgr", "--immediate", *entry])


def _accounts(clusters: Sequence[Cluster]) -> Iterator[list[str]]:
    """sacctmgr's words for clusters, accounts and users, in order. An operator may hold, rename and release
    everybody's jobs."""
    yield ["add", "cluster", ",".join(cluster.name for cluster in clusters)]
    yield ["add", "qos", "urgent", "set", "priority=100"]
    for account, users in ACCOUNTS.items():
        yield ["add", "account", account, f"Description={account}", "Organization=lab", "QosLevel=normal,urgent"]
        yield ["add", "user", ",".join(users), f"Account={account}"]
    yield ["modify", "user", "csched", "set", "AdminLevel=Operator"]


def _add_users() -> None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in USERS:
        if user not in known:
            subprocess.run(["useradd", "--create-home", "--shell=/bin/bash", user], check=True)  # noqa: S603, S607


def _write_key(file: Path, owner: str, size_bytes: int) -> None:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(os.urandom(size_bytes))
    shutil.chown(file, owner, owner)
    file.chmod(0o400 if owner == "munge" else 0o600)


def _in_order_of_stopping(names: Sequence[str]) -> list[list[str]]:
    """Doors first, then nodes, controllers, accounting, and last what these rest on."""
    kinds: Mapping[str, int] = {"slurmctld": 2, "slurmdbd": 3, "mariadbd": 4, "munged": 4, newer_slurm.HOLDER: 5}
    order: dict[int, list[str]] = {}
    for name in names:
        rank = next((rank for kind, rank in kinds.items() if kind in name), 0 if "slurmrestd" in name else 1)
        order.setdefault(rank, []).append(name)
    return [order[rank] for rank in sorted(order)]
