"""Loading a published checkpoint into one of our backbones: every key is accounted for or named.

Each backbone's checkpoint.py knows how published keys map to ours; what happens then is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

CONTAINERS = (
    "model_state",
    "state_dict",
    "model_state_dict",
)  # PySlowFast and pytorchvideo, mmaction2, others
HEAD = "head."  # our prefix of the classifier in every backbone
COUNTER = "num_batches_tracked"  # of batch norm; changes no output
MAX_NAMED = 8


class LoadPublished(Protocol):
    """The `load_published` of a backbone's checkpoint.py."""

    def __call__(self, model: Any, checkpoint: Mapping[str, Any], *, head: bool) -> None:
        """Copy a published checkpoint into `model`; `head` False leaves the classifier as it is."""
        ...


class MisfitError(ValueError):
    """Published keys that do not fit the network.

    Attributes:
        shapes: what the checkpoint has, by our key, where only the shape is another one.
    """

    def __init__(self, message: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(message)
        self.shapes = dict(shapes)


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint: taken out of its container, without the prefix of a wrapped model."""
    for container in CONTAINERS:
        if isinstance(checkpoint.get(container), Mapping):
            checkpoint = checkpoint[container]
            break
    return {key.removeprefix("module."): value for key, value in checkpoint.items()}


def published_classes(load: LoadPublished, model: nn.Module, checkpoint: Mapping[str, Any]) -> int:
    """Classes of a checkpoint's classifier.

    Args:
        load: the loader of the model's kind.
        model: of one class, on the meta device, which it leaves as it is.
        checkpoint: what the published file holds.

    Returns:
        1 where the checkpoint has one class, no classifier, or does not fit at all: loading then tells.
    """
    try:
        load(model, checkpoint, head=True)
    except MisfitError as misfit:
        return misfit.shapes.get(f"{HEAD}bias", (1,))[0]
    except ValueError:
        return 1
    return 1


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
        MisfitError: keys unknown, of another shape, or missing; the last are named by our keys.
    """
    ours = {published: rename(published) for published in weights}
    wanted = {key: value for key, value in model.state_dict().items() if _loaded(key, head)}
    found: dict[str, Tensor] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    unknown, misshapen = [], []
    for published, key in ours.items():
        if not _loaded(key or published, head):
            continue
        if key is None or key not in wanted:
            unknown.append(published)
        elif weights[published].shape != wanted[key].shape:
            shapes[key] = tuple(weights[published].shape)
            misshapen.append(f"{published} {shapes[key]} for {tuple(wanted[key].shape)}")
        else:
            found[key] = weights[published]
    missing = sorted(wanted.keys() - set(ours.values()))
    _raise_on({"unknown": unknown, "of another shape": misshapen, "missing": missing}, shapes)
    model.load_state_dict(found, strict=False)


def _loaded(key: str, head: bool) -> bool:
    return not key.endswith(COUNTER) and (head or not key.startswith(HEAD))


def _raise_on(problems: Mapping[str, list[str]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    parts = [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in problems.items() if keys]
    if parts:
        raise MisfitError(f"checkpoint keys do not fit the backbone's config; {'; '.join(parts)}", shapes)


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + rest
