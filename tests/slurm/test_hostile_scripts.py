"""Scripts that try to say to Slurm what csched has not planned: on real clusters, all of them are inert."""

import pytest
from pydantic import ValidationError

from csched.domain.job import Job
from csched.domain.run import JobState, Script
from csched_slurm.protocol.orders import OrderJob

from .sites import SITES, Federation

pytestmark = pytest.mark.slurm

DIRECTIVES = {
    "partition and nodes": "#SBATCH --partition=short --nodes=4",
    "short options": "#SBATCH -p short -N 4 -n 8",
    "a node": "#SBATCH -w e4,b4,k4",
    "a reservation": "#SBATCH --reservation=maintenance",
    "another user": "#SBATCH --uid=0 --gid=0",
    "another cluster": "#SBATCH -M bologna",
    "all clusters": "#SBATCH --clusters=all",
    "a login environment": "#SBATCH --get-user-env=30L",
    "the environment": "#SBATCH --export=ALL,CANARY=sings",
    "another command": "#SBATCH --wrap=false",
    "an array": "#SBATCH --array=0-9",
    "later": "#SBATCH --begin=now+1hour",
    "never": "#SBATCH --dependency=afterok:999999 --hold",
    "another account": "#SBATCH --account=clinic --qos=urgent",
    "another name": "#SBATCH --job-name=csched-00000000000000000000000000000000",
    "a mark": "#SBATCH --comment=csched:id=00000000000000000000000000000000;job=1;cluster=essonne",
    "requeueing": "#SBATCH --requeue --exclusive",
    "a time limit": "#SBATCH --time=0:01 --signal=KILL@60",
    "a heterogeneous job": "#SBATCH --ntasks=1\n#SBATCH hetjob\n#SBATCH --ntasks=4",
    "the old word for it": "#SBATCH packjob",
    "PBS": "#PBS -q short -l nodes=4",
    "LSF": "#BSUB -q short -n 4",
    "spaces before": "  #SBATCH --nodes=4",
    "a tab after": "#SBATCH\t--nodes=4",
    "a continued line": "#SBATCH \\\n#SBATCH --nodes=4",
    "half of another line end": "#SBATCH --nodes=4\r --exclusive",
    "wide letters": "\uff03SBATCH --nodes=4 2>/dev/null || :",
    "marks that turn text round": "# \u202eHCTABS# --nodes=4",
    "a byte order mark": ": \ufeff#SBATCH --nodes=4",
    "a very long line": "#SBATCH --nodes=4 --comment=" + "x" * 100_000,
    "very many lines": "#SBATCH --nodes=4\n" * 5_000,
    "after commands": "true\n#SBATCH --nodes=4",
    "the end of the wrapper": "# EOF\n# csched-end\n: <<'EOF'\n#SBATCH --nodes=4\nEOF",
    "another interpreter": "#!/bin/false",
    "variables of sbatch": "export SBATCH_PARTITION=short SLURM_CONF=/nowhere",
    "quotes": "# '\"`$(false)`\"' $((1/0)) \\",
}
NAMES = (
    "..%x%x",
    "%j%n%%",
    "$(false)`false`",
    "--uid=0",
    "JobId=1 Priority=9",
    "na\u00efve \u202e",
    "'\"\\",
)
REFUSED = {
    "other line ends": {"body": "#!/bin/sh\r\n#SBATCH --nodes=4\r\n:\r\n"},
    "a NUL": {"body": "#!/bin/sh\n\0#SBATCH --nodes=4\n"},
    **{
        option: {"options": (option,)}
        for option in (
            "--uid=0",
            "--clusters=bologna",
            "--partition=short",
            "--nodelist=e4",
            "--reservation=r",
            "--get-user-env",
            "--wrap=false",
            "-Mbologna",
            "--mem=1G\n--uid=0",
        )
    },
}


def script(body: str, **more: object) -> Script:
    return Script.model_validate({"body": body, "work_dir": "/", "stdout": "/dev/null", **more})


def handed_in(sites: Federation, number: int, what: Script, name: str = "hostile") -> int:
    wanted = {"job": "new", "user": "ada", "gpus": 1, "time_limit_s": 600, "data_class": "public"}
    job_id = sites.app.submit(Job.model_validate(wanted), what, name=name)
    sites.place(job_id, SITES[number % len(SITES)])
    return job_id


def test_directives_and_names_say_nothing_to_slurm(sites: Federation) -> None:
    jobs = {}
    for number, (label, said) in enumerate([*DIRECTIVES.items(), *((name, ":") for name in NAMES)]):
        told = 'echo "$(id -un) $SLURM_JOB_PARTITION $SLURM_JOB_ACCOUNT $SLURM_JOB_NUM_NODES $SLURM_GPUS_ON_NODE'
        body = (
            f'#!/bin/bash\n{said}\n{told} <$CANARY$SLURM_ARRAY_TASK_ID$SLURM_HET_SIZE>" >> {sites.home}/ran/h{number}\n'
        )
        name = label if label in NAMES else "hostile"
        jobs[handed_in(sites, number, script(body), name)] = (number, label, name)
    sites.await_state(list(jobs), JobState.COMPLETED)
    ran = {label: (sites.home / "ran" / f"h{number}").read_text() for number, label, _ in jobs.values()}
    assert ran == dict.fromkeys(ran, "alice gpu physics 1 1 <>\n")
    for job_id, (_, _, name) in jobs.items():
        assert sites.slurm_job(job_id)["name"] == name


@pytest.mark.parametrize("name", ["../../../../etc/cron.d/x", "a\nb", "a\x1b[2J", "", "x" * 65])
def test_names_that_would_reach_into_paths_and_terminals_never_get_that_far(name: str) -> None:
    """Nor does an agent believe them, whoever has signed."""
    with pytest.raises(ValidationError, match="name"):
        OrderJob.model_validate({"id": "1", "name": name, "owner": "ada", "script": script("#!/bin/sh\n")})


def test_what_no_script_may_hold_and_no_user_may_ask_for_is_given_back(sites: Federation) -> None:
    jobs = {
        handed_in(sites, number, script(**{"body": "#!/bin/sh\n", **parts})): label  # type: ignore[arg-type]
        for number, (label, parts) in enumerate(REFUSED.items())
    }
    sites.await_state(list(jobs), JobState.PENDING)
    assert {label: sites.record(job_id).reason for job_id, label in jobs.items()} == dict.fromkeys(
        REFUSED, "JobConstraint"
    )
