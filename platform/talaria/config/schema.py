"""The recipe's schema: every setting of a run, typed, documented, closed to unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from talaria.config.nodes import (
    BackboneNode,
    ClassifierNode,
    DetectorNode,
    EndToEndNode,
    NodeName,
    ProposalsNode,
    RefinerNode,
    Section,
)
from talaria.config.postprocess import PostprocessConfig
from talaria.config.search import SearchSection
from talaria.config.specs import DemoSpec

CLIP_LOGITS = "clips"
"""Name of the classifier that `ensemble.clip_logits` adds on each backbone."""


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
    trimmed_subset: str | None = None
    """Clips of one action each, cut to it, such as HACS Clips: weakly supervised detectors learn from them
    what an action looks like. Null where there are none."""
    max_failed_frac: float = Field(default=0.2, ge=0, le=1)
    """A stage stops when more than this fraction of its videos failed."""
    length_tolerance_frac: float = Field(default=0.05, ge=0)
    """A video whose real length differs from the annotated one by more is left out of training."""
    decode_limit_s: float = Field(default=600, gt=0)
    """Wall-clock limit for decoding one video, beyond the length of what has been decoded."""

    @model_validator(mode="after")
    def _source(self) -> DataSection:
        if (self.videos is None) != (self.annotations is None):
            missing = "videos" if self.videos is None else "annotations"
            raise ValueError(f"{missing}: not set; data.videos and data.annotations go together")
        if self.videos is None and self.generate is None:
            raise ValueError("videos: not set; expected data.videos and data.annotations, or data.generate")
        return self


class EnsembleSection(Section):
    """Who takes part in the ensemble and how weights and post-processing are learned."""

    members: str | None = None
    """MLflow filter; by default the tag talaria.member = 'yes' on runs of this pipeline."""
    folds: int = Field(default=4, ge=2)
    weights: Literal[
        "auto", "equal", "performance", "performance2", "performance4", "gradient", "greedy", "search"
    ] = "auto"
    """How members' weights are learned. `auto` takes what is best in cross-validation. `performance`: in
    proportion to the average mAP of each member alone, to its square or its fourth power. `gradient`: on a
    ranking loss. `greedy`: votes, one by one. `search`: Optuna on average mAP."""
    rounds: int = Field(default=24, ge=1)
    """Votes that greedy selection gives away."""
    trials: int = Field(default=40, ge=1)
    """Trials of each inner search, over post-processing or weights."""
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
    actors: int | None = Field(default=None, ge=1)
    """Most actors of an extraction or a prediction; null: one a CPU, or as many as the GPUs hold, and no more
    than fit memory."""
    videos_per_actor: int | None = Field(default=None, ge=1)
    """Videos that an actor decodes at a time; null: one, with GPUs the number of CPUs over that of actors."""
    object_store_mb: int = Field(default=500, ge=80)
    """Object store of a Ray that we start ourselves."""


class RunConfig(Section):
    """A whole recipe."""

    run: RunSection
    data: DataSection
    backbones: dict[NodeName, BackboneNode] = Field(default_factory=dict)
    classifiers: dict[NodeName, ClassifierNode] = Field(default_factory=dict)
    detectors: dict[NodeName, DetectorNode] = Field(default_factory=dict)
    end_to_end: dict[NodeName, EndToEndNode] = Field(default_factory=dict)
    proposals: dict[NodeName, ProposalsNode] = Field(default_factory=dict)
    refiners: dict[NodeName, RefinerNode] = Field(default_factory=dict)
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
        if not self.detectors and not self.end_to_end:
            problems.append("detectors: missing; expected at least one, or one in end_to_end")
        if not self.backbones and any(nodes for _, nodes in self._heads()):
            problems.append("backbones: missing; expected at least one for the features of the other nodes")
        problems += [
            f"detectors.{name}.model.transfer: needs trimmed clips, but data.trimmed_subset is not set; set "
            "it, or transfer to false"
            for name, node in self.detectors.items()
            if node.takes_trimmed and self.data.trimmed_subset is None
        ]
        problems += self._end_to_end_problems()
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
            if node.has_maps
        ]
        problems = [
            f"proposals.{name}.members: {member!r} is no detector with maps on its backbone; expected one of "
            f"{', '.join(known) or 'such a detector, which the recipe lacks'}"
            for name, node in self.proposals.items()
            for member in node.members
            if member not in known
        ]
        problems += [
            f"proposals.{name}: the recipe has no detector with maps to make proposals; expected such as bmn"
            for name, node in self.proposals.items()
            if not known and not node.members
        ]
        sets = ", ".join(self.proposals) or "an entry of proposals, which the recipe lacks"
        problems += [
            f"refiners.{name}.proposals: {node.proposals!r} is unknown; expected {sets}"
            for name, node in self.refiners.items()
            if node.proposals not in self.proposals
        ]
        shared = {(node.proposals, node.stages) for node in self.refiners.values()}
        if len(shared) > 1 and self.ensemble.members is None:
            problems.append(
                "refiners: found several values of proposals or stages; expected one for all, as members are "
                "fused proposal by proposal, or ensemble.members to pick those that belong together"
            )
        problems += [
            f"refiners.{name}: a detector has this name, too; expected another one"
            for name in self.refiners
            if name in self.detectors
        ]
        return problems

    def _end_to_end_problems(self) -> list[str]:
        heads = {
            f"{backbone}-{name}"
            for _, nodes in self._heads()
            for name in nodes
            for backbone in self.backbones
        }
        problems = [
            f"end_to_end.{name}: {what} has this name, too; expected another one"
            for name in self.end_to_end
            for what, taken in (("a head on a backbone", heads), ("a backbone", set(self.backbones)))
            if name in taken
        ]
        for name, node in self.end_to_end.items():
            for stream, wanted in node.start_from.items():
                setting = f"end_to_end.{name}.start_from.{stream}"
                if stream not in node.model.streams:
                    problems.append(f"{setting}: model.streams has no {stream}")
                elif wanted not in self.backbones:
                    known = ", ".join(self.backbones)
                    problems.append(f"{setting}: {wanted!r} is no backbone; expected one of {known}")
                elif (found := self.backbones[wanted].model) != (own := node.model.i3d(stream)):
                    problems.append(f"{setting}: {wanted!r} is {found}; expected {own}, as model has it")
        return problems

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
        nodes: Mapping[str, object] = getattr(self, search.group)
        problems = []
        if search.node_name not in nodes:
            known = [f"{group}.{name}" for group, some in self._heads() for name in some]
            near = difflib.get_close_matches(search.target, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            problems.append(f"search.target: {search.target!r} is not in the recipe; {hint}")
        elif search.group == "classifiers" and self.postprocess.classification != "video":
            problems.append(
                f"search.target: {search.target!r} is not used where clip scores label the proposals; "
                "expected postprocess.classification: video"
            )
        elif search.group == "detectors" and self.detectors[search.node_name].is_weak:
            problems.append(
                f"search.target: {search.target!r} learns from video labels alone, but trials are judged by "
                "training videos' segments; expected another node"
            )
        problems += [
            f"search.apply_to: {wanted!r} is not in {search.group}; expected one of {', '.join(nodes)}"
            for wanted in search.apply_to
            if wanted not in nodes
        ]
        if search.features not in self.backbones:
            known_backbones = ", ".join(self.backbones)
            problems.append(
                f"search.features: {search.features!r} is no backbone; expected one of {known_backbones}"
            )
        return problems
