"""BMN against both published implementations, from weights and sampling to losses and proposals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.bm_sampling import dense_mask
from reference.golden import Golden
from talaria_models.bmn.checkpoint import PARAMETERS, load_published
from talaria_models.bmn.config import BMNConfig
from talaria_models.bmn.criterion import BMNCriterion, regression_loss, regression_weights, tiou_bands
from talaria_models.bmn.decode import RawMaps, probabilities, proposals
from talaria_models.bmn.model import BMN, BMNOutput
from talaria_models.bmn.targets import build_targets, iou_map
from talaria_models.layers.candidate_sampling import SparseSampling, convert_axes, sparse_sampling

Draw = Callable[[tuple[int, ...]], Tensor]


def check_jjboy(golden: Golden) -> None:
    model = _model(golden, "jjboy")
    output = _outputs(golden, model)
    _check_sampling(golden, model)
    targets = _as_published(golden, _jjboy_labels(golden, model.config))
    draws = {seed: _numpy_draw(seed) for seed in range(3)}
    for seed, draw in draws.items():
        _check_losses(
            golden.manifest["losses"][f"model_outputs_np_seed_{seed}"], model, output, targets, draw
        )
    given = _given_predictions(golden)
    for seed in draws:
        _check_losses(
            golden.manifest["losses"][f"given_predictions_np_seed_{seed}"],
            model,
            given,
            targets,
            _numpy_draw(seed),
        )
    _check_terms(golden, model, given, targets)
    _check_gradients(golden, model, targets)


def check_jjboy_inference(golden: Golden) -> None:
    model = _model(golden, "jjboy")
    raw = _raw(golden, model)
    segments, scores = _published_proposals(raw, peaks=False)
    start, end = np.rint(segments * model.config.num_snippets).astype(int).T
    regression, classification = raw.bm_map_BMDT[0, :, end - start - 1, start].numpy()
    columns = [segments, raw.start_BT[0, start], raw.end_BT[0, end], classification, regression, scores]
    golden.assert_output("candidates", np.column_stack(columns)[np.lexsort((end, start))])
    video = golden.manifest["video"]
    length_s = video["duration_frame"] // 16 * 16 / video["duration_frame"] * video["duration_second"]
    golden.assert_output("proposals", _soft_nms(segments, scores, golden.config) * [1.0, length_s, length_s])


def check_mmaction2(golden: Golden) -> None:
    model = _model(golden, "mmaction2")
    output = _outputs(golden, model)
    _check_mask_digest(golden, model)
    targets = _as_published(golden, _mmaction2_labels(golden, model.config))
    for seed in (0, 1):
        torch.manual_seed(seed)
        _check_losses(golden.manifest["losses"][f"seed_{seed}"], model, output, targets, torch.rand)
    video = golden.manifest["predict"]["metainfo"]
    length_s = video["duration_frame"] // 16 * 16 / video["duration_frame"] * video["duration_second"]
    segments, scores = _published_proposals(_raw(golden, model), peaks=True)
    found = _soft_nms(segments, scores, golden.config) * [1.0, length_s, length_s]
    golden.assert_output("predict_score_start_end", found)


CHECKS = {"bmn": check_jjboy, "bmn_inference": check_jjboy_inference, "mmaction2_bmn": check_mmaction2}


def _model(golden: Golden, convention: Any) -> BMN:
    """The golden's network with its filled weights, loaded as a published checkpoint; no key is left over."""
    given, layout = golden.config, golden.manifest["layout"]
    config = BMNConfig(
        hidden_dim_1d=layout["x_1d_b.0.bias"][0][0],
        hidden_dim_2d=layout["x_2d_p.0.bias"][0][0],
        hidden_dim_3d=layout["x_3d_p.0.bias"][0][0],
        num_snippets=given.get("temporal_scale", given.get("temporal_dim")),
        boundary_ratio=given.get("prop_boundary_ratio", given.get("boundary_ratio")),
        num_samples=given.get("num_sample", given.get("num_samples")),
        num_samples_per_bin=given.get("num_sample_perbin", given.get("num_samples_per_bin")),
        sampling="start_end" if convention == "jjboy" else "duration_start",
        convention=convention,
    )
    model = BMN(config, given["feat_dim"]).eval()
    state = {key: torch.from_numpy(value) for key, value in golden.state().items()}
    assert state.keys() == PARAMETERS.keys()
    load_published(model, {f"module.{key}": value for key, value in state.items()})
    return model


