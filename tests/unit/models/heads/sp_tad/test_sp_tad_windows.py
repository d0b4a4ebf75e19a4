"""Sliding windows, what a window has to learn, and the way of its segments back to the video."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sp_tad_cases import NUM_CLASSES, perfect_output, small_config

from talaria_models.sp_tad.decode import found_segments, window_segments
from talaria_models.sp_tad.targets import build_targets, rows_inside, training_windows
from talaria_models.sp_tad.windows import Window, sliding_windows, to_video


@given(num_frames=st.integers(1, 2000), size=st.integers(1, 300), data=st.data())
def test_windows_cover_every_frame_and_end_with_the_video(
    num_frames: int, size: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, size))
    windows = sliding_windows(num_frames, size, stride)
    starts = [window.start_idx for window in windows]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(later - earlier <= stride for earlier, later in itertools.pairwise(starts))
    assert {window.num_frames for window in windows} == {min(size, num_frames)}
    assert starts[-1] + min(size, num_frames) == num_frames


def test_windows_of_the_paper() -> None:
    assert sliding_windows(600, 256, 128) == [Window(start, 256) for start in (0, 128, 256, 344)]
    assert sliding_windows(512, 256, 128) == [Window(start, 256) for start in (0, 128, 256)]
    assert sliding_windows(100, 256, 30) == [Window(0, 100)]
    with pytest.raises(ValueError, match="num_frames: found 0"):
        sliding_windows(0, 256, 30)


def test_segments_come_back_to_the_video_without_what_lies_in_the_padding() -> None:
    segments = np.array([[0.25, 0.75], [-0.5, 0.25], [0.5, 2.0], [1.1, 1.2], [-0.4, -0.1]])
    found = to_video(segments, Window(40, 80), 80, 200)
    np.testing.assert_allclose(found, [[0.3, 0.5], [0.2, 0.3], [0.4, 0.6], [0.6, 0.6], [0.2, 0.2]])
    short = to_video(np.array([[0.1, 0.3], [0.2, 0.9], [0.6, 0.9]]), Window(0, 40), 80, 40)
    np.testing.assert_allclose(short, [[0.2, 0.6], [0.4, 1.0], [1.0, 1.0]])


def test_a_window_has_the_actions_of_which_it_holds_more_than_half() -> None:
    config = small_config()  # windows of 32 frames
    truths = np.array([[0.1, 0.3], [0.3, 0.5], [0.26, 0.36], [0.0, 0.9], [0.2, 0.2]])
    window = Window(10, 32)  # of 100 frames
    assert rows_inside(truths, window, 100).tolist() == [0, 1, 2]
    assert rows_inside(truths, Window(0, 32), 100).tolist() == [0, 2]
    targets = build_targets(truths, [1, 2, 0, 0, 0], window, 100, num_classes=3, num_rows=4, config=config)
    want = torch.tensor([[0, 20 / 32], [20 / 32, 1.0], [16 / 32, 26 / 32], [0, 0]])
    torch.testing.assert_close(targets["segments"], want)
    assert targets["labels"].tolist() == [1, 2, 0, 0]
    assert targets["valid"].tolist() == [True, True, True, False]
    assert targets["classes"].tolist() == [1.0, 1.0, 1.0]


def test_an_action_half_inside_belongs_to_no_window() -> None:
    assert rows_inside(np.array([[0.0, 0.5]]), Window(0, 25), 100).tolist() == []
    assert rows_inside(np.array([[0.0, 0.5]]), Window(0, 26), 100).tolist() == [0]


def test_windows_without_an_action_are_no_samples() -> None:
    config = small_config()
    found = training_windows(np.array([[0.9, 1.0]]), 200, config)
    assert found
    assert all(window.start_idx + window.num_frames > 190 for window in found)
    assert training_windows(np.zeros((0, 2)), 200, config) == []


def test_what_cannot_be_a_target_is_named() -> None:
    config, truths = small_config(), np.array([[0.0, 0.2], [0.1, 0.3]])
    sizes = {"num_classes": 3, "config": config}
    with pytest.raises(ValueError, match="num_rows: found 1, expected at least the 2"):
        build_targets(truths, [0, 1], Window(0, 32), 100, num_rows=1, **sizes)
    with pytest.raises(ValueError, match="labels: found 1 for 2"):
        build_targets(truths, [0], Window(0, 32), 100, num_rows=2, **sizes)
    with pytest.raises(ValueError, match="truths: expected start <= end"):
        build_targets(truths[:, ::-1].copy(), [0, 1], Window(0, 32), 100, num_rows=2, **sizes)


@pytest.mark.parametrize("num_frames", [20, 32, 90])
def test_decoding_the_targets_returns_the_truth(num_frames: int) -> None:
    """Every action found, with its class alone, in windows that hold it whole."""
    config = small_config()
    truths = np.array([[0.05, 0.15], [0.5, 0.6], [0.8, 1.0]])
    labels = [2, 0, 1]
    windows = sliding_windows(num_frames, config.window_frames, config.infer_stride)
    per_window = [
        build_targets(truths, labels, window, num_frames, num_classes=NUM_CLASSES, num_rows=3, config=config)
        for window in windows
    ]
    targets = {key: torch.stack([one[key] for one in per_window]) for key in per_window[0]}
    found = found_segments(
        windows,
        window_segments(perfect_output(targets, config)),
        size=config.window_frames,
        num_frames=num_frames,
        top=int(targets["valid"].sum()),
    )
    np.testing.assert_allclose(found.scores_P, 1.0, atol=1e-6)
    seen = set()
    for segment, shares in zip(found.segments_P2, found.class_scores_PK, strict=True):
        row = labels.index(int(shares.argmax()))
        np.testing.assert_allclose(shares, np.eye(NUM_CLASSES)[labels[row]], atol=1e-6)
        # A window may have cut the action, never moved it.
        assert segment[0] >= truths[row, 0] - 1e-6
        assert segment[1] <= truths[row, 1] + 1e-6
        if np.allclose(segment, truths[row], atol=1e-6):
            seen.add(row)
    assert seen == {0, 1, 2}


def test_the_best_come_first_and_the_product_is_the_class_score() -> None:
    config = small_config(num_proposals=4)
    targets = {
        "segments": torch.tensor([[[0.1, 0.2], [0.3, 0.5], [0.6, 0.9]]]),
        "labels": torch.tensor([[0, 1, 2]]),
        "valid": torch.ones(1, 3, dtype=torch.bool),
        "classes": torch.tensor([[1.0, 1.0, 1.0]]),
    }
    output = perfect_output(targets, config)
    logits = torch.tensor([[[-2.0, 0, 0], [0, 3.0, -1.0], [0, 0, 1.0], [-9, -9, -9]]])
    clip = torch.tensor([[0.5, -0.5, 1.0]])
    for stage in output.stages:
        stage.class_logits_BPK.copy_(logits)
    output.clip_logits_BK.copy_(clip)
    found = found_segments([Window(0, 32)], window_segments(output), size=32, num_frames=32, top=3)
    want = (torch.sigmoid(logits) * torch.sigmoid(clip)[:, None])[0, :3].numpy()
    order = np.argsort(-want.max(axis=1))
    np.testing.assert_allclose(found.segments_P2, targets["segments"][0].numpy()[order], rtol=1e-6)
    np.testing.assert_allclose(found.scores_P, want[order].max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.scores_P[:, None] * found.class_scores_PK, want[order], rtol=1e-5)
    assert found.class_scores_PK.max() <= 1.0


def test_a_later_window_finds_the_same_later() -> None:
    config = small_config(num_proposals=2)
    targets = {
        "segments": torch.tensor([[[0.1, 0.2], [0.3, 0.5]]]),
        "labels": torch.tensor([[0, 1]]),
        "valid": torch.ones(1, 2, dtype=torch.bool),
        "classes": torch.tensor([[1.0, 1.0, 0.0]]),
    }
    found = window_segments(perfect_output(targets, config))
    first, later = (
        found_segments([Window(start, 32)], found, size=32, num_frames=96, top=9) for start in (16, 48)
    )
    np.testing.assert_allclose(later.segments_P2, first.segments_P2 + 32 / 96, rtol=1e-6)
    np.testing.assert_array_equal(later.class_scores_PK, first.class_scores_PK)


def test_a_video_whose_segments_all_lie_in_the_padding_has_none() -> None:
    config = small_config(num_proposals=1)
    targets = {
        "segments": torch.tensor([[[0.8, 0.9]]]),
        "labels": torch.tensor([[0]]),
        "valid": torch.ones(1, 1, dtype=torch.bool),
        "classes": torch.ones(1, NUM_CLASSES),
    }
    found = window_segments(perfect_output(targets, config))
    empty = found_segments([Window(0, 10)], found, size=32, num_frames=10, top=5)
    assert empty.segments_P2.shape == (0, 2)
    assert empty.scores_P.shape == (0,)
    assert empty.class_scores_PK.shape == (0, NUM_CLASSES)
