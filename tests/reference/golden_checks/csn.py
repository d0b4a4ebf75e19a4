"""CSN against mmaction2 and pytorchvideo: logits, pooled features, every recorded stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from reference.golden import Golden
from talaria_models.backbones.csn import config as published
from talaria_models.backbones.csn.checkpoint import load_published
from talaria_models.backbones.csn.config import CSNConfig
from talaria_models.backbones.csn.model import CSN


def run(golden: Golden, config: CSNConfig) -> dict[str, Tensor]:
    """Outputs of the model with the golden's weights: "0" after the pooled stem, "1" to "4" after the stages,
    `features` and `logits`."""
    _, _, num_frames, height, width = golden.manifest["inputs"]["video"]["shape"]
    num_classes = golden.manifest["outputs"]["logits"]["shape"][-1]
    model = CSN(config, num_classes, num_frames, height, width).eval()
    load_published(model, {key: torch.from_numpy(value) for key, value in golden.state().items()})
    seen: dict[str, Tensor] = {}
    for index, part in enumerate((model.pool, *model.stages)):
        part.register_forward_hook(lambda _module, _inputs, out, name=str(index): seen.update({name: out}))
    with torch.inference_mode():
        out = model(torch.from_numpy(golden.input("video")))
    return {**seen, "features": out.features_BC, "logits": out.logits_BK}


def compare(golden: Golden, mine: Mapping[str, Tensor]) -> None:
    """Every output that the golden holds is one of ours, and agrees."""
    assert mine.keys() == golden.manifest["outputs"].keys()
    for name, value in mine.items():
        golden.assert_output(name, np.ascontiguousarray(value.numpy()))


def check_mmaction2(golden: Golden, config: CSNConfig) -> None:
    seen = run(golden, config)
    mine = {f"layer{stage}": seen[str(stage)] for stage in range(1, 5)}
    mine |= {"backbone_p0": seen["4"], "pooled_p0": seen["features"], "logits": seen["logits"]}
    compare(golden, mine)


def check_pytorchvideo(golden: Golden, config: CSNConfig) -> None:
    """The peer's head pools windows; in this golden one window covers the last stage."""
    seen = run(golden, config)
    mine = {f"block{block}_p0": seen[str(block)] for block in range(5)}
    mine |= {"pooled_feature": seen["features"][:, None, None, None]}
    mine |= {"logits": seen["logits"][:, None, None, None], "output": seen["logits"]}
    compare(golden, mine)


CHECKS: dict[str, Callable[[Golden], None]] = {
    "csn_ir_r152": lambda golden: check_mmaction2(golden, published.IR_R152),
    "csn_ip_r152": lambda golden: check_mmaction2(golden, published.IP_R152),
    "pytorchvideo_csn_r101": lambda golden: check_pytorchvideo(golden, published.PYTORCHVIDEO_R101),
}
