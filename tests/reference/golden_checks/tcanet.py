"""TCANet against both published implementations: features, refined proposals, tIoUs and losses.

Letters: B batch, P proposals, N proposals that are no padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.golden import Golden
from talaria_models.refining import RefinedStage, RefinerOutput
from talaria_models.refining_loss import RefiningCriterion, drawn_weights, matched_tiou, tiou_loss
from talaria_models.tcanet.checkpoint import load_published, parameter_names
from talaria_models.tcanet.config import TCANetConfig
from talaria_models.tcanet.criterion import TCANetCriterion
from talaria_models.tcanet.model import TCANet

GUARD = 1e-5
"""Shortest length and guard of the tIoU in both peers, each in its own unit of time."""
Draw = Callable[[int], Tensor]


@dataclass(frozen=True)
class Rows:
    """Proposals as (B, P) with padding, and the truth of each; fractions of the features' span."""

    proposals_BP2: Tensor
    truth_BP2: Tensor
    valid_BP: Tensor


def check_authors(golden: Golden) -> None:
    given = golden.config
    span_s = given["temporal_scale"] * given["temporal_interval"]
    model = _model(golden, guard_frac=GUARD / span_s)
    features = torch.from_numpy(golden.input("features"))
    rows = _as_rows(golden, span_s)
    with torch.no_grad():
        golden.assert_output("base_feature", model.base(features, None).numpy())
        golden.assert_output("encoded_feature", model.encoded(features).numpy())
        _check_stages(golden, model(features, None, rows.proposals_BP2, rows.valid_BP), span_s, "")
    aligned = _model(golden, guard_frac=GUARD / span_s, align_corners=True)
    with torch.no_grad():
        output = aligned(features, None, rows.proposals_BP2, rows.valid_BP)
    _check_stages(golden, output, span_s, "_align_corners_True")
    _check_first_regressor(golden, model, rows, span_s)
    _check_cascade_losses(golden, model, features, rows)
    near = _near_rows(golden, span_s)
    for number, facts in enumerate(golden.manifest["tbr_near"].values(), start=1):
        stage = _single_stage(golden, model, number, near, training=False)
        golden.assert_output(f"tbr{number}_near_iou", _probability(stage))
        golden.assert_output(f"tbr{number}_near_inference_proposals", _segments(stage) * np.float32(span_s))
        stage = _single_stage(golden, model, number, near, training=True)
        golden.assert_output(f"tbr{number}_near_training_proposals", _segments(stage) * np.float32(span_s))
        _check_losses(golden, model, stage, near, facts, _numpy_draw(facts["np_seed"]))


def check_mmaction2(golden: Golden) -> None:
    model = _model(golden, guard_frac=GUARD, norm_eps=1e-6)
    features = torch.from_numpy(golden.input("features"))
    proposals = torch.from_numpy(golden.input("proposals"))[None]
    truth = torch.from_numpy(golden.input("gt_boxes"))[None]
    rows = Rows(proposals, truth, torch.ones_like(proposals[..., 0], dtype=torch.bool))
    with torch.no_grad():
        golden.assert_output("encoded_feature", model.encoded(features).numpy())
        _check_stages(golden, model(features, None, proposals), 1.0, "")
    for number, facts in enumerate(golden.manifest["tbr_training"].values(), start=1):
        stage = _single_stage(golden, model, number, rows, training=True)
        torch.manual_seed(facts["seed"])
        _check_losses(golden, model, stage, rows, facts, torch.rand)


CHECKS = {"tcanet": check_authors, "mmaction2_tcanet": check_mmaction2}


def _model(golden: Golden, **options: Any) -> TCANet:
    """The golden's network with its filled weights, loaded as a published checkpoint; no key is left over."""
    given = golden.config
    both = given.get("se_sample_num")
    config = TCANetConfig(
        num_encoders=given["lgte_num"],
        window=given["window_size"],
        num_start_samples=given.get("start_sample_num", both),
        num_end_samples=given.get("end_sample_num", both),
        num_action_samples=given["action_sample_num"],
        boundary_ratio=given.get("prop_boundary_ratio", 0.5),
        augment_proposals=False,
        **options,
    )
    model = TCANet(config, given["feat_dim"]).eval()
    state = {key: torch.from_numpy(value) for key, value in golden.state().items()}
    layout = "authors" if "tbr1.reg1se.start_reg_conv.0.weight" in state else "mmaction2"
    assert state.keys() == parameter_names(model, layout).keys()
    load_published(model, {f"module.{key}": value for key, value in state.items()})
    return model


def _as_rows(golden: Golden, span_s: float) -> Rows:
    proposals = torch.from_numpy(golden.input("proposals"))[..., :2]
    truth = torch.from_numpy(golden.input("gt_boxes"))
    return Rows(proposals / span_s, truth / span_s, proposals.sum(dim=-1) > 0)


def _near_rows(golden: Golden, span_s: float) -> Rows:
    """The flat near proposals as padded rows; their order is that of the videos."""
    video = torch.from_numpy(golden.input("near_batch_index"))
    sizes = torch.bincount(video)
    valid = torch.arange(int(sizes.max()))[None] < sizes[:, None]
    proposals, truth = torch.zeros(*valid.shape, 2), torch.zeros(*valid.shape, 2)
    proposals[valid] = torch.from_numpy(golden.input("near_proposals")) / span_s
    truth[valid] = torch.from_numpy(golden.input("near_gt")) / span_s
    return Rows(proposals, truth, valid)


def _segments(stage: RefinedStage) -> np.ndarray:
    return stage.segments_BP2[stage.valid_BP].numpy()


