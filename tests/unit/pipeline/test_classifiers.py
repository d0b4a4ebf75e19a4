"""Which classifiers form an ensemble, what they need, and what people and MLflow are shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from talaria.config.fingerprint import plain
from talaria.errors import ConfigError
from talaria.pipeline.classifiers import (
    classified_videos,
    classifier_metrics,
    classifiers_made_from,
    classify_missing,
)
from talaria.pipeline.graph import classifier_members, own_classifier
from talaria.pipeline.heads import TrainedHeads
from talaria.pipeline.session import Session
from talaria.pipeline.summary import show_summary
from talaria.records import Dataset
from talaria.store.feature_store import FeatureStore
from talaria.store.files import write_json
from unit.report.finished_run import config_of, make_run

FOUND = {
    "members": [
        {"name": "tiny-video", "top_1": 0.7, "weight": 1.25},
        {"name": "tiny-clips", "top_1": 0.6, "weight": 0.0},
    ],
    "best_top_1": 0.7,
    "equal_top_1": 0.65,
    "learned_top_1": 0.75,
    "choice": "learned",
    "log_losses": {"equal": 0.9, "single": 0.8, "learned": 0.7},
}


def test_an_ensemble_has_every_classifier_and_the_clips_of_every_backbone() -> None:
    several, one = config_of("several", several=True), config_of("one")
    assert [h.name for h in classifier_members(several)] == ["tiny-video", "tiny-transformer", "tiny-clips"]
    assert classifier_members(one) == []
    for config in (several, one):
        own = own_classifier(config, "tiny")
        assert own is not None
        assert own.name == "tiny-video"


def test_one_classifier_is_no_ensemble(tmp_path: Path) -> None:
    session, dataset = Session(config_of("one"), tmp_path, {}), Dataset(("jump",), ())
    classify_missing(session, dataset, {}, TrainedHeads({}, {}))
    assert classifiers_made_from(session) == []
    assert classified_videos(session, dataset) is None
    assert not session.worked


def test_classifiers_that_classified_nothing_yet_are_all_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        classifiers_made_from(Session(config_of("several", several=True), tmp_path, {}))
    assert [line.split(":")[0].rsplit("/", 1)[1] for line in caught.value.problems] == [
        "tiny-video", "tiny-transformer", "tiny-clips",
    ]  # fmt: skip
    assert all("run jobs/predict.py" in line for line in caught.value.problems)


def test_clip_scores_of_other_classes_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "several", {"tiny-one": 1.0}, {"tiny-video": 1.0})
    stores = {"tiny": FeatureStore(run / "features" / "tiny")}
    session = Session(config_of("several", several=True), tmp_path, {})
    with pytest.raises(ConfigError, match=r"ensemble.clip_logits: backbone 'tiny' tells 2 classes apart"):
        classify_missing(session, Dataset(("swim", "walk", "yawn"), ()), stores, TrainedHeads({}, {}))
    assert not session.worked


def test_metrics_are_those_of_the_ensemble_and_of_each() -> None:
    whole, each = classifier_metrics({"classifiers": FOUND})
    assert whole == {
        "classifiers_best_top_1": 0.7, "classifiers_equal_top_1": 0.65, "classifiers_learned_top_1": 0.75,
    }  # fmt: skip
    assert each == {
        "top_1.tiny-video": 0.7, "top_1.tiny-clips": 0.6, "weight.tiny-video": 1.25, "weight.tiny-clips": 0.0,
    }  # fmt: skip
    assert classifier_metrics({}) == ({}, {})


@pytest.mark.parametrize(("choice", "row"), [("learned", "learned weights"), ("single", "(one model)")])
def test_the_table_shows_classifiers_only_where_they_form_an_ensemble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: str, row: str
) -> None:
    member = {
        "name": "tiny-one", "average_map": 0.5, "map_at_50": 0.6, "weight": 1.0, "leave_one_out": 0.5,
    }  # fmt: skip
    scores = dict.fromkeys(
        ("best_member_map", "equal_weights_map", "learned_weights_map", "learned_map_at_50"), 0.5
    )
    summary = {
        "run": "one", "subset": "testing", "members": [member], "weights": {"tiny-one": 1.0}, **scores,
        "way": "equal", "failed_videos": [], "seconds": {}, "detections": "", "tracking_uri": "",
    }  # fmt: skip
    session = Session(config_of("one"), tmp_path, {})
    write_json(session.folder / "summary.json", plain(summary))
    show_summary(session)
    assert "top-1" not in capsys.readouterr().out
    write_json(session.folder / "summary.json", {**summary, "classifiers": {**FOUND, "choice": choice}})
    show_summary(session)
    said = capsys.readouterr().out
    assert "tiny-clips" in said
    assert "1.250" in said
    assert row in said
