"""What csched puts on a site's machines, and takes away again. Nothing that is there is ever overwritten."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from csched import shipped
from csched_slurm.gate import BEGIN, GateTable, snippet, without_snippet

GATE: Final = "csched_gate.lua"
LINES: Final = "csched_lines.lua"
"""What the site's own script needs, to be put there by its admin."""
SCRIPT: Final = "job_submit.lua"
_NO_SCRIPT: Final = "return slurm.SUCCESS\n"


@dataclass(frozen=True)
class Wanted:
    """One file as csched would have it."""

    path: Path
    text: str
    mode: int


@dataclass(frozen=True)
class Site:
    """Where things lie; `root` stands before every path, as in a package's build."""

    site: str
    cluster: str
    core: str
    slurm_conf: Path
    agent_uid: int
    root: Path = Path("/")

    def files(self) -> list[Wanted]:
        """The script of the site itself is not among them: see `lines_for_script`."""
        shipped_files = shipped.slurm_site()
        return [
            Wanted(self._at("/etc/csched/agent.yaml"), self._agent(), 0o640),
            Wanted(self._at("/etc/csched/users.yaml"), "users: {}\n", 0o640),
            Wanted(self._at("/etc/csched/clusters.json"), self._clusters(), 0o644),
            Wanted(self._at("/usr/libexec/csched/submit"), (shipped_files / "libexec/submit").read_text(), 0o755),
            Wanted(self._at("/etc/sudoers.d/csched"), (shipped_files / "sudoers/csched").read_text(), 0o440),
            Wanted(self._at(self._gate), (shipped_files / "gate" / GATE).read_text(), 0o644),
            Wanted(self.script.with_name(LINES), self.lines_for_script, 0o644),
        ]

    @property
    def script(self) -> Path:
        """The site's own job_submit.lua, beside slurm.conf."""
        return self._at(self.slurm_conf.with_name(SCRIPT))

    @property
    def lines_for_script(self) -> str:
        return snippet(GateTable(), cluster=self.cluster, agent_uid=self.agent_uid, gate=self._gate)

    @property
    def _gate(self) -> Path:
        return self.slurm_conf.with_name(GATE)

    def _at(self, path: Path | str) -> Path:
        return self.root / Path(path).relative_to("/")

    def _agent(self) -> str:
        settings = {
            "site": self.site,
            "cluster": self.cluster,
            "core": self.core,
            "token_file": "token",
            "trust": "orders.pem.pub",
            "users": "users.yaml",
            "state": "/var/lib/csched-agent",
            "slurm_conf": str(self.slurm_conf),
            "mode": "observe",
        }
        return yaml.safe_dump(settings, sort_keys=False)

    def _clusters(self) -> str:
        return f'{{"{self.cluster}": {{"slurm_conf": "{self.slurm_conf}", "sbatch": "/usr/bin/sbatch"}}}}\n'


def install(site: Site, *, write: bool) -> list[str]:
    """What was done or, without `write`, would be; one line each."""
    said = []
    for wanted in site.files():
        if wanted.path.exists():
            same = wanted.path.read_text() == wanted.text
            said.append(f"{wanted.path}: there already{'' if same else ', differs, left alone'}")
            continue
        if write:
            _write(wanted)
        said.append(f"{wanted.path}: {'written' if write else 'would be written'}")
    return [*said, _install_script(site, write=write)]


def _install_script(site: Site, *, write: bool) -> str:
    """A script of the site's own is for its admin to change."""
    if not site.script.exists():
        if write:
            _write(Wanted(site.script, site.lines_for_script + _NO_SCRIPT, 0o644))
        return f"{site.script}: {'written' if write else 'would be written'}"
    if BEGIN in site.script.read_text():
        return f"{site.script}: has csched's lines already"
    return f"{site.script}: there already, left alone; put the lines of {LINES} before its last `return`"


def remove(script: Path, others: list[Path]) -> list[str]:
    """Take csched's lines out of the site's script, then its files away; one line for each that was there."""
    said = []
    if script.exists() and BEGIN in (text := script.read_text()):
        own = without_snippet(text)
        beside = script.with_name(f"{script.name}.csched-new")
        beside.write_text(own)
        beside.chmod(script.stat().st_mode & 0o777)
        beside.replace(script)
        said.append(f"{script}: csched's lines taken out")
    for path in others:
        if path.exists():
            path.unlink()
            said.append(f"{path}: removed")
    return said


def _write(wanted: Wanted) -> None:
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    with wanted.path.open("x", encoding="utf-8") as file:
        file.write(wanted.text)
    wanted.path.chmod(wanted.mode)
