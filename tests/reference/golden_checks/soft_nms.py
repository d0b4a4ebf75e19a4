"""Soft-NMS of the BMN and TCANet code, and every method of OpenTAD's.

The peers break ties by unstable sorts or swaps. Ours takes the first of equal candidates, so the candidates
are handed over in the order in which the peer chose them: its choices then come out again if they were best.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.golden import Golden
from talaria.evaluation.suppression import Kept, hard_nms, linear_nms, soft_nms

OPENTAD_LENGTH_OFFSET = 1e-6
NEGLIGIBLE = 1e-20
"""Below it float32 soon underflows to 0, and equal zeros are ranked arbitrarily."""

HARD, LINEAR, GAUSSIAN, LIMITED = range(4)


def check_soft_nms(golden: Golden) -> None:
    """Every case of the manifest: the same segments in the same order, scores within 1e-6 at most."""
    assert golden.manifest["cases"], "a golden without cases checks nothing"
    with np.load(golden.folder / golden.manifest["file"]) as stored:
        arrays = dict(stored)
    for case in golden.manifest["cases"]:
        segments = arrays[f"in_{case['set']}_segments"]
        scores, want = arrays[f"in_{case['set']}_scores"], arrays[case["key"]]
        assert len(want) == case["rows"], case["key"]
        check = check_opentad if case["peer"] == "OpenTAD" else check_challenge
        check(case, segments, scores, want)


def check_challenge(case: dict[str, Any], segments: np.ndarray, scores: np.ndarray, want: np.ndarray) -> None:
    """The rule of BMN and TCANet, in float64; of a short list theirs drops the last candidate."""
    order = chosen_first(segments, scores, want)
    kept = soft_nms(
        segments[order],
        scores[order],
        low=case["low"],
        high=case["high"],
        alpha=case["alpha"],
        power=case["iou_power"],
        top=101,
    )
    chosen = order[kept.index[: len(want)]]
    assert len(kept.index) == min(len(scores), 101), case["key"]
    np.testing.assert_array_equal(segments[chosen], want[:, :2], err_msg=case["key"])
    np.testing.assert_allclose(kept.score[: len(want)], want[:, 2], rtol=1e-12, err_msg=case["key"])


def check_opentad(case: dict[str, Any], segments: np.ndarray, scores: np.ndarray, want: np.ndarray) -> None:
    """OpenTAD computes in float32; its suppressed candidates of score 0 are not among ours."""
    order = chosen_first(segments, scores, want)
    labels = order % 3 if case["multiclass"] else None
    rounded = segments[order].astype(np.float32), scores[order].astype(np.float32)
    kept = as_opentad(case, rounded[0].astype(np.float64), rounded[1].astype(np.float64), labels)
    best = np.argsort(-kept.score, kind="stable")[: case["max_seg_num"]]
    best = best[kept.score[best] > NEGLIGIBLE]
    want = want[want[:, 2] > NEGLIGIBLE]
    assert len(best) == len(want), case["key"]
    np.testing.assert_allclose(kept.score[best], want[:, 2], rtol=0, atol=1e-6, err_msg=case["key"])
    assert_same_order(rounded[0][kept.index[best]], want, case["key"])


def as_opentad(
    case: dict[str, Any], segments: np.ndarray, scores: np.ndarray, labels: np.ndarray | None
) -> Kept:
    """Our function for a method of theirs. Their limit is t1 + t2 * width, so `high` is t1 + t2."""
    shared: dict[str, Any] = {
        "top": case["max_seg_num"],
        "min_score": case["min_score"],
        "length_offset": OPENTAD_LENGTH_OFFSET,
    }
    method = case["method"] if case["use_soft_nms"] else HARD
    if method == HARD:
        return hard_nms(segments, scores, labels, threshold=case["iou_threshold"], **shared)
    if method == LINEAR:
        return linear_nms(segments, scores, labels, threshold=case["iou_threshold"], **shared)
    low, high = (case["t1"], case["t1"] + case["t2"]) if method == LIMITED else (0.0, 0.0)
    return soft_nms(segments, scores, labels, low=low, high=high, alpha=case["sigma"], **shared)


def chosen_first(segments: np.ndarray, scores: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Numbers of all candidates: those the peer returned in its order, then the others."""
    left = np.ones(len(scores), np.bool_)
    rounded = segments.astype(want.dtype)
    chosen = []
    for row in want:
        same = np.flatnonzero(left & (rounded == row[:2]).all(axis=1))
        assert same.size, "the peer returned a segment that is not in the input"
        chosen.append(same[scores[same].argmax()])
        left[chosen[-1]] = False
    return np.concatenate([np.array(chosen, np.int64), np.flatnonzero(left)])


def assert_same_order(mine: np.ndarray, want: np.ndarray, key: str) -> None:
    """The same segments row by row, but for swaps of rows whose float32 scores are within 2e-6."""
    for row in np.flatnonzero((mine != want[:, :2]).any(axis=1)):
        near = np.abs(want[:, 2] - want[row, 2]) <= 2e-6
        assert (mine[near] == want[row, :2]).all(axis=1).any(), f"{key}: row {row} is elsewhere"


CHECKS: dict[str, Callable[[Golden], None]] = {"soft_nms": check_soft_nms}
