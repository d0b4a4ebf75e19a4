"""What people see of a member: proposals judged on fit videos, its cost counted, its picture drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talaria.config.nodes import OptimSection
from talaria.config.postprocess import PostprocessConfig
from talaria.pipeline.member_facts import cost_metrics, draw_beliefs, proposal_metrics, sampled_beliefs
from talaria.pipeline.trainings import Training
from talaria.prediction.refined import RefinedPrediction
from talaria.prediction.stores import RawMeta, RawStore, write_raw
from talaria.records import Dataset
from talaria.store.artifact import Artifact
from talaria.training.job import SnippetSource, TrainJob
from talaria_models.bmn.config import BMNConfig
from talaria_models.registry import build
from unit.prediction.beliefs import CLASSES, DURATION_S, believed, made_videos, segments_frac

VIDEOS = made_videos(6)
JUDGED = tuple(replace(video, subset="testing") for video in made_videos(3, "judged"))
DATASET = Dataset(CLASSES, (*VIDEOS, *JUDGED))
CONFIG = PostprocessConfig()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RawStore:
    folder = tmp_path_factory.mktemp("raw")
    both = (*VIDEOS[1:], *JUDGED)
    ids = tuple(video.video_id for video in both)
    meta = RawMeta("m", "d", "validation+testing", ids, CLASSES, "decoded")
    write_raw(folder / "part.parquet", [believed(video) for video in both], meta)
    return RawStore(folder)


def test_only_fit_videos_that_were_predicted_are_looked_at(store: RawStore) -> None:
    beliefs, videos = sampled_beliefs(store, DATASET, "validation")
    assert [one.video_id for one in beliefs] == [video.video_id for video in videos]
    assert {video.video_id for video in videos} == {video.video_id for video in VIDEOS[1:]}


def measured(noise: float) -> dict[str, float]:
    beliefs = [believed(video, noise=noise, member="n") for video in VIDEOS]
    return proposal_metrics(beliefs, VIDEOS, CLASSES, CONFIG)


def test_better_proposals_have_a_greater_auc() -> None:
    good, bad = measured(0.0), measured(0.9)
    assert good["fit_videos"] == 6
    assert 0 < bad["fit_auc"] < good["fit_auc"] < 100
    assert 0 < bad["fit_ar_100"] <= good["fit_ar_100"] <= 1


def test_the_order_of_videos_does_not_matter() -> None:
    beliefs = [believed(video, noise=0.5) for video in reversed(VIDEOS)]
    assert proposal_metrics(beliefs, VIDEOS, CLASSES, CONFIG) == pytest.approx(
        proposal_metrics(beliefs[::-1], VIDEOS, CLASSES, CONFIG)
    )


def test_videos_without_annotations_have_no_measure_and_no_picture(tmp_path: Path) -> None:
    bare = tuple(replace(video, annotations=()) for video in VIDEOS)
    beliefs = [believed(video) for video in VIDEOS]
    assert proposal_metrics(beliefs, bare, CLASSES, CONFIG) == {}
    assert not draw_beliefs("m", beliefs, bare, CLASSES, CONFIG, tmp_path / "m.png")
    assert not (tmp_path / "m.png").exists()


def test_the_picture_is_drawn_and_is_the_same_again(tmp_path: Path) -> None:
    beliefs = [believed(video) for video in VIDEOS]
    for name in ("a.png", "b.png"):
        assert draw_beliefs("m", beliefs, VIDEOS, CLASSES, CONFIG, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_refined_proposals_are_measured_and_drawn_beside_where_they_came_from(tmp_path: Path) -> None:
    def refined(shift: float) -> list[RefinedPrediction]:
        found = []
        for video in VIDEOS:
            truth = segments_frac(video)
            offered, score = np.clip(truth + 0.1, 0, 1), np.full(len(truth), 0.9)
            segments = np.clip(truth + shift, 0, 1)
            logits = np.zeros((1, len(CLASSES)))
            found.append(
                RefinedPrediction(video.video_id, DURATION_S, offered, score, segments, score, logits)
            )
        return found

    exact, off = (proposal_metrics(refined(shift), VIDEOS, CLASSES, CONFIG) for shift in (0.0, 0.08))
    assert exact["fit_ar_100"] == pytest.approx(1)
    assert off["fit_ar_100"] < 0.9
    assert draw_beliefs("m", refined(0.0), VIDEOS, CLASSES, CONFIG, tmp_path / "m.png")


def test_a_wider_network_costs_more(tmp_path: Path) -> None:
    def cost(width: int) -> dict[str, float]:
        model = BMNConfig(num_snippets=16, hidden_dim_1d=width, hidden_dim_2d=8, hidden_dim_3d=8)
        artifact = Artifact(tmp_path / f"w{width}", "train@1", {"width": width})
        artifact.begin()
        artifact.commit()
        source = SnippetSource("", (), 16, CLASSES)
        optim = OptimSection(lr=1e-3, epochs=1, batch_size=1, micro_batch_size=1)
        job = TrainJob("m", model, {"in_channels": 12}, optim, source, 0, str(tmp_path), {})
        found = cost_metrics(Training(artifact, job, {}), [])
        with torch.device("meta"):
            expected = sum(weight.numel() for weight in build(model, in_channels=12).parameters())
        assert found["parameters"] == expected
        assert found["training_s"] >= 0
        return found

    assert cost(32)["gflop"] > cost(16)["gflop"] > 0
