"""The options of sbatch(1) and what csched does with each; beside them csched's own, spelled like the job columns.

Reading one is never silent: it is understood, or carried along for a site that knows it because it changes neither
what csched plans nor what the job does, or refused with the next step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Argument(StrEnum):
    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Use(StrEnum):
    UNDERSTOOD = "understood"
    CARRIED = "carried"
    REFUSED = "refused"


@dataclass(frozen=True)
class Option:
    name: str
    use: Use
    argument: Argument = Argument.REQUIRED
    short: str | None = None
    metavar: str | None = None
    text: str = ""
    """For an option that is understood, its help; for a refused one, the next step."""


def _understood(
    name: str, metavar: str | None, text: str, short: str | None = None, *, optional: bool = False
) -> Option:
    argument = Argument.OPTIONAL if optional else Argument.REQUIRED if metavar else Argument.NONE
    return Option(name, Use.UNDERSTOOD, argument, short, metavar, text)


def _refused(name: str, text: str, short: str | None = None, argument: Argument = Argument.REQUIRED) -> Option:
    return Option(name, Use.REFUSED, argument, short, text=text)


def _carried(names: str, argument: Argument = Argument.REQUIRED) -> tuple[Option, ...]:
    """`names`: words, each a long name or long/short."""
    pairs = (word.partition("/") for word in names.split())
    return tuple(Option(name, Use.CARRIED, argument, short or None) for name, _, short in pairs)


SBATCH: Final = (
    _understood("job-name", "NAME", "Name of the job; default is the script's.", "J"),
    _understood("time", "TIME", "Time limit, such as 90 (minutes), 1:30:00 or 2-12:00:00.", "t"),
    _understood("gpus", "[TYPE:]N", "GPUs in total.", "G"),
    _understood("gpus-per-node", "[TYPE:]N", "GPUs on each node; with --nodes."),
    _understood("gpus-per-task", "[TYPE:]N", "GPUs for each task; with --ntasks."),
    _understood("gres", "gpu[:TYPE][:N]", "Per node, as in Slurm; only gpu."),
    _understood("nodes", "N", "Nodes; with --gpus-per-node or --gres.", "N"),
    _understood("ntasks", "N", "Tasks; carried, and counted with --gpus-per-task.", "n"),
    _understood("output", "PATTERN", "File of the job's output: %j is its id, %x its name.  [slurm-%j.out]", "o"),
    _understood("error", "PATTERN", "File of its errors; default is with the output.", "e"),
    _understood("chdir", "DIR", "Folder the job starts in; default is the current one.", "D"),
    _understood("account", "NAME", "Account; also the project in reports.", "A"),
    _understood("begin", "TIME", "Not before: 2026-11-22T12:00:00Z or now+2hours.", "b"),
    _understood("deadline", "TIME", "Ended by then, for sure: 2026-11-22T18:00:00Z or now+8hours."),
    _understood("hold", None, "Hand in held; `csched release` lets it go.", "H"),
    _understood("priority", "N", "Weight among waiting jobs."),
    _understood("export", "NAME[=VALUE],...", "Variables the job gets, or NONE; never all of them."),
    _understood("signal", "[B:]SIG[@SECONDS]", "Sent to the job before its limit."),
    _understood("array", "0-9:2%N", "One job for each number; %N: so many at once. %A_%a in file names.", "a"),
    _understood(
        "dependency", "KIND:ID[:ID]", "Start only after other jobs: after, afterany, afterok, afternotok.", "d"
    ),
    _understood("kill-on-invalid-dep", "yes|no", "End it once its dependency can never be met.  [no]"),
    _understood("reservation", "NAME", "Run inside this reservation."),
    _understood("spread-job", None, "Over as many NVLink domains as possible."),
    *_carried("acctg-freq bcast-exclude comment cores-per-socket core-spec/S cpu-freq cpus-per-gpu cpus-per-task/c"),
    *_carried("delay-boot distribution/m extra extra-node-info/B gpu-bind gpu-freq gres-flags hint"),
    *_carried(
        "mail-type mail-user mem mem-bind mem-per-cpu mem-per-gpu mincpus network ntasks-per-core ntasks-per-gpu"
    ),
    *_carried("ntasks-per-node ntasks-per-socket open-mode power prefer profile qos/q resv-ports segment"),
    *_carried("sockets-per-node switches thread-spec threads-per-core time-min tmp tres-bind wait-all-nodes wckey"),
    *_carried("contiguous ignore-pbs no-requeue requeue oom-kill-step overcommit/O oversubscribe/s", Argument.NONE),
    *_carried("quiet/Q stepmgr use-min-nodes verbose/v", Argument.NONE),
    *_carried("no-kill/k propagate", Argument.OPTIONAL),
    _refused("partition", "csched chooses the partition; `#CSCHED --hardware=...` narrows the choice", "p"),
    _refused("clusters", "csched chooses the cluster; `#CSCHED --countries=...` narrows the choice", "M"),
    _refused("cluster-constraint", "`#CSCHED --countries=...` and --hardware narrow the choice"),
    _refused("constraint", "`#CSCHED --hardware=...` narrows the choice", "C"),
    _refused("nodelist", "nodes are chosen when the job starts; `#CSCHED --hardware=...` narrows the choice", "w"),
    _refused("exclude", "nodes are chosen when the job starts; `#CSCHED --hardware=...` narrows the choice", "x"),
    _refused("nodefile", "nodes are chosen when the job starts; leave it out", "F"),
    _refused(
        "exclusive", "ask for all GPUs of the nodes: such a job has its nodes to itself", argument=Argument.OPTIONAL
    ),
    _refused("nice", "write `#CSCHED --priority=N`", argument=Argument.OPTIONAL),
    _refused("input", "redirect it in the script: program < file", "i"),
    _refused("licenses", "csched counts no licences yet", "L"),
    _refused("gpus-per-socket", "write --gpus-per-node"),
    _refused("tres-per-task", "write --gpus-per-task"),
    _refused("bb", "burst buffers are not reached from csched; copy the data in the script"),
    _refused("bbf", "burst buffers are not reached from csched; copy the data in the script"),
    _refused("container", "start the container in the script"),
    _refused("container-id", "start the container in the script"),
    _refused("export-file", "name the variables with --export"),
    _refused("get-user-env", "name the variables with --export", argument=Argument.OPTIONAL),
    _refused("uid", "a job runs as the user who hands it in"),
    _refused("gid", "a job runs as the user who hands it in"),
    _refused("mcs-label", "say what the data are: `#CSCHED --data-class=...`"),
    _refused("reboot", "leave it out", argument=Argument.NONE),
    _refused("x11", "a batch job has no display", argument=Argument.OPTIONAL),
    _refused("wait", "write `csched wait last` after the submission", "W", Argument.NONE),
    _refused("wrap", "give it on the command line: csched submit --wrap=COMMAND"),
    _refused("test-only", "give it on the command line: csched submit --test-only SCRIPT", argument=Argument.NONE),
    _refused("parsable", "give it on the command line: csched submit --parsable SCRIPT", argument=Argument.NONE),
)

CSCHED: Final = (
    _understood("data-class", "CLASS", "public, internal, personal, special or health; unknown fails every rule."),
    _understood("tenant", "NAME", "For whom the job runs."),
    _understood("data-site", "SITE", "Where the input lies."),
    _understood("data-gb", "GB", "How much of it must move to another site."),
    _understood("countries", "CC|CC", "Countries you allow; only narrows what the rules allow."),
    _understood("hardware", "KIND|KIND", "Kinds of hardware the job can use."),
    _understood("runtime-factors", "KIND:X|KIND:X", "Times as long as stated that it takes on a kind of hardware."),
    _understood("locality", "WISH", "consolidate (few NVLink domains) or spread."),
    _understood("datasets", "NAME|NAME", "What it reads; each must allow the site."),
    _understood("data-restricted", "MARK", "none, eu_restricted, national_restricted or export_controlled."),
    _understood("purpose", "NAME", "civilian_research, civilian_industrial, public_sector or defence."),
    _understood("run-id", "NAME", "Groups the jobs that train one model."),
    _understood("outputs-kind", "KIND", "What it leaves: results, model_weights, rl_deltas or dataset."),
    _understood("outputs-return-to", "CC", "The country to which the outputs are brought."),
    _understood("outputs-retain-at-site-h", "HOURS", "How long a copy stays at the site after the end."),
    _understood("pattern", "NAME", "How ranks talk: none, dp, fsdp, tp8, pp, ep or rl."),
    _understood("load", "SHARE", "Share of the rated power the job draws.  [0.76]"),
    _understood("home-site", "SITE", "Where the job would run without csched."),
    _understood("priority", "N", "Weight among waiting jobs."),
    _understood("portable", "BOOL", "false keeps the job at its home site."),
    _understood("expected-runtime", "DURATION", "How long it will likely take: 90m, 6h, 1:30:00."),
    _understood("expected-runtime-s", "SECONDS", "The same in seconds."),
    _understood("time-limit-s", "SECONDS", "The time limit in seconds."),
    _understood("gpus", "N", "GPUs in total."),
    _understood("earliest-start", "TIME", "Not before: 2026-11-22T12:00:00Z or now+2hours."),
    _understood("deadline", "TIME", "Ended by then, for sure: 2026-11-22T18:00:00Z or now+8hours."),
    _understood("export", "NAME[=VALUE],...", "Variables the job gets, or NONE; never all of them."),
    _refused("job", "csched gives the id; --job-name names the job"),
    _refused("submit", "csched notes when a job is handed in"),
    _refused("user", "a job runs as the user who hands it in"),
)

ON_SBATCH_LINES: Final[Mapping[str, Option]] = {option.name: option for option in SBATCH}
ON_CSCHED_LINES: Final[Mapping[str, Option]] = {option.name: option for option in CSCHED}
ON_COMMAND_LINE: Final[Mapping[str, Option]] = {**ON_CSCHED_LINES, **ON_SBATCH_LINES}
