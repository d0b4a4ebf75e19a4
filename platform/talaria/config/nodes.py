"""The nodes of a recipe's graph, from backbones to refiners, and how each is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from talaria.config.fingerprint import UNLESS_NONE
from talaria.config.postprocess import PostprocessConfig
from talaria.config.published import PublishedSpec
from talaria.config.specs import ClipSpec, FlowSpec
from talaria_models.backbones.flow import sees_flow
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.kt_mgfn.config import KTMGFNConfig
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.registry import (
    FIXED_SIZE,
    TELL_CLASSES,
    BackboneConfig,
    DetectorConfig,
    missing_extra,
)
from talaria_models.sp_tad.config import SPTADConfig
from talaria_models.tcanet.config import TCANetConfig

NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    """A part of the recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OptimSection(Section):
    """How one model is trained. The recipe fixes the global batch; the workers share it."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For sgd."""
    epochs: int = Field(default=10, ge=1)
    warmup_epochs: float = Field(default=0.5, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = Field(default=16, ge=1)
    """Samples of one optimiser step over all workers."""
    micro_batch_size: int = Field(default=16, ge=1)
    """Samples of one forward pass; batch-norm statistics are taken over these."""
    grad_clip: float = Field(default=5.0, gt=0)
    """Largest norm of the gradient."""


class FinetuneSection(Section):
    """Fine-tuning a backbone on labelled clips of the training subset (C+1 classes)."""

    subset: str | None = Field(default=None, json_schema_extra=UNLESS_NONE)
    """Whose videos the clips are cut from; null takes data.train_subset. Where detectors shall learn from
    video labels alone, data.trimmed_subset keeps the segments of training videos from the backbone."""
    clips_per_segment: int = Field(default=8, ge=1)
    background_clips_per_video: int = Field(default=8, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    bnm_weight: float = Field(default=0.0, ge=0)
    """Weight of the Batch Nuclear-norm term over each micro-batch's class scores; 0 leaves it out."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Strength of random colour, brightness and position, the same for all frames of a clip."""
    flip: bool = False
    """Mirror half of the clips; wrong where left and right are different classes."""
    height: int | None = Field(default=None, ge=1)
    """Pixels of the clips that are learned from; null takes those of `clip`, which features are made from."""
    width: int | None = Field(default=None, ge=1)
    """The same for the width."""
    optim: OptimSection = OptimSection()


class BackboneNode(Section):
    """A network that turns clips into snippet features."""

    model: Annotated[BackboneConfig, Field(discriminator="name")]
    clip: ClipSpec
    checkpoint: str | None = None
    """Weights to start from: a folder written by Talaria."""
    published: PublishedSpec | None = None
    """Weights to start from: a file that others published. Only `finetune: null` keeps its classifier."""
    finetune: FinetuneSection | None = FinetuneSection()
    """null extracts with the weights of `checkpoint` or `published` as they are."""
    feature_dtype: Literal["float16", "float32"] = "float16"
    chunk_clips: int = Field(default=16, ge=1)
    """Clips that are computed together; the last chunk of a video is padded."""

    @property
    def finetune_clip(self) -> ClipSpec:
        """The clips that are learned from: those of `clip`, in the size that `finetune` may set."""
        tuned = self.finetune or FinetuneSection()
        return replace(
            self.clip, height=tuned.height or self.clip.height, width=tuned.width or self.clip.width
        )

    @model_validator(mode="after")
    def _runnable(self) -> BackboneNode:
        extra = missing_extra(self.model.name)
        problems = [f"model.name: {extra}"] if extra else []
        problems += [*self._weights_problems(), *self._modality_problems(), *self._size_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _modality_problems(self) -> list[str]:
        flow = sees_flow(self.model)
        if flow and self.clip.flow is None:
            return ["clip.flow: found nothing with model.modality flow; expected such as {method: dis}"]
        if not flow and self.clip.flow is not None:
            return [f"clip.flow: found flow, but {self.model.name} is given colours; expected null"]
        try:
            _ = self.finetune_clip
        except ValueError as error:
            return [f"finetune.{line}" for line in str(error).splitlines()]
        return []

    def _size_problems(self) -> list[str]:
        if self.model.name not in FIXED_SIZE:
            return []
        return [
            f"finetune.{side}: found {tuned}; expected {size} as in clip, "
            f"as {self.model.name} has a position for every patch"
            for side in ("height", "width")
            if (tuned := getattr(self.finetune_clip, side)) != (size := getattr(self.clip, side))
        ]

    def _weights_problems(self) -> list[str]:
        if self.published is None:
            random = self.finetune is None and self.checkpoint is None
            return ["finetune: null needs checkpoint or published, or features would be random"] * random
        problems = []
        if self.checkpoint is not None:
            problems.append("published: found checkpoint, too; expected one of them")
        if self.finetune is not None and self.published.classes is not None:
            problems.append("published.classes: has no effect on a backbone that is fine-tuned; leave it out")
        return problems


class ClassifierNode(Section):
    """Video-level classes from stored features; one is trained for every backbone named."""

    model: ClassifierConfig = ClassifierConfig()
    features: tuple[NodeName, ...] = ()
    """Names of backbones; empty means all."""
    num_bins: int = Field(default=64, ge=1)
    """Snippets to which a video is resized before classification."""
    optim: OptimSection = OptimSection()


class DetectorNode(Section):
    """A network that finds segments in features; one is trained for every backbone named. Each is an ensemble
    member."""

    model: Annotated[DetectorConfig, Field(discriminator="name")]
    features: tuple[NodeName, ...] = ()
    """Names of backbones; empty means all."""
    optim: OptimSection = OptimSection()

    @property
    def has_maps(self) -> bool:
        """Whether it has boundary-matching maps, from which proposals can be made."""
        return self.model.name not in TELL_CLASSES

    @property
    def is_weak(self) -> bool:
        """Whether it learns from the classes of whole videos."""
        return isinstance(self.model, KTMGFNConfig)

    @property
    def takes_trimmed(self) -> bool:
        """Whether it also learns from trimmed clips."""
        return isinstance(self.model, KTMGFNConfig) and self.model.transfer


class EndToEndNode(Section):
    """A detector that learns from frames, its backbones included; an ensemble member by its own name."""

    model: SPTADConfig
    flow: FlowSpec = FlowSpec()
    """How motion is computed, where `model.streams` has flow."""
    start_from: dict[Literal["rgb", "flow"], NodeName] = Field(default_factory=dict)
    """Backbones of the recipe whose weights the streams start with; others start at random."""
    flip: bool = False
    """Mirror half of the windows in training; wrong where left and right are different classes."""
    optim: OptimSection = OptimSection()

    def clip_of(self, stream: str) -> ClipSpec:
        """Rate and size of the frames of one stream; a video is no clips here."""
        size = self.model.frame_size
        return ClipSpec(self.model.fps, 1, 1, size, size, self.flow if stream == "flow" else None)


class ProposalsNode(Section):
    """Proposals that refiners start from: those of one detector, or of several fused with equal weights."""

    members: tuple[NodeName, ...] = ()
    """Detectors on their backbones, such as `slowfast-bmn200`; empty means all that have maps."""
    suppression: PostprocessConfig = PostprocessConfig(detections_per_video=100)
    """How segments are scored and thinned out; `detections_per_video` proposals are kept of each video.
    What it says of classes is not used."""


class RefinerNode(Section):
    """A network that moves and scores proposals; one is trained for every backbone named. Where a recipe has
    refiners, they are the ensemble's members in place of the detectors with maps."""

    model: Annotated[TCANetConfig | RefineNetworkConfig, Field(discriminator="name")]
    proposals: NodeName
    """Name of an entry of `proposals`."""
    features: tuple[NodeName, ...] = ()
    """Names of backbones; empty means all."""
    training_proposals: int = Field(default=64, ge=1)
    """Best proposals of a video that are trained on."""
    max_snippets: int = Field(default=4096, ge=1)
    """Features keep their own rate; only videos with more snippets are resized to this many."""
    stages: Literal["last", "all"] = "last"
    """Whose segments become candidates: the last stage's alone, or those of every stage."""
    optim: OptimSection = OptimSection()
