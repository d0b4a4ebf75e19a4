"""Published BMN checkpoints under this package's names.

JJBOY/BMN-Boundary-Matching-Network saves `{"epoch", "state_dict"}` from DataParallel (prefix `module.`),
open-mmlab/mmaction2 saves `{"state_dict", "meta"}`. Both use the same parameter names and shapes; both also
store their dense sampling mask, which is a function of the settings and is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from talaria_models.bmn.model import BMN

LAYERS = {
    "x_1d_b.0": "base.conv1",
    "x_1d_b.2": "base.conv2",
    "x_1d_s.0": "start.conv",
    "x_1d_s.2": "start.score",
    "x_1d_e.0": "end.conv",
    "x_1d_e.2": "end.score",
    "x_1d_p.0": "proposals.conv",
    "x_2d_p.0": "proposals.reduce",
    "x_2d_p.2": "proposals.map_conv1",
    "x_2d_p.4": "proposals.map_conv2",
    "x_2d_p.6": "proposals.score",
}
PARAMETERS = {
    "x_3d_p.0.weight": "proposals.matching.mixing_CNH",
    "x_3d_p.0.bias": "proposals.matching.bias_H",
    **{f"{old}.{leaf}": f"{new}.{leaf}" for old, new in LAYERS.items() for leaf in ("weight", "bias")},
}
COMPUTED = ("sample_mask", "bm_mask")


def load_published(model: BMN, state: Mapping[str, Tensor]) -> None:
    """Copy a published state dict into a model of the same sizes, whose `sampling` names its source.

    Args:
        model: `config.sampling` is `start_end` for JJBOY's weights, `duration_start` for mmaction2's; it has
            neither encoders nor LSTM, as those networks have none.
        state: the checkpoint's `state_dict`, with or without the `module.` prefix.

    Raises:
        ValueError: a parameter is absent, unknown or of another size; every one is named.
    """
    found = {key.removeprefix("module."): value for key, value in state.items()}
    found = {key: _arranged(key, value) for key, value in found.items() if key not in COMPUTED}
    own = model.state_dict()
    problems = [f"{key}: unknown parameter" for key in sorted(found.keys() - PARAMETERS.keys())]
    problems += [f"{key}: absent" for key in sorted(PARAMETERS.keys() - found.keys())]
    problems += [
        f"{key}: found {tuple(value.shape)}, expected {tuple(own[PARAMETERS[key]].shape)}"
        for key, value in found.items()
        if key in PARAMETERS and value.shape != own[PARAMETERS[key]].shape
    ]
    problems += [
        f"{field}: found {getattr(model.config, field)}, expected 0, since the published networks have none"
        for field in ("lgte_layers", "lstm_layers")
        if getattr(model.config, field)
    ]
    if problems:
        raise ValueError("not a BMN checkpoint of these sizes: " + "; ".join(problems))
    model.load_state_dict({PARAMETERS[key]: value for key, value in found.items()})


def _arranged(key: str, value: Tensor) -> Tensor:
    """A published parameter in the shape kept here: pointwise kernels lose their trailing ones."""
    if key == "x_3d_p.0.weight" and value.shape[3:] == (1, 1):  # (H, C, N, 1, 1) to (C, N, H)
        return value[..., 0, 0].permute(1, 2, 0)
    if key == "x_2d_p.0.weight" and value.shape[2:] == (1, 1):
        return value[..., 0, 0]
    return value
