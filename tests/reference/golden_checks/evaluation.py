"""The official ActivityNet evaluation, case by case: detection, proposals and classification."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from reference.golden import Golden
from talaria.evaluation.arrays import UNKNOWN, Detections, GroundTruth, LabelScores
from talaria.evaluation.classification import classification_scores
from talaria.evaluation.detection import detection_map
from talaria.evaluation.formats import read_detections
from talaria.evaluation.proposals import average_recall
from talaria.evaluation.video_labels import VideoLabels
from talaria.records import Annotation, Video

Arrays = dict[str, np.ndarray]


def check_evaluation(golden: Golden) -> None:
    """Every case of the manifest, within its absolute tolerance."""
    cases = golden.manifest["cases"]
    assert cases, "a golden without cases checks nothing"
    limit = golden.manifest["tolerance"]["abs"]
    for name, case in cases.items():
        with np.load(golden.folder / f"{name}.npz") as stored:
            want = dict(stored)
        for what, mine, official in CHECK_OF_KIND[case["kind"]](golden, case, want):
            np.testing.assert_allclose(mine, official, rtol=0, atol=limit, err_msg=f"{name}: {what}")


def ground_truth(golden: Golden, case: dict[str, Any]) -> GroundTruth:
    """The truths of a case, labels numbered as its result columns are."""
    database = json.loads(gzip.decompress((golden.folder / case["gt"]).read_bytes()))["database"]
    videos = [
        Video(
            video_id,
            None,
            entry["subset"],
            entry.get("duration"),
            tuple(Annotation(*map(float, note["segment"]), note["label"]) for note in entry["annotations"]),
        )
        for video_id, entry in database.items()
        if entry["subset"] == case["subset"]
    ]
    classes = case.get("classes") or list(
        dict.fromkeys(n.label for video in videos for n in video.annotations)
    )
    return GroundTruth.of_videos(videos, classes)


def detection_numbers(golden: Golden, case: dict[str, Any], want: Arrays) -> list[tuple[str, Any, Any]]:
    """Average precisions and their means."""
    truth = ground_truth(golden, case)
    results = read_detections(golden.folder / case["pred"], truth.classes)
    found = detection_map(truth, Detections.of_results(results, truth), want["tiou"])
    return [
        ("ap", found.ap_TK, want["ap"]),
        ("mAP", found.map_at_tiou, want["mAP"]),
        ("average mAP", found.average_map, case["average_mAP"]),
    ]


def proposal_numbers(golden: Golden, case: dict[str, Any], want: Arrays) -> list[tuple[str, Any, Any]]:
    """The AR@AN curve and its area."""
    truth = ground_truth(golden, case)
    results = read_detections(golden.folder / case["pred"], label_if_absent=truth.classes[0])
    proposals = Detections.of_results(results, truth)
    found = average_recall(truth, proposals, want["tiou"], case["max_avg_nr_proposals"])
    return [
        ("recall", found.recall_TA, want["recall"]),
        ("average recall", found.ar_at_an, want["avg_recall"]),
        ("average number", found.average_number, want["average_number"]),
        ("AUC", found.auc, case["auc_percent"]),
        ("AR at last", found.at(found.average_number[-1]), case["ar_at_last"]),
    ]


def classification_numbers(golden: Golden, case: dict[str, Any], want: Arrays) -> list[tuple[str, Any, Any]]:
    """Average precisions and hits among the top k."""
    truth = ground_truth(golden, case)
    results = json.loads(gzip.decompress((golden.folder / case["pred"]).read_bytes()))["results"]
    video = {video_id: index for index, video_id in enumerate(truth.video_ids)}
    label = {name: index for index, name in enumerate(truth.classes)}
    rows = [
        (video.get(video_id, UNKNOWN), label[entry["label"]], entry["score"])
        for video_id, entries in results.items()
        for entry in entries
    ]
    found = classification_scores(VideoLabels.of_truth(truth), LabelScores(*np.array(rows).T), case["top_k"])
    return [
        ("ap", found.ap_K, want["ap"]),
        ("mAP", found.mean_ap, case["mAP"]),
        ("hit at k", found.hit_at_k, [case["hit_at_k"]]),
        ("average hit at k", found.average_hit_at_k, [case["avg_hit_at_k"]]),
    ]


CHECK_OF_KIND: dict[str, Callable[[Golden, dict[str, Any], Arrays], list[tuple[str, Any, Any]]]] = {
    "detection": detection_numbers,
    "proposal": proposal_numbers,
    "classification": classification_numbers,
}

CHECKS: dict[str, Callable[[Golden], None]] = {"evaluation": check_evaluation}
