"""Published VideoMAE checkpoints: the key layout of Hugging Face, fine-tuned classifiers.

MCG-NJU/videomae-*-finetuned-* name the biases of query and value q_bias and v_bias; transformers has them as
biases of the two layers since release 5, the published files do not. Keys have no bias in either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from talaria_models.backbones.published import load_renamed, weights_of
from talaria_models.backbones.videomae.model import VideoMAE

PREFIXES = {"videomae.": "network.", "fc_norm.": "norm.", "classifier.": "head."}
BIASES = {"q_bias": "query.bias", "v_bias": "value.bias"}


def load_published(model: VideoMAE, checkpoint: Mapping[str, Any], *, head: bool = True) -> None:
    """Copy a published checkpoint into `model`.

    Args:
        model: built with the settings and for the clip size of that checkpoint. Positions are fixed and not
            in the file, so that another size would load, too, with positions that the weights do not know.
        checkpoint: what the published file holds.
        head: False keeps the classifier of `model`, for other classes than the published ones.

    Raises:
        ValueError: keys are unknown, missing or of another shape.
    """
    load_renamed(model, weights_of(checkpoint), from_transformers, head=head)


def from_transformers(key: str) -> str | None:
    """Our key of one of Hugging Face's, None when there is none."""
    key = re.sub(r"\.([qv]_bias)$", lambda found: f".{BIASES[found[1]]}", key)
    for published, ours in PREFIXES.items():
        if key.startswith(published):
            return ours + key.removeprefix(published)
    return None
