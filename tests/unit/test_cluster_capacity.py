"""A cluster that cannot hold the work is refused before Ray waits for ever."""

from __future__ import annotations

import socket
import time

import pytest

from talaria.cluster.connect import Capacity, checked, connected
from talaria.config.schema import ResourcesSection
from talaria.errors import ConfigError


@pytest.mark.parametrize(
    ("cpus", "gpus", "asked", "sentences"),
    [
        (2, 0, {}, []),
        (2, 0, {"train_workers": 2}, []),
        (2, 0, {"train_workers": 2, "gpus_per_worker": 8}, []),
        (4, 4, {"train_workers": 4}, []),
        (
            2,
            0,
            {"train_workers": 3},
            ["has 2 CPUs; 3 are needed by resources.train_workers (3) x resources.cpus_per_worker (1)"],
        ),
        (
            1,
            1,
            {"train_workers": 2},
            [
                "has 1 CPUs; 2 are needed by resources.train_workers (2) x resources.cpus_per_worker (1)",
                "has 1 GPUs; 2 are needed by resources.train_workers (2) x resources.gpus_per_worker (1)",
            ],
        ),
    ],
)
def test_what_falls_short_is_named(
    cpus: float, gpus: float, asked: dict[str, float], sentences: list[str]
) -> None:
    found = Capacity(cpus, gpus, nodes=1)
    resources = ResourcesSection.model_validate(asked)
    if not sentences:
        assert checked(found, resources) == found
        return
    with pytest.raises(ConfigError) as caught:
        checked(found, resources)
    assert list(caught.value.problems) == [
        f"the cluster {text}; lower these or add nodes" for text in sentences
    ]


def test_an_address_where_nothing_listens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    began_s = time.monotonic()
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS: no cluster answers at {address} "):  # noqa: SIM117
        with connected(ResourcesSection(), {}):
            pass
    assert time.monotonic() - began_s < 30
