"""Two gloo processes take the steps of one: the promise behind Ray Train's workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp

from talaria.store.checkpoint import load_model
from talaria.training.loop import train
from unit.training.tiny_training import HEADS, LocalContext, curve, job, work_as


def test_two_workers_train_like_one(tmp_path: Path) -> None:
    alone = [job(kind, tmp_path, f"alone_{kind}") for kind in HEADS]
    together = [replace(made, out=str(tmp_path / f"together_{made.name}")) for made in alone]
    (tmp_path / "checkpoints").mkdir()
    mp.spawn(work_as, (2, str(tmp_path / "meeting"), together, str(tmp_path / "checkpoints")), nprocs=2)
    for one, two in zip(alone, together, strict=True):
        train(one, LocalContext(tmp_path / f"checkpoints_{one.name}"))
        np.testing.assert_allclose(curve(two), curve(one), rtol=0, atol=1e-4)
        model, other = (load_model(Path(made.out))[0].state_dict() for made in (one, two))
        for key, tensor in model.items():
            torch.testing.assert_close(other[key], tensor, rtol=0, atol=1e-3)
