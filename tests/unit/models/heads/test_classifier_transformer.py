"""The classifier's transformer head: padding, order, settings; and that pooling is what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from talaria.config.nodes import ClassifierNode
from talaria_models import registry
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.classifier.criterion import ClassifierCriterion
from talaria_models.classifier.model import VideoClassifier

SMALL = ClassifierConfig(
    head="transformer", hidden_dim=16, dropout=0.0, num_heads=2, mlp_dim=32, block_dropout=0.0
)


def small_model(**changes: Any) -> VideoClassifier:
    """Two blocks whose weights are all at work, as after some training."""
    torch.manual_seed(0)
    model = VideoClassifier(dataclasses.replace(SMALL, num_layers=2, **changes), 6, 4)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def test_a_batch_of_two_equals_two_singles() -> None:
    model, features = small_model(), torch.randn(2, 6, 9)
    both = model(features).logits_BK
    assert both.shape == (2, 4)
    for index in range(2):
        torch.testing.assert_close(both[index], model(features[index : index + 1]).logits_BK[0])


@pytest.mark.parametrize("padding", [0.0, 1e4])
def test_padding_changes_nothing(padding: float) -> None:
    model, features = small_model(), torch.randn(3, 6, 9)
    mask = torch.arange(9)[None] < torch.tensor([[5], [9], [1]])
    padded = torch.where(mask[:, None], features, padding)
    logits = model(padded, mask).logits_BK
    for index, length in enumerate((5, 9, 1)):
        alone = model(features[index : index + 1, :, :length]).logits_BK[0]
        torch.testing.assert_close(logits[index], alone, rtol=1e-4, atol=1e-5)


def test_the_order_of_snippets_counts_and_pooling_does_not_see_it() -> None:
    features = torch.randn(1, 6, 9)
    seen = small_model()
    assert not torch.allclose(seen(features).logits_BK, seen(features.flip(2)).logits_BK, atol=1e-3)
    pooled = small_model(head="pooling")
    torch.testing.assert_close(pooled(features).logits_BK, pooled(features.flip(2)).logits_BK)


def ordered_videos(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with two events in it; the class is which of them comes first."""
    rng = torch.Generator().manual_seed(seed)
    features, label = torch.randn(count, 6, 12, generator=rng), torch.arange(count) % 2
    for video in range(count):
        first = int(torch.randint(0, 5, (), generator=rng))
        features[video, int(label[video]), first] += 6.0
        features[video, 1 - int(label[video]), first + 5] += 6.0
    return features, label


def test_learns_which_of_two_events_comes_first() -> None:
    features, label = ordered_videos(200, seed=1)
    torch.manual_seed(0)
    model = VideoClassifier(dataclasses.replace(SMALL, hidden_dim=32), 6, 2)
    criterion, targets = ClassifierCriterion(), {"classes": torch.eye(2)[label[:120]]}
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(120):
        loss = criterion(model(features[:120]), targets, criterion.counts(targets))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    held_out = model.eval()(features[120:]).logits_BK.argmax(dim=1)
    assert (held_out == label[120:]).float().mean() >= 0.8


def test_training_starts_from_even_scores_and_every_weight_then_learns() -> None:
    torch.manual_seed(0)
    model, features = VideoClassifier(SMALL, 6, 4), torch.randn(8, 6, 9)
    assert torch.softmax(model(features).logits_BK, dim=1).sub(0.25).abs().max() < 0.05
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(features).logits_BK, torch.arange(8) % 4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert not [name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])]


def test_pooling_is_the_default_and_is_a_function_of_mean_and_maximum() -> None:
    torch.manual_seed(0)
    model = VideoClassifier(ClassifierConfig(hidden_dim=16), 6, 4).eval()
    assert list(model.state_dict()) == [
        f"{layer}.{part}" for layer in ("norm", "hidden", "score") for part in ("weight", "bias")
    ]
    features = torch.randn(3, 6, 9)
    pooled = model.norm(torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1))
    want = model.score(torch.relu(model.hidden(pooled)))
    assert torch.equal(model(features).logits_BK, want)


def test_runs_in_bfloat16_and_on_the_meta_device() -> None:
    model = small_model().to(torch.bfloat16)
    mask = torch.arange(5)[None] < torch.tensor([[3], [5]])
    assert torch.isfinite(model(torch.randn(2, 6, 5, dtype=torch.bfloat16), mask).logits_BK).all()
    with torch.device("meta"):
        large = registry.build(ClassifierConfig(head="transformer"), in_channels=2304, num_classes=200)
    assert large(torch.randn(2, 2304, 7, device="meta")).logits_BK.shape == (2, 200)


def test_a_recipe_sets_it_and_a_card_brings_it_back() -> None:
    node = ClassifierNode.model_validate({"model": {"head": "transformer", "num_layers": 3}})
    assert (node.model.head, node.model.num_layers) == ("transformer", 3)
    assert registry.config_from_dict(dataclasses.asdict(node.model)) == node.model
    earlier = {"name": "classifier", "hidden_dim": 16, "dropout": 0.5}
    assert registry.config_from_dict(earlier) == ClassifierConfig(hidden_dim=16)


@pytest.mark.parametrize(
    ("field", "value"),
    [("num_heads", 5), ("num_heads", 0), ("num_layers", 0), ("mlp_dim", 0), ("block_dropout", 1.0)],
)
def test_settings_out_of_range_name_their_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: found {value}"):
        dataclasses.replace(SMALL, **{field: value})
