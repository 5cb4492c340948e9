"""Batch scripts are read as sbatch reads them, and no option is ever ignored."""

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from csched.errors import InputError
from csched.formats.batch_options import CSCHED, SBATCH, Use
from csched.formats.batch_script import BatchJob, Surroundings, read_batch_script

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AROUND = Surroundings(
    now=NOW,
    user="ada",
    folder=PurePosixPath("/home/ada"),
    environment={"TOKEN": "secret", "LANG": "C"},
    hardware={"dgx-h100", "h100-quad", "dgx-a100"},
)
ENOUGH = "#SBATCH --gpus=2 --time=60"


def read(*lines: str, args: tuple[str, ...] = ()) -> BatchJob:
    return read_batch_script("\n".join(("#!/bin/sh", *lines, "")), "train.sh", args, [], AROUND)


def test_the_spellings_of_sbatch() -> None:
    for line in (
        "-J a -t 1:30:00 -G 4",
        "-Ja -t1:30:00 -G4",
        "--job-name a --time=1:30:00 --gpus 4",
        "--job-n=a --time=90 --gpus=4",
    ):
        batch = read(f"#SBATCH {line}  # a comment")
        assert (batch.name, batch.job.time_limit_s, batch.job.gpus) == ("a", 5400, 4)


def test_only_lines_before_the_first_command_count_and_the_others_are_remarked_on() -> None:
    batch = read(ENOUGH, "", "# plain", "echo hi", "#SBATCH --hold")
    assert not batch.held
    assert batch.remarks == ("line 6 is not read, for it comes after the first command: #SBATCH --hold",)


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("--gpus=6", 6),
        ("--gres=gpu", 1),
        ("--gres=gpu:4 --nodes=3", 12),
        ("--gpus-per-node=8 -N 2", 16),
        ("--gpus-per-task=1 -n 4", 4),
        ("--gpus=16 --gpus-per-node=8 -N 2", 16),
    ],
)
def test_gpus_are_counted_as_slurm_counts_them(line: str, gpus: int) -> None:
    assert read(f"#SBATCH --time=60 {line}").job.gpus == gpus


def test_a_gpu_type_narrows_to_the_hardware_that_has_it() -> None:
    assert read("#SBATCH -t 60 --gres=gpu:h100:4").job.hardware == ("dgx-h100", "h100-quad")


def test_csched_lines_are_the_job_columns_with_dashes() -> None:
    job = read(
        ENOUGH,
        "#CSCHED --data-class=health --tenant=acme --data-site=paris --data-gb=12.5 --countries='FR|DE'",
        "#CSCHED --hardware=dgx-h100 --pattern=fsdp --load=0.5 --home-site=paris --priority=7 --portable=false",
        "#CSCHED --datasets='scans|notes' --data-restricted=export_controlled --purpose=public_sector --run-id=llm-7",
        "#CSCHED --outputs-kind=model_weights --outputs-return-to=FR --outputs-retain-at-site-h=24",
        "#CSCHED --expected-runtime=30m --earliest-start=now+1hour --deadline=2026-11-23T00:00:00Z",
    ).job
    assert job.model_dump(mode="json", exclude_defaults=True) == {
        "job": "0",
        "user": "ada",
        "gpus": 2,
        "time_limit_s": 3600,
        "tenant": "acme",
        "expected_runtime_s": 1800,
        "earliest_start": "2026-11-22T13:00:00Z",
        "deadline": "2026-11-23T00:00:00Z",
        "hardware": ["dgx-h100"],
        "data_class": "health",
        "data_site": "paris",
        "data_gb": 12.5,
        "countries": ["FR", "DE"],
        "pattern": "fsdp",
        "load": 0.5,
        "home_site": "paris",
        "priority": 7,
        "datasets": ["scans", "notes"],
        "data_restricted": "export_controlled",
        "purpose": "public_sector",
        "run_id": "llm-7",
        "outputs_kind": "model_weights",
        "outputs_return_to": "FR",
        "outputs_retain_at_site_h": 24,
        "portable": False,
    }


def test_only_named_variables_reach_the_job() -> None:
    assert read(ENOUGH).script.environment == {}
    assert read(ENOUGH, "#SBATCH --export=LANG,X=1").script.environment == {"LANG": "C", "X": "1"}
    assert read(ENOUGH, "#SBATCH --export=NONE").script.environment == {}


