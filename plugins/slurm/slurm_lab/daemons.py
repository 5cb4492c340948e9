"""What runs in a lab, by name: the one list that starting, stopping and restarting go by."""

from collections.abc import Iterator, Mapping, Sequence

from slurm_lab.layout import NEW, OLD, Cluster, Layout, dbd
from slurm_lab.processes import Daemon

_REST_PLUGINS: Mapping[str, Sequence[str]] = {
    OLD: ("-s", "openapi/v0.0.38,openapi/dbv0.0.38"),
    NEW: ("-s", "openapi/slurmctld,openapi/slurmdbd", "-d", "v0.0.40,v0.0.41,v0.0.42"),
}


def munged(layout: Layout) -> Daemon:
    """With a key and a socket of the lab's own: the machine's munge is left alone."""
    run, key = layout.munge_socket.parent, layout.home / "var/munge/key"
    options = {
        "num-threads": 4,
        "key-file": key,
        "socket": layout.munge_socket,
        "pid-file": run / "pid",
        "log-file": run / "log",
        "seed-file": run / "seed",
    }
    return Daemon(
        "munged",
        ["munged", "--foreground", "--force", *(f"--{name}={value}" for name, value in options.items())],
        user="munge",
    )


def mariadbd(layout: Layout) -> Daemon:
    data = layout.home / "var/mysql"
    options = {
        "user": "mysql",
        "datadir": data,
        "socket": layout.mariadb_socket,
        "port": layout.mariadb_port,
        "bind-address": "127.0.0.1",
        "pid-file": data / "pid",
        "log-error": data / "errors",
        "innodb-buffer-pool-size": "128M",
        "innodb-lock-wait-timeout": 900,
        "innodb-flush-log-at-trx-commit": 2,
        "max-allowed-packet": "16M",
    }
    words = (f"--{name}={value}" for name, value in options.items())
    return Daemon("mariadbd", ["mariadbd", "--no-defaults", "--skip-name-resolve", *words])


def slurmdbd(layout: Layout, release: str) -> Daemon:
    """It reads slurmdbd.conf from the folder of SLURM_CONF."""
    conf = {"SLURM_CONF": str(layout.dbd_folder(release) / "slurm.conf")}
    return Daemon(dbd(release), ["slurmdbd", "-D"], user="slurm", environment=conf)


def slurmctld(layout: Layout, cluster: Cluster) -> Daemon:
    return Daemon(f"{cluster.name}-slurmctld", ["slurmctld", "-D"], environment=_conf(layout, cluster))


def slurmds(layout: Layout, cluster: Cluster) -> Iterator[Daemon]:
    for node in cluster.nodes:
        yield Daemon(f"{cluster.name}-{node}", ["slurmd", "-D", "-N", node], environment=_conf(layout, cluster))


def slurmrestds(layout: Layout, cluster: Cluster) -> Iterator[Daemon]:
    """One for each way to say who one is: both in one process fail. It refuses to be root or SlurmUser."""
    plugins = _REST_PLUGINS[cluster.release]
    conf = _conf(layout, cluster)
    yield Daemon(
        f"{cluster.name}-slurmrestd-jwt",
        ["slurmrestd", "-a", "rest_auth/jwt", *plugins, "-t", "8", f"127.0.0.1:{cluster.rest_port}"],
        user="csched",
        environment={**conf, "SLURM_JWT": "daemon"},
    )
    yield Daemon(
        f"{cluster.name}-slurmrestd-local",
        ["slurmrestd", "-a", "rest_auth/local", *plugins, "-t", "4", f"unix:{layout.rest_socket(cluster.name)}"],
        user="csched",
        environment=conf,
    )


def _conf(layout: Layout, cluster: Cluster) -> Mapping[str, str]:
    return {"SLURM_CONF": str(layout.conf(cluster.name))}


def release_of(daemon: Daemon, layout: Layout) -> str:
    """Whose binaries it needs."""
    for cluster in layout.clusters:
        if daemon.name.startswith(f"{cluster.name}-"):
            return cluster.release
    return NEW if daemon.name == dbd(NEW) else OLD
