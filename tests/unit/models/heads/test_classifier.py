"""The video classifier: padding, batches, loss, decoding, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talaria_models.classifier.config import ClassifierConfig
from talaria_models.classifier.criterion import ClassifierCriterion
from talaria_models.classifier.decode import probabilities, top_classes
from talaria_models.classifier.model import ClassifierOutput, VideoClassifier
from talaria_models.classifier.targets import build_targets


def small_model(dropout: float = 0.0) -> VideoClassifier:
    torch.manual_seed(0)
    return VideoClassifier(ClassifierConfig(hidden_dim=16, dropout=dropout), in_channels=6, num_classes=4)


def stacked(videos: list[list[int]]) -> dict[str, torch.Tensor]:
    return {"classes": torch.stack([build_targets(classes, 4)["classes"] for classes in videos])}


def test_a_batch_of_two_equals_two_singles() -> None:
    model = small_model().eval()
    features = torch.randn(2, 6, 9)
    both = model(features).logits_BK
    assert both.shape == (2, 4)
    for index in range(2):
        torch.testing.assert_close(both[index], model(features[index : index + 1]).logits_BK[0])


def test_padding_changes_nothing() -> None:
    model = small_model().eval()
    features = torch.randn(2, 6, 9)
    mask = torch.arange(9)[None] < torch.tensor([[5], [9]])
    logits = model(features, mask).logits_BK
    torch.testing.assert_close(logits[0], model(features[:1, :, :5]).logits_BK[0])
    torch.testing.assert_close(logits[1], model(features[1:]).logits_BK[0])


def test_decoding_the_targets_returns_the_truth() -> None:
    for truth in ([2], [3, 0], [1, 1, 2]):
        scores = build_targets(truth, 4)["classes"].numpy()
        classes, kept = top_classes(scores, top=len(set(truth)))
        assert classes.tolist() == sorted(set(truth))
        np.testing.assert_allclose(kept, 1.0 / len(set(truth)))


def test_probabilities_sum_to_one_and_rank_like_the_logits() -> None:
    output = ClassifierOutput(torch.tensor([[0.0, 3.0, -1.0, 2.0]], dtype=torch.bfloat16))
    scores = probabilities(output)
    assert scores.dtype == torch.float32
    assert scores.sum().item() == pytest.approx(1.0)
    assert top_classes(scores[0].numpy(), top=3)[0].tolist() == [1, 3, 0]


def test_equal_scores_keep_the_order_of_the_classes() -> None:
    assert top_classes(np.array([0.1, 0.4, 0.4, 0.1]), top=4)[0].tolist() == [1, 2, 0, 3]


def test_loss_by_hand() -> None:
    criterion = ClassifierCriterion()
    targets = stacked([[0], [1, 2]])
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.5, 0.25, 0.125, 0.125]]))
    loss = criterion(ClassifierOutput(logits), targets, criterion.counts(targets))["total"]
    want = -(np.log(0.5) + 0.5 * np.log(0.25) + 0.5 * np.log(0.125)) / 2
    assert loss.item() == pytest.approx(want, rel=1e-6)


def test_micro_batches_add_up_and_unlabelled_videos_add_nothing() -> None:
    criterion = ClassifierCriterion()
    logits = torch.randn(4, 4)
    targets = stacked([[0], [1, 2], [], [3]])
    whole = criterion(ClassifierOutput(logits), targets, criterion.counts(targets))["total"]
    counts = torch.stack([criterion.counts({"classes": row[None]}) for row in targets["classes"]]).sum(dim=0)
    parts = [
        criterion(ClassifierOutput(logits[i : i + 1]), {"classes": targets["classes"][i : i + 1]}, counts)[
            "total"
        ]
        for i in range(4)
    ]
    assert counts.tolist() == [3.0]
    assert counts.shape == (criterion.num_counts,)
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)
    assert parts[2].item() == 0.0


def test_no_labels_give_a_finite_loss_and_gradient() -> None:
    model, criterion, targets = small_model(), ClassifierCriterion(), stacked([[]])
    loss = criterion(model(torch.randn(1, 6, 5)), targets, criterion.counts(targets))["total"]
    loss.backward()
    assert loss.item() == 0.0
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_learns_classes_that_a_few_snippets_decide() -> None:
    rng = torch.Generator().manual_seed(1)
    classes = torch.arange(40) % 4
    features = torch.randn(40, 6, 12, generator=rng)
    for video, label in enumerate(classes):
        features[video, label, 3:6] += 4.0
    model = small_model(dropout=0.2)
    criterion, targets = ClassifierCriterion(), stacked([[int(label)] for label in classes[:20]])
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = criterion(model(features[:20]), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    held_out = model.eval()(features[20:]).logits_BK.argmax(dim=1)
    assert (held_out == classes[20:]).float().mean() >= 0.8


def test_runs_in_bfloat16_and_on_the_meta_device() -> None:
    model = small_model().to(torch.bfloat16).eval()
    assert torch.isfinite(model(torch.randn(2, 6, 5, dtype=torch.bfloat16)).logits_BK).all()
    with torch.device("meta"):
        large = VideoClassifier(ClassifierConfig(), in_channels=2304, num_classes=200)
    assert large(torch.randn(2, 2304, 7, device="meta")).logits_BK.shape == (2, 200)


@pytest.mark.parametrize(("field", "value"), [("hidden_dim", 0), ("dropout", 1.0)])
def test_settings_out_of_range_name_their_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        ClassifierConfig(**{field: value})


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 3"):
        build_targets([4], 4)
