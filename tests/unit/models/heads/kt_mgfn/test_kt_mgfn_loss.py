"""KT-MGFN's targets and loss: values by hand, micro-batches, and samples that lack something."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from kt_mgfn_outputs import step_output
from torch import Tensor

from talaria_models.kt_mgfn.config import KTMGFNConfig, trimmed_branch
from talaria_models.kt_mgfn.criterion import KTMGFNCriterion
from talaria_models.kt_mgfn.mmd import squared_mmd
from talaria_models.kt_mgfn.model import KTMGFN
from talaria_models.kt_mgfn.targets import build_targets, draw_trimmed

CONFIG = KTMGFNConfig(hidden_dim=8, regressor_dim=8, anchor_lengths=(3.0, 8.0), dropout=0.0)
VIDEOS = [[0], [1, 2], [], [2]]


def classes(videos: list[list[int]] = VIDEOS) -> Tensor:
    return torch.stack([build_targets(labels, 3)["classes"] for labels in videos])


def targets(num_clips: int = 4) -> dict[str, Tensor]:
    """Of four videos; the third has no class and no clip, the last one clip fewer."""
    clips = torch.rand(4, num_clips, CONFIG.num_classifiers, 8, generator=torch.Generator().manual_seed(3))
    valid = torch.ones(4, num_clips, dtype=torch.bool)
    valid[2], valid[3, -1] = False, False
    return {"classes": classes(), "trimmed_features": clips, "trimmed_valid": valid}


def network(config: KTMGFNConfig = CONFIG) -> KTMGFN:
    torch.manual_seed(0)
    return KTMGFN(config, in_channels=5, num_classes=3)


def test_the_classes_of_a_video() -> None:
    assert build_targets([2, 0, 2], 3)["classes"].tolist() == [1.0, 0.0, 1.0]
    assert build_targets([], 3)["classes"].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="expected 0 to 2"):
        build_targets([3], 3)


def test_clips_are_drawn_from_the_classes_of_the_video_in_turn() -> None:
    label = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2])
    pooled = torch.arange(1.0, 9.0)[:, None, None].expand(8, 2, 3)
    drawn = draw_trimmed(pooled, label, [2, 1], 4, seed=5)
    numbers = [int(n) - 1 for n in drawn["trimmed_features"][:, 0, 0].tolist()]
    assert drawn["trimmed_features"].shape == (4, 2, 3)
    assert sorted(label[numbers].tolist()) == [1, 1, 2, 2]
    assert len(set(numbers)) == 4
    assert drawn["trimmed_valid"].all()
    again = draw_trimmed(pooled, label, [1, 2], 4, seed=5)
    assert torch.equal(again["trimmed_features"], drawn["trimmed_features"])
    seen = {
        float(draw_trimmed(pooled, label, [2], 1, seed)["trimmed_features"][0, 0, 0]) for seed in range(30)
    }
    assert seen == {6.0, 7.0, 8.0}


def test_fewer_clips_than_wanted_and_none_at_all() -> None:
    pooled, label = torch.ones(3, 2, 3), torch.tensor([0, 0, 1])
    few = draw_trimmed(pooled, label, [0], 4, seed=0)
    assert few["trimmed_valid"].tolist() == [True, True, False, False]
    assert not few["trimmed_features"][2:].any()
    for labels in ([], [2]):
        assert not draw_trimmed(pooled, label, labels, 4, seed=0)["trimmed_valid"].any()
    assert not draw_trimmed(pooled[:0], label[:0], [0], 2, seed=0)["trimmed_valid"].any()


def test_classification_by_hand() -> None:
    config = trimmed_branch(CONFIG)
    criterion = KTMGFNCriterion(config)
    output = step_output([{0: [(3, 6)]}, {}], num_classifiers=2)
    truth = {"classes": classes([[0], [1]])}
    losses = criterion(output, truth, criterion.counts(truth))
    assert tuple(losses) == criterion.loss_names == ("total", "classification")
    per_video = F.binary_cross_entropy_with_logits(
        output.class_logits_BK, truth["classes"], reduction="none"
    ).sum(dim=1)
    assert losses["classification"].item() == pytest.approx(per_video.mean().item(), rel=1e-6)
    assert losses["total"].item() == losses["classification"].item()


def test_oic_by_hand() -> None:
    criterion = KTMGFNCriterion(replace(CONFIG, transfer=False, oic_weight=2.0))
    output = step_output([{0: [(10, 18)], 1: [(30, 33)]}, {}], anchor_lengths=(3.0, 8.0))
    truth = {"classes": classes([[0, 1], [2]])}
    losses = criterion(output, truth, criterion.counts(truth))
    assert -1.0 < losses["oic"].item() < -0.2
    assert losses["total"].item() == pytest.approx(
        losses["classification"].item() + 2.0 * losses["oic"].item(), rel=1e-6
    )
    exact = step_output([{1: [(30, 33)]}], anchor_lengths=(3.0,))
    only = {"classes": classes([[1]])}
    strict = KTMGFNCriterion(replace(CONFIG, transfer=False, anchor_lengths=(3.0,), keep_contrast=0.99))
    assert strict(exact, only, strict.counts(only))["oic"].item() == pytest.approx(-1.0, abs=1e-5)


def test_oic_reads_only_the_classes_of_the_video() -> None:
    criterion = KTMGFNCriterion(replace(CONFIG, transfer=False))
    truth = {"classes": classes([[0]])}
    counts = criterion.counts(truth)
    plain = step_output([{0: [(10, 18)]}], anchor_lengths=(3.0, 8.0))
    other = step_output([{0: [(10, 18)], 2: [(1, 30)]}], anchor_lengths=(3.0, 8.0))
    assert criterion(plain, truth, counts)["oic"].item() == criterion(other, truth, counts)["oic"].item()


def test_transfer_is_the_discrepancy_of_each_video_with_its_own_clips() -> None:
    criterion = KTMGFNCriterion(replace(CONFIG, regression=False, mmd_weight=3.0))
    truth, output = targets(), network()(torch.randn(4, 5, 12), labels_BK=classes())
    losses = criterion(output, truth, criterion.counts(truth))
    want = [
        squared_mmd(
            output.pooled_BGH[video, group][None],
            truth["trimmed_features"][video, :, group],
            CONFIG.mmd_widths,
            truth["trimmed_valid"][video],
        )
        for video in (0, 1, 3)
        for group in range(CONFIG.num_classifiers)
    ]
    torch.testing.assert_close(losses["transfer"], torch.stack(want).mean())
    torch.testing.assert_close(losses["total"], losses["classification"] + 3.0 * losses["transfer"])


def test_the_gradient_of_the_boundaries_does_not_reach_the_activation() -> None:
    config = replace(CONFIG, transfer=False)
    model, criterion, truth = network(config), KTMGFNCriterion(config), {"classes": classes()}
    output = model(torch.randn(4, 5, 30), labels_BK=classes())
    loss = criterion(output, truth, criterion.counts(truth))["oic"]
    loss.backward()
    assert model.regressor is not None
    assert all(parameter.grad is None for parameter in model.first.parameters())
    assert any(parameter.grad.any() for parameter in model.regressor.parameters())


@pytest.mark.parametrize("cut", [[1, 3], [2, 2], [1, 1, 1, 1]])
def test_micro_batches_add_up(cut: list[int]) -> None:
    model, criterion, truth = network(), KTMGFNCriterion(CONFIG), targets()
    features = torch.randn(4, 5, 30)

    def losses(rows: slice, counts: Tensor) -> dict[str, Tensor]:
        part = {key: value[rows] for key, value in truth.items()}
        return criterion(model(features[rows], labels_BK=part["classes"]), part, counts)

    ends = torch.tensor(cut).cumsum(0).tolist()
    slices = [slice(end - size, end) for end, size in zip(ends, cut, strict=True)]
    counted = [criterion.counts({key: value[rows] for key, value in truth.items()}) for rows in slices]
    counts = torch.stack(counted).sum(dim=0)
    assert counts.tolist() == [4.0, 3.0, 4.0]
    assert counts.shape == (criterion.num_counts,)
    whole, parts = losses(slice(None), counts), [losses(rows, counts) for rows in slices]
    assert tuple(whole) == criterion.loss_names
    for name in criterion.loss_names:
        torch.testing.assert_close(sum(part[name] for part in parts), whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("clips", ["absent", "invalid"])
def test_without_classes_or_clips_loss_and_gradient_are_finite(clips: str) -> None:
    model, criterion = network(), KTMGFNCriterion(CONFIG)
    truth = {"classes": classes([[], []])}
    if clips == "invalid":
        truth |= {
            "trimmed_features": torch.zeros(2, 4, CONFIG.num_classifiers, 8),
            "trimmed_valid": torch.zeros(2, 4, dtype=torch.bool),
        }
    losses = criterion(
        model(torch.randn(2, 5, 9), labels_BK=truth["classes"]), truth, criterion.counts(truth)
    )
    losses["total"].backward()
    assert losses["transfer"].item() == losses["oic"].item() == 0.0
    assert losses["classification"].item() > 0.0
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("size", [0.0, 1e4])
def test_extreme_features_give_a_finite_loss_and_gradient(size: float) -> None:
    model, criterion, truth = network(), KTMGFNCriterion(CONFIG), targets()
    output = model(torch.randn(4, 5, 16) * size, labels_BK=truth["classes"])
    total = criterion(output, truth, criterion.counts(truth))["total"]
    total.backward()
    assert torch.isfinite(total)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