def _outputs(golden: Golden, model: BMN) -> BMNOutput:
    """The output, compared as probabilities in the layout of its peer; without `outside` it is the same."""
    features = torch.from_numpy(golden.input("features"))
    whole: BMNOutput = model(features, outside=True)
    maps = convert_axes(whole.map_logits_BMDT, "duration_start", model.config.sampling)
    golden.assert_output("confidence_map", torch.sigmoid(maps).detach().numpy())
    output: BMNOutput = model(features)
    size = model.config.num_snippets
    inside_DT = torch.arange(size)[:, None] + torch.arange(size) < size
    inside = [each.map_logits_BMDT[..., inside_DT].detach() for each in (output, whole)]
    torch.testing.assert_close(*inside, rtol=0, atol=1e-5)
    golden.assert_output("start", torch.sigmoid(output.start_logits_BT).detach().numpy())
    golden.assert_output("end", torch.sigmoid(output.end_logits_BT).detach().numpy())
    if "base_feature" in golden.manifest["outputs"]:
        golden.assert_output("base_feature", model.base(features, None).detach().numpy())
    return output


def _densified(structure: SparseSampling, num_samples: int, size: int) -> np.ndarray:
    """(T, N, X, Y) mask that the sparse structure stands for."""
    mask = np.zeros((size, num_samples, size * size), dtype=np.float32)
    row = np.repeat(np.arange(len(structure.cell_P)), np.diff(structure.row_ptr))
    snippet, sample = np.divmod(structure.column, num_samples)
    mask[snippet, sample, structure.cell_P[row]] = structure.weight
    return mask.reshape(size, num_samples, size, size)


def _check_mask_digest(golden: Golden, model: BMN) -> np.ndarray:
    """The oracle's mask is the published one bit for bit; the sparse one equals it to float rounding."""
    grid = model.proposals.matching.grid
    oracle = dense_mask(grid)
    digest = hashlib.sha256(oracle.reshape(grid.num_snippets, -1).tobytes()).hexdigest()
    assert digest == golden.manifest["mask"]["sha256"]
    mask = _densified(sparse_sampling(grid), grid.num_samples, grid.num_snippets)
    np.testing.assert_allclose(mask, oracle, rtol=0, atol=1e-6)
    return mask


def _check_sampling(golden: Golden, model: BMN) -> None:
    mask = _check_mask_digest(golden, model)
    golden.assert_output("mask_nonzeros_per_start_end", (mask != 0).sum(axis=(0, 1)).astype(np.int32))
    golden.assert_output("mask_sum_per_start_end", mask.sum(axis=(0, 1), dtype=np.float64))
    start, end = golden.stored("given_mask_pairs_start_end").T
    golden.assert_output("mask_at_pairs", mask[:, :, start, end].transpose(2, 0, 1))
    features = model.base(torch.from_numpy(golden.input("features")), None)
    sampled = torch.relu(model.proposals.conv(features)).detach().numpy()
    spec = golden.manifest["outputs"]["boundary_matching"]
    place = np.arange(0, np.prod(spec["shape"]), spec["flat_stride"])
    batch, channel, *cell = np.unravel_index(place, spec["shape"])
    mine = np.einsum("pt,tp->p", sampled[batch, channel], mask[:, *cell])
    limit = golden.manifest["tolerance"]["rel"] * spec["absmax"]
    np.testing.assert_allclose(mine, golden.stored("boundary_matching"), rtol=0, atol=limit)


