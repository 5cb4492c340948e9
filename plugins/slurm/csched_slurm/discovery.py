"""What a site's Slurm can do, asked of it, beside what the fleet file says of the site."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from csched.domain.base import Value
from csched.domain.hardware import Hardware
from csched.domain.site import Site
from csched_slurm.cluster import ClusterFacts, NodeState, PartitionLimits
from csched_slurm.transport import Answer, Failed, Observer

T = TypeVar("T")

LARGEST_SKEW_S = 5
"""Tokens and planned starts live by the clock."""


class Discovery(Value):
    """What one cluster answered. A part that it did not answer is None and named in `remarks`."""

    site: str
    cluster: str
    facts: ClusterFacts | None = None
    partitions: tuple[PartitionLimits, ...] | None = None
    nodes: tuple[NodeState, ...] | None = None
    accounts: frozenset[str] | None = None
    remarks: tuple[str, ...] = ()
    """What csched cannot do there, or what differs from the fleet file."""


def discover(site: Site, cluster: str, observer: Observer, hardware: Mapping[str, Hardware]) -> Discovery:
    facts, partitions, nodes = observer.facts(), observer.partitions(), observer.nodes()
    associations = observer.associations()
    answers = {"facts": facts, "partitions": partitions, "nodes": nodes, "associations": associations}
    silent: dict[str, list[str]] = {}
    for part, answer in answers.items():
        if isinstance(answer, Failed):
            silent.setdefault(answer.why, []).append(part)
    found = Discovery(
        site=site.id,
        cluster=cluster,
        facts=_known(facts),
        partitions=_known(partitions),
        nodes=_known(nodes),
        accounts=None if isinstance(associations, Failed) else frozenset(one.account for one in associations.value),
    )
    return found.model_copy(update={"remarks": (*_unanswered(silent), *_remarks(site, found, hardware))})


def _unanswered(silent: Mapping[str, list[str]]) -> Iterator[str]:
    for why, parts in silent.items():
        yield f"no answer on {', '.join(parts)}: {why}"


def _known(answer: Answer[T]) -> T | None:
    return None if isinstance(answer, Failed) else answer.value


def _remarks(site: Site, found: Discovery, hardware: Mapping[str, Hardware]) -> Iterator[str]:
    if found.facts is not None:
        yield from _remarks_on(found.facts, found.cluster)
    if found.partitions is not None and found.nodes is not None:
        yield from _differences(site, found.partitions, found.nodes, hardware)


def _remarks_on(facts: ClusterFacts, cluster: str) -> Iterator[str]:
    if facts.cluster != cluster:
        yield f"the cluster calls itself `{facts.cluster}`"
    if not facts.api_tested:
        yield f"csched was not tested with the API {facts.api}, and only looks"
    if facts.gate is False:
        yield "csched's gate does not answer in job_submit.lua"
    if facts.private_data:
        yield f"PrivateData hides {', '.join(sorted(facts.private_data))}: the load of others is unknown"
    if facts.accounting_enforced is not None and "associations" not in facts.accounting_enforced:
        yield "AccountingStorageEnforce is without `associations`: Slurm runs jobs of unknown accounts"
    if facts.clock_skew_s is not None and abs(facts.clock_skew_s) > LARGEST_SKEW_S:
        yield f"its clock is {abs(facts.clock_skew_s):.0f} s {'ahead' if facts.clock_skew_s > 0 else 'behind'}"


def _differences(
    site: Site,
    partitions: tuple[PartitionLimits, ...],
    nodes: tuple[NodeState, ...],
    hardware: Mapping[str, Hardware],
) -> Iterator[str]:
    real = {partition.name: partition for partition in partitions}
    gpus = {node.name: node.gpus for node in nodes}
    for partition in site.partitions:
        if partition.name not in real:
            yield f"partition `{partition.name}` is not there"
            continue
        there = sum(gpus.get(name, 0) for name in real[partition.name].nodes)
        said = partition.gpu_count(hardware[partition.hardware])
        if there != said:
            yield f"partition `{partition.name}` has {there:,} GPUs, the fleet file says {said:,}"
