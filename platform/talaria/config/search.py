"""The recipe's section `search`: what is searched, what may be drawn, how trials are judged and stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from talaria.config.nodes import NodeName, Section

Drawn: TypeAlias = float | int | str | bool
"""A value of one setting."""
Objective = Literal["score", "cost"]
TargetGroup = Literal["detectors", "refiners", "classifiers"]
TARGET_GROUPS: tuple[TargetGroup, ...] = get_args(TargetGroup)


class Distribution(Section):
    """What a search may draw for one setting."""

    type: Literal["uniform", "log_uniform", "int", "choice"]
    low: float | None = None
    high: float | None = None
    choices: tuple[Drawn, ...] = ()
    when: dict[str, Drawn | tuple[Drawn, ...]] = Field(default_factory=dict)
    """Other drawn settings with a value, or a list of values: only with these the setting is drawn, else the
    recipe's value holds."""

    def applies(self, drawn: Mapping[str, Any]) -> bool:
        """Whether the setting is drawn beside these values."""
        return all(path in drawn and drawn[path] in wanted for path, wanted in self.conditions.items())

    @property
    def conditions(self) -> dict[str, tuple[Drawn, ...]]:
        """`when` with a list of values everywhere."""
        return {
            path: wanted if isinstance(wanted, tuple) else (wanted,) for path, wanted in self.when.items()
        }

    def holds(self, value: Any) -> bool:
        """Whether the value may be drawn."""
        if self.type == "choice":
            return any(value == one and type(value) is type(one) for one in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        whole = self.type != "int" or value % 1 == 0
        return whole and self.low is not None and self.high is not None and self.low <= value <= self.high

    @model_validator(mode="after")
    def _bounds(self) -> Distribution:
        problems = self._choice_problems() if self.type == "choice" else self._range_problems()
        problems += [
            f"when.{path}: empty; expected a value or a list of values"
            for path, wanted in self.conditions.items()
            if not wanted
        ]
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
    """Ray Tune with Optuna over settings of one node; the best trial sets `apply_to` and `postprocess`."""

    target: str
    """The node whose settings are searched: `detectors.<name>`, `refiners.<name>` or `classifiers.<name>`."""
    features: NodeName
    """The backbone on whose features trials are trained and judged."""
    space: dict[str, Distribution] = Field(min_length=1)
    """Paths of the recipe below the target, such as `detectors.bmn64.optim.lr`; beside those of a detector or
    refiner also `postprocess.<field>`."""
    objectives: tuple[Objective, ...] = ("score",)
    """`score`: average mAP of proposals, or top-1 of a classifier, on held-out training videos. `cost`: GFLOP
    of one video's forward pass; with both the trials that no other beats in both are the Pareto front."""
    max_gflop: float | None = Field(default=None, gt=0)
    """With `cost`: the best trial is the best-scored one of the front at or below this."""
    num_trials: int = Field(default=8, ge=1)
    epochs: int = Field(default=8, ge=1)
    grace_epochs: int = Field(default=2, ge=1)
    """No trial is stopped before this epoch."""
    reduction_factor: int = Field(default=2, ge=2)
    max_concurrent: int = Field(default=1, ge=1)
    """1 makes the search repeatable; with more, its result depends on which trial ends first."""
    workers_per_trial: int = Field(default=1, ge=1)
    """1 trains inside the trial's process; more start Ray Train inside."""
    warm_start: str | None = None
    """MLflow filter of earlier trials; those that were judged on the same count as finished, of the others
    the best three are tried first."""
    holdout_frac: float = Field(default=0.25, gt=0, lt=1)
    """Part of the training videos on which trials are judged; validation stays unseen."""
    apply_to: tuple[NodeName, ...] = ()
    """Nodes of the target's group that take the best values found; empty means the target alone."""

    @property
    def group(self) -> str:
        """`detectors`, `refiners` or `classifiers`."""
        return self.target.partition(".")[0]

    @property
    def node_name(self) -> str:
        """The target's name within its group."""
        return self.target.partition(".")[2]

    def below_target(self, path: str) -> str:
        """`detectors.bmn64.optim.lr` -> `optim.lr`; a path of `postprocess` stays."""
        return path.removeprefix(f"{self.target}.")

    @property
    def drawing_order(self) -> tuple[tuple[str, Distribution], ...]:
        """The space such that a setting comes after those that its `when` names."""
        ordered: dict[str, Distribution] = {}
        while len(ordered) < len(self.space):
            ready = [
                path
                for path, one in self.space.items()
                if path not in ordered and all(other in ordered for other in one.when)
            ]
            ordered |= {path: self.space[path] for path in ready}
            if not ready:
                raise ValueError("the conditions of the space go round in a circle")
        return tuple(ordered.items())

    @model_validator(mode="after")
    def _consistent(self) -> SearchSection:
        problems = [*self._target_problems(), *self._objective_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _target_problems(self) -> list[str]:
        if self.group in TARGET_GROUPS and self.node_name:
            return []
        groups = [f"{group}.<name>" for group in TARGET_GROUPS]
        return [f"target: found {self.target!r}; expected {', '.join(groups[:-1])} or {groups[-1]}"]

    def _objective_problems(self) -> list[str]:
        problems = []
        if "score" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            problems.append(f"objectives: found {list(self.objectives)}; expected [score] or [score, cost]")
        if self.max_gflop is not None and "cost" not in self.objectives:
            problems.append("max_gflop: has no effect on one objective; expected objectives: [score, cost]")
        return problems