def _jjboy_labels(golden: Golden, config: BMNConfig) -> dict[str, Tensor]:
    """Targets of the golden's videos, compared in JJBOY's layout."""
    videos = []
    for video in golden.manifest["label_videos"].values():
        length_s = video["feature_frame"] / video["duration_frame"] * video["duration_second"]
        segments = np.array([annotation["segment"] for annotation in video["annotations"]])
        videos.append(build_targets(segments / length_s, config))
    targets = {key: torch.stack([video[key] for video in videos]) for key in videos[0]}
    golden.assert_output("label_start", targets["start"].numpy())
    golden.assert_output("label_end", targets["end"].numpy())
    golden.assert_output("label_iou_map", convert_axes(targets["iou"], "duration_start", "start_end").numpy())
    return targets


def _mmaction2_labels(golden: Golden, config: BMNConfig) -> dict[str, Tensor]:
    """Targets, compared with mmaction2's, whose map also labels segments beyond the video."""
    truths = [np.array(truth) for truth in golden.manifest["gt_bbox_fraction"]]
    videos = [build_targets(truth, config) for truth in truths]
    targets = {key: torch.stack([video[key] for video in videos]) for key in videos[0]}
    golden.assert_output("label_start", targets["start"].numpy())
    golden.assert_output("label_end", targets["end"].numpy())
    size = config.num_snippets
    everywhere = torch.stack([iou_map(torch.from_numpy(truth) * size, size) for truth in truths])
    golden.assert_output("label_confidence", everywhere.float().numpy())
    inside = torch.from_numpy(golden.stored("bm_mask"))
    torch.testing.assert_close(targets["iou"], everywhere.float() * inside, rtol=0, atol=1e-6)
    return targets


