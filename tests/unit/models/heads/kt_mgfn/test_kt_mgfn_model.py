"""KT-MGFN's network: switches, activation sequences, erasing, padding, batches, shifts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from talaria_models.kt_mgfn.config import KTMGFNConfig, trimmed_branch
from talaria_models.kt_mgfn.model import KTMGFN, KTMGFNOutput

SMALL = KTMGFNConfig(hidden_dim=8, regressor_dim=8, anchor_lengths=(2.0, 6.0), dropout=0.0)
OFF = replace(SMALL, dilated=False, cascaded=False, transfer=False, regression=False)


def network(config: KTMGFNConfig = SMALL, classes: int = 3) -> KTMGFN:
    """A network whose biases and offsets are not those of the start."""
    torch.manual_seed(0)
    model = KTMGFN(config, in_channels=5, num_classes=classes)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def compared(first: KTMGFNOutput, second: KTMGFNOutput) -> None:
    for name in ("logits_BGK", "pooled_BGH", "class_logits_BK", "cas_BKT", "segments_BA2"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name), msg=name)
    assert torch.equal(first.erased_BT, second.erased_BT)


def rows(output: KTMGFNOutput, row: int, length: int) -> KTMGFNOutput:
    """One video of an output, its first snippets."""
    assert output.segments_BA2 is not None
    keep = slice(row, row + 1)
    return KTMGFNOutput(
        output.logits_BGK[keep],
        output.pooled_BGH[keep],
        output.class_logits_BK[keep],
        output.cas_BKT[keep, :, :length],
        output.erased_BT[keep, :length],
        output.valid_BT[keep, :length],
        output.segments_BA2[keep, : length * len(SMALL.anchor_lengths)],
    )


def test_shapes() -> None:
    output = network()(torch.randn(2, 5, 11))
    assert output.logits_BGK.shape == (2, 8, 3)
    assert output.pooled_BGH.shape == (2, 8, 8)
    assert output.class_logits_BK.shape == (2, 3)
    assert output.cas_BKT.shape == (2, 3, 11)
    assert output.erased_BT.shape == output.valid_BT.shape == (2, 11)
    assert output.segments_BA2 is not None
    assert output.segments_BA2.shape == (2, 22, 2)


def test_every_switch_adds_the_parameters_of_its_part_and_no_others() -> None:
    def names(config: KTMGFNConfig) -> set[str]:
        return set(network(config).state_dict())

    base = names(OFF)
    assert {name.split(".")[0] for name in base} == {"norm", "first"}
    added = names(replace(OFF, dilated=True)) - base
    assert {".".join(name.split(".")[:3]) for name in added} == {f"first.branches.{i}" for i in (1, 2, 3)}
    added = names(replace(OFF, cascaded=True)) - base
    assert added == {name.replace("first", "second") for name in base if name.startswith("first")}
    assert names(replace(OFF, transfer=True)) == base
    assert {name.split(".")[0] for name in names(replace(OFF, regression=True)) - base} == {"regressor"}


@pytest.mark.parametrize("switch", ["dilated", "cascaded", "regression"])
def test_what_is_switched_on_leaves_the_first_branch_as_it_was(switch: str) -> None:
    features = torch.randn(2, 5, 11)
    without = network(OFF)
    with_it = network(replace(OFF, **{switch: True}))
    with_it.load_state_dict(without.state_dict(), strict=False)
    plain, more = without(features), with_it(features)
    torch.testing.assert_close(more.logits_BGK[:, 0], plain.logits_BGK[:, 0])
    torch.testing.assert_close(more.pooled_BGH[:, 0], plain.pooled_BGH[:, 0])
    assert (more.segments_BA2 is None) == (switch != "regression")
    assert more.erased_BT.any() == (switch == "cascaded")
    assert not plain.erased_BT.any()
    if switch == "cascaded":
        assert (more.cas_BKT >= plain.cas_BKT).all()
    elif switch == "regression":
        torch.testing.assert_close(more.cas_BKT, plain.cas_BKT)


def test_the_mean_of_the_activation_sequence_is_the_logit_without_its_bias() -> None:
    model = network(replace(SMALL, cascaded=False))
    mask = torch.arange(11) < torch.tensor([[7], [11]])
    output = model(torch.randn(2, 5, 11), mask)
    mean_BK = output.cas_BKT.sum(dim=2) / mask.sum(dim=1, keepdim=True)
    bias_GK = torch.stack([branch.score.bias for branch in model.first.branches])
    evidence_BGK = output.logits_BGK - bias_GK
    torch.testing.assert_close(mean_BK, evidence_BGK[:, 0] + evidence_BGK[:, 1:].mean(dim=1))


def test_dilated_branches_carry_evidence_further() -> None:
    features = torch.zeros(1, 5, 41)
    features[:, 0, 20] = 1.0
    still = torch.zeros(1, 5, 41)
    for config, reach in ((OFF, 3), (replace(OFF, dilated=True), 7)):
        model = network(config)
        changed = (model(features).cas_BKT != model(still).cas_BKT).any(dim=1)[0].nonzero().flatten()
        assert changed.tolist() == list(range(20 - reach, 20 + reach + 1))


def test_the_second_stage_does_not_see_what_is_erased() -> None:
    model = network(replace(SMALL, dilated=False))
    features = torch.randn(1, 5, 30)
    normed = model.norm(features.transpose(1, 2)).transpose(1, 2)
    first = model.first(normed, torch.ones(1, 30, dtype=torch.bool))
    label = int(first.cas_BKT[0].amax(dim=1).argmax())
    output = model(features, labels_BK=torch.eye(3)[label][None])
    evidence_T = first.cas_BKT[0, label].clamp_min(0)
    want_T = evidence_T > SMALL.erase_threshold * evidence_T.max()
    assert torch.equal(output.erased_BT[0], want_T)
    assert want_T.any()
    assert not want_T.all()
    assert model.second is not None
    hidden = normed.masked_fill(want_T, 0.0)
    alone = model.second(hidden, output.valid_BT)
    torch.testing.assert_close(output.logits_BGK[:, 1:], alone.logits_BGK)
    torch.testing.assert_close(output.cas_BKT, torch.maximum(first.cas_BKT, alone.cas_BKT))


def test_only_the_given_classes_are_erased_and_without_any_nothing_is() -> None:
    model, features = network(), torch.randn(1, 5, 30)
    erased = [model(features, labels_BK=torch.eye(3)[label][None]).erased_BT for label in range(3)]
    both = model(features, labels_BK=torch.tensor([[1.0, 0.0, 1.0]])).erased_BT
    assert torch.equal(both, erased[0] | erased[2])
    assert not model(features, labels_BK=torch.zeros(1, 3)).erased_BT.any()


def test_without_labels_the_predicted_classes_are_erased() -> None:
    model, features = network(), torch.randn(2, 5, 30)
    free = model(features)
    probability = torch.sigmoid(free.class_logits_BK)
    wanted = (probability >= 0.5) | (probability == probability.amax(dim=1, keepdim=True))
    compared(free, model(features, labels_BK=wanted.float()))
    model.config = replace(SMALL, class_threshold=0.999999)
    best = torch.zeros(2, 3).scatter(1, free.class_logits_BK.argmax(dim=1, keepdim=True), 1.0)
    compared(model(features), model(features, labels_BK=best))


def test_no_gradient_flows_through_the_choice_of_what_is_erased() -> None:
    model = network(replace(SMALL, regression=False))
    output = model(torch.randn(1, 5, 12), labels_BK=torch.ones(1, 3))
    output.logits_BGK[:, model.config.num_branches :].sum().backward()
    gradients = [parameter.grad for parameter in model.first.parameters()]
    assert not any(gradient is not None and gradient.any() for gradient in gradients)


def test_a_batch_of_two_equals_two_singles() -> None:
    model, features = network(), torch.randn(2, 5, 13)
    both = model(features)
    for row in range(2):
        compared(rows(both, row, 13), model(features[row : row + 1]))


def test_padding_changes_nothing_whatever_it_holds() -> None:
    model, features = network(), torch.randn(2, 5, 20)
    features[0, :, 12:] = float("nan")
    mask = torch.arange(20) < torch.tensor([[12], [20]])
    padded = model(features, mask)
    compared(rows(padded, 0, 12), model(features[:1, :, :12]))
    compared(rows(padded, 1, 20), model(features[1:]))
    assert not padded.cas_BKT[0, :, 12:].any()
    assert not padded.erased_BT[0, 12:].any()


def test_a_shift_in_time_shifts_activation_and_segments() -> None:
    model, shift = network(), 5
    features = torch.zeros(1, 5, 70)
    features[:, :, 25:35] = torch.randn(5, 10)
    labels = torch.tensor([[1.0, 1.0, 0.0]])
    here = model(features, labels_BK=labels)
    there = model(features.roll(shift, dims=2), labels_BK=labels)
    inner, moved = slice(18, 42), slice(18 + shift, 42 + shift)
    torch.testing.assert_close(there.cas_BKT[:, :, moved], here.cas_BKT[:, :, inner])
    assert torch.equal(there.erased_BT[:, moved], here.erased_BT[:, inner])
    at_BTM2: list[Tensor] = []
    for output in (here, there):
        assert output.segments_BA2 is not None
        at_BTM2.append(output.segments_BA2.unflatten(1, (70, 2)))
    torch.testing.assert_close(at_BTM2[1][:, moved], at_BTM2[0][:, inner] + shift)


def test_segments_start_as_anchors() -> None:
    torch.manual_seed(0)
    model = KTMGFN(SMALL, in_channels=5, num_classes=3)
    segments_BA2 = model(torch.zeros(1, 5, 4)).segments_BA2
    assert segments_BA2 is not None
    want = [[t + 0.5 - length / 2, t + 0.5 + length / 2] for t in range(4) for length in (2.0, 6.0)]
    torch.testing.assert_close(segments_BA2[0], torch.tensor(want))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_videos_of_any_length(length: int) -> None:
    output = network()(torch.randn(1, 5, length))
    assert output.cas_BKT.shape == (1, 3, length)
    assert torch.isfinite(output.logits_BGK).all()


def test_it_starts_from_the_trimmed_branch_alone() -> None:
    trimmed, model, features = network(trimmed_branch(SMALL)), network(), torch.randn(1, 5, 9)
    for parameter in trimmed.parameters():
        nn.init.normal_(parameter, std=0.2)
    before = model(features).segments_BA2
    assert before is not None
    model.start_from(trimmed.state_dict())
    after = model(features)
    torch.testing.assert_close(after.logits_BGK, trimmed(features).logits_BGK)
    assert after.segments_BA2 is not None
    assert after.segments_BA2.shape == before.shape
    for other in (network(OFF), network(trimmed_branch(SMALL), classes=4), network()):
        with pytest.raises(ValueError, match="trimmed"):
            model.start_from(other.state_dict())


def test_runs_in_bfloat16_and_on_the_meta_device() -> None:
    output = network().to(torch.bfloat16)(torch.randn(2, 5, 9, dtype=torch.bfloat16))
    assert output.segments_BA2 is not None
    assert output.segments_BA2.dtype == torch.float32
    assert torch.isfinite(output.cas_BKT).all()
    with torch.device("meta"):
        large = KTMGFN(KTMGFNConfig(), in_channels=2304, num_classes=200)
    assert large(torch.randn(2, 2304, 100, device="meta")).cas_BKT.shape == (2, 200, 100)
