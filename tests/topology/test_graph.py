"""The graph's promises: one direction, hubs are not cliques, domains are not nodes, distances are distances."""

import math
from itertools import combinations, permutations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.domain.site import Fleet, Partition, Site
from csched.topology.catalogue import shipped
from csched.topology.graph import (
    NVLINK_GB_PER_S_PER_LINK,
    Counts,
    Kind,
    Medium,
    as_document,
    bottleneck,
    connect,
    counts,
    crossings,
    group_bottleneck,
    of_kind,
    seconds_per_gb,
)
from csched.topology.site_graph import domain_graph, fleet_graph, open_domain, site_graph

QUICK = settings(max_examples=40, deadline=None)

# GB/s in one direction for each GPU, and NVIDIA's headline that counts both.
HEADLINES = {"dgx-a100": 600, "dgx-h100": 900, "dgx-h200": 900, "dgx-b200": 1800, "gb300-nvl72": 1800}
GENERATIONS = {"dgx-a100": (3, 12), "dgx-h100": (4, 18), "dgx-b200": (5, 18), "gb200-nvl72": (5, 18)}


def site(**sizes: int) -> Site:
    """`site(dgx_b200=64)`: one partition of that many nodes, or for racks of that many domains."""
    partitions = []
    for key, size in sizes.items():
        name = key.replace("_", "-")
        racks = shipped()[name].nodes_per_domain > 1
        partitions.append(
            Partition.model_validate({"name": key, "hardware": name, "domains" if racks else "nodes": size})
        )
    return Site(id="here", grid_zone="FR", pue=1.2, partitions=tuple(partitions))


@pytest.mark.parametrize(("key", "headline"), HEADLINES.items())
def test_bandwidths_count_one_direction_not_both(key, headline):
    graph = domain_graph(shipped()[key], "d")
    for gpu in of_kind(graph, Kind.GPU):
        outward = sum(
            facts["gb_per_s"] for *_, facts in graph.edges(gpu, data=True) if facts["medium"] == Medium.NVLINK
        )
        assert outward == headline / 2


@pytest.mark.parametrize(("key", "made_of"), GENERATIONS.items())
def test_links_times_their_one_way_speed_are_the_catalogues_bandwidth(key, made_of):
    generation, links = made_of
    assert links * NVLINK_GB_PER_S_PER_LINK[generation] == shipped()[key].nvlink_gb_per_s


def test_nvswitch_is_one_hub_and_not_a_clique():
    graph = domain_graph(shipped()["dgx-h100"], "d")
    hub = "d/nvswitch"
    assert graph.degree(hub) == 8
    assert not any(graph.has_edge(*pair) for pair in combinations(of_kind(graph, Kind.GPU), 2))
    nvlink = sum(facts["gb_per_s"] for *_, facts in graph.edges(data=True) if facts["medium"] == Medium.NVLINK)
    assert nvlink == 8 * 450, "a clique of the 28 pairs would promise seven times as much"


def test_a_quad_without_switch_has_real_pair_edges_of_a_third():
    graph = domain_graph(shipped()["gh200-quad"], "d")
    pairs = [graph.edges[pair]["gb_per_s"] for pair in combinations(of_kind(graph, Kind.GPU), 2)]
    assert pairs == [150.0] * 6
    assert bottleneck(graph, "d/g0", "d/g3").gb_per_s == 150


def test_an_nvl72_rack_is_one_domain_of_eighteen_nodes():
    graph = domain_graph(shipped()["gb300-nvl72"], "rack")
    assert counts(graph) == Counts(gpus=72, nics=72, switches=0, nodes=18, domains=1)
    assert bottleneck(graph, "rack-n01/g0", "rack-n18/g3").gb_per_s == 900


def test_pcie_carries_what_nvlink_does_not():
    graph = domain_graph(shipped()["l40s-pcie"], "d")
    slowest = bottleneck(graph, "d/g0", "d/g7")
    assert (slowest.gb_per_s, slowest.medium) == (32, Medium.PCIE)


