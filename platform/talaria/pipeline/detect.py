"""Any video through a finished run: decode, features, members, fusion, post-processing; no Ray needed.

A video of the judge subset gets the detections that the run gave it, cross-fitted ones apart: numbers are
rounded here where the run rounds them on disk.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talaria.config.loading import load_resolved
from talaria.config.postprocess import PostprocessConfig
from talaria.config.schema import RunConfig
from talaria.config.specs import ClipSpec
from talaria.data.decoding_messages import DecodedSummary
from talaria.data.flow import clip_frames
from talaria.ensemble.clusters import Late
from talaria.ensemble.pool import pooled
from talaria.ensemble.scoring import FusionSet
from talaria.errors import ConfigError, DataError
from talaria.evaluation.arrays import GroundTruth
from talaria.evaluation.formats import write_detections
from talaria.features.chunk_network import ChunkNetwork
from talaria.features.chunks import frame_chunks
from talaria.features.frames import store_video
from talaria.features.read_ahead import read_ahead
from talaria.features.requests import ExtractionPlan
from talaria.pipeline.end_to_end import frames_plan
from talaria.pipeline.fusion_result import DETECTIONS
from talaria.pipeline.run_classifiers import RunClassifiers
from talaria.pipeline.run_models import RunModels
from talaria.pipeline.summary import SUMMARY
from talaria.pipeline.weights import model_folder
from talaria.prediction.postprocess import as_results
from talaria.records import Detection, Video
from talaria.store.feature_store import VideoFeatures
from talaria.store.files import read_json
from talaria.store.frame_store import FrameStore


@dataclass(frozen=True)
class Detected:
    """What became of several videos.

    Attributes:
        results: detections of each video that could be read, best first; the key is the file's stem.
        notes: one sentence for each video of which only a part could be read.
        problems: one sentence for each video that could not be read.
    """

    results: dict[str, list[Detection]]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


class RunDetector:
    """The backbones, members, weights and post-processing of a finished run, loaded once."""

    def __init__(self, run_folder: Path) -> None:
        """Load everything.

        Args:
            run_folder: absolute `runs/<name>`.

        Raises:
            ConfigError: the folder holds no finished run, or an ensemble with members of other runs.
            DataError: a model of the run is missing or damaged.
        """
        learned = _summary(run_folder)
        config = self._config = load_resolved(run_folder / "recipe.json")
        self._limit_s = config.data.decode_limit_s
        self._settings = PostprocessConfig(**learned["postprocess"])
        self._classes: tuple[str, ...] = tuple(learned["classes"])
        self._weights = {name: weight for name, weight in learned["weights"].items() if weight > 0}
        self._late = _late(learned["late"], tuple(self._weights))
        self._models = RunModels(run_folder, config, tuple(self._weights))
        self._classifiers = _classifiers(run_folder, config, learned)
        used = self._models.backbones | (self._classifiers.backbones if self._classifiers else set())
        self._backbones = _by_clips(run_folder, config, used)

    def detect(self, video: Path) -> tuple[list[Detection], str]:
        """The detections of one video, best first, and what was wrong with the file, empty if nothing.

        Raises:
            DataError: nothing of the file can be decoded.
        """
        features, note = self._features(video)
        with tempfile.TemporaryDirectory(prefix="talaria-") as temporary:
            frames, frames_note = self._frames(video, Path(temporary))
            beliefs = self._models.beliefs(video.stem, features, frames)
        note = note or frames_note
        if self._classifiers:
            logits_1K = self._classifiers.logits(features)
            beliefs = [belief.with_class_logits(logits_1K) for belief in beliefs]
        pool = pooled(beliefs, self._settings.proposals_per_video, common=self._late is None)
        nothing = GroundTruth.of_videos([Video(video.stem, None, "", pool.duration_s, ())], self._classes)
        data = FusionSet.of(tuple(self._weights), [pool], nothing)
        if self._late:
            data = data.clustered(self._late)
        found = data.detections(tuple(self._weights.values()), self._settings)
        return as_results(found, [video.stem], self._classes)[video.stem], note

    def detect_all(self, videos: Sequence[Path], on_video: Callable[[], None] = lambda: None) -> Detected:
        """Every video; one that cannot be read does not keep the others from being done.

        Args:
            videos: files whose names without extension differ.
            on_video: called after each.

        Raises:
            ConfigError: two files of one name, of which results could hold one only.
        """
        _check_names(videos)
        results, notes, problems = dict[str, list[Detection]](), list[str](), list[str]()
        for video in videos:
            try:
                results[video.stem], note = self.detect(video)
            except DataError as error:
                problems += error.problems
            else:
                notes += [f"{video}: {note}"] if note else []
            on_video()
        return Detected(results, tuple(notes), tuple(problems))

    def _features(self, video: Path) -> tuple[dict[str, VideoFeatures], str]:
        """Features by backbone; the file is decoded once for all backbones that see the same clips."""
        features: dict[str, VideoFeatures] = {}
        notes: dict[str, None] = {}
        for (clip, chunk_clips), networks in self._backbones.items():
            summary = DecodedSummary()
            stream = clip_frames(video, clip, time_limit_s=self._limit_s, summary=summary)
            parts: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = defaultdict(list)
            for chunk in read_ahead(frame_chunks(stream, clip, chunk_clips)):
                for name, network in networks.items():
                    computed, logits = network(chunk.frames)
                    parts[name].append((computed[: chunk.num_valid], logits[: chunk.num_valid]))
            for name, computed_parts in parts.items():
                whole = [
                    np.concatenate(arrays).astype(np.float32) for arrays in zip(*computed_parts, strict=True)
                ]
                features[name] = VideoFeatures(whole[0], whole[1], summary.duration_s)
            if summary.error:
                notes[summary.error] = None
        return features, "; ".join(notes)

    def _frames(self, video: Path, folder: Path) -> tuple[dict[str, FrameStore], str]:
        """Frames on disk for each member that starts from frames, and what was odd about the file."""
        stores, notes = dict[str, FrameStore](), dict[str, None]()
        for name in self._models.from_frames:
            plan = frames_plan(self._config.end_to_end[name], folder / name, self._limit_s)
            row = {"video_id": np.array([video.stem]), "path": np.array([str(video)])}
            answer = store_video(row, plan)
            if answer["error"][0]:
                raise DataError(str(answer["error"][0]))
            stores[name] = FrameStore(folder / name)
            notes[str(answer["oddity"][0])] = None
        return stores, "; ".join(filter(None, notes))


def write_results(folder: Path, results: Mapping[str, Sequence[Detection]]) -> Path:
    """Write the official file `detections.json` into a folder, made if absent; returns its path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = folder / DETECTIONS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_detections(path, results)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); name another folder with --out"
        ) from None
    return path


