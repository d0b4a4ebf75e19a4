"""Published TCANet checkpoints under this package's names.

qingzhiwu/Temporal-Context-Aggregation-Network-Pytorch saves `{"epoch", "state_dict"}` (prefix `module.`) or
`{"epoch", "model_state", "optimizer_dict"}`, open-mmlab/mmaction2 `{"state_dict", "meta"}`. In mmaction2 the
frame-level regressors of start and end are one network of twice the groups, that is the same two side by
side: its parameters are cut into halves. Both also store the attention's masks, which are left out here.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from talaria_models.layers.local_global import PUBLISHED_NAMES
from talaria_models.tcanet.model import TCANet

COMPUTED = (".self_atten.mask_matrix", ".mask")
BASE = {"x_1d_b_f.0": "base.conv1", "x_1d_b_f.2": "base.conv2"}
REGRESSOR = {
    "authors": {
        "reg1se.start_reg_conv.0": "start.conv1",
        "reg1se.start_reg_conv.2": "start.conv2",
        "reg1se.start_reg_conv.4": "start.offset",
        "reg1se.end_reg_conv.0": "end.conv1",
        "reg1se.end_reg_conv.2": "end.conv2",
        "reg1se.end_reg_conv.4": "end.offset",
        "reg1xw.reg_1d_b.0": "segment.conv1",
        "reg1xw.reg_1d_b.2": "segment.conv2",
        "reg1xw.reg_1d_o.0": "segment.mix",
        "reg1xw.reg_1d_o.2": "segment.output",
    },
    "mmaction2": {
        "reg1se.0": "{side}.conv1",
        "reg1se.2": "{side}.conv2",
        "reg1se.4": "{side}.offset",
        "reg1xw.0": "segment.conv1",
        "reg1xw.2": "segment.conv2",
        "reg1xw.4": "segment.mix",
        "reg1xw.6": "segment.output",
    },
}
"""Layers of one regressor; `{side}` stands for `start` and `end`, the halves of the published parameter."""


def load_published(model: TCANet, state: Mapping[str, Tensor]) -> None:
    """Copy a published state dict into a model of the same sizes.

    Args:
        model: for mmaction2's weights, `norm_eps` is 1e-6; for the authors', 1e-5.
        state: the checkpoint's `state_dict` or `model_state`, with or without the `module.` prefix.

    Raises:
        ValueError: a parameter is absent, unknown or of another size; every one is named.
    """
    found = {key.removeprefix("module."): value for key, value in state.items()}
    found = {key: value for key, value in found.items() if not key.endswith(COMPUTED)}
    layout = "mmaction2" if any(key.startswith("tbr1.reg1se.0.") for key in found) else "authors"
    names = parameter_names(model, layout)
    own = model.state_dict()
    problems = [f"{key}: unknown parameter" for key in sorted(found.keys() - names.keys())]
    problems += [f"{key}: absent" for key in sorted(names.keys() - found.keys())]
    arranged: dict[str, Tensor] = {}
    for key in sorted(found.keys() & names.keys()):
        shape = list(own[names[key][0]].shape)
        shape[0] *= len(names[key])
        if list(found[key].shape) != shape:
            problems.append(f"{key}: found {tuple(found[key].shape)}, expected {tuple(shape)}")
        arranged.update(zip(names[key], found[key].chunk(len(names[key])), strict=False))
    if problems:
        raise ValueError("not a TCANet checkpoint of these sizes: " + "; ".join(problems))
    model.load_state_dict(arranged)


def parameter_names(model: TCANet, layout: str) -> dict[str, tuple[str, ...]]:
    """Published name of every parameter, with the parameters here that it is cut into.

    Args:
        layout: `authors` or `mmaction2`.
    """
    layers: dict[str, tuple[str, ...]] = {old: (new,) for old, new in BASE.items()}
    for index in range(len(model.regressors)):
        for old, new in REGRESSOR[layout].items():
            sides = ("start", "end") if "{side}" in new else ("",)
            layers[f"tbr{index + 1}.{old}"] = tuple(
                f"regressors.{index}.{new.format(side=side)}" for side in sides
            )
    names = {
        f"{old}.{leaf}": tuple(f"{layer}.{leaf}" for layer in new)
        for old, new in layers.items()
        for leaf in ("weight", "bias")
    }
    for index in range(len(model.encoders)):
        for old, own in PUBLISHED_NAMES[layout].items():
            for leaf in ("weight", "bias"):
                names[f"lgtes.{index}.{old}{leaf}"] = (f"encoders.{index}.{own}{leaf}",)
    return names
