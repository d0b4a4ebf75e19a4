"""Which recipes let classifiers form an ensemble of their own, and what is wrong with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recipe import SMALL, changed, problems, written

from talaria.config.loading import load_recipe

TWO = {"classifiers/transformer": {"model": {"head": "transformer"}}}
CLIPS = {"ensemble/clip_logits": True}
SECOND = {"backbones/other": SMALL["backbones"]["slowfast"], "classifiers/video": {"features": ["slowfast"]}}


@pytest.mark.parametrize(
    ("changes", "learned"),
    [
        ({}, False),
        ({"ensemble/classifiers": "member"}, False),
        ({"ensemble/classifiers": "learned"}, True),
        (TWO, True),
        (CLIPS, True),
        ({"classifiers": {}, **CLIPS}, True),
        ({**TWO, "postprocess/classification": "proposal"}, False),
    ],
)
def test_one_classifier_alone_stays_with_its_members(
    tmp_path: Path, changes: dict[str, Any], learned: bool
) -> None:
    assert load_recipe(written(tmp_path, changed(changes))).learns_classifiers is learned


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {**TWO, "ensemble/classifiers": "member"},
            "ensemble.classifiers: found 'member' with 2 classifiers; expected 'learned' or 'auto'",
        ),
        (
            {**CLIPS, "ensemble/classifiers": "member"},
            "ensemble.classifiers: found 'member' with clip_logits: true; expected 'learned' or 'auto'",
        ),
        (
            {**CLIPS, "postprocess/classification": "proposal"},
            "ensemble.clip_logits: has no effect where clip scores label the proposals; expected "
            "postprocess.classification: video",
        ),
        ({"classifiers/bmn": {}}, "classifiers.bmn: a detector has this name, too; expected another one"),
        (
            {**CLIPS, "classifiers/clips": {}},
            "classifiers.clips: what ensemble.clip_logits adds has this name, too; expected another one",
        ),
        (
            {"classifiers": {}},
            "classifiers: found 0; expected one for postprocess.classification: video, several, or "
            "ensemble.clip_logits: true",
        ),
    ],
)
def test_what_cannot_be_fused_is_told(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    assert problems(written(tmp_path, changed(changes))) == [f"recipe.yaml: {sentence}"]


def test_every_backbone_in_use_needs_a_classifier(tmp_path: Path) -> None:
    missing = {"classifiers.video.features: 'other' is missing, but detectors.bmn uses it"}
    found = {line.removeprefix("recipe.yaml: ") for line in problems(written(tmp_path, changed(SECOND)))}
    assert missing < found
    first = {**SECOND, "classifiers/transformer": {"features": ["slowfast"]}}
    assert problems(written(tmp_path, changed(first))) == [
        f"recipe.yaml: classifiers: none has 'other' among its features, but detectors.{name} uses it"
        for name in ("bmn", "bmn_long")
    ]
    both = {**SECOND, "classifiers/transformer": {"features": ["other"]}}
    assert load_recipe(written(tmp_path, changed(both))).learns_classifiers


def test_a_bnm_weight_below_zero_is_told(tmp_path: Path) -> None:
    below = {"backbones/slowfast/finetune": {"bnm_weight": -1}}
    assert problems(written(tmp_path, changed(below))) == [
        "recipe.yaml: backbones.slowfast.finetune.bnm_weight: found -1; expected a number of at least 0"
    ]