def _summary(run_folder: Path) -> dict[str, Any]:
    """The summary of a finished run."""
    path = run_folder / SUMMARY
    if not path.is_file():
        raise ConfigError(
            f"{run_folder}: holds no finished run ({SUMMARY} is missing); run jobs/full_pipeline.py to its "
            "end, or name another folder with --run"
        )
    try:
        summary: dict[str, Any] = read_json(path)
        missing = {"postprocess", "classes", "weights", "late"} - summary.keys()
    except (ValueError, AttributeError):
        raise ConfigError(f"{path}: is damaged; run jobs/full_pipeline.py again to write it anew") from None
    if missing:
        raise ConfigError(f"{path}: has no {', '.join(sorted(missing))}; run jobs/full_pipeline.py again")
    return summary


def _late(found: dict[str, Any] | None, members: Sequence[str]) -> Late | None:
    """How detections of members with nothing in common are compared; None where they have maps in common."""
    if found is None:
        return None
    configs = tuple(PostprocessConfig(**found[name]["postprocess"]) for name in members)
    return Late(configs, tuple(found[name]["scale"] for name in members))


def _classifiers(run_folder: Path, config: RunConfig, summary: dict[str, Any]) -> RunClassifiers | None:
    """The run's ensemble of classifiers without those of no weight; None where members bring their own."""
    found = summary.get("classifiers")
    if found is None:
        return None
    weights = {member["name"]: member["weight"] for member in found["members"] if member["weight"] > 0}
    return RunClassifiers(run_folder, config, weights, len(summary["classes"]))


def _by_clips(
    run_folder: Path, config: RunConfig, names: set[str]
) -> dict[tuple[ClipSpec, int], dict[str, ChunkNetwork]]:
    """The backbones that members need, together where they see the same chunks of clips."""
    grouped: dict[tuple[ClipSpec, int], dict[str, ChunkNetwork]] = defaultdict(dict)
    for name in sorted(names):
        node = config.backbones[name]
        plan = ExtractionPlan(
            store=str(run_folder / "features" / name),
            model=str(model_folder(run_folder, config, name)),
            spec=node.clip,
            chunk_clips=node.chunk_clips,
            dtype=node.feature_dtype,
            decode_limit_s=config.data.decode_limit_s,
        )
        grouped[node.clip, node.chunk_clips][name] = ChunkNetwork(plan)
    return grouped


def _check_names(videos: Sequence[Path]) -> None:
    counts = Counter(video.stem for video in videos)
    problems = [
        f"{', '.join(str(video) for video in videos if video.stem == stem)}: {count} files would have the "
        f"video id {stem!r}; detect them in separate calls with another --out each"
        for stem, count in counts.items()
        if count > 1
    ]
    if problems:
        raise ConfigError(problems)
