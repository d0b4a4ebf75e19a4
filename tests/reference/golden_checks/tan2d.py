"""What S-2D-TAN shares with the published 2D-TAN: stacked pooling, masks, map convolutions, the scaled loss.

Not checked, as S-2D-TAN has no such part: pooling by convolutions (`*_conv`), and text.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference.golden import Golden, filled
from talaria_models.s_2d_tan.candidates import CandidateLayout, layout
from talaria_models.s_2d_tan.config import S2DTANConfig
from talaria_models.s_2d_tan.criterion import S2DTANCriterion
from talaria_models.s_2d_tan.model import MapConvolutions, S2DTANOutput, cell_weights, pooled
from talaria_models.s_2d_tan.targets import NO_CLASS, scaled_overlap


def check_proposal_maps(golden: Golden) -> None:
    for name, case in golden.config["cases"].items():
        features = torch.from_numpy(golden.input(f"x_{name}"))
        lengths = {"": tuple(case["NUM_SCALE_LAYERS"]), "dense_": (case["clips"],)}
        for kind, num_lengths in lengths.items():
            if f"{name}_{kind}mask" not in golden.manifest["outputs"]:
                continue
            candidates = layout(case["clips"], num_lengths)
            map_BHSE = _on_map(pooled(features, candidates.kinds), candidates)
            golden.assert_output(f"{name}_{kind}maxpool", map_BHSE.numpy())
            golden.assert_output(f"{name}_{kind}mask", _mask(candidates).numpy().astype(np.int8))
    candidates = layout(64, tuple(golden.config["cases"]["n64"]["NUM_SCALE_LAYERS"]))
    _check_convolutions(golden, candidates)
    _check_losses(golden, candidates)


CHECKS = {"tan2d_proposal_maps": check_proposal_maps}


def _check_convolutions(golden: Golden, candidates: CandidateLayout) -> None:
    about = golden.manifest["states"]["map_conv"]
    sizes = about["params"]
    convolutions = MapConvolutions(
        sizes["INPUT_SIZE"], sizes["KERNEL_SIZES"][0], len(sizes["KERNEL_SIZES"])
    ).eval()
    assert convolutions.paddings == sizes["PADDINGS"]
    state = {
        key: torch.from_numpy(filled(key, shape, golden.manifest["gain"], golden.manifest["salt"]))
        for key, (shape, _) in about["layout"].items()
    }
    convolutions.load_state_dict(state)
    mask = _mask(candidates)
    with torch.no_grad():
        found = convolutions(torch.from_numpy(golden.input("map_in")) * mask, mask[:, 0])
    golden.assert_output("map_conv", found.numpy())
    first = cell_weights(mask, sizes["KERNEL_SIZES"][0], sizes["PADDINGS"][0])
    golden.assert_output("first_masked_weight", first.numpy())


def _check_losses(golden: Golden, candidates: CandidateLayout) -> None:
    scores = torch.from_numpy(golden.input("scores"))
    golden.assert_output("joint_prob", (torch.sigmoid(scores) * _mask(candidates)).numpy())
    seed = golden.manifest["inputs"]["targets"]["seed"]
    drawn = np.random.Generator(np.random.PCG64(seed)).random(tuple(scores.shape)).astype(np.float32)
    ((_, cells),) = candidates.maps(rearranged=False)
    at = torch.from_numpy(cells)
    scores_BQ, tiou_BQ = (values.flatten(1)[:, at] for values in (scores, torch.from_numpy(drawn)))
    for low, high in ((0.5, 1.0), (0.3, 0.7)):
        config = S2DTANConfig(num_snippets=64, tiou_low=low, tiou_high=high)
        targets = {
            "overlap": scaled_overlap(tiou_BQ, config),
            "label": torch.full_like(scores_BQ, NO_CLASS, dtype=torch.int64),
            "valid": torch.ones_like(scores_BQ, dtype=torch.bool),
        }
        output = S2DTANOutput(scores_BQ, torch.zeros(*scores_BQ.shape, 1), targets["valid"])
        criterion = S2DTANCriterion()
        found = criterion(output, targets, criterion.counts(targets))["total"]
        want = golden.manifest["loss"][f"min{low:g}_max{high:g}_bias0"]
        np.testing.assert_allclose(float(found), want, rtol=1e-5)


def _on_map(values_BHQ: Tensor, candidates: CandidateLayout) -> Tensor:
    """(B, H, N, N) by first and last snippet, as 2D-TAN lays them out."""
    size = candidates.num_snippets
    map_BHSE = values_BHQ.new_zeros(*values_BHQ.shape[:2], size, size)
    ((_, cells),) = candidates.maps(rearranged=False)
    map_BHSE.flatten(2)[:, :, torch.from_numpy(cells)] = values_BHQ
    return map_BHSE


def _mask(candidates: CandidateLayout) -> Tensor:
    return _on_map(torch.ones(1, 1, len(candidates)), candidates) > 0
