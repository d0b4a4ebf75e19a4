"""What one training is: a frozen description that travels to the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from talaria.config.nodes import OptimSection
from talaria.config.specs import ClipSpec
from talaria.records import Annotation
from talaria_models.registry import ModelConfig


@dataclass(frozen=True)
class LabelledVideo:
    """A training video: where its truth lies in time, on its decoded length."""

    video_id: str
    duration_s: float
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class ClipSource:
    """Labelled clips that were sampled for fine-tuning.

    Attributes:
        files: absolute paths of the .npy files (n, L, H, W, channels) uint8, one per video.
        labels: for each file the class index of each clip; background is the last class.
        flip: mirror every clip with probability one half.
        jitter: strength of random colour and position, 0 for none.
    """

    files: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    spec: ClipSpec
    flip: bool
    jitter: float


@dataclass(frozen=True)
class SnippetSource:
    """Stored features of labelled videos, resized to a fixed number of bins.

    Attributes:
        folder: absolute path of the feature store.
        num_bins: snippets after resizing.
        classes: labels in class-index order.
    """

    folder: str
    videos: tuple[LabelledVideo, ...]
    num_bins: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TaggedVideo:
    """A training video of which no more than its classes is told."""

    video_id: str
    duration_s: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class WeakSource:
    """Stored features of videos with their classes, resized to a fixed number of bins: no segment is in it.

    Attributes:
        folder: absolute path of the feature store.
        num_bins: snippets after resizing.
        classes: labels in class-index order.
        trimmed: clips of one action each, in the same store; empty where nothing is taken from such.
        teacher: absolute folder of the model that learned from them, or None.
    """

    folder: str
    videos: tuple[TaggedVideo, ...]
    num_bins: int
    classes: tuple[str, ...]
    trimmed: tuple[TaggedVideo, ...] = ()
    teacher: str | None = None


@dataclass(frozen=True)
class WindowSource:
    """Stored frames of labelled videos, cut into windows.

    Attributes:
        folder: absolute path of the frame store.
        num_frames: of each video, at the network's rate.
        classes: labels in class-index order.
        flip: mirror half of the windows.
    """

    folder: str
    videos: tuple[LabelledVideo, ...]
    num_frames: tuple[int, ...]
    classes: tuple[str, ...]
    flip: bool


@dataclass(frozen=True)
class RefinerSource:
    """Stored features of labelled videos at full length, with proposals to refine.

    Attributes:
        folder: absolute path of the feature store.
        proposals: absolute folder of a `ProposalStore`; videos without proposals there train on none.
        num_proposals: best proposals of each video that are trained on.
        max_snippets: longer videos are resized to this many snippets.
        classes: labels in class-index order.
    """

    folder: str
    proposals: str
    videos: tuple[LabelledVideo, ...]
    num_proposals: int
    max_snippets: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TrainJob:
    """One training.

    Attributes:
        model: config of the model; its `name` picks the task.
        sizes: what the data decides, as `talaria_models.registry.build` takes it.
        source: what it learns from.
        seed: from content: the recipe's seed and the node's name.
        out: absolute folder for metrics and the final model.
        card: facts kept beside the weights (classes, contract, ...), JSON types only.
        label_smoothing, bnm_weight: of a backbone's loss; a classifier has its own in `model`.
        start_from: folder of a model whose weights it starts from, or None.
        start_streams: of a detector that learns from frames: folders of the backbones that its streams start
            with.
    """

    name: str
    model: ModelConfig
    sizes: dict[str, int]
    optim: OptimSection
    source: ClipSource | SnippetSource | WeakSource | WindowSource | RefinerSource
    seed: int
    out: str
    card: dict[str, Any]
    label_smoothing: float = 0.0
    bnm_weight: float = 0.0
    start_from: str | None = None
    start_streams: Mapping[str, str] = field(default_factory=dict)
