"""Scores of files: right numbers, honest notes, one sentence for what is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from talaria.errors import ConfigError, DataError
from talaria.log import console
from talaria.report.judging import Question, judge
from talaria.report.scores import (
    ClassificationScores,
    ComparisonScores,
    DetectionScores,
    ProposalScores,
    Scores,
    write_scores,
)
from talaria.report.tables import scores_tables
from unit.report.scored_files import DATABASE, PERFECT, annotations, job, predictions, row


def detection(
    folder: Path, results: dict[str, Any], subset: str = "validation", tiou: tuple[float, ...] = ()
) -> DetectionScores:
    scores = judge("detection", Question(annotations(folder), predictions(folder, results), subset, tiou))
    assert isinstance(scores, DetectionScores)
    return scores


def proposals(folder: Path, results: dict[str, Any]) -> ProposalScores:
    scores = judge("proposals", Question(annotations(folder), predictions(folder, results), "validation"))
    assert isinstance(scores, ProposalScores)
    return scores


def text_of(scores: Scores, *names: str) -> str:
    with console.capture() as captured:
        for table in scores_tables(scores, names or ("mine.json",)):
            console.print(table)
    return captured.get()


def test_the_truth_itself_scores_one(tmp_path: Path) -> None:
    scores = detection(tmp_path, PERFECT).as_json()
    assert scores["average_map"] == 1.0
    assert scores["map_at_tiou"] == [1.0] * 10
    assert scores["per_class_ap"] == {"jump": [1.0] * 10, "run": [1.0] * 10}


def test_scores_follow_the_order_of_the_thresholds(tmp_path: Path) -> None:
    half = {"a": [row(0, 6, 0.9), row(12, 16, 0.8, "run")], "b": [row(5, 15, 0.8)]}
    scores = detection(tmp_path, half, tiou=(0.75, 0.5)).as_json()
    assert scores["tiou"] == [0.75, 0.5]
    assert scores["per_class_ap"]["run"] == [1.0, 1.0]
    assert scores["per_class_ap"]["jump"] == pytest.approx([0.25, 1.0])
    assert scores["map_at_tiou"] == pytest.approx([0.625, 1.0])
    assert scores["average_map"] == pytest.approx(0.8125)


def test_a_class_of_another_subset_is_known_but_not_scored(tmp_path: Path) -> None:
    scores = detection(tmp_path, {**PERFECT, "a": [*PERFECT["a"], row(1, 2, 0.9, "swim")]}).as_json()
    assert set(scores["per_class_ap"]) == {"jump", "run"}
    assert scores["average_map"] == 1.0


def test_other_videos_count_against_and_are_mentioned(tmp_path: Path) -> None:
    scores = detection(tmp_path, {"c": [row(5, 15, 0.99)], "a": PERFECT["a"]})
    assert scores.as_json()["per_class_ap"]["jump"][0] < 0.5
    assert any("1 of 3 rows are of videos outside the subset" in note for note in scores.notes)
    assert any("nothing for 1 of 2 videos" in note for note in scores.notes)


def test_proposals_need_no_labels_and_known_ones_are_not_asked_for(tmp_path: Path) -> None:
    bare = {"segment": [0, 10], "score": 0.9}
    scores = proposals(tmp_path, {"a": [bare, row(12, 16, 0.8, "whatever")], "b": [row(5, 15, 0.5)]})
    assert scores.as_json()["auc"] > 50
    assert scores.as_json()["ar_at_an"]["100"] == 1.0
    assert set(scores.as_json()["ar_at_an"]) == {"1", "5", "10", "100"}
    assert len(scores.as_json()["curve"]["average_recall"]) == 100


def test_the_table_names_best_and_worst_classes(tmp_path: Path) -> None:
    labels = [f"class{number:02d}" for number in range(14)]
    database = {
        f"v{i}": {"duration": 9, "subset": "testing", "annotations": [{"segment": [0, 5], "label": label}]}
        for i, label in enumerate(labels)
    }
    results = {f"v{i}": [row(0, 5, 0.5, label)] for i, label in enumerate(labels[:12])}
    path = annotations(tmp_path, database)
    scores = judge("detection", Question(path, predictions(tmp_path, results), "testing"))
    text = text_of(scores)
    assert "14 videos, 14 segments" in text
    assert "85.71" in text.splitlines()[4]  # 12 of 14 classes found
    assert "best: class00" in text
    assert [line.split()[2] for line in text.splitlines() if "worst" in line][-2:] == ["class12", "class13"]


def test_labels_with_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    label = "[bold]kick[/bold]"
    database = {
        "v": {"duration": 9, "subset": "testing", "annotations": [{"segment": [0, 5], "label": label}]}
    }
    asked = Question(annotations(tmp_path, database), predictions(tmp_path, {}), "testing")
    scores = judge("detection", asked)
    assert label in text_of(scores)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ({"a": [row(0, 10, float("nan"))]}, "score is nan"),
        ({"a": [row(10, 0, 0.5)]}, "expected an end at or after the start"),
        ({"a": [row(0, 10, 0.5, "jmup")]}, "'jmup' is not a class of the dataset"),
        ({"a": {"segment": [0, 10]}}, "expected a list of detections"),
    ],
)
def test_bad_predictions_are_told_with_file_and_video(
    tmp_path: Path, results: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError) as caught:
        detection(tmp_path, results)
    (sentence,) = caught.value.problems
    assert "predictions.json" in sentence
    assert "'a'" in sentence
    assert told in sentence


def test_a_subset_without_truth_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no video in subset 'test' \(--subset\); found training, validation"
    ):
        detection(tmp_path, PERFECT, subset="test")
    bare = {**DATABASE, "d": {"duration": 3, "subset": "testing", "annotations": []}}
    with pytest.raises(DataError, match="no annotated segment in subset 'testing'"):
        judge("detection", Question(annotations(tmp_path, bare), predictions(tmp_path, PERFECT), "testing"))


def test_either_spelling_of_a_subset_is_understood(tmp_path: Path) -> None:
    assert detection(tmp_path, PERFECT, subset="Val").as_json()["subset"] == "validation"


def test_labels_of_whole_videos_are_scored_with_times_or_without(tmp_path: Path) -> None:
    database = {**DATABASE, "d": {"subset": "validation", "labels": ["swim"]}}
    results = {
        "a": [{"label": "jump", "score": 0.6}, {"label": "run", "score": 0.3}],
        "b": [{"label": "run", "score": 0.9}, {"label": "jump", "score": 0.1}],
        "d": [{"label": "swim", "score": 0.5}],
    }
    path = annotations(tmp_path, database)
    question = Question(path, predictions(tmp_path, results), "validation", top_k=(1, 2))
    scores = judge("classification", question)
    assert isinstance(scores, ClassificationScores)
    content = scores.as_json()
    assert content["top_k"] == pytest.approx({"1": 2 / 3, "2": 1.0})
    assert content["per_class_ap"]["swim"] == 1.0
    assert content["per_class_ap"]["run"] == pytest.approx(0.5)
    assert "top-2" in text_of(scores)


def test_mistakes_are_sorted_and_drawn(tmp_path: Path) -> None:
    results = {**PERFECT, "b": [row(5, 15, 0.9, "run"), row(20, 25, 0.8)]}
    scores = judge("errors", Question(annotations(tmp_path), predictions(tmp_path, results), "validation"))
    content = scores.as_json()
    assert content["false_positives"]["counts"]["wrong_label"] == [1] * 10
    assert content["false_positives"]["counts"]["background"] == [1] * 10
    assert scores.metrics()["gained_without_wrong_label"] >= 0
    assert "wrong label" in text_of(scores)


def test_two_files_are_compared_with_an_interval(tmp_path: Path) -> None:
    worse = tmp_path / "worse.json"
    predictions(tmp_path, {"a": PERFECT["a"]}).rename(worse)
    question = Question(
        annotations(tmp_path),
        predictions(tmp_path, PERFECT),
        "validation",
        against=worse,
        num_resamples=50,
    )
    scores = judge("compare", question)
    assert isinstance(scores, ComparisonScores)
    assert "worse.json" in text_of(scores, "mine.json", "worse.json")
    assert json.dumps(scores.as_json(), allow_nan=False)


def test_thumos_rules_leave_ambiguous_stretches_out(tmp_path: Path) -> None:
    database: dict[str, Any] = {
        "video_test_0000001": {
            "duration": 30,
            "subset": "Test",
            "annotations": [
                {"segment": [0, 10], "label": "Dive"},
                {"segment": [20, 25], "label": "Ambiguous"},
            ],
        }
    }
    results = {"video_test_0000001": [row(19, 24, 0.9, "Dive"), row(0, 10, 0.8, "Dive")]}
    path, found = annotations(tmp_path, database), predictions(tmp_path, results)
    scores = judge("detection", Question(path, found, "test", rules="thumos14"))
    assert scores.as_json()["tiou"] == [0.3, 0.4, 0.5, 0.6, 0.7]
    assert scores.as_json()["average_map"] == 1.0


@pytest.mark.parametrize(
    ("task", "changed", "told"),
    [
        ("compare", {}, "--against: missing"),
        ("detection", {"against": Path("q.json")}, "--against: not used by detection"),
        ("proposals", {"rules": "thumos14"}, "--rules: found thumos14"),
        ("classification", {"top_k": (0, 1)}, "--top-k: found 0 1"),
        ("compare", {"against": Path("q.json"), "num_resamples": 0}, "--resamples: found 0"),
    ],
)
def test_settings_that_do_not_fit_are_told_before_files_are_read(
    task: Any, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        judge(task, Question(Path("no.json"), Path("no.json"), "validation", **changed))


def test_thresholds_out_of_range_are_all_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        detection(tmp_path, PERFECT, tiou=(0.0, 0.5, 1.5, float("nan")))
    assert [problem.split()[2] for problem in caught.value.problems] == ["0,", "1.5,", "nan,"]


def test_written_scores_read_back_plain_or_gzipped(tmp_path: Path) -> None:
    scores = detection(tmp_path, PERFECT)
    write_scores(scores, tmp_path / "new" / "scores.json")
    write_scores(scores, tmp_path / "scores.json.gz")
    plain = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert (
        plain == json.loads(gzip.decompress((tmp_path / "scores.json.gz").read_bytes())) == scores.as_json()
    )
    with pytest.raises(ConfigError, match="--json"):
        write_scores(scores, tmp_path / "scores.json.gz" / "below_a_file.json")


def test_the_job_prints_writes_and_answers(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    files = ["--annotations", annotations(tmp_path), "--predictions", predictions(tmp_path, PERFECT)]
    good = job("evaluate", "detection", *files, "--subset", "validation", "--tiou", 0.5, 0.75, "--json", out)
    assert good.returncode == 0, good.stderr
    assert "mAP@0.75" in good.stdout
    assert json.loads(out.read_text())["map_at_tiou"] == [1.0, 1.0]
    tracked = ["--mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}", "--plots", tmp_path / "figures"]
    wrong = job("evaluate", "errors", *files, "--subset", "validation", *tracked)
    assert wrong.returncode == 0, wrong.stderr
    assert (tmp_path / "figures" / "sensitivity.png").is_file()
    assert "logged to sqlite" in wrong.stdout
    assert {file.name for file in (tmp_path / "mlflow_artifacts").rglob("*.*")} >= {
        "scores.json",
        "sensitivity.svg",
    }
    bad = job("evaluate", "proposals", *files, "--subset", "nowhere")
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: ")
    assert len(bad.stderr.splitlines()) == 1
