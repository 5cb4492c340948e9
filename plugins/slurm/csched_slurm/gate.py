"""The lines that a site puts into its own job_submit.lua so that csched's gate is asked about each job."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Final

from csched import shipped
from csched.domain.base import Value
from csched.domain.job import DataClass
from csched_slurm.agent.identities import Name

BEGIN: Final = "-- csched: begin"
END: Final = "-- csched: end"


class GateTable(Value):
    """The admin's table: what the gate goes by."""

    accounts: Mapping[Name, DataClass] = {}
    """Account -> the class of all its jobs' data; a job's own word can only make it stricter."""
    protects: frozenset[DataClass] = frozenset()
    """Jobs of these classes run where csched places them, or not at all."""
    adopts: frozenset[Name] = frozenset()
    """Accounts whose plain sbatch waits for csched's plan."""


def snippet(table: GateTable, *, cluster: str, agent_uid: int, gate: Path) -> str:
    """Lua, to stand behind the site's own functions."""
    template = Template((shipped.slurm_site() / "gate" / "job_submit.snippet.lua").read_text(encoding="utf-8"))
    return template.substitute(
        cluster=cluster,
        agent_uid=agent_uid,
        gate=gate,
        accounts=", ".join(f'["{account}"] = "{kind}"' for account, kind in sorted(table.accounts.items())),
        protects=_set(table.protects),
        adopts=_set(table.adopts),
    )


def without_snippet(script: str) -> str:
    """The site's script as it was before."""
    kept: list[str] = []
    inside = False
    for line in script.splitlines(keepends=True):
        inside = inside or line.startswith(BEGIN)
        if not inside:
            kept.append(line)
        inside = inside and not line.startswith(END)
    return "".join(kept)


def _set(names: Iterable[str]) -> str:
    return ", ".join(f'["{name}"] = true' for name in sorted(names))
