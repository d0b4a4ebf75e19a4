"""The parts of TCANet against the authors' code: encoder, feature sampling, offsets and training samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference.golden import Golden
from reference.local_global_oracle import mask_matrix, masked_attention
from talaria_models.layers.local_global import LocalGlobalEncoder, published_state
from talaria_models.layers.temporal_sampling import sample_spans, with_context
from talaria_models.offsets import decode_boundary, decode_segment, encode_boundary, encode_segment
from talaria_models.refining import build_targets
from talaria_models.refining_loss import matched_tiou
from talaria_models.tcanet.targets import trainable_truths

GUARD_S = 1e-5
"""Shortest length and guard of the tIoU in the peer, in the unit of its segments."""


def check_encoder(golden: Golden) -> None:
    given = golden.config
    encoder = LocalGlobalEncoder(
        given["input_dim"],
        num_heads=given["num_heads"],
        window=given["window_size"],
        feedforward_dim=given["dim_feedforward"],
        dropout=given["dropout"],
    ).eval()
    state = {key: torch.from_numpy(value) for key, value in golden.state().items()}
    encoder.load_state_dict(published_state(state, "authors"))
    features = torch.from_numpy(golden.input("features"))
    hidden = features.transpose(1, 2)
    mask = mask_matrix(encoder.num_heads, features.shape[2], encoder.window)
    golden.assert_output("mask_matrix", mask[None].numpy().astype(np.float32))
    golden.assert_output(
        "attention_weights", masked_attention(encoder, hidden)[1].mean(dim=1).detach().numpy()
    )
    golden.assert_output("attention_output", encoder.attention(hidden, None).transpose(0, 1).detach().numpy())
    golden.assert_output("output", encoder(features).detach().numpy())


def check_sampling(golden: Golden) -> None:
    given = golden.config
    features, segments, video_s = (
        torch.from_numpy(golden.input(name)) for name in ("features", "segments", "video_sec")
    )
    span_s = torch.full_like(video_s, features.shape[2] * given["temporal_interval"])
    before, after = with_context(segments, given["prop_boundary_ratio"])
    parts = {"start": before, "action": segments, "end": after}
    cases = (("", span_s, False), ("", span_s, True), ("resize_", video_s, False))
    for prefix, length_s, align_corners in cases:
        for name, spans in parts.items():
            fractions = (spans / length_s[:, None]).clamp(0.0, 1.0)[:, None]
            mine = sample_spans(features, fractions, given[f"{name}_sample_num"], align_corners=align_corners)
            golden.assert_output(f"{name}_{prefix}align_corners_{align_corners}", mine[:, 0].numpy())


def check_targets(golden: Golden) -> None:
    proposals, truths, deltas = (
        torch.from_numpy(golden.input(name)) for name in ("proposals", "gt", "deltas")
    )
    found = {
        "iou": matched_tiou(proposals, truths, GUARD_S),
        "targets_se": encode_boundary(proposals, truths, GUARD_S),
        "targets_xw": encode_segment(proposals, truths, GUARD_S),
        "decode_xw_0.1_0.2": decode_segment(proposals, deltas, 0.1, 0.2),
        "decode_se_1.0": decode_boundary(proposals, deltas, 1.0),
        "decode_se_0.2": decode_boundary(proposals, deltas, 0.2),
    }
    for name, mine in found.items():
        golden.assert_output(name, mine.numpy())
    size = golden.manifest["outputs"]["iou_matrix"]["shape"][0]
    some = proposals[:size]
    golden.assert_output("iou_matrix", matched_tiou(some[:, None], some[None], GUARD_S).numpy())
    for name in ("shorter", "longer"):
        _check_sample(golden, name, proposals, truths)
    _check_filter(golden)


CHECKS = {"tcanet_lgte": check_encoder, "tcanet_ttn": check_sampling, "tcanet_targets": check_targets}


def _check_sample(golden: Golden, name: str, proposals: Tensor, truths: Tensor) -> None:
    """One training sample: padded proposals with their truths, padded features with their mask.

    The peer is given the truth of each proposal; where the best-overlapping one is that, matching agrees.
    """
    sizes = golden.manifest["training_targets"][name]
    unit_s = 1.01 * max(proposals.max().item(), truths.max().item())
    targets = build_targets(proposals.double() / unit_s, truths.double() / unit_s, sizes["topk"])
    rows = torch.cat([targets["proposals"] * unit_s, torch.zeros(sizes["topk"], 1)], dim=1)
    golden.assert_output(f"sampled_proposals_{name}", rows.numpy())
    matched = targets["truth"] * unit_s
    want = torch.from_numpy(golden.stored(f"sampled_gt_{name}"))
    assert not want[~targets["valid"]].any()
    assert targets["valid"].tolist() == [True] * len(proposals) + [False] * (sizes["topk"] - len(proposals))
    given = matched_tiou(rows[:, :2], want, GUARD_S)
    found = matched_tiou(rows[:, :2], matched, GUARD_S)
    assert (found >= given - 1e-5).all(), "a proposal was matched to a truth that it overlaps less"
    same = targets["valid"] & (found <= given + 1e-5) & (given > 0)
    torch.testing.assert_close(matched[same], want[same], rtol=1e-5, atol=1e-4)
    features = torch.from_numpy(golden.input(f"feature_{name}"))[0]
    assert features.shape[1] == sizes["feature_len"]
    padded = torch.nn.functional.pad(features, (0, sizes["full_len"] - features.shape[1]))
    golden.assert_output(f"sampled_feature_{name}", padded.numpy())
    padding = torch.arange(sizes["full_len"]) >= sizes["feature_len"]
    golden.assert_output(f"temporal_mask_{name}", padding.numpy())


def _check_filter(golden: Golden) -> None:
    """Instances of a second or less are left out of training."""
    video, kept = golden.manifest["filter"]["given"], golden.manifest["filter"]["kept"]
    segments_s = np.array([annotation["segment"] for annotation in video["annotations"]])
    duration_s = float(video["duration"])
    want = np.array([annotation["segment"] for annotation in kept["annotations"]]) / duration_s
    np.testing.assert_allclose(trainable_truths(segments_s, duration_s), want, rtol=1e-12)
    everything = trainable_truths(segments_s, duration_s, shortest_s=0.0)
    np.testing.assert_allclose(everything, golden.manifest["filter"]["collect_gt"], rtol=1e-12)
