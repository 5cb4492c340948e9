"""A core and the agents of several sites, as they run in production: real HTTP, real signatures, real processes, sudo.

Only the planning is simple: every job starts at once at the site it is handed in for.
"""

import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import uvicorn
import yaml

from csched import shipped
from csched.api.application import create_api
from csched.app import App
from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched.keys import generate_key
from csched.settings import Settings
from csched.store.records import JobRecord
from csched.testing.planner import everything_at
from slurm_lab.configuration import GATE_TABLE
from slurm_lab.lab import Lab

ROOT = Path(__file__).parents[2]
WRAPPER = ROOT / "plugins/slurm/libexec/submit"
SERVICE = "csched"
SITES = ("essonne", "bologna", "kajaani")
QUICK = {"quiet_s": 4, "apart_s": 3, "read_back_s": 3, "settle_s": 6, "retry_s": 1}
"""Waits of the agents: long enough for a controller that is killed, short enough for a test."""

HOSTILE = {"SBATCH_PARTITION": "short", "SBATCH_EXCLUSIVE": "1", "SBATCH_ARRAY_INX": "1-9", "CANARY": "sings"}
"""In the environment of every agent; none of it reaches a job."""


@dataclass
class Federation:
    """A core and three agents on a lab."""

    lab: Lab
    home: Path
    agents: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.chmod(0o755)
        (self.home / "ran").mkdir()
        (self.home / "ran").chmod(0o1777)
        self.public = generate_key(self.home / "orders.pem")
        fleet = self.home / "fleet.yaml"
        fleet.write_text(yaml.safe_dump(_fleet()))
        self.app = App(Settings(home=self.home / "core", fleet=fleet, order_key=self.home / "orders.pem"))
        self.app.home()
        self.port = _free_port()
        self.server = uvicorn.Server(
            uvicorn.Config(
                create_api(self.app), port=self.port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
            )
        )
        self.server_thread = Thread(target=self.server.run, daemon=True)
        self.sudoers = Path(f"/etc/sudoers.d/csched-lab-{os.getpid()}")

    def up(self) -> None:
        wrapper = self._install_wrapper()
        self.server_thread.start()
        for site in SITES:
            self._configure(site, wrapper)
            self.start_agent(site)

    def down(self) -> None:
        for agent in self.agents.values():
            agent.terminate()
        for agent in self.agents.values():
            agent.wait(30)
        self.server.should_exit = True
        self.server_thread.join(20)
        self.app.close()
        self.sudoers.unlink(missing_ok=True)

    def start_agent(self, site: str) -> None:
        code = "import sys; from csched.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "slurm", "agent", "--config", str(self._agent(site) / "agent.yaml")]
        with (self._agent(site) / "agent.log").open("ab") as log:
            self.agents[site] = subprocess.Popen(
                [*_as_service(), *command],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={
                    **HOSTILE,
                    "PATH": "/usr/bin:/bin",
                    "PYTHONPATH": os.pathsep.join(_source_roots()),
                    "HOME": pwd.getpwnam(SERVICE).pw_dir,
                },
            )

    def configure(self, site: str, **settings: object) -> None:
        """What its agent, which is started anew, is told."""
        file = self._agent(site) / "agent.yaml"
        self.kill_agent(site)
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **settings}))
        self.start_agent(site)

    def config_of(self, site: str) -> Path:
        return self._agent(site) / "agent.yaml"

    def kill_agent(self, site: str) -> None:
        self.agents[site].send_signal(signal.SIGKILL)
        self.agents[site].wait(30)

    def log_of(self, site: str) -> str:
        return (self._agent(site) / "agent.log").read_text()

    def submit(
        self,
        site: str,
        body: str,
        *,
        user: str = "ada",
        name: str = "train",
        account: str | None = None,
        **more: object,
    ) -> int:
        """Hand in a job for the site; it is due at once."""
        job_id = self.app.submit(
            Job.model_validate(
                {"job": "new", "user": user, "gpus": 1, "time_limit_s": 600, "data_class": "public", **more}
            ),
            Script(body=f"#!/bin/bash\n{body}\n", work_dir="/", stdout="/dev/null"),
            name=name,
            account=account,
        )
        self.place(job_id, site)
        return job_id

    def place(self, job_id: int, site: str) -> None:
        record = self.app.store.job(job_id)
        plan = everything_at([record.job], site, "gpu", self.app.clock.now())
        self.app.store.commit(plan, {job_id: record.revision})

    def counting(self, lines: str = "") -> str:
        """A script that counts its own runs, in processes."""
        return f'echo "$SLURM_JOB_ID" >> {self.home}/ran/"$CSCHED_TEST_JOB"\n{lines}'

    def runs_of(self, label: str) -> int:
        file = self.home / "ran" / label
        return len(file.read_text().split()) if file.exists() else 0

    def until(self, reached: Callable[[], bool], within_s: float = 120) -> None:
        end = time.monotonic() + within_s
        while not reached():
            self.app.poll()
            if time.monotonic() > end:
                alive = [record for record in self.app.store.jobs() if record.state is not JobState.COMPLETED]
                states = [(each.id, each.name, each.state, each.reason, each.message) for each in alive]
                raise AssertionError(f"{states}\n" + "\n".join(self.log_of(site)[-2000:] for site in SITES))
            time.sleep(0.3)

    def record(self, job_id: int) -> JobRecord:
        return self.app.store.job(job_id)

    def await_state(self, job_ids: Sequence[int], *states: JobState, within_s: float = 120) -> None:
        self.until(lambda: all(self.record(job_id).state in states for job_id in job_ids), within_s)

    def slurm_job(self, job_id: int) -> dict:
        """The job of the cluster by csched's mark, as squeue shows it."""
        record = self.record(job_id)
        shown = json.loads(self.lab.run(str(record.site), ["squeue", "--json", "--states=all"]))
        mark = f"csched:id={record.attempt}"
        (found,) = [job for job in shown["jobs"] if mark in (job.get("admin_comment") or "")]
        return found

    def _agent(self, site: str) -> Path:
        return self.home / f"agent-{site}"

    def _configure(self, site: str, wrapper: Path) -> None:
        folder = self._agent(site)
        folder.mkdir()
        _, secret = self.app.store.create_token(site, "agent")
        (folder / "token").write_text(secret)
        (folder / "token").chmod(0o600)
        shutil.copy(self.public, folder / "trust.pem")
        users = {
            "ada": {"local": "alice", "accounts": ["physics", "climate"], "opted_in": True},
            "ben": {"local": "bob", "accounts": ["health"], "opted_in": False},
            "eve": {"local": "root", "accounts": ["physics"], "opted_in": True},
            "dan": {"local": "daemon", "accounts": ["physics"], "opted_in": True},
        }
        (folder / "users.yaml").write_text(yaml.safe_dump({"users": users}))
        settings = {
            "site": site,
            "cluster": site,
            "core": f"http://127.0.0.1:{self.port}",
            "token_file": "token",
            "trust": "trust.pem",
            "users": "users.yaml",
            "state": "state",
            "slurm_conf": str(self.lab.layout.conf(site)),
            "submit": str(wrapper),
            "poll_every": "1s",
            "away_after": "15s",
            "mode": "enforce",
            "gate": GATE_TABLE.model_dump(mode="json"),
            "waits": QUICK,
        }
        (folder / "agent.yaml").write_text(yaml.safe_dump(settings))
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, SERVICE, SERVICE)

    def _install_wrapper(self) -> Path:
        """As the admin of a site would, but with a table of this lab's clusters."""
        table = self.home / "clusters.json"
        clusters = {
            site: {"slurm_conf": str(self.lab.layout.conf(site)), "sbatch": "/usr/bin/sbatch"} for site in SITES
        }
        table.write_text(json.dumps(clusters))
        wrapper = self.home / "submit"
        wrapper.write_text(WRAPPER.read_text().replace("/etc/csched/clusters.json", str(table)))
        wrapper.chmod(0o755)
        self.sudoers.write_text(f"{SERVICE} ALL=(alice,bob) NOPASSWD: {wrapper}\n")
        self.sudoers.chmod(0o440)
        return wrapper


