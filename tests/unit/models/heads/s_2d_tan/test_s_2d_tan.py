"""S-2D-TAN against the report's words: candidates, compact maps, targets, loss, and what must not matter."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from talaria_models.registry import build, config_from_dict
from talaria_models.s_2d_tan.candidates import layout
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.s_2d_tan.criterion import S2DTANCriterion
from talaria_models.s_2d_tan.decode import found_segments
from talaria_models.s_2d_tan.model import S2DTAN, S2DTANOutput, pooled
from talaria_models.s_2d_tan.targets import NO_CLASS, build_targets

SMALL = S2DTANConfig(num_snippets=16, hidden_dim=8, kernel_size=3, num_layers=2)


def network(config: S2DTANConfig = SMALL, seed: int = 0) -> S2DTAN:
    torch.manual_seed(seed)
    return S2DTAN(config, in_channels=5, num_classes=3).eval()


def written_out(num_snippets: int) -> Iterator[tuple[int, int]]:
    """(start, length) of all candidates as section 1.2 has them."""
    quarter, half = num_snippets // 4, num_snippets // 2
    for length in range(1, quarter + 1):
        yield from ((start, length) for start in range(num_snippets - length + 1))
    for length in range(quarter + 2, half + 1, 2):
        yield from ((start, length) for start in range(0, num_snippets - length + 1, 2))
    for length in range(half + 4, num_snippets + 1, 4):
        yield from ((start, length) for start in range(0, num_snippets - length + 1, 4))


@pytest.mark.parametrize("num_snippets", [8, 16, 24, 64, 72, 256])
def test_candidates_are_those_of_the_report(num_snippets: int) -> None:
    found = layout(num_snippets)
    mine = set(zip(found.start_Q.tolist(), (found.end_Q - found.start_Q).tolist(), strict=True))
    assert mine == set(written_out(num_snippets))
    assert len(mine) == len(found)
    assert [kind.size for kind in found.kinds] == [num_snippets, 3 * num_snippets // 8, num_snippets // 8]
    assert sum(kind.num_lengths for kind in found.kinds) == num_snippets // 2


def test_the_report_s_128_layers() -> None:
    assert [kind.num_lengths for kind in layout(256).kinds] == [64, 32, 32]


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([8, 16, 32, 40]), st.integers(0, 2**31))
def test_stacked_pooling_takes_the_largest_feature_of_each_candidate(num_snippets: int, seed: int) -> None:
    features = torch.randn(2, 3, num_snippets, generator=torch.Generator().manual_seed(seed))
    found = layout(num_snippets)
    mine = pooled(features, found.kinds)
    for place, (start, end) in enumerate(zip(found.start_Q.tolist(), found.end_Q.tolist(), strict=True)):
        torch.testing.assert_close(mine[:, :, place], features[:, :, start:end].amax(dim=2))


def slow_overlap_logits(model: S2DTAN, features: Tensor) -> Tensor:
    """Each kind's compact map cell by cell, one convolution at a time, for one video."""
    found, hidden = model.layout, F.relu(model.frame(features))
    values = pooled(hidden, found.kinds)
    logits = torch.zeros(len(found))
    for index, kind in enumerate(found.kinds):
        mine = np.flatnonzero(found.kind_Q == index).tolist()
        grid = torch.zeros(1, hidden.shape[1], kind.size, kind.size)
        mask = torch.zeros(1, 1, kind.size, kind.size)
        place = {}
        for q in mine:
            start, end = int(found.start_Q[q]), int(found.end_Q[q])
            row = start // kind.stride
            column = (end - kind.shortest) // kind.stride
            place[q] = row, column
            grid[0, :, row, column], mask[0, 0, row, column] = values[0, :, q], 1.0
        for conv in model.convs.convs:
            grid = F.relu(conv(grid))
            seen = F.conv2d(mask, torch.ones(1, 1, *conv.kernel_size), padding=conv.padding).round()
            grid = grid * torch.where(seen > 0, 1.0 / seen, 0.0)
            mask = (seen > 0).float()
        for q, (row, column) in place.items():
            logits[q] = model.overlap(grid[0, :, row, column])
    return logits