def test_two_gpus_of_a_lumi_module_share_a_nic():
    graph = domain_graph(shipped()["mi250x-lumi"], "d")
    assert counts(graph).nics == 4
    assert graph.nodes["d/nic0"]["gb_per_s"] == 2 * 12.5
    assert graph.edges["d/g0", "d/g1"]["gb_per_s"] == 200
    assert graph.edges["d/g1", "d/g2"]["gb_per_s"] == 50


# Leaves, spines and cores as NVIDIA's SuperPOD pages print them for B200 and B300.
@pytest.mark.parametrize(
    ("key", "nodes", "tiers"),
    [
        ("dgx_b200", 64, {"leaf": 16, "spine": 8}),
        ("dgx_b300", 72, {"leaf": 8, "spine": 4}),
        ("dgx_b200", 512, {"leaf": 128, "spine": 128, "core": 64}),
    ],
)
def test_the_fabric_is_as_large_as_a_superpod_says(key, nodes, tiers):
    graph = site_graph(site(**{key: nodes}), shipped())
    found: dict[str, int] = {}
    for switch in of_kind(graph, Kind.SWITCH):
        facts = graph.nodes[switch]
        found[facts["tier"]] = found.get(facts["tier"], 0) + facts["switches"]
    assert found == tiers


def test_the_fabric_is_non_blocking():
    graph = site_graph(site(dgx_b200=512), shipped())
    up = sum(
        graph.edges[leaf, "here/dgx_b200/spine"]["gb_per_s"]
        for leaf in graph.adj["here/dgx_b200/spine"]
        if "leaf" in leaf
    )
    assert up == 512 * 8 * 50


def test_a_site_of_eighteen_thousand_gpus_stays_a_few_hundred_vertices():
    graph = site_graph(site(gb300_nvl72=250), shipped())
    assert counts(graph).gpus == 18_000
    assert counts(graph).domains == 250
    assert graph.number_of_nodes() < 1000


def test_the_last_domain_of_a_partition_may_be_partly_built():
    partition = Partition(name="p", hardware="gb200-nvl72", nodes=20)
    graph = site_graph(Site(id="here", grid_zone="FR", pue=1.2, partitions=(partition,)), shipped())
    assert [graph.nodes[name]["nodes"] for name in of_kind(graph, Kind.DOMAIN)] == [18, 2]


def test_opening_a_domain_changes_no_count():
    hardware = shipped()
    closed = site_graph(site(gb300_nvl72=3), hardware)
    opened = open_domain(closed, "here/gb300_nvl72-d002", hardware["gb300-nvl72"])
    assert counts(opened) == counts(closed)
    leaf = "here/gb300_nvl72/leaf0.2"
    assert opened.has_edge("here/gb300_nvl72-d002-n06/nic2", leaf), "rail 2 lies on leaf 2"
    with pytest.raises(KeyError):
        open_domain(closed, "here/gb300_nvl72-d009", hardware["gb300-nvl72"])


def test_across_domains_the_fabric_is_the_bottleneck():
    hardware = shipped()["dgx-h100"]
    graph = site_graph(site(dgx_h100=2), shipped())
    for domain in ("here/dgx_h100-n0001", "here/dgx_h100-n0002"):
        graph = open_domain(graph, domain, hardware)
    inside = [f"here/dgx_h100-n0001/g{position}" for position in range(8)]
    assert group_bottleneck(graph, inside).gb_per_s == 450
    slowest = group_bottleneck(graph, [*inside[:7], "here/dgx_h100-n0002/g7"])
    assert (slowest.gb_per_s, slowest.medium) == (50, Medium.FABRIC)
    assert crossings(graph, [*inside[:6], "here/dgx_h100-n0002/g7", "here/dgx_h100-n0002/g0"]) == {
        "here/dgx_h100-n0001": 6,
        "here/dgx_h100-n0002": 2,
    }


