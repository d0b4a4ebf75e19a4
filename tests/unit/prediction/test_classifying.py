"""Class logits of whole videos: from a classifier or from clips, in shards that repeat to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talaria.errors import DataError
from talaria.prediction.classifying import ClassifierPlan, read_logits, write_logits
from talaria.prediction.models import ClassLogits
from talaria.prediction.predict import Predictor, shards
from talaria.store.feature_store import FeatureStore
from talaria_models.classifier.clips import pooled_clip_logits
from unit.report.finished_run import make_run

VIDEOS = tuple(f"video-{index:02d}" for index in range(18))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with classifiers, and the features of some videos."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "made", {"tiny-one": 1.0}, {"tiny-video": 1.0})
    store = FeatureStore(folder / "features" / "tiny")
    rng = np.random.default_rng(0)
    for index, video_id in enumerate(VIDEOS):
        features_TC = rng.normal(size=(3 + index, store.contract.feature_dim)).astype(np.float16)
        store.write(video_id, features_TC, rng.normal(size=(3 + index, 3)).astype(np.float16), 2.0 + index)
    return folder


def plan(run: Path, out: Path, classifier: str | None) -> ClassifierPlan:
    trained = str(run / "train" / classifier) if classifier else None
    return ClassifierPlan(str(out), str(run / "features" / "tiny"), trained, 2, VIDEOS)


def work(made: ClassifierPlan, first_shards: int | None = None) -> None:
    """What an actor of the stage does."""
    actor = Predictor((made,))
    for path, ids in shards(made)[:first_shards]:
        listed = '["' + '", "'.join(ids) + '"]'
        actor({"plan": np.array([0]), "path": np.array([str(path)]), "videos": np.array([listed])})


def test_a_classifier_gives_what_it_gives_to_members(run: Path, tmp_path: Path) -> None:
    work(plan(run, tmp_path, "tiny-transformer"))
    store, found = FeatureStore(run / "features" / "tiny"), read_logits(tmp_path / "logits")
    own = ClassLogits(store, run / "train" / "tiny-transformer", None)
    assert tuple(sorted(found)) == VIDEOS
    with torch.inference_mode():
        for video_id in VIDEOS:
            np.testing.assert_array_equal(found[video_id], own(store.read(video_id))[0])


def test_clips_are_pooled_without_background(run: Path, tmp_path: Path) -> None:
    work(plan(run, tmp_path, None))
    found = read_logits(tmp_path / "logits")
    stored = FeatureStore(run / "features" / "tiny").read(VIDEOS[3])
    np.testing.assert_array_equal(found[VIDEOS[3]], pooled_clip_logits(stored.logits_TK, 2))


def test_shards_that_were_killed_and_made_again_are_the_same_files(run: Path, tmp_path: Path) -> None:
    whole, killed = plan(run, tmp_path / "whole", "tiny-video"), plan(run, tmp_path / "killed", "tiny-video")
    work(whole)
    work(killed, first_shards=1)
    work(killed)
    assert len(shards(whole)) == 2
    for (path, _), (other, _) in zip(shards(whole), shards(killed), strict=True):
        assert path.read_bytes() == other.read_bytes()


def test_folders_without_logits_and_damaged_shards_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no class logits"):
        read_logits(tmp_path)
    path = tmp_path / "part-00000.parquet"
    write_logits(path, [("a", np.array([1.0, -2.0], np.float32))])
    assert read_logits(tmp_path)["a"].tolist() == [1.0, -2.0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-00000\.parquet: is damaged"):
        read_logits(tmp_path)