@pytest.mark.parametrize("num_snippets", [8, 16, 24])
def test_compact_maps_agree_with_a_slow_reference(num_snippets: int) -> None:
    model = network(S2DTANConfig(num_snippets=num_snippets, hidden_dim=8, kernel_size=5, num_layers=2))
    features = torch.randn(1, 5, num_snippets)
    with torch.no_grad():
        mine, slow = model(features).overlap_logits_BQ[0], slow_overlap_logits(model, features)
    torch.testing.assert_close(mine, slow)


def test_without_rearranging_all_candidates_share_one_map() -> None:
    features = torch.randn(1, 5, 16)
    config = S2DTANConfig(num_snippets=16, hidden_dim=8, kernel_size=3, num_layers=2, rearranged=False)
    with torch.no_grad():
        one, three = network(config)(features), network()(features)
    short = torch.from_numpy(layout(16).kind_Q == 0)
    assert not torch.allclose(one.overlap_logits_BQ[0, ~short], three.overlap_logits_BQ[0, ~short])
    torch.testing.assert_close(one.class_logits_BQK, three.class_logits_BQK)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2)), max_size=4), st.integers(1, 16)
)
def test_targets_and_loss_agree_with_loops(truths: list[tuple[float, float, int]], num_valid: int) -> None:
    segments = np.array([sorted(one[:2]) for one in truths]).reshape(-1, 2)
    labels = [one[2] for one in truths]
    targets = build_targets(segments, labels, SMALL, num_valid)
    found = layout(16)
    logits, classes = torch.randn(1, len(found)), torch.randn(1, len(found), 3)
    overlap_loss, class_loss, num_classed = 0.0, 0.0, 0
    for q, (start, end) in enumerate(zip(found.start_Q.tolist(), found.end_Q.tolist(), strict=True)):
        valid = end <= num_valid
        assert bool(targets["valid"][q]) == valid
        best, label = 0.0, NO_CLASS
        for (begin, finish), one in zip(segments * num_valid, labels, strict=True):
            shared = max(0.0, min(end, finish) - max(start, begin))
            tiou = shared / (end - start + finish - begin - shared)
            if tiou > best:
                best, label = tiou, one
        want = min(max((best - 0.5) / 0.5, 0.0), 1.0) if valid else 0.0
        assert float(targets["overlap"][q]) == pytest.approx(want, abs=1e-6)
        if valid:
            chance = 1 / (1 + math.exp(-float(logits[0, q])))
            overlap_loss -= want * math.log(chance) + (1 - want) * math.log(1 - chance)
        if abs(best - 0.5) > 1e-9:
            assert int(targets["label"][q]) == (label if valid and best > 0.5 else NO_CLASS)
        if int(targets["label"][q]) != NO_CLASS:
            class_loss -= float(torch.log_softmax(classes[0, q], dim=0)[int(targets["label"][q])])
            num_classed += 1
    criterion = S2DTANCriterion()
    batch = {key: value[None] for key, value in targets.items()}
    mine = criterion(S2DTANOutput(logits, classes, batch["valid"]), batch, criterion.counts(batch))
    assert float(mine["overlap"]) == pytest.approx(
        overlap_loss / max(int(targets["valid"].sum()), 1), rel=1e-4
    )
    assert float(mine["class"]) == pytest.approx(class_loss / max(num_classed, 1), rel=1e-4, abs=1e-6)


def test_losses_do_not_depend_on_how_a_batch_is_cut() -> None:
    model, criterion = network(), S2DTANCriterion()
    rows = [([[0.1, 0.4]], [1]), ([], []), ([[0.5, 0.9], [0.0, 0.2]], [0, 2])]
    stacked = [build_targets(np.array(s).reshape(-1, 2), labels, SMALL) for s, labels in rows]
    batch = {key: torch.stack([one[key] for one in stacked]) for key in stacked[0]}
    features = torch.randn(3, 5, 16)
    counts = criterion.counts(batch)
    whole = criterion(model(features), batch, counts)
    parts = [
        criterion(model(features[i : i + 1]), {key: value[i : i + 1] for key, value in batch.items()}, counts)
        for i in range(3)
    ]
    for name in criterion.loss_names:
        torch.testing.assert_close(whole[name], sum(part[name] for part in parts))


