"""Matching against every assignment there is, and a loss that no cut of the batch and no oddity disturbs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sp_tad_cases import NUM_CLASSES, perfect_output, random_output, small_config, targets_of
from torch import Tensor

from talaria_models.sp_tad.criterion import SPTADCriterion
from talaria_models.sp_tad.matching import giou, matched, matching_costs
from talaria_models.sp_tad.model import SPTADOutput
from talaria_models.sp_tad.sparse_head import SPTADStage

WINDOWS = [
    [(0.1, 0.3, 0), (0.35, 0.5, 2)],
    [],
    [(0.0, 1.0, 1), (0.2, 0.25, 1), (0.6, 0.9, 0), (0.61, 0.9, 0)],
    [(0.7, 0.8, 2)],
]


def losses_of(
    output: SPTADOutput, targets: dict[str, Tensor], criterion: SPTADCriterion
) -> dict[str, Tensor]:
    return criterion(output, targets, criterion.counts(targets))


def cut(output: SPTADOutput, rows: slice) -> SPTADOutput:
    stages = [SPTADStage(s.segments_BP2[rows], s.class_logits_BPK[rows]) for s in output.stages]
    return SPTADOutput(tuple(stages), output.clip_logits_BK[rows])


def grown(targets: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """With more rows of padding."""
    batch = len(targets["valid"])
    more = {
        "segments": torch.full((batch, rows, 2), 0.5),
        "labels": torch.ones(batch, rows, dtype=torch.int64),
        "valid": torch.zeros(batch, rows, dtype=torch.bool),
    }
    return {
        key: torch.cat([value, more[key]], dim=1) if key in more else value for key, value in targets.items()
    }


@pytest.mark.parametrize(
    ("segment", "truth", "want"),
    [
        ((0.2, 0.6), (0.2, 0.6), 1.0),
        ((0.0, 0.5), (0.25, 0.75), 0.25 / 0.75),  # the hull is the union
        ((0.0, 0.2), (0.6, 1.0), -0.4),  # a gap of 0.4 in a hull of 1
        ((0.0, 0.5), (0.5, 1.0), 0.0),
        ((0.1, 0.9), (0.4, 0.6), 0.25),
    ],
)
def test_generalised_tiou_by_hand(
    segment: tuple[float, float], truth: tuple[float, float], want: float
) -> None:
    assert giou(torch.tensor(segment), torch.tensor(truth)).item() == pytest.approx(want, abs=1e-6)


def test_segments_without_length_have_a_finite_generalised_tiou() -> None:
    points = torch.tensor([[0.3, 0.3], [0.3, 0.3], [0.8, 0.8]], requires_grad=True)
    found = giou(points, torch.tensor([0.3, 0.3]))
    found.sum().backward()
    assert found.isfinite().all()
    assert points.grad is not None
    assert points.grad.isfinite().all()


@pytest.mark.parametrize(("num_proposals", "seed"), [(5, 0), (5, 1), (3, 2), (2, 3), (1, 4)])
def test_matching_is_the_cheapest_of_all_assignments(num_proposals: int, seed: int) -> None:
    config = small_config(num_proposals=num_proposals)
    output, targets = random_output(4, config, seed), targets_of(WINDOWS)
    pairs = matched(output.stages, targets, config, linear_sum_assignment)
    for stage, (window_M, prediction_M, truth_M) in zip(output.stages, pairs, strict=True):
        costs_BPG = matching_costs(stage, targets, config)
        for window, truths in enumerate(WINDOWS):
            mine = window_M == window
            assert int(mine.sum()) == min(num_proposals, len(truths))
            assert (
                len(set(prediction_M[mine].tolist())) == len(set(truth_M[mine].tolist())) == int(mine.sum())
            )
            assert truth_M[mine].lt(len(truths)).all()
            total = costs_BPG[window, prediction_M[mine], truth_M[mine]].sum().item()
            assert total == pytest.approx(cheapest(costs_BPG[window, :, : len(truths)]), abs=1e-5)


def cheapest(costs_PG: Tensor) -> float:
    """The least total over every way to pair all of the fewer ones."""
    costs = costs_PG.detach().numpy()
    costs = costs if costs.shape[0] >= costs.shape[1] else costs.T
    rows, columns = costs.shape
    ways = itertools.permutations(range(rows), columns)
    return float(min(sum(costs[row, column] for column, row in enumerate(way)) for way in ways))


def test_the_costs_are_the_weighted_sum_by_hand() -> None:
    config = small_config(match_class_weight=3.0, match_l1_weight=7.0, match_giou_weight=0.5)
    stage = SPTADStage(torch.tensor([[[0.1, 0.5]]]), torch.tensor([[[0.4, -1.0, 2.0]]]))
    targets = targets_of([[(0.3, 0.9, 2)]], num_rows=1)
    p = 1 / (1 + np.exp(-2.0))
    focal = 0.25 * (1 - p) ** 2 * -np.log(p) - 0.75 * p**2 * -np.log(1 - p)
    want = 3.0 * focal + 7.0 * (0.2 + 0.4) - 0.5 * (0.2 / 0.8)
    assert matching_costs(stage, targets, config).item() == pytest.approx(want, abs=1e-5)


def test_the_loss_is_that_of_the_paper_by_hand() -> None:
    config = small_config(num_proposals=2, num_stages=1)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    segments = torch.tensor([[[0.2, 0.6], [0.7, 0.8]]])
    logits = torch.tensor([[[1.0, -1.0, -3.0], [-2.0, -2.0, -2.0]]])
    output = SPTADOutput((SPTADStage(segments, logits),), torch.tensor([[2.0, -1.0, 0.0]]))
    found = losses_of(output, targets_of([[(0.1, 0.5, 0)]]), criterion)
    wanted = np.array([[1, 0, 0], [0, 0, 0]])
    p = torch.sigmoid(logits[0]).numpy()
    focal = np.where(wanted, 0.25 * (1 - p) ** 2 * -np.log(p), 0.75 * p**2 * -np.log(1 - p)).sum()
    q = torch.sigmoid(output.clip_logits_BK[0]).numpy()
    clip = -(np.log(q[0]) + np.log(1 - q[1]) + np.log(1 - q[2])) / 3
    want = {"class": focal, "l1": 0.2, "giou": 1 - 0.3 / 0.5, "clip": clip}
    want["total"] = 2 * focal + 5 * 0.2 + 2 * 0.4 + clip
    assert {key: value.item() for key, value in found.items()} == pytest.approx(want, abs=1e-5)
    assert set(found) == set(criterion.loss_names)


def test_every_head_has_its_loss() -> None:
    config, targets = small_config(num_stages=3), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    output = random_output(4, config)
    losses = losses_of(output, targets, criterion)
    for name in ("class", "l1", "giou"):
        alone = [
            losses_of(SPTADOutput((stage,), output.clip_logits_BK), targets, criterion)[name]
            for stage in output.stages
        ]
        torch.testing.assert_close(losses[name], torch.stack(alone).sum())
    losses["total"].backward()
    for stage in output.stages:
        assert stage.segments_BP2.grad.abs().sum() > 0
        assert stage.class_logits_BPK.grad.abs().sum() > 0


@pytest.mark.parametrize("num_proposals", [5, 2])
@pytest.mark.parametrize("parts", [[slice(0, 1), slice(1, 4)], [slice(0, 2), slice(2, 3), slice(3, 4)]])
def test_the_cut_of_the_batch_changes_nothing(num_proposals: int, parts: list[slice]) -> None:
    config, targets = small_config(num_proposals=num_proposals), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    output = random_output(4, config)
    whole = losses_of(output, targets, criterion)
    pieces = [{key: value[part] for key, value in targets.items()} for part in parts]
    counts = torch.stack([criterion.counts(piece) for piece in pieces]).sum(dim=0)
    assert counts.shape == (criterion.num_counts,)
    torch.testing.assert_close(counts, criterion.counts(targets))
    found = [criterion(cut(output, part), piece, counts) for part, piece in zip(parts, pieces, strict=True)]
    for name in criterion.loss_names:
        torch.testing.assert_close(torch.stack([losses[name] for losses in found]).sum(), whole[name])


def test_rows_of_padding_change_nothing() -> None:
    config, targets = small_config(), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    output = random_output(4, config)
    plain, padded = (losses_of(output, each, criterion) for each in (targets, grown(targets, 7)))
    for name, value in plain.items():
        torch.testing.assert_close(padded[name], value)


def test_the_order_of_truths_and_of_proposals_changes_nothing() -> None:
    config, targets = small_config(), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    output = random_output(4, config)
    turned = {key: value if key == "classes" else value.flip(1) for key, value in targets.items()}
    stages = [SPTADStage(s.segments_BP2.flip(1), s.class_logits_BPK.flip(1)) for s in output.stages]
    plain = losses_of(output, targets, criterion)
    found = losses_of(SPTADOutput(tuple(stages), output.clip_logits_BK), turned, criterion)
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(
    ("windows", "num_proposals", "pairs"),
    [
        ([[], []], 5, 0),  # no truth anywhere
        (
            [[(0.1 * i, 0.1 * i + 0.05, i % NUM_CLASSES) for i in range(6)]],
            2,
            2,
        ),  # more truths than proposals
        ([[(0.3, 0.3, 1)]], 5, 1),  # a truth without length
    ],
)
def test_odd_windows_have_a_finite_loss_and_gradient(
    windows: list[list[tuple[float, float, int]]], num_proposals: int, pairs: int
) -> None:
    config, targets = small_config(num_proposals=num_proposals), targets_of(windows)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    assert criterion.counts(targets).tolist() == [pairs, len(windows)]
    output = random_output(len(windows), config)
    losses = losses_of(output, targets, criterion)
    losses["total"].backward()
    assert all(value.isfinite() for value in losses.values())
    for stage in output.stages:
        assert stage.class_logits_BPK.grad.isfinite().all()
        assert stage.segments_BP2.grad is None or stage.segments_BP2.grad.isfinite().all()


def test_extreme_outputs_have_a_finite_loss() -> None:
    config, targets = small_config(), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    logits = torch.full((4, 5, NUM_CLASSES), 200.0)
    logits[:, ::2] = -200.0
    segments = torch.tensor([[-1e6, 1e6], [0.5, 0.5], [30.0, 40.0], [0.0, 1e-9], [-2.0, -1.0]]).repeat(
        4, 1, 1
    )
    output = SPTADOutput((SPTADStage(segments, logits),) * 2, torch.full((4, NUM_CLASSES), 300.0))
    assert all(value.isfinite() for value in losses_of(output, targets, criterion).values())


def test_a_diverged_network_has_a_loss_that_says_so() -> None:
    config, targets = small_config(), targets_of(WINDOWS)
    output = random_output(4, config)
    stages = [SPTADStage(stage.segments_BP2 * torch.nan, stage.class_logits_BPK) for stage in output.stages]
    criterion = SPTADCriterion(config, linear_sum_assignment)
    assert losses_of(SPTADOutput(tuple(stages), output.clip_logits_BK), targets, criterion)["total"].isnan()


def test_a_network_that_knows_the_truth_has_no_loss() -> None:
    config, targets = small_config(), targets_of(WINDOWS)
    criterion = SPTADCriterion(config, linear_sum_assignment)
    known = losses_of(perfect_output(targets, config), targets, criterion)
    assert known["total"].item() == pytest.approx(0.0, abs=1e-5)
    assert losses_of(random_output(4, config), targets, criterion)["total"].item() > 1.0
