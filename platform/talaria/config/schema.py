"""The recipe's schema: every setting of a run, typed, documented, closed to unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from talaria.config.postprocess import PostprocessConfig
from talaria.config.specs import ClipSpec, DemoSpec
from talaria_models.backbones.csn.config import CSNConfig
from talaria_models.backbones.slowfast.config import SlowFastConfig
from talaria_models.backbones.vivit.config import ViViTConfig
from talaria_models.bmn.config import BMNConfig
from talaria_models.classifier.config import ClassifierConfig
from talaria_models.refine_network.config import RefineNetworkConfig
from talaria_models.tcanet.config import TCANetConfig

CLIP_LOGITS = "clips"
"""Name of the classifier that `ensemble.clip_logits` adds on each backbone."""
NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    """A part of the recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunSection(Section):
    """What this run is called and where it lies."""

    name: NodeName
    root: str | None = None
    """Folder that holds runs/; by default TALARIA_HOME, else the current folder."""
    seed: int = Field(default=0, ge=0)


class DataSection(Section):
    """The videos, their annotations, and what each subset is for."""

    videos: str | None = None
    """Folder of video files."""
    annotations: str | None = None
    """HACS/ActivityNet JSON, .gz accepted."""
    generate: DemoSpec | None = None
    """The demo set to render where `videos` and `annotations` are not set."""
    train_subset: str = "training"
    fit_subset: str = "validation"
    """Fusion weights and post-processing are learned here, never in training."""
    judge_subset: str = "testing"
    """The final score comes from here. If it is the fit subset, every video is judged by weights
    that were fitted without it (cross-fitting)."""
    max_failed_frac: float = Field(default=0.2, ge=0, le=1)
    """A stage stops when more than this fraction of its videos failed."""
    length_tolerance_frac: float = Field(default=0.05, ge=0)
    """A video whose real length differs from the annotated one by more is left out of training."""
    decode_limit_s: float = Field(default=600, gt=0)
    """Wall-clock limit for decoding one video."""

    @model_validator(mode="after")
    def _source(self) -> DataSection:
        if (self.videos is None) != (self.annotations is None):
            missing = "videos" if self.videos is None else "annotations"
            raise ValueError(f"{missing}: not set; data.videos and data.annotations go together")
        if self.videos is None and self.generate is None:
            raise ValueError("videos: not set; expected data.videos and data.annotations, or data.generate")
        return self


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

    clips_per_segment: int = Field(default=8, ge=1)
    background_clips_per_video: int = Field(default=8, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    bnm_weight: float = Field(default=0.0, ge=0)
    """Weight of the Batch Nuclear-norm term over each micro-batch's class scores; 0 leaves it out."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Strength of random colour, brightness and position, the same for all frames of a clip."""
    flip: bool = False
    """Mirror half of the clips; wrong where left and right are different classes."""
    optim: OptimSection = OptimSection()


class BackboneNode(Section):
    """A network that turns clips into snippet features."""

    model: Annotated[SlowFastConfig | ViViTConfig | CSNConfig, Field(discriminator="name")]
    clip: ClipSpec
    checkpoint: str | None = None
    """Weights to start from: a folder written by Talaria."""
    finetune: FinetuneSection | None = FinetuneSection()
    """null extracts with the weights of `checkpoint` as they are."""
    feature_dtype: Literal["float16", "float32"] = "float16"
    chunk_clips: int = Field(default=16, ge=1)
    """Clips that travel and are computed together; the last chunk of a video is padded."""

    @model_validator(mode="after")
    def _weights(self) -> BackboneNode:
        if self.finetune is None and self.checkpoint is None:
            raise ValueError("finetune: null needs checkpoint to be set, or features would be random")
        return self


class ClassifierNode(Section):
    """Video-level classes from stored features; one is trained for every backbone named."""

    model: ClassifierConfig = ClassifierConfig()
    features: tuple[NodeName, ...] = ()
    """Names of backbones; empty means all."""
    num_bins: int = Field(default=64, ge=1)
    """Snippets to which a video is resized before classification."""
    optim: OptimSection = OptimSection()


class DetectorNode(Section):
    """A proposal generator; one is trained for every backbone named. Each is an ensemble member."""

    model: BMNConfig
    features: tuple[NodeName, ...] = ()
    """Names of backbones; empty means all."""
    optim: OptimSection = OptimSection()


class ProposalsNode(Section):
    """Proposals that refiners start from: those of one detector, or of several fused with equal weights."""

    members: tuple[NodeName, ...] = ()
    """Detectors on their backbones, such as `slowfast-bmn200`; empty means all of the recipe."""
    suppression: PostprocessConfig = PostprocessConfig(detections_per_video=100)
    """How segments are scored and thinned out; `detections_per_video` proposals are kept of each video.
    What it says of classes is not used."""


class RefinerNode(Section):
    """A network that moves and scores proposals; one is trained for every backbone named. Where a recipe has
    refiners, they are the ensemble's members."""

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


class Distribution(Section):
    """What a search may draw for one setting."""

    type: Literal["uniform", "log_uniform", "int", "choice"]
    low: float | None = None
    high: float | None = None
    choices: tuple[float | int | str | bool, ...] = ()

    @model_validator(mode="after")
    def _bounds(self) -> Distribution:
        problems = self._choice_problems() if self.type == "choice" else self._range_problems()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _choice_problems(self) -> list[str]:
        problems = [
            f"{field}: found {value:g}; choice draws from choices alone"
            for field, value in (("low", self.low), ("high", self.high))
            if value is not None
        ]
        return problems if self.choices else ["choices: empty; expected the values to choose from", *problems]

    def _range_problems(self) -> list[str]:
        problems = [f"choices: not used by {self.type}; expected low and high"] if self.choices else []
        missing = [field for field in ("low", "high") if getattr(self, field) is None]
        problems += [f"{field}: missing; expected a number, as {self.type} has two ends" for field in missing]
        if self.low is None or self.high is None:
            return problems
        if not self.low < self.high:
            problems.append(f"low: found {self.low:g}; expected less than high, {self.high:g}")
        if self.type == "log_uniform" and self.low <= 0:
            problems.append(f"low: found {self.low:g}; expected a number above 0 for log_uniform")
        problems += [
            f"{field}: found {value:g}; expected a whole number for type int"
            for field, value in (("low", self.low), ("high", self.high))
            if self.type == "int" and value % 1
        ]
        return problems


class SearchSection(Section):
    """Ray Tune with Optuna over settings of one detector; the best trial sets `apply_to`."""

    detector: NodeName
    features: NodeName
    space: dict[str, Distribution] = Field(min_length=1)
    """Dotted paths below the detector's node, such as `optim.lr` or `model.num_snippets`."""
    num_trials: int = Field(default=8, ge=1)
    epochs: int = Field(default=8, ge=1)
    grace_epochs: int = Field(default=2, ge=1)
    """No trial is stopped before this epoch."""
    reduction_factor: int = Field(default=2, ge=2)
    max_concurrent: int = Field(default=1, ge=1)
    """1 makes the search repeatable; with more, its result depends on which trial ends first."""
    holdout_frac: float = Field(default=0.25, gt=0, lt=1)
    """Part of the training videos on which trials are judged; validation stays unseen."""
    apply_to: tuple[NodeName, ...] = ()
    """Detectors that take the best values found; empty means the searched one."""


class EnsembleSection(Section):
    """Who takes part in the ensemble and how weights and post-processing are learned."""

    members: str | None = None
    """MLflow filter; by default the tag talaria.member = 'yes' on runs of this pipeline."""
    folds: int = Field(default=4, ge=2)
    rounds: int = Field(default=24, ge=1)
    """Votes that greedy selection gives away."""
    trials: int = Field(default=40, ge=1)
    """Trials of the inner search over post-processing."""
    classifiers: Literal["auto", "member", "learned"] = "auto"
    """Who classifies videos, with postprocess.classification: video. `member`: the recipe's one classifier,
    on each member's own backbone; logits are fused as maps are, with the members' weights. `learned`: all
    classifiers on all backbones together, one learned weight each; every member takes what they say. `auto`:
    `learned` with several classifiers or with clip_logits, else `member`."""
    clip_logits: bool = False
    """Whether each backbone's own clip scores, pooled over a video, are one more classifier."""


class TrackingSection(Section):
    """MLflow."""

    uri: str | None = None
    """Tracking URI; by default SQLite in runs/mlflow.db."""
    experiment: str = "talaria"


class ResourcesSection(Section):
    """What the stages may use. None of this changes a result."""

    train_workers: int = Field(default=1, ge=1)
    """Ray Train workers of one training."""
    parallel_trainings: int = Field(default=2, ge=1)
    """Trainings that may run at the same time."""
    cpus_per_worker: float = Field(default=1, gt=0)
    gpus_per_worker: float = Field(default=1, ge=0)
    """Used only where the cluster has GPUs."""
    forward_actors: int = Field(default=2, ge=1)
    """Most backbone actors of an extraction."""
    decode_cpus: float = Field(default=0.25, gt=0)
    forward_cpus: float = Field(default=0.5, gt=0)
    object_store_mb: int = Field(default=500, ge=80)
    """Object store of a Ray that we start ourselves."""

    @model_validator(mode="after")
    def _not_fused(self) -> ResourcesSection:
        if self.decode_cpus == self.forward_cpus:
            raise ValueError(
                f"decode_cpus: found {self.decode_cpus:g}, as forward_cpus; expected another "
                "number, or Ray Data would decode inside the backbone's actors"
            )
        return self


class RunConfig(Section):
    """A whole recipe."""

    run: RunSection
    data: DataSection
    backbones: dict[NodeName, BackboneNode] = Field(min_length=1)
    classifiers: dict[NodeName, ClassifierNode] = {}
    detectors: dict[NodeName, DetectorNode] = Field(min_length=1)
    proposals: dict[NodeName, ProposalsNode] = {}
    refiners: dict[NodeName, RefinerNode] = {}
    postprocess: PostprocessConfig = PostprocessConfig()
    search: SearchSection | None = None
    ensemble: EnsembleSection = EnsembleSection()
    tracking: TrackingSection = TrackingSection()
    resources: ResourcesSection = ResourcesSection()

    @model_validator(mode="after")
    def _references(self) -> RunConfig:
        problems = [
            f"{group}.{name}.features: {wanted!r} is no backbone; expected one of {', '.join(self.backbones)}"
            for group, nodes in self._heads()
            for name, node in nodes.items()
            for wanted in node.features
            if wanted not in self.backbones
        ]
        problems += self._proposal_references()
        problems += self._classifier_problems()
        if self.search is not None:
            problems += self._search_references(self.search)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _heads(self) -> tuple[tuple[str, Mapping[str, ClassifierNode | DetectorNode | RefinerNode]], ...]:
        return (
            ("classifiers", self.classifiers),
            ("detectors", self.detectors),
            ("refiners", self.refiners),
        )

    def _proposal_references(self) -> list[str]:
        known = [
            f"{backbone}-{name}"
            for name, node in self.detectors.items()
            for backbone in node.features or self.backbones
        ]
        problems = [
            f"proposals.{name}.members: {member!r} is no detector on its backbone; expected one of "
            f"{', '.join(known)}"
            for name, node in self.proposals.items()
            for member in node.members
            if member not in known
        ]
        sets = ", ".join(self.proposals) or "an entry of proposals, which the recipe lacks"
        problems += [
            f"refiners.{name}.proposals: {node.proposals!r} is unknown; expected {sets}"
            for name, node in self.refiners.items()
            if node.proposals not in self.proposals
        ]
        return [
            *problems,
            *(
                f"refiners.{name}: a detector has this name, too; expected another one"
                for name in self.refiners.keys() & self.detectors.keys()
            ),
        ]

    @property
    def learns_classifiers(self) -> bool:
        """Whether the classifiers are an ensemble of their own, with learned weights."""
        if self.postprocess.classification != "video" or self.ensemble.classifiers == "member":
            return False
        several = len(self.classifiers) > 1 or self.ensemble.clip_logits
        return several or self.ensemble.classifiers == "learned"

    def _classifier_problems(self) -> list[str]:
        section, several = self.ensemble, len(self.classifiers) > 1
        if self.postprocess.classification != "video":
            asked = {"classifiers": section.classifiers == "learned", "clip_logits": section.clip_logits}
            return [
                f"ensemble.{field}: has no effect where clip scores label the proposals; expected "
                "postprocess.classification: video"
                for field in asked
                if asked[field]
            ]
        if section.classifiers == "member" and (several or section.clip_logits):
            found = f"{len(self.classifiers)} classifiers" if several else "clip_logits: true"
            return [f"ensemble.classifiers: found 'member' with {found}; expected 'learned' or 'auto'"]
        if not self.classifiers and not section.clip_logits:
            return [
                "classifiers: found 0; expected one for postprocess.classification: video, several, or "
                "ensemble.clip_logits: true"
            ]
        return self._unclassified() + self._names_taken()

    def _unclassified(self) -> list[str]:
        """Backbones without a classifier while others have one; without any, clip scores classify all."""
        covered = {one for node in self.classifiers.values() for one in node.features or self.backbones}
        single = next(iter(self.classifiers)) if len(self.classifiers) == 1 else None
        return [
            f"classifiers.{single}.features: {backbone!r} is missing, but {group}.{head} uses it"
            if single
            else f"classifiers: none has {backbone!r} among its features, but {group}.{head} uses it"
            for group, nodes in self._heads()[1:]
            for head, node in nodes.items()
            for backbone in node.features or self.backbones
            if self.classifiers and backbone in self.backbones and backbone not in covered
        ]

    def _names_taken(self) -> list[str]:
        """Classifiers whose folders would be those of another head."""
        taken = {**dict.fromkeys(self.detectors, "a detector"), **dict.fromkeys(self.refiners, "a refiner")}
        if self.ensemble.clip_logits:
            taken[CLIP_LOGITS] = "what ensemble.clip_logits adds"
        return [
            f"classifiers.{name}: {taken[name]} has this name, too; expected another one"
            for name in self.classifiers
            if name in taken
        ]

    def _search_references(self, search: SearchSection) -> list[str]:
        problems = [
            f"search.{field}: {wanted!r} is no detector; expected one of {', '.join(self.detectors)}"
            for field, names in (("detector", (search.detector,)), ("apply_to", search.apply_to))
            for wanted in names
            if wanted not in self.detectors
        ]
        if search.features not in self.backbones:
            known = ", ".join(self.backbones)
            problems.append(f"search.features: {search.features!r} is no backbone; expected one of {known}")
        return problems
