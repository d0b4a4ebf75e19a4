"""From KT-MGFN's output to found segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from kt_mgfn_outputs import step_output

from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.kt_mgfn.decode import found_segments

REGRESSED = KTMGFNConfig(anchor_lengths=(4.0, 10.0))
CUT = replace(REGRESSED, regression=False)
PROBABILITY = float(torch.sigmoid(torch.tensor(4.0)))


def test_a_step_comes_back_with_its_class() -> None:
    found = found_segments(step_output([{1: [(12, 22)]}]), CUT, top=10)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].segments_P2, [[12 / 40, 22 / 40]], atol=1e-6)
    np.testing.assert_allclose(found[0].scores_P, [1.0], atol=1e-6)
    np.testing.assert_allclose(found[0].class_scores_PK, [[0, PROBABILITY, 0]], atol=1e-6)


def test_the_best_regressed_segment_is_the_step() -> None:
    output = step_output([{1: [(12, 22)]}], anchor_lengths=REGRESSED.anchor_lengths)
    assert output.segments_BA2 is not None
    segments = output.segments_BA2.clone()
    segments[0, 15 * 2 + 1] = torch.tensor([12.0, 22.0])  # the longer anchor around snippet 15 found it
    found = found_segments(replace(output, segments_BA2=segments), REGRESSED, top=10)[0]
    np.testing.assert_allclose(found.segments_P2[0], [12 / 40, 22 / 40], atol=1e-6)
    assert found.scores_P[0] == pytest.approx(1.0, abs=1e-5)
    assert (np.diff(found.scores_P) <= 0).all()
    assert len(found.scores_P) <= 10
    assert (found.class_scores_PK[:, 1] > 0.9).all()
    assert not found.class_scores_PK[:, [0, 2]].any()


def test_several_actions_and_classes() -> None:
    output = step_output([{0: [(2, 6), (30, 38)], 2: [(10, 20)]}, {1: [(0, 40)]}])
    found = found_segments(output, CUT, top=10)
    rows = {
        (round(40 * float(start)), round(40 * float(end)), int(scores.argmax()))
        for (start, end), scores in zip(found[0].segments_P2, found[0].class_scores_PK, strict=True)
    }
    assert rows == {(2, 6, 0), (30, 38, 0), (10, 20, 2)}
    np.testing.assert_allclose(found[1].segments_P2, [[0.0, 1.0]], atol=1e-6)


def test_every_threshold_cuts_and_equal_runs_count_once() -> None:
    output = step_output([{0: [(10, 20)]}])
    output.cas_BKT[0, 0, 13:17] = 8.0  # the rest of the step is now at a quarter
    found = found_segments(output, replace(CUT, thresholds=(0.1, 0.2, 0.5, 0.9)), top=10)[0]
    np.testing.assert_allclose(found.segments_P2 * 40, [[13, 17], [10, 20]], atol=1e-5)
    np.testing.assert_allclose(found.scores_P, [1.0, 0.55], atol=1e-6)


def test_runs_may_be_scored_by_what_is_around_them() -> None:
    output = step_output([{0: [(10, 20)]}])
    output.cas_BKT[0, 0, 13:17] = 8.0
    config = replace(CUT, thresholds=(0.1, 0.5), run_score="contrast")
    found = found_segments(output, config, top=10)[0]
    np.testing.assert_allclose(found.segments_P2 * 40, [[13, 17], [10, 20]], atol=1e-5)
    np.testing.assert_allclose(found.scores_P, [1.0 - 0.25, 0.55], atol=1e-5)


@pytest.mark.parametrize("config", [CUT, REGRESSED])
def test_without_evidence_nothing_is_found(config: KTMGFNConfig) -> None:
    lengths = config.anchor_lengths if config.regression else None
    found = found_segments(step_output([{}], anchor_lengths=lengths), config, top=5)[0]
    assert found.segments_P2.shape == (0, 2)
    assert found.scores_P.shape == (0,)
    assert found.class_scores_PK.shape == (0, 3)


def test_the_most_probable_class_counts_even_below_the_threshold() -> None:
    output = step_output([{1: [(12, 22)]}])
    doubtful = replace(output, class_logits_BK=torch.tensor([[-9.0, -5.0, -8.0]]))
    found = found_segments(doubtful, CUT, top=5)[0]
    np.testing.assert_allclose(found.segments_P2 * 40, [[12, 22]], atol=1e-5)
    assert found.class_scores_PK[0, 1] == pytest.approx(float(torch.sigmoid(torch.tensor(-5.0))), rel=1e-5)


def test_likely_classes_are_found_each_with_its_probability() -> None:
    output = step_output([{0: [(2, 6)], 1: [(12, 22)], 2: [(30, 33)]}])
    output = replace(output, class_logits_BK=torch.tensor([[3.0, -2.0, -4.0]]))
    found = found_segments(output, CUT, top=5)[0]
    np.testing.assert_allclose(found.segments_P2 * 40, [[2, 6], [12, 22]], atol=1e-5)
    want = torch.sigmoid(output.class_logits_BK[0])
    np.testing.assert_allclose(found.class_scores_PK, [[want[0], 0, 0], [0, want[1], 0]], rtol=1e-5)


def test_fractions_are_of_the_video_and_not_of_the_grid() -> None:
    output = step_output([{0: [(5, 10)]}], lengths=[20])
    np.testing.assert_allclose(found_segments(output, CUT, top=5)[0].segments_P2, [[0.25, 0.5]], atol=1e-6)


def test_regressed_segments_are_cut_to_the_video_and_valid() -> None:
    generator = torch.Generator().manual_seed(0)
    output = step_output([{0: [(0, 9)]}, {2: [(10, 16)]}], lengths=[16, 16], anchor_lengths=(4.0, 10.0))
    assert output.segments_BA2 is not None
    segments = output.segments_BA2 + torch.randn(2, 80, 2, generator=generator)
    segments = segments.sort(dim=2).values
    for found in found_segments(replace(output, segments_BA2=segments), REGRESSED, top=50):
        assert len(found.scores_P)
        assert (found.segments_P2[:, 0] <= found.segments_P2[:, 1]).all()
        assert found.segments_P2.min() >= 0.0
        assert found.segments_P2.max() <= 1.0
        assert found.scores_P.min() >= 0.0
        assert found.scores_P.max() <= 1.0


def test_no_more_than_wanted() -> None:
    steps = [{0: [(start, start + 2) for start in range(0, 40, 4)]}]
    assert len(found_segments(step_output(steps), CUT, top=3)[0].scores_P) == 3
