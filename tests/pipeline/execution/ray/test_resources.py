"""Actors are fitted to what a cluster has."""

from __future__ import annotations

import pytest

from pipeline.config import RuntimeConfig
from pipeline.errors import ConfigurationError
from pipeline.execution.ray.resources import Placement, place

ONE_GPU = {"CPU": 16.0, "GPU": 1.0}
FOUR_GPUS = {"CPU": 32.0, "GPU": 4.0}
CPU_ONLY = {"CPU": 8.0}


@pytest.mark.parametrize(
    ("nodes", "settings", "expected"),
    [
        ([CPU_ONLY], {}, Placement(actors=1, gpus=0, cpus=8)),
        ([CPU_ONLY], {"actors": 3}, Placement(actors=3, gpus=0, cpus=2)),
        ([{"CPU": 2.0}], {"actors": 4}, Placement(actors=4, gpus=0, cpus=0.5)),
        ([CPU_ONLY], {"actors": 2, "cpus_per_actor": 1}, Placement(actors=2, gpus=0, cpus=1)),
        ([CPU_ONLY, CPU_ONLY], {}, Placement(actors=1, gpus=0, cpus=8)),
        ([ONE_GPU], {}, Placement(actors=1, gpus=1, cpus=16)),
        ([ONE_GPU], {"gpus_per_actor": 0.5}, Placement(actors=2, gpus=0.5, cpus=8)),
        ([ONE_GPU], {"device": "cpu"}, Placement(actors=1, gpus=0, cpus=16)),
        ([FOUR_GPUS, ONE_GPU, CPU_ONLY], {}, Placement(actors=5, gpus=1, cpus=8)),
        ([FOUR_GPUS], {"actors": 2}, Placement(actors=2, gpus=1, cpus=8)),
        ([FOUR_GPUS, FOUR_GPUS], {"gpus_per_actor": 4}, Placement(actors=2, gpus=4, cpus=32)),
        ([], {}, Placement(actors=1, gpus=0, cpus=1)),
    ],
)
def test_actors_share_a_cluster_equally(nodes, settings, expected) -> None:
    assert place(nodes, RuntimeConfig(**settings)) == expected


@pytest.mark.parametrize(
    ("nodes", "settings", "text"),
    [([CPU_ONLY], {"device": "cuda"}, "needs a GPU"), ([ONE_GPU], {"gpus_per_actor": 2.0}, "the largest has 1")],
)
def test_what_no_node_offers_is_refused_at_once(nodes, settings, text) -> None:
    with pytest.raises(ConfigurationError, match=text):
        place(nodes, RuntimeConfig(**settings))


def test_an_actor_computes_with_at_least_one_thread() -> None:
    assert Placement(actors=4, gpus=0, cpus=0.5).threads == 1
    assert Placement(actors=1, gpus=0, cpus=6).threads == 6