def test_output_goes_where_slurm_puts_it() -> None:
    assert read(ENOUGH).script.stdout == "/home/ada/slurm-%j.out"
    batch = read(ENOUGH, "#SBATCH -D /scratch -o logs/%x-%j.txt -e /srv/%j.err")
    assert (batch.script.stdout, batch.script.stderr) == ("/scratch/logs/%x-%j.txt", "/srv/%j.err")


def test_an_array_is_many_tasks_of_one_script() -> None:
    batch = read(ENOUGH, "#SBATCH --array=0-6:3,9%2")
    assert batch.array is not None
    assert (batch.array.tasks, batch.array.step, batch.job.array_limit) == ((0, 3, 6, 9), 3, 2)
    assert batch.script.stdout == "/home/ada/slurm-%A_%a.out"
    assert read(ENOUGH, "#SBATCH -a 5 -o %A-%a").script.stdout == "/home/ada/%A-%a"


def test_the_parts_of_a_heterogeneous_job() -> None:
    batch = read(
        "#SBATCH --time=60 --mem=4G --output=all.txt",
        "#SBATCH --nodes=2 --gpus-per-node=8",
        "#CSCHED --hardware=dgx-h100",
        "#SBATCH hetjob",
        "#SBATCH --gpus=a100:4 --mem=8G",
    )
    parts = [(part.gpus, part.hardware) for part in batch.job.components]
    assert parts == [(16, ("dgx-h100",)), (4, ("dgx-a100",))]
    assert (batch.job.gpus, batch.job.hardware) == (20, ())
    assert batch.script.options == ("--mem=4G", ":", "--mem=8G")
    assert batch.script.stdout == "/home/ada/all.txt"
    assert read(ENOUGH).job.components == ()


def test_what_a_job_waits_for_and_where_it_stands() -> None:
    batch = read(ENOUGH, "#SBATCH -d afterok:12:13_4,afterany:14 --kill-on-invalid-dep=yes --reservation=night")
    assert [(str(one.kind), one.jobs) for one in batch.job.dependency] == [
        ("afterok", ("12", "13_4")),
        ("afterany", ("14",)),
    ]
    assert (batch.kill_on_invalid_dependency, batch.job.reservation) == (True, "night")
    assert read(ENOUGH, "#SBATCH --spread-job").job.locality == "spread"
    assert read(ENOUGH, "#CSCHED --locality=consolidate").job.locality == "consolidate"
    assert read(ENOUGH, "#CSCHED --runtime-factors='dgx-h100:1|dgx-a100:2.1'").job.runtime_factors == {
        "dgx-h100": 1.0,
        "dgx-a100": 2.1,
    }


def test_harmless_options_are_carried_for_the_site() -> None:
    assert read(ENOUGH, "#SBATCH -c 8 --mem=64G --requeue").script.options == (
        "--cpus-per-task=8",
        "--mem=64G",
        "--requeue",
    )


