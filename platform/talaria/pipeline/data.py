"""Stage `data`: the videos of a recipe, rendered first where it asks for the demo set."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from talaria.config.fingerprint import fingerprint
from talaria.config.schema import RunConfig
from talaria.data.annotations import SUBSETS, load_annotations
from talaria.data.demo import ANNOTATIONS_NAME, VIDEOS_NAME, render_demo
from talaria.errors import DataError
from talaria.log import BOARD
from talaria.pipeline.session import Session
from talaria.records import Dataset

LOGGER = logging.getLogger("talaria.pipeline")


def prepare_dataset(session: Session) -> Dataset:
    """The annotated videos of the run's subsets.

    Raises:
        DataError: all that is wrong with the annotations, or a subset without videos.
    """
    data = session.config.data
    folder, annotations = source_paths(session)
    if data.videos is None:
        folder, annotations = _rendered(session)
    wanted = _wanted_subsets(session.config)
    loaded = load_annotations(annotations, folder, subsets=(*SUBSETS, *wanted.values()))
    for note in loaded.notes:
        LOGGER.info("data: %s", note)
    dataset = loaded.dataset
    _check_subsets(dataset, wanted, annotations)
    chosen = set(wanted.values())
    return replace(dataset, videos=tuple(video for video in dataset.videos if video.subset in chosen))


def source_paths(session: Session) -> tuple[Path, Path]:
    """Folder of videos and file of annotations, both absolute."""
    data = session.config.data
    if data.videos is not None and data.annotations is not None:
        return Path(data.videos).expanduser().resolve(), Path(data.annotations).expanduser().resolve()
    folder = session.home / "demo_data" / fingerprint(data.generate)
    return folder / VIDEOS_NAME, folder / ANNOTATIONS_NAME


def _rendered(session: Session) -> tuple[Path, Path]:
    spec = session.config.data.generate
    assert spec is not None
    videos, annotations = source_paths(session)
    if not annotations.is_file():
        with (
            session.stage("data", f"rendering the demo set in {videos.parent}"),
            BOARD.step("videos", 1) as step,
        ):
            render_demo(videos.parent, spec, progress=step.resize)
    return videos, annotations


def _wanted_subsets(config: RunConfig) -> dict[str, str]:
    """Subsets that the run uses, by the setting that names them."""
    data = config.data
    found = {f"data.{name}": getattr(data, name) for name in ("train_subset", "fit_subset", "judge_subset")}
    if data.trimmed_subset is not None:
        found["data.trimmed_subset"] = data.trimmed_subset
    for name, node in config.backbones.items():
        if node.finetune is not None and node.finetune.subset is not None:
            found[f"backbones.{name}.finetune.subset"] = node.finetune.subset
    return found


def _check_subsets(dataset: Dataset, wanted: Mapping[str, str], annotations: Path) -> None:
    there = ", ".join(dataset.subsets())
    problems = []
    for setting, name in wanted.items():
        videos = dataset.subset(name)
        if not videos:
            problems.append(f"{annotations}: no video of subset {name!r} ({setting}); found {there}")
        elif not any(video.annotations for video in videos):
            problems.append(f"{annotations}: subset {name!r} ({setting}) has no annotated segment")
    if problems:
        raise DataError(problems)
