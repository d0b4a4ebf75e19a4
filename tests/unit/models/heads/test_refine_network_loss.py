"""Labels and loss of the Refine Network: hand-computed values, degenerate videos, micro-batches, learning."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from talaria_models.offsets import decode_segment, encode_segment
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.refine_network.criterion import RefineNetworkCriterion, proposal_weights
from talaria_models.refine_network.decode import probabilities
from talaria_models.refine_network.model import RefineNetwork, RefineNetworkOutput
from talaria_models.refine_network.targets import build_targets
from talaria_models.refining import RefinedStage
from talaria_models.refining_loss import matched_tiou

SMALL: dict[str, Any] = {
    "hidden_dim": 16,
    "head_dim": 32,
    "transformer_layers": 1,
    "transformer_heads": 2,
    "transformer_feedforward_dim": 32,
    "num_bins": 4,
    "num_samples_per_bin": 2,
    "dropout": 0.0,
}
CONFIG = RefineNetworkConfig(**SMALL)
TRUTHS: list[list[list[float]]] = [[[0.2, 0.6], [0.7, 0.9]], [], [[0.3, 0.5]], [[0.0, 1.0]]]
PROPOSALS = [[0.2, 0.55], [0.25, 0.47], [0.65, 0.95], [0.0, 0.9], [0.1, 0.2]]
SIZES = (12, 8, 10, 1)
CUTS = ([[0, 1, 2, 3]], [[0], [1], [2], [3]], [[1, 3], [0, 2]])


def batch_of(videos: list[int], proposals: list[list[float]] = PROPOSALS) -> dict[str, Tensor]:
    """Targets of some of the videos above, stacked: axes that differ are filled with zeros."""
    rows = [build_targets(np.array(proposals), np.reshape(TRUTHS[v], (-1, 2)), SIZES[v]) for v in videos]
    return {key: torch.nn.utils.rnn.pad_sequence([row[key] for row in rows], True) for key in rows[0]}


def features_of(videos: list[int]) -> Tensor:
    rows = [torch.randn(SIZES[v], 4, generator=torch.Generator().manual_seed(v)) for v in videos]
    return torch.nn.utils.rnn.pad_sequence(rows, True).transpose(1, 2)


def loss_and_gradients(model: RefineNetwork, cuts: list[list[int]], **options: Any) -> tuple[Tensor, Any]:
    """Every loss and the gradients of one global batch that is cut into micro-batches."""
    criterion = RefineNetworkCriterion(model.config)
    batches = [batch_of(videos, **options) for videos in cuts]
    counts = torch.stack([criterion.counts(batch) for batch in batches]).sum(dim=0)
    assert counts.shape == (criterion.num_counts,)
    model.zero_grad(set_to_none=False)
    sums = torch.zeros(len(criterion.loss_names))
    for videos, batch in zip(cuts, batches, strict=True):
        output = model(features_of(videos), batch["snippet_valid"], batch["proposals"], batch["valid"])
        losses = criterion(output, batch, counts)
        assert tuple(losses) == criterion.loss_names
        losses["total"].backward()
        sums = sums + torch.stack([losses[name].detach() for name in criterion.loss_names])
    return sums, [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def moved_model(seed: int = 0, **changes: Any) -> RefineNetwork:
    torch.manual_seed(seed)
    model = RefineNetwork(RefineNetworkConfig(**{**SMALL, **changes}), in_channels=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def perfect_output(targets: dict[str, Tensor], num_stages: int = 3) -> RefineNetworkOutput:
    """What a network would say that knows the truth: the first module moves everything there."""
    stages: list[RefinedStage] = []
    segments, truth = targets["proposals"], targets["truth"]
    for _ in range(num_stages):
        offsets = encode_segment(segments, truth, 1e-7)
        moved = decode_segment(segments, offsets)
        score = torch.logit(matched_tiou(segments, truth, 1e-7), eps=1e-6)
        stages.append(RefinedStage(segments, targets["valid"], moved, score, {"segment": offsets}))
        segments = moved
    return RefineNetworkOutput(tuple(stages), torch.where(targets["action"] > 0.5, 20.0, -20.0))


def opposite(output: RefineNetworkOutput) -> RefineNetworkOutput:
    """The same output with the sign of everything that was predicted turned."""
    stages = [
        dataclasses.replace(
            stage,
            score_logits_BP=-stage.score_logits_BP,
            regressions={"segment": -stage.regressions["segment"]},
        )
        for stage in output.stages
    ]
    assert output.action_logits_BT is not None
    return RefineNetworkOutput(tuple(stages), -output.action_logits_BT)


def test_labels_by_hand() -> None:
    targets = build_targets(np.array([[0.25, 0.45], [0.7, 0.8]]), np.array([[0.25, 0.65]]), 8)
    assert targets["action"].tolist() == pytest.approx([0, 0, 1, 1, 1, 0.2, 0, 0], abs=1e-6)
    assert targets["tiou"].tolist() == pytest.approx([0.5, 0.0])


def test_decoding_the_targets_returns_the_truth() -> None:
    targets = batch_of([0, 2])
    raw = probabilities(perfect_output(targets, num_stages=1))
    assert (targets["tiou"] > 0.0).sum(dim=1).tolist() == [4, 3]
    torch.testing.assert_close(raw.segments_BP2, targets["truth"])
    torch.testing.assert_close(raw.score_BP, targets["tiou"], rtol=0, atol=1e-5)


def test_the_truth_has_no_loss_and_its_opposite_has() -> None:
    targets = batch_of([0, 1, 2])
    criterion = RefineNetworkCriterion(CONFIG)
    counts = criterion.counts(targets)
    output = perfect_output(targets)
    good, bad = criterion(output, targets, counts), criterion(opposite(output), targets, counts)
    for name in ("action", "score", "offsets"):
        assert good[name] < 1e-4, name
        assert bad[name] > 1e-2, name


def test_only_inputs_above_a_modules_threshold_are_moved() -> None:
    proposals = np.array([[0.2, 0.42], [0.2, 0.46], [0.2, 0.5]])  # tIoU 0.55, 0.65, 0.75
    targets = {k: v[None] for k, v in build_targets(proposals, np.array([[0.2, 0.6]]), 10).items()}
    offsets = [torch.zeros(1, 3, 2, requires_grad=True) for _ in range(3)]
    segments, valid = targets["proposals"], targets["valid"]
    stages = [RefinedStage(segments, valid, segments, torch.zeros(1, 3), {"segment": o}) for o in offsets]
    criterion = RefineNetworkCriterion(CONFIG)
    losses = criterion(RefineNetworkOutput(tuple(stages), None), targets, criterion.counts(targets))
    losses["offsets"].backward()
    moved = [one.grad.abs().sum(dim=2)[0].gt(0.0).tolist() for one in offsets]
    assert moved == [[True, True, True], [False, True, True], [False, False, True]]


def test_bands_that_occur_share_the_weight_evenly() -> None:
    targets = batch_of([0, 1, 2])
    criterion = RefineNetworkCriterion(CONFIG)
    counts = criterion.counts(targets)
    weights = proposal_weights(targets, counts)
    high = targets["tiou"] > 0.7
    low = targets["tiou"] <= 0.3
    assert counts[2:].tolist() == [high.sum(), (~high & ~low).sum(), low.sum()]
    for band in (high, low, ~high & ~low):
        assert weights[band].sum().item() == pytest.approx(1 / 3)
    assert proposal_weights(batch_of([1]), criterion.counts(batch_of([1]))).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("cuts", CUTS[1:])
def test_micro_batches_add_up_to_the_global_loss_and_gradient(cuts: list[list[int]]) -> None:
    model = moved_model()
    whole, gradients = loss_and_gradients(model, CUTS[0])
    parts, cut_gradients = loss_and_gradients(model, cuts)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    for found, want in zip(cut_gradients, gradients, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("videos", "proposals"),
    [
        ([1], PROPOSALS),
        ([0, 2], [[0.5, 0.5], [0.0, 0.0], [0.4, 0.4]]),
        ([0, 2], [[1.2, 1.5], [-0.5, -0.1], [-0.5, 0.5]]),
        ([3], PROPOSALS),
        ([0], np.zeros((0, 2)).tolist()),
    ],
    ids=["no annotation", "zero length", "outside the video", "one snippet", "no proposal"],
)
@pytest.mark.parametrize("switches", [True, False])
def test_degenerate_videos_give_a_finite_loss_and_gradient(
    videos: list[int], proposals: list[list[float]], switches: bool
) -> None:
    names = ("transformer", "action_score", "bi_lstm", "non_local")
    model = moved_model(**dict.fromkeys(names, switches))
    losses, gradients = loss_and_gradients(model, [videos], proposals=np.reshape(proposals, (-1, 2)))
    assert torch.isfinite(losses).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert losses[0] > 0.0 or not proposals


@pytest.mark.parametrize("segment", [[0.6, 0.2], [float("nan"), 0.5], [0.5, float("inf")], [1.4, 1.2]])
@pytest.mark.parametrize("field", ["truths", "proposals"])
def test_impossible_segments_are_refused(field: str, segment: list[float]) -> None:
    fields = {"truths": np.array([[0.1, 0.2]]), "proposals": np.array([[0.1, 0.2]])}
    fields[field] = np.array([[0.1, 0.3], segment])
    with pytest.raises(ValueError, match=f"{field}: expected start <= end, both finite; found row 1"):
        build_targets(fields["proposals"], fields["truths"], num_snippets=4)


@pytest.mark.parametrize("on", list(itertools.product([False, True], repeat=4)))
def test_every_subset_of_blocks_learns_one_batch(on: tuple[bool, ...]) -> None:
    switches = dict(zip(("transformer", "action_score", "bi_lstm", "non_local"), on, strict=True))
    torch.manual_seed(0)
    model = RefineNetwork(RefineNetworkConfig(**{**SMALL, **switches}), in_channels=4)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    first, _ = loss_and_gradients(model, [[0, 2]])
    for _ in range(60):
        losses, _ = loss_and_gradients(model, [[0, 2]])
        optimiser.step()
    assert losses[0] < 0.1 * first[0]


def synthetic_video(seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """One action on 64 noisy snippets, loud in the first channel, and 12 proposals around it."""
    rng = torch.Generator().manual_seed(seed)
    start, length = (torch.rand(2, generator=rng, dtype=torch.float64) * 0.4 + 0.1).tolist()
    truth = torch.tensor([[start, start + length]], dtype=torch.float64)
    centre_T = (torch.arange(64) + 0.5) / 64
    features = 0.3 * torch.randn(4, 64, generator=rng)
    features[0] += 2.0 * ((centre_T > start) & (centre_T < start + length))
    moves = torch.rand(12, 2, generator=rng, dtype=torch.float64) - 0.5
    proposals = (truth + 0.7 * length * moves).sort(dim=1).values
    return features, build_targets(proposals, truth, 64)


def synthetic_batch(seeds: range) -> tuple[Tensor, dict[str, Tensor]]:
    videos = [synthetic_video(seed) for seed in seeds]
    targets = {key: torch.stack([video[1][key] for video in videos]) for key in videos[0][1]}
    return torch.stack([video[0] for video in videos]), targets


def test_training_moves_proposals_of_other_videos_to_their_truth() -> None:
    torch.manual_seed(0)
    model = RefineNetwork(CONFIG, in_channels=4)
    criterion = RefineNetworkCriterion(CONFIG)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    features, targets = synthetic_batch(range(32))
    for _ in range(60):
        optimiser.zero_grad()
        output = model(features, None, targets["proposals"])
        criterion(output, targets, criterion.counts(targets))["total"].backward()
        optimiser.step()
    features, targets = synthetic_batch(range(100, 132))
    with torch.no_grad():
        output = model.eval()(features, None, targets["proposals"])
    assert targets["tiou"].mean() < 0.75
    assert matched_tiou(output.stages[-1].segments_BP2, targets["truth"], 1e-7).mean() > 0.9
    true_tiou = matched_tiou(output.stages[-1].inputs_BP2, targets["truth"], 1e-7)
    assert (probabilities(output).score_BP - true_tiou).abs().mean() < 0.05
