"""KT-MGFN's settings: ranges, and the network that learns from trimmed clips."""

from __future__ import annotations

from typing import Any

import pytest

from talaria_models.kt_mgfn.config import KTMGFNConfig, trimmed_branch


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_snippets", 0),
        ("hidden_dim", 0),
        ("regressor_dim", 0),
        ("trimmed_clips", 0),
        ("kernel_size", 2),
        ("dilations", (1,)),
        ("dilations", (1, 0)),
        ("dropout", 1.0),
        ("erase_threshold", 1.0),
        ("class_threshold", 0.0),
        ("found_threshold", 0.0),
        ("mmd_widths", ()),
        ("mmd_widths", (0.0,)),
        ("mmd_weight", -1.0),
        ("oic_weight", float("nan")),
        ("anchor_lengths", (4.0, float("inf"))),
        ("inflation", 0.0),
        ("keep_activation", 1.0),
        ("keep_contrast", 1.0),
        ("thresholds", (0.5, 1.0)),
        ("thresholds", ()),
        ("run_score", "best"),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        KTMGFNConfig(**{field: value})


def test_one_dilation_is_enough_without_the_dilated_branches() -> None:
    assert KTMGFNConfig(dilated=False, dilations=(1,)).num_branches == 1


@pytest.mark.parametrize(("dilated", "cascaded", "want"), [(0, 0, 1), (1, 0, 4), (0, 1, 2), (1, 1, 8)])
def test_number_of_classifiers(dilated: int, cascaded: int, want: int) -> None:
    config = KTMGFNConfig(dilated=bool(dilated), cascaded=bool(cascaded))
    assert config.num_classifiers == want


def test_the_trimmed_branch_differs_in_transfer_and_boundaries_alone() -> None:
    config = KTMGFNConfig(hidden_dim=32, erase_threshold=0.7)
    trimmed = trimmed_branch(config)
    assert trimmed == KTMGFNConfig(hidden_dim=32, erase_threshold=0.7, transfer=False, regression=False)