@contextmanager
def federation(lab: Lab, home: Path) -> Iterator[Federation]:
    made = Federation(lab, home)
    try:
        made.up()
        yield made
    finally:
        made.down()


def dice(seed: int) -> random.Random:
    return random.Random(seed)


def _fleet() -> dict:
    """The demo fleet's sites, with what the lab has."""
    fleet = yaml.safe_load(shipped.demo_fleet().read_text())
    fleet["sites"] = [site for site in fleet["sites"] if site["id"] in SITES]
    for site in fleet["sites"]:
        site["partitions"] = [{"name": "gpu", "hardware": "gb200-nvl72", "nodes": 4}]
    return {key: value for key, value in fleet.items() if key not in {"links", "reservations", "home"}}


def _as_service() -> list[str]:
    """Words before those of a command that the agent's own user runs.

    Where the interpreter or the checkout lies below a folder that only root may enter, such as root's home, the user
    is let through: what is tested is the agent, not where the tests were checked out.
    """
    way = [Path(sys.executable).resolve(), *map(Path, _source_roots())]
    open_to_all = all(folder.stat().st_mode & 0o001 for each in way for folder in each.parents)
    through = [] if open_to_all else ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={SERVICE}", f"--regid={SERVICE}", "--clear-groups", *through]


def _source_roots() -> list[str]:
    return [str(ROOT / root) for root in ("scheduler", "policies", "sim", "plugins/slurm")]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
