"""The lab's configuration files, made from templates/."""

import pwd
import shutil
import socket
from pathlib import Path
from string import Template
from typing import Final

from csched.domain.job import DataClass
from csched_slurm.gate import GateTable, snippet
from slurm_lab.layout import NEW, Cluster, Layout, dbd

_TEMPLATES: Final = Path(__file__).with_name("templates")
_GATE: Final = Path(__file__).parents[1] / "gate/csched_gate.lua"
DATABASE_PASSWORD: Final = "lab-only"  # noqa: S105  (of a server that listens on loopback for the lab's life)


GATE_TABLE: Final = GateTable(
    accounts={
        "physics": DataClass.INTERNAL,
        "climate": DataClass.PUBLIC,
        "health": DataClass.PERSONAL,
        "clinic": DataClass.HEALTH,
    },
    protects=frozenset({DataClass.HEALTH}),
    adopts=frozenset({"climate"}),
)
"""clinic's jobs run where csched places them only, climate's wait for their plan."""


def write_configuration(layout: Layout) -> None:
    for release in layout.releases:
        _write_dbd(layout, release)
    for cluster in layout.clusters:
        _write_cluster(layout, cluster)


def database(release: str) -> str:
    return "slurm_acct_" + release.replace(".", "_")


def _write_dbd(layout: Layout, release: str) -> None:
    file = layout.dbd_folder(release) / "slurmdbd.conf"
    text = _filled(
        "slurmdbd.conf",
        layout,
        daemon=dbd(release),
        dbd_port=layout.dbd_ports[release],
        mariadb_port=layout.mariadb_port,
        database=database(release),
        password=DATABASE_PASSWORD,
    )
    _write(file, text)
    shutil.chown(file, "slurm", "slurm")
    file.chmod(0o600)


def _write_cluster(layout: Layout, cluster: Cluster) -> None:
    folder = layout.conf(cluster.name).parent
    shape = "block" if cluster.release == NEW else "tree"
    rack1, rack2 = map(_short, cluster.racks)
    texts = {
        "slurm.conf": _filled(
            "slurm.conf",
            layout,
            cluster=cluster.name,
            port=cluster.port,
            nodes=_short(cluster.nodes),
            node_ports=cluster.node_ports,
            dbd_port=layout.dbd_ports[cluster.release],
            topology_plugin=f"topology/{shape}",
        ),
        "gres.conf": _filled("gres.conf", layout),
        "topology.conf": _filled(
            f"topology-{shape}.conf", layout, rack1=rack1, rack2=rack2, rack_size=len(cluster.racks[0])
        ),
        "job_submit.lua": _filled("job_submit.lua", layout, gate=_gate_lines(layout, cluster)),
        "csched_gate.lua": _GATE.read_text(),
    }
    if cluster.release == NEW:
        texts["cgroup.conf"] = "CgroupPlugin=disabled\n"
    for name, text in texts.items():
        _write(folder / name, text)


def _gate_lines(layout: Layout, cluster: Cluster) -> str:
    return snippet(
        GATE_TABLE,
        cluster=cluster.name,
        agent_uid=pwd.getpwnam("csched").pw_uid,
        gate=layout.conf(cluster.name).with_name("csched_gate.lua"),
    )


def _short(nodes: tuple[str, ...]) -> str:
    """Slurm's short form of neighbours, `e[1-4]`."""
    return f"{nodes[0][0]}[{nodes[0][1:]}-{nodes[-1][1:]}]"


def _filled(template: str, layout: Layout, **values: object) -> str:
    common = {"home": layout.home, "host": host(), "munge_socket": layout.munge_socket}
    return Template((_TEMPLATES / template).read_text()).substitute({**common, **values})


def host() -> str:
    return socket.gethostname().partition(".")[0]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