def _as_published(golden: Golden, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Boundary labels to the peer's last bit: one of 0.5 plus its rounding error counts as a positive."""
    return {
        **targets,
        **{name: torch.from_numpy(golden.stored(f"label_{name}")) for name in ("start", "end")},
    }


def _numpy_draw(seed: int) -> Draw:
    """Legacy uniform draws after `numpy.random.seed(seed)`, as float32."""
    random = np.random.RandomState(seed)
    return lambda shape: torch.from_numpy(random.rand(*shape).astype(np.float32))


def _drawn_weights(targets: dict[str, Tensor], axes: Any, draw: Draw) -> Tensor:
    """Weights of the published random sampling, drawn in the peer's layout, in canonical axes."""
    high, middle, low = (
        band.float() for band in tiou_bands(convert_axes(targets["iou"], "duration_start", axes))
    )
    drawn = high
    for band in (middle, low):
        drawn = drawn + (band * draw(tuple(band.shape)) > 1.0 - high.sum() / band.sum()).float()
    return convert_axes(drawn, axes, "duration_start")


def _losses(model: BMN, output: BMNOutput, targets: dict[str, Tensor], draw: Draw) -> dict[str, Tensor]:
    """The criterion's terms, the regression with drawn weights in place of expected ones."""
    criterion = BMNCriterion(model.config)
    counts = criterion.counts(targets)
    losses = criterion(output, targets, counts)
    weights = _drawn_weights(targets, model.config.sampling, draw)
    reg = regression_loss(output.map_logits_BMDT[:, 0], targets["iou"], weights, weights.sum())
    return {**losses, "pem_reg": reg, "total": losses["tem"] + 10.0 * reg + losses["pem_cls"]}


def _check_losses(
    want: dict[str, float], model: BMN, output: BMNOutput, targets: dict[str, Tensor], draw: Draw
) -> None:
    losses = _losses(model, output, targets, draw)
    assert losses.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_allclose(losses[name].item(), value, rtol=1e-5, err_msg=name)


def _given_predictions(golden: Golden) -> BMNOutput:
    """The golden's predictions as logits: they are sigmoids of standard normal draws."""
    logits = {
        name: _normal(golden.manifest["inputs"][name]) for name in ("pred_start", "pred_end", "pred_map")
    }
    maps = convert_axes(logits["pred_map"], "start_end", "duration_start")
    return BMNOutput(logits["pred_start"], logits["pred_end"], maps)


def _normal(spec: dict[str, Any]) -> Tensor:
    random = np.random.Generator(np.random.PCG64(spec["seed"]))
    return torch.from_numpy(random.standard_normal(spec["shape"]).astype(np.float32))


def _check_terms(golden: Golden, model: BMN, given: BMNOutput, targets: dict[str, Tensor]) -> None:
    """Band sizes are exact; the expected regression loss is the mean of many published draws."""
    counts = BMNCriterion(model.config).counts(targets)
    terms, many = golden.manifest["losses"]["terms"], golden.manifest["losses"]["pem_reg_many_draws"]
    want = [terms["num_h"], terms["num_m"], terms["num_l"], terms["num_cls_positive"]]
    assert counts[3:7].tolist() == want
    weights, total = regression_weights(targets["iou"], counts)
    expected = regression_loss(given.map_logits_BMDT[:, 0], targets["iou"], weights, total).item()
    assert abs(expected - many["mean"]) < 4.0 * many["std"] / many["n"] ** 0.5


def _check_gradients(golden: Golden, model: BMN, targets: dict[str, Tensor]) -> None:
    model.zero_grad()
    output = model(torch.from_numpy(golden.input("features")))
    _losses(model, output, targets, _numpy_draw(0))["total"].backward()  # type: ignore[no-untyped-call]
    found = dict(model.named_parameters())
    for key, (norm, total) in golden.manifest["gradients_total_loss_np_seed_0"]["norm_and_sum"].items():
        gradient = found[PARAMETERS[key]].grad
        assert gradient is not None
        np.testing.assert_allclose(gradient.double().norm().item(), norm, rtol=1e-4, err_msg=key)
        slack = 1e-5 * norm * gradient.numel() ** 0.5
        np.testing.assert_allclose(gradient.double().sum().item(), total, rtol=1e-4, atol=slack, err_msg=key)


def _raw(golden: Golden, model: BMN) -> RawMaps:
    with torch.no_grad():
        return probabilities(model(torch.from_numpy(golden.input("features"))))


def _published_proposals(raw: RawMaps, peaks: bool) -> tuple[np.ndarray, np.ndarray]:
    """Every proposal of the first video but those that last to its end, which both peers drop."""
    segments, scores = proposals(
        raw.start_BT[0].numpy(),
        raw.end_BT[0].numpy(),
        raw.bm_map_BMDT[0].numpy(),
        map_classification_power=1.0,
        map_regression_power=1.0,
        boundary_power=1.0,
        top=raw.bm_map_BMDT[0, 0].numel(),
        peaks=peaks,
    )
    published = segments[:, 1] < 1.0
    return segments[published], scores[published]


def _soft_nms(segments: np.ndarray, scores: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """The published Gaussian Soft-NMS as rows of score, start, end, best first."""
    low, high = (
        config.get(f"soft_nms_{side}_thres", config.get(f"soft_nms_{side}_threshold"))
        for side in ("low", "high")
    )
    left, right = segments.T
    scores, chosen = scores.copy(), []
    top = config.get("post_process_top_k", 100)
    for _ in range(min(top + 1, len(scores))):
        best = int(np.argmax(scores))
        chosen.append((scores[best], left[best], right[best]))
        width = right[best] - left[best]
        shared = np.maximum(np.minimum(right, right[best]) - np.maximum(left, left[best]), 0.0)
        tiou = shared / (right - left + width - shared)
        near = tiou > low + (high - low) * width
        scores[near] *= np.exp(-np.square(tiou[near]) / config["soft_nms_alpha"])
        scores[best] = -1.0
    return np.array(sorted(chosen, reverse=True)[:top])
