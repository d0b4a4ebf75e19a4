"""The Batch Nuclear-norm term as recipes ask for it joins the loss of classifiers and of backbones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import HEADS, LocalContext, job, losses

from talaria.store.checkpoint import weights_digest
from talaria.training.job import TrainJob
from talaria.training.loop import train


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(made: TrainJob, folder: Path) -> list[dict[str, float]]:
    """Its metrics, epoch after epoch."""
    train(made, LocalContext(folder / f"checkpoints_{Path(made.out).name}"))
    return losses(made.out)


@pytest.mark.parametrize("kind", ["classifier", "slowfast"])
def test_the_term_joins_the_loss_with_its_weight(tmp_path: Path, kind: str) -> None:
    plain = job(kind, tmp_path, "plain")
    with_term = replace(plain, out=str(tmp_path / "term"))
    if kind == "classifier":
        with_term = replace(with_term, model=replace(HEADS[kind], bnm_weight=0.5))
    else:
        with_term = replace(with_term, bnm_weight=0.5)
    first = trained(with_term, tmp_path)[0]
    assert "loss_bnm" not in trained(plain, tmp_path)[0]
    assert -1 <= first["loss_bnm"] < 0
    assert first["loss_total"] == pytest.approx(first["loss_classification"] + 0.5 * first["loss_bnm"])
    assert weights_digest(tmp_path / "plain") != weights_digest(tmp_path / "term")