@pytest.mark.parametrize(
    "option", [one for one in (*SBATCH, *CSCHED) if one.use is Use.REFUSED], ids=lambda one: one.name
)
def test_what_is_not_supported_is_refused_with_a_next_step(option) -> None:
    prefix = "#SBATCH" if option in SBATCH else "#CSCHED"
    value = "=1" if option.argument == "required" else ""
    with pytest.raises(InputError, match=f"`--{option.name}` is not supported") as refused:
        read(ENOUGH, f"{prefix} --{option.name}{value}")
    assert refused.value.hint
    assert refused.value.where.line == 3


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("#SBATCH --gpsu=3", "unknown option `--gpsu`", "did you mean `--gpus`?"),
        ("#SBATCH --data-class=health", "unknown option `--data-class`", "it belongs on a #CSCHED line"),
        ("#CSCHED --nodes=3", "unknown option `--nodes`", "it belongs on a #SBATCH line"),
        ("#SBATCH --gpus=0", "`0` is not a count of at least 1", None),
        ("#SBATCH --gpus=-1", "`-1` is not a count of at least 1", None),
        ("#SBATCH --gres=mps:3", "`mps:3` is not gpu, gpu:N or gpu:TYPE:N", None),
        ("#SBATCH --gpus-per-node=4", "4 GPUs, but `--gpus` says 2", "say it once"),
        ("#SBATCH --time=soon", "`soon` is not a Slurm time limit", None),
        ("#SBATCH --begin=16:00", "is not an ISO 8601 time", None),
        ("#SBATCH --deadline=2026-11-22T12:00:00", "has no zone", None),
        ("#SBATCH --output=a%qb", "`%q` in `a%qb`", None),
        ("#SBATCH --output=", "is not a file name", None),
        ("#SBATCH --job-name=../../etc", "is not a name", None),
        ("#SBATCH --export=ALL", "your whole environment", None),
        ("#SBATCH --export=NOPE", "`NOPE` is not set here", None),
        ("#SBATCH --export=1X=2", "is not the name of a variable", None),
        ("#SBATCH 'abc", "a quote is not closed", None),
        ("#SBATCH abc", "`abc` is not an option", None),
        ("#SBATCH --hold=yes", "must not have an argument", None),
        ("#CSCHED --data-class=secret", "expected 'public'", None),
        ("#CSCHED --countries=UK", "ISO 3166-1", None),
        ("#CSCHED --expected-runtime=30", "has no unit", None),
        ("#CSCHED --expected-runtime=3h", "longer than time_limit_s", None),
        ("#CSCHED --portable=perhaps", "expected true or false", None),
        ("#CSCHED --load=2", "expected at most 1", None),
        ("#SBATCH --array=3-1", "names no task", None),
        ("#SBATCH --array=a", "is not a list of tasks", None),
        ("#SBATCH --array=0-20000", "is more than 10001 tasks", None),
        ("#SBATCH --array=0-3%1,9%2", "is said once", None),
        ("#SBATCH --array=4000001", "is above the highest one", None),
        ("#SBATCH --dependency=afterrok:1", "unknown kind of dependency `afterrok`", "did you mean `afterok`?"),
        ("#SBATCH --dependency=singleton", "unknown kind of dependency `singleton`", None),
        ("#SBATCH --kill-on-invalid-dep=perhaps", "neither yes nor no", None),
        ("#SBATCH --output=x%a", "`%a` is only known of an array's tasks", None),
        ("#CSCHED --runtime-factors=dgx-h100", "expected KIND:FACTOR", None),
        ("#CSCHED --user=root", "is not supported", "a job runs as the user who hands it in"),
    ],
)
def test_every_mistake_names_its_place(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as wrong:
        read(ENOUGH, line)
    assert message in str(wrong.value)
    assert wrong.value.where.file == "train.sh"
    assert wrong.value.where.line in {3, None}
    assert wrong.value.where.field or "option" in message or "quote" in message
    assert hint is None or wrong.value.hint == hint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("#SBATCH --gpus=1 --time=5", "`--time` holds for the job as a whole"),
        ("#SBATCH --gpus=1 --output=x", "`--output` holds for the job as a whole"),
        ("#CSCHED --data-class=public", "`--data-class` holds for the job as a whole"),
        ("#SBATCH --mem=1G", "asks for no GPU"),
    ],
)
def test_a_later_part_speaks_of_its_gpus_only(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(ENOUGH, "#SBATCH hetjob", line)


def test_an_array_has_no_parts() -> None:
    with pytest.raises(InputError, match="an array has no parts"):
        read(ENOUGH, "#SBATCH --array=1-2", "#SBATCH hetjob", "#SBATCH --gpus=1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the script is empty"),
        ("echo hi\n", "does not begin with #!"),
        ("#!/bin/sh\r\n#SBATCH -G 1 -t 5\r\n", "ends as on DOS"),
        ("#!/bin/sh\n#SBATCH -G 1 -t 5\n\0", "NUL"),
        ("#!/bin/sh\n#SBATCH -t 5\n", "asks for no GPU"),
        ("#!/bin/sh\n#SBATCH -G 1\n", "has no time limit"),
    ],
)
def test_what_is_not_a_batch_job(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_batch_script(text, "train.sh", (), [], AROUND)


def test_offsets_count_from_now() -> None:
    assert read(ENOUGH, "#SBATCH --begin=now").job.earliest_start == NOW
    assert read(ENOUGH, "#SBATCH --begin=now+2days").job.earliest_start == NOW + timedelta(days=2)