def test_sites_are_joined_by_wan_links_in_bytes():
    fleet = Fleet.model_validate(
        {
            "sites": [
                {
                    "id": name,
                    "grid_zone": "FR",
                    "pue": 1.2,
                    "partitions": [{"name": "p", "hardware": "dgx-h100", "nodes": 1}],
                }
                for name in ("north", "south")
            ],
            "links": [{"between": ["north", "south"], "gbit_per_s": 100}],
        }
    )
    slowest = bottleneck(fleet_graph(fleet), "north", "south")
    assert (slowest.gb_per_s, slowest.medium) == (12.5, Medium.WAN)


def test_the_document_is_read_back_by_networkx():
    graph = domain_graph(shipped()["dgx-b200"], "d")
    again = nx.node_link_graph(as_document(graph), edges="edges")
    assert nx.utils.graphs_equal(graph, again)


def test_a_bandwidth_of_nothing_is_refused():
    graph = nx.Graph()
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="GB/s"):
            connect(graph, "a", "b", Medium.NVLINK, wrong)


@st.composite
def graphs(draw):
    """Connected graphs of three to seven vertices."""
    size = draw(st.integers(3, 7))
    names = [f"v{number}" for number in range(size)]
    graph = nx.Graph()
    for number, name in enumerate(names):
        graph.add_node(name, kind=Kind.GPU.value, node="n", domain="d")
        if number:
            connect(graph, name, draw(st.sampled_from(names[:number])), Medium.NVLINK, draw(st.floats(1, 1000)))
    for one, other in draw(st.lists(st.sampled_from(list(combinations(names, 2))), max_size=6, unique=True)):
        if not graph.has_edge(one, other):
            connect(graph, one, other, Medium.PCIE, draw(st.floats(1, 1000)))
    return graph


@QUICK
@given(graphs())
def test_transfer_time_is_a_metric(graph):
    for one, other, third in permutations(list(graph)[:5], 3):
        assert seconds_per_gb(graph, one, one) == 0
        assert seconds_per_gb(graph, one, other) > 0
        assert seconds_per_gb(graph, one, other) == pytest.approx(seconds_per_gb(graph, other, one))
        through = seconds_per_gb(graph, one, third) + seconds_per_gb(graph, third, other)
        assert seconds_per_gb(graph, one, other) <= through * (1 + 1e-12)


@QUICK
@given(graphs())
def test_the_widest_path_is_never_narrower_than_a_detour(graph):
    for one, other, third in permutations(list(graph)[:5], 3):
        detour = min(bottleneck(graph, one, third).gb_per_s, bottleneck(graph, third, other).gb_per_s)
        assert bottleneck(graph, one, other).gb_per_s >= detour
        assert bottleneck(graph, one, other) == bottleneck(graph, other, one)


@QUICK
@given(graphs(), st.data())
def test_a_groups_bottleneck_does_not_depend_on_the_order(graph, data):
    members = data.draw(st.lists(st.sampled_from(list(graph)), min_size=2, unique=True))
    shuffled = data.draw(st.permutations(members))
    assert group_bottleneck(graph, members).gb_per_s == group_bottleneck(graph, shuffled).gb_per_s
    worst = min(bottleneck(graph, *pair).gb_per_s for pair in combinations(members, 2))
    assert group_bottleneck(graph, members).gb_per_s == worst


@QUICK
@given(graphs(), st.data())
def test_more_bandwidth_never_narrows_a_path_or_slows_a_transfer(graph, data):
    one, other = data.draw(st.sampled_from(list(graph.edges)))
    before = {
        pair: (bottleneck(graph, *pair).gb_per_s, seconds_per_gb(graph, *pair)) for pair in combinations(graph, 2)
    }
    connect(graph, one, other, Medium(graph.edges[one, other]["medium"]), data.draw(st.floats(1, 1000)))
    for pair, (gb_per_s, seconds) in before.items():
        assert bottleneck(graph, *pair).gb_per_s >= gb_per_s
        assert seconds_per_gb(graph, *pair) <= seconds


def test_a_vertex_that_is_not_there_is_an_error():
    graph = domain_graph(shipped()["dgx-h100"], "d")
    with pytest.raises(KeyError):
        bottleneck(graph, "d/g0", "elsewhere")
    with pytest.raises(KeyError):
        seconds_per_gb(graph, "elsewhere", "d/g0")
