"""What a job says of its model and its parallel degrees, and what that asks of NVLink domains."""

import pytest
from pydantic import ValidationError

from csched.testing.builders import RACK, job
from csched.topology.catalogue import shipped
from csched.topology.packing import Request, Room, domains_hold, pack
from csched.topology.workload import DEEPSEEK_V3, LLAMA_70B, asked_workload, group_of, workload_of


def test_a_pattern_alone_is_a_published_model_and_degrees_go_before_it():
    plain = job(gpus=16, pattern="tp8")
    assert asked_workload(plain) == workload_of(plain.pattern, 16)
    split = asked_workload(job(gpus=16, pattern="tp8", tensor_parallel=4))
    assert split is not None
    assert (split.model, split.degrees.tensor, split.degrees.data) == (LLAMA_70B, 4, 4)
    assert asked_workload(job(gpus=8)) is None


def test_a_model_of_a_known_size_has_the_shape_of_a_transformer_of_that_size():
    found = asked_workload(job(gpus=64, model_params_b=70, tensor_parallel=8, pipeline_parallel=2))
    assert found is not None
    assert (found.degrees.tensor, found.degrees.pipeline, found.degrees.data) == (8, 2, 4)
    assert 12 * found.model.layers * found.model.hidden**2 == pytest.approx(70e9, rel=0.05)
    assert found.model.hidden == pytest.approx(LLAMA_70B.hidden, rel=0.15)


def test_experts_make_groups_of_tensor_times_expert_and_sparse_models():
    found = asked_workload(job(gpus=64, expert_parallel=8, tensor_parallel=2, model_params_b=671))
    assert group_of(found) == 16
    assert found is not None
    assert found.model.active_parameters == pytest.approx(DEEPSEEK_V3.active_parameters)


@pytest.mark.parametrize(
    "columns",
    [
        {"tensor_parallel": 3},
        {"tensor_parallel": 4, "pipeline_parallel": 4},
        {"expert_parallel": 16},
        {"tensor_parallel": 0},
        {"model_params_b": 0},
        {"tensor_parallel": 2, "components": [{"gpus": 4}, {"gpus": 4}]},
    ],
)
def test_degrees_that_do_not_divide_the_gpus_are_refused(columns):
    with pytest.raises(ValidationError):
        job(gpus=8, **columns)


@pytest.mark.parametrize("hardware", [RACK.model_copy(update={"nodes_per_domain": 3}), shipped()["gh200-quad"]])
@pytest.mark.parametrize("spare", [0, 1])
def test_what_empty_domains_hold_is_what_packing_finds(hardware, spare):
    for nodes in range(1, 8):
        room = Room.empty(hardware, nodes, spare)
        for gpus in range(4, 4 * nodes + 5, 4):
            for group in (2, 4, 8, 12, 16):
                found = pack([Request("a", gpus, group=group)], room)
                assert domains_hold(hardware, nodes, spare, gpus, group) is not bool(found.left), (nodes, gpus, group)