def test_decoding_the_targets_returns_the_truth() -> None:
    truth, labels = np.array([[2 / 16, 5 / 16], [8 / 16, 14 / 16]]), [2, 0]
    targets = build_targets(truth, labels, SMALL)
    logits = torch.logit(targets["overlap"].clamp(1e-4, 1 - 1e-4))[None]
    classes = 10.0 * F.one_hot(targets["label"].clamp_min(0), 3).float()[None]
    (found,) = found_segments(S2DTANOutput(logits, classes, targets["valid"][None]), layout(16), top=2)
    order = np.argsort(found.segments_P2[:, 0])
    np.testing.assert_allclose(found.segments_P2[order], truth)
    assert found.class_scores_PK[order].argmax(axis=1).tolist() == labels
    assert found.scores_P.min() > 0.99


def test_videos_of_a_batch_do_not_see_each_other() -> None:
    model, features = network(), torch.randn(3, 5, 16)
    with torch.no_grad():
        together = model(features)
        for row in range(3):
            alone = model(features[row : row + 1])
            torch.testing.assert_close(alone.overlap_logits_BQ[0], together.overlap_logits_BQ[row])
            torch.testing.assert_close(alone.class_logits_BQK[0], together.class_logits_BQK[row])


def test_what_lies_beyond_the_video_changes_nothing() -> None:
    model, mask = network(), torch.arange(16)[None] < 11
    features = torch.randn(1, 5, 16)
    other = torch.where(mask[:, None], features, 100.0)
    with torch.no_grad():
        one, two = model(features, mask), model(other, mask)
    valid = one.valid_BQ
    assert valid[0].tolist() == (layout(16).end_Q <= 11).tolist()
    torch.testing.assert_close(one.overlap_logits_BQ[valid], two.overlap_logits_BQ[valid])
    torch.testing.assert_close(one.class_logits_BQK[valid], two.class_logits_BQK[valid])


def test_a_shift_in_time_shifts_the_scores() -> None:
    """By the largest stride; a short candidate in the middle, where no convolution sees a border."""
    config = S2DTANConfig(num_snippets=64, hidden_dim=8, kernel_size=3, num_layers=2)
    model, features = network(config), torch.randn(1, 5, 64)
    shifted = torch.roll(features, 4, dims=2)
    found = layout(64)
    place = {key: q for q, key in enumerate(zip(found.start_Q.tolist(), found.end_Q.tolist(), strict=True))}
    with torch.no_grad():
        before, after = model(features).overlap_logits_BQ[0], model(shifted).overlap_logits_BQ[0]
    for start, end in [(20, 26), (24, 48), (30, 31)]:
        torch.testing.assert_close(before[place[start, end]], after[place[start + 4, end + 4]])


def test_it_learns_where_and_what() -> None:
    torch.manual_seed(0)
    config = S2DTANConfig(num_snippets=16, hidden_dim=16, kernel_size=3, num_layers=2)
    model, criterion = S2DTAN(config, in_channels=4, num_classes=2), S2DTANCriterion()
    rng = np.random.default_rng(0)
    features, targets, truths = [], [], []
    for video in range(24):
        start, length, label = int(rng.integers(0, 10)), int(rng.integers(3, 5)), video % 2
        one = 0.1 * torch.randn(4, 16)
        one[label, start : start + length] += 2.0
        truths.append(([start / 16, (start + length) / 16], label))
        features.append(one)
        targets.append(build_targets(np.array([truths[-1][0]]), [label], config))
    batch = {key: torch.stack([one[key] for one in targets]) for key in targets[0]}
    counts, inputs = criterion.counts(batch), torch.stack(features)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        criterion(model(inputs), batch, counts)["total"].backward()
        optimizer.step()
    with torch.no_grad():
        found = found_segments(model.eval()(inputs), model.layout, top=1)
    hits = [
        np.abs(one.segments_P2[0] - truth).max() <= 1 / 16 and one.class_scores_PK[0].argmax() == label
        for one, (truth, label) in zip(found, truths, strict=True)
    ]
    assert sum(hits) >= 20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_snippets", 12),
        ("num_snippets", 0),
        ("hidden_dim", 0),
        ("kernel_size", 4),
        ("num_layers", 0),
        ("tiou_low", 1.0),
        ("class_tiou", 1.0),
    ],
)
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        S2DTANConfig(**{field: value})  # type: ignore[arg-type]


def test_it_is_built_by_name_and_refuses_another_grid() -> None:
    config = config_from_dict({"name": "s_2d_tan", "num_snippets": 16, "hidden_dim": 8, "kernel_size": 3})
    model = build(config, in_channels=5, num_classes=3)
    with pytest.raises(ValueError, match="num_snippets: the model was built for 16 snippets"):
        model(torch.zeros(1, 5, 20))
