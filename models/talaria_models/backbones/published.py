"""Loading a published checkpoint into one of our backbones: every key is accounted for or named.

Each backbone's checkpoint.py knows how published keys map to ours; what happens then is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

CONTAINERS = (
    "model_state",
    "state_dict",
    "model_state_dict",
)  # PySlowFast and pytorchvideo, mmaction2, others
HEAD = "head."  # our prefix of the classifier in every backbone
COUNTER = "num_batches_tracked"  # of batch norm; changes no output
MAX_NAMED = 8


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint: taken out of its container, without the prefix of a wrapped model."""
    for container in CONTAINERS:
        if isinstance(checkpoint.get(container), Mapping):
            checkpoint = checkpoint[container]
            break
    return {key.removeprefix("module."): value for key, value in checkpoint.items()}


def load_renamed(
    model: nn.Module, weights: Mapping[str, Tensor], rename: Callable[[str], str | None], *, head: bool
) -> None:
    """Copy published weights into `model`, or change nothing and name every key that does not fit.

    Args:
        model: one of our backbones.
        weights: published key to tensor.
        rename: our key of a published one, None when there is none.
        head: False leaves the classifier of `model` as it is (fine-tuning on other classes) and ignores the
            published one.

    Raises:
        ValueError: keys unknown, of another shape, or missing; the last are named by our keys.
    """
    ours = {published: rename(published) for published in weights}
    wanted = {key: value for key, value in model.state_dict().items() if _loaded(key, head)}
    found: dict[str, Tensor] = {}
    unknown, misshapen = [], []
    for published, key in ours.items():
        if not _loaded(key or published, head):
            continue
        if key is None or key not in wanted:
            unknown.append(published)
        elif weights[published].shape != wanted[key].shape:
            shapes = f"{tuple(weights[published].shape)} for {tuple(wanted[key].shape)}"
            misshapen.append(f"{published} {shapes}")
        else:
            found[key] = weights[published]
    missing = sorted(wanted.keys() - set(ours.values()))
    _raise_on({"unknown": unknown, "of another shape": misshapen, "missing": missing})
    model.load_state_dict(found, strict=False)


def _loaded(key: str, head: bool) -> bool:
    return not key.endswith(COUNTER) and (head or not key.startswith(HEAD))


def _raise_on(problems: Mapping[str, list[str]]) -> None:
    parts = [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in problems.items() if keys]
    if parts:
        raise ValueError(f"checkpoint keys do not fit the backbone's config; {'; '.join(parts)}")


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + rest
