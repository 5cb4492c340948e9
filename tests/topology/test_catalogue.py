"""The shipped catalogue says what the contract says, and whence it knows it."""

from pathlib import Path

import pytest

from csched.domain.hardware import Hardware
from csched.domain.site import Fleet, Partition, Site
from csched.errors import InputError
from csched.formats.fleet import read_fleet
from csched.topology.catalogue import entries, hardware_of, shipped

FLEETS = Path(__file__).parents[2] / "traces" / "fleets"

# kW per GPU, GPUs a node, nodes an NVLink domain: the published contract of the arithmetic.
CONTRACT = {
    "dgx-a100": (6.5 / 8, 8, 1),
    "dgx-h100": (10.2 / 8, 8, 1),
    "dgx-h200": (10.2 / 8, 8, 1),
    "dgx-b200": (14.3 / 8, 8, 1),
    "dgx-b300": (14 / 8, 8, 1),
    "gb200-nvl72": (120 / 72, 4, 18),
    "gb300-nvl72": (132 / 72, 4, 18),
    "gh200-quad": (2.9 / 4, 4, 1),
    "leonardo-a100": (2.2 / 4, 4, 1),
    "h100-quad": (4.0 / 4, 4, 1),
    "mi250x-lumi": (2.4 / 8, 8, 1),
    "l40s-pcie": (4.0 / 8, 8, 1),
}


def one_site(key: str, **fleet: object) -> Fleet:
    site = Site(id="here", grid_zone="FR", pue=1.2, partitions=(Partition(name="gpu", hardware=key, nodes=1),))
    return Fleet.model_validate({"sites": (site,), **fleet})


def test_the_catalogue_holds_the_figures_of_the_contract():
    figures = {key: (h.kw_per_gpu, h.gpus_per_node, h.nodes_per_domain) for key, h in shipped().items()}
    assert figures == CONTRACT


def test_nvlink_is_counted_in_one_direction_and_pcie_has_none():
    assert shipped()["dgx-h100"].nvlink_gb_per_s == 450
    assert shipped()["gb300-nvl72"].nvlink_gb_per_s == 900
    assert shipped()["l40s-pcie"].nvlink_gb_per_s is None
    assert shipped()["l40s-pcie"].nvlink_graph == "pcie"


def test_embodied_carbon_is_the_gpu_and_its_share_of_the_host_over_five_years():
    embodied = shipped()["dgx-h100"].embodied_kg_per_gpu_h
    assert embodied is not None
    assert embodied.low == pytest.approx((1312 / 8 + 6000 / 8) / (5 * 8760), rel=1e-3)
    assert embodied.high == pytest.approx((575.1 + 6000 / 8) / (5 * 8760), rel=1e-3)
    assert all(h.embodied_kg_per_gpu_h and 0 < h.embodied_kg_per_gpu_h.low < h.embodied_kg_per_gpu_h.high
               for h in shipped().values())  # fmt: skip


def test_only_the_assumed_power_is_flagged():
    assert [key for key, hardware in shipped().items() if hardware.assumed] == ["h100-quad"]
    assert entries()["h100-quad"].evidence["kw_per_gpu"].confidence == "assumed"


@pytest.mark.parametrize("key", CONTRACT)
def test_every_figure_has_its_evidence(key):
    evidence = entries()[key].evidence
    assert evidence.keys() == Hardware.model_fields.keys() - {"key", "assumed", "measured"} | {"rated_kw"}
    assert all(told.source and told.as_of and told.confidence for told in evidence.values())


def test_a_fleet_gets_only_the_hardware_it_names():
    assert set(hardware_of(one_site("gh200-quad"))) == {"gh200-quad"}


def test_a_fleet_may_override_the_catalogue():
    own = shipped()["gh200-quad"].model_copy(update={"kw_per_gpu": 0.8})
    assert hardware_of(one_site("gh200-quad", hardware={"gh200-quad": own}))["gh200-quad"].kw_per_gpu == 0.8


def test_unknown_hardware_names_the_nearest_known():
    with pytest.raises(InputError) as error:
        hardware_of(one_site("dgx-h10"))
    assert str(error.value) == "sites[0].partitions[0].hardware: partition `here/gpu` has unknown hardware `dgx-h10`"
    assert error.value.hint == "did you mean `dgx-h100`?"


def test_an_own_entry_carries_one_name():
    own = shipped()["gh200-quad"]
    with pytest.raises(InputError, match="hardware `mine` calls itself `gh200-quad`"):
        hardware_of(one_site("mine", hardware={"mine": own}))


def test_the_demo_fleet_has_a_few_hundred_gpus_and_something_for_every_policy():
    fleet = read_fleet(FLEETS / "demo.yaml")
    hardware = hardware_of(fleet)
    gpus = {site.id: sum(p.gpu_count(hardware[p.hardware]) for p in site.partitions) for site in fleet.sites}
    assert gpus == {"essonne": 144, "munich": 128, "kajaani": 192, "bologna": 128}
    assert any(site.operator.compellable_by and "US" in site.operator.compellable_by for site in fleet.sites)
    assert [site.id for site in fleet.sites for cert in site.certs or () if cert.scheme == "hds"] == ["essonne"]
    assert any(site.support.countries is None for site in fleet.sites)
