"""What a cluster is set to: `scontrol show config`."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from csched_slurm.cluster import ClusterFacts
from csched_slurm.parsing.fields import Unreadable, instant, text, whole, words

_LINE: Final = re.compile(r"([A-Za-z_]+(?:\[\d+\])?)\s*= ?(.*)")
_AS_OF: Final = re.compile(r"Configuration data as of (\S+)")


def read_printed_facts(printed: str, now: datetime) -> ClusterFacts:
    """`now` is this machine's clock when the answer came; Slurm tells its own to the second.

    Raises:
        Unreadable: no configuration.
    """
    matches = filter(None, (_LINE.fullmatch(line.strip()) for line in printed.splitlines()))
    settings = {match[1]: match[2] for match in matches}
    if "SLURM_VERSION" not in settings:
        raise Unreadable("the answer is not Slurm's configuration")
    return ClusterFacts(
        cluster=text(settings.get("ClusterName", "").lower()),
        version=settings["SLURM_VERSION"],
        api="cli",
        topology_plugin=text(settings.get("TopologyPlugin")),
        gres_types=frozenset(words(settings.get("GresTypes"))),
        private_data=frozenset(words(settings.get("PrivateData"))) - {"none"},
        job_submit_plugins=words(settings.get("JobSubmitPlugins")),
        accounting_enforced=frozenset(words(settings.get("AccountingStorageEnforce"))) - {"none"},
        message_timeout_s=_seconds(settings, "MessageTimeout"),
        min_job_age_s=_seconds(settings, "MinJobAge"),
        kill_wait_s=_seconds(settings, "KillWait"),
        max_array_size=whole(settings.get("MaxArraySize")),
        clock_skew_s=_skew(printed, now),
    )


def _seconds(settings: Mapping[str, str], name: str) -> int | None:
    """`10 sec` as 10."""
    return whole(settings.get(name, "").partition(" ")[0])


def _skew(printed: str, now: datetime) -> float | None:
    match = _AS_OF.search(printed)
    told = instant(match[1]) if match else None
    return None if told is None else (told - now).total_seconds()
