"""A video that failed and is mended later: what was trained without it is told apart, naming what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.config.loading import load_recipe
from talaria.errors import DriftError
from talaria.features.requests import done_row, failed_row
from talaria.pipeline import backbones, heads
from talaria.pipeline.session import Session
from talaria.pipeline.trainings import Training
from talaria.records import Annotation, Dataset, Video
from talaria.store.feature_store import FeatureContract, FeatureStore
from talaria.store.ledger import Ledger

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"
NOTE = (Annotation(1.0, 3.0, "jump"),)
WHOLE, MENDED = (Video(name, f"/{name}.mp4", "training", 9.0, NOTE) for name in ("whole", "mended"))
DATASET = Dataset(("jump",), (WHOLE, MENDED))
CONTRACT = FeatureContract({}, "0", 10.0, 8, 4, 24, 32, -2, "whole", "float16", "pool", 192, ("jump",))


def finish(session: Session, stage: str, trainings: list[Training]) -> None:
    """What stands for training: a finished artifact stays, another is made."""
    for training in trainings:
        if not training.artifact.finished():
            training.artifact.begin()
            training.artifact.commit()


def ledger_of(folder: Path) -> Ledger:
    """One video is done, one failed."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder)
    ledger.add(done_row(WHOLE, ledger, 9.0, 0, ""))
    ledger.add(failed_row(MENDED, ledger, "decode", "cut off", None))
    return ledger


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(backbones, "run_trainings", finish)
    monkeypatch.setattr(heads, "run_trainings", finish)
    return Session(load_recipe(MICRO), tmp_path, {})


def test_a_backbone_that_was_fine_tuned_without_it(session: Session) -> None:
    sets = backbones.clip_sets(session, DATASET)
    ledger = ledger_of(sets["slowfast"].artifact.folder)
    backbones.finetune_missing(session, sets, {})
    backbones.finetune_missing(session, sets, {})
    ledger.add(done_row(MENDED, ledger, 9.0, 0, ""))
    with pytest.raises(
        DriftError, match=r"finetune/slowfast .* failed_videos was \['mended'\], is now absent"
    ):
        backbones.finetune_missing(session, sets, {})


def test_heads_that_were_trained_without_it(session: Session, tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "features")
    store = FeatureStore(tmp_path / "features")
    store.write_contract(CONTRACT)
    heads.train_missing(session, DATASET, {"slowfast": store})
    ledger.add(failed_row(MENDED, ledger, "decode", "cut off", None))
    heads.train_missing(session, DATASET, {"slowfast": store})
    row = done_row(MENDED, ledger, 9.0, 22, "")
    ledger.add(row)
    assert row.attempts == 3
    with pytest.raises(DriftError, match=r"train/slowfast-\w+ was made with other settings: videos was"):
        heads.train_missing(session, DATASET, {"slowfast": store})