def _probability(stage: RefinedStage) -> np.ndarray:
    return torch.sigmoid(stage.score_logits_BP[stage.valid_BP]).numpy()


def _check_stages(golden: Golden, output: RefinerOutput, span: float, suffix: str) -> None:
    """Segments and tIoUs of all stages, as far as the golden holds them, in the peer's unit."""
    checked = 0
    for number, stage in enumerate(output.stages, start=1):
        found = {"proposals": _segments(stage) * np.float32(span), "iou": _probability(stage)}
        for name, mine in found.items():
            if f"{name}{number}{suffix}" in golden.manifest["outputs"]:
                golden.assert_output(f"{name}{number}{suffix}", mine)
                checked += 1
    assert checked >= 2


def _check_first_regressor(golden: Golden, model: TCANet, rows: Rows, span_s: float) -> None:
    stage = _single_stage(golden, model, 1, rows, training=True)
    boundary, segment = (stage.regressions[code][stage.valid_BP] for code in ("boundary", "segment"))
    golden.assert_output("tbr1_reg_se", boundary.numpy())
    score = stage.score_logits_BP[stage.valid_BP]
    golden.assert_output("tbr1_reg_xw_iou", torch.cat([segment, score[:, None]], dim=1).numpy())
    golden.assert_output("tbr1_training_proposals", _segments(stage) * np.float32(span_s))
    facts = golden.manifest["tbr1_training"]
    _check_losses(golden, model, stage, rows, facts, _numpy_draw(facts["np_seed"]))


@torch.no_grad()
def _single_stage(golden: Golden, model: TCANet, number: int, rows: Rows, *, training: bool) -> RefinedStage:
    """One regressor on given proposals, decoded as in training or as after it."""
    hidden = model.encoded(torch.from_numpy(golden.input("features")))
    regressor = model.regressors[number - 1].train(training)
    stage: RefinedStage = regressor(hidden, None, rows.proposals_BP2, rows.valid_BP)
    regressor.eval()
    return stage


def _check_cascade_losses(golden: Golden, model: TCANet, features: Tensor, rows: Rows) -> None:
    """All three regressors one after the other, in training mode without dropout."""
    model.regressors.train()
    with torch.no_grad():
        output = model(features, None, rows.proposals_BP2, rows.valid_BP)
    model.regressors.eval()
    limits = model.config.thresholds
    for seed in (0, 1):
        want, draw = golden.manifest["losses"][f"np_seed_{seed}"], _numpy_draw(seed)
        total = 0.0
        for number, (stage, limit) in enumerate(zip(output.stages, limits, strict=True), start=1):
            facts = {key: want[f"{key}{number}"] for key in ("rloss", "iloss")}
            total += _check_losses(golden, model, stage, rows, {**facts, "iou_thres": limit}, draw)
        np.testing.assert_allclose(total, want["total_loss"], rtol=golden.manifest["tolerance"]["rel"])
    _check_criterion(model, output, rows, golden.manifest["losses"]["np_seed_0"])


def _check_criterion(model: TCANet, output: RefinerOutput, rows: Rows, want: dict[str, float]) -> None:
    """What training uses: regression losses are the published ones, tIoU losses their mean over draws."""
    criterion, targets = TCANetCriterion(model.config), {"truth": rows.truth_BP2}
    losses = criterion(output, targets, criterion.counts(targets, output))
    for number, stage in enumerate(output.stages, start=1):
        np.testing.assert_allclose(losses[f"regression_{number}"], want[f"rloss{number}"], rtol=1e-4)
        draw = _numpy_draw(number)
        limit = model.config.thresholds[number - 1]
        drawn = [_drawn_loss(model.config, stage, rows, limit, draw) for _ in range(400)]
        slack = 4.0 * np.std(drawn) / len(drawn) ** 0.5 + 0.02 * np.mean(drawn)
        assert abs(losses[f"score_{number}"].item() - np.mean(drawn)) <= slack


def _check_losses(
    golden: Golden, model: TCANet, stage: RefinedStage, rows: Rows, want: dict[str, float], draw: Draw
) -> float:
    """Both losses of one stage with the peer's draws; returns their sum."""
    limit, rel = want["iou_thres"], golden.manifest["tolerance"]["rel"]
    criterion = RefiningCriterion([limit], guard_frac=model.config.guard_frac)
    targets = {"truth": rows.truth_BP2}
    count = criterion.counts(targets, RefinerOutput((stage,)))[0]
    regression = criterion.stage_regression(stage, targets, limit, count).item()
    score = _drawn_loss(model.config, stage, rows, limit, draw)
    np.testing.assert_allclose(regression, want["rloss"], rtol=rel, err_msg="rloss")
    np.testing.assert_allclose(score, want["iloss"], rtol=rel, err_msg="iloss")
    return regression + score


def _drawn_loss(config: TCANetConfig, stage: RefinedStage, rows: Rows, limit: float, draw: Draw) -> float:
    """The tIoU loss with weights drawn in the peer's order: middle band, then low band, over N proposals."""
    tiou = matched_tiou(stage.inputs_BP2, rows.truth_BP2, config.guard_frac)
    uniforms = torch.zeros(2, *stage.valid_BP.shape)
    for band in uniforms:
        band[stage.valid_BP] = draw(int(stage.valid_BP.sum()))
    weights = drawn_weights(tiou, stage.valid_BP, limit, *uniforms)
    return tiou_loss(stage.score_logits_BP, tiou, weights, weights.sum()).item()


def _numpy_draw(seed: int) -> Draw:
    """Legacy uniform draws after `numpy.random.seed(seed)`, as float32."""
    random = np.random.RandomState(seed)
    return lambda size: torch.from_numpy(random.rand(size).astype(np.float32))
