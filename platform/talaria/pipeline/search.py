"""Stage `search`: trials of one node with other settings; the best one's values replace the recipe's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from talaria.cluster.connect import Capacity, worker_slots
from talaria.config.fingerprint import differences, plain
from talaria.config.loading import save_recipe
from talaria.config.nodes import DetectorNode, RefinerNode
from talaria.config.schema import RunConfig
from talaria.config.search import SearchSection
from talaria.config.space import target_node, with_found
from talaria.errors import ConfigError, DriftError
from talaria.log import BOARD, LOGGER, Step, following
from talaria.pipeline.head_jobs import head_sizes, training_videos
from talaria.pipeline.predictions import Work
from talaria.pipeline.refiners import refiner_source
from talaria.pipeline.search_identity import deciding_fields, identity, judged_on_what
from talaria.pipeline.search_tracking import earlier_trials, track_trials
from talaria.pipeline.session import TRACKED, Session
from talaria.records import Dataset
from talaria.search.front import best, ranked
from talaria.search.plan import SearchPlan
from talaria.search.study import search
from talaria.search.trials import TrialResult, begun_trials
from talaria.search.warm_start import WarmStart, keep_warm_start, kept_warm_start, warm_start
from talaria.store.artifact import Artifact
from talaria.store.feature_store import FeatureStore
from talaria.store.files import read_json, write_json
from talaria.training.job import RefinerSource, SnippetSource
from talaria.training.loop import METRICS, read_metrics

BEST, BEST_RECIPE = "best.json", "best.yaml"


def searches_refiner(config: RunConfig) -> bool:
    """Whether the search needs proposals, and so comes after the detectors' predictions."""
    return config.search is not None and config.search.group == "refiners"


def search_missing(
    session: Session, dataset: Dataset, stores: Mapping[str, FeatureStore], offered: Mapping[str, Work]
) -> None:
    """Run the trials that are missing, then let the session's recipe have the best values.

    Args:
        session: whose recipe may have a search.
        dataset: with the training videos.
        stores: features by backbone.
        offered: sets of proposals by name, for a search of a refiner.
    """
    section = session.config.search
    if section is None:
        return
    store = stores[section.features]
    source = _source(session, dataset, store, offered)
    fields = deciding_fields(session.config, section, store, source, offered)
    artifact = session.artifact("search", section.node_name, "2", fields)
    judged_on = judged_on_what(section, fields)
    if artifact.finished() and _num_own(artifact) >= section.num_trials:
        session.skipped("search", f"{section.num_trials} trials of {section.target}")
    else:
        what = f"{section.num_trials} trials of {section.target} on {section.features}"
        with session.stage("search", what):
            _search(session, section, artifact, source, judged_on)
    chosen = _choose(session, section, artifact)
    session.track_once(artifact, lambda: track_trials(session, artifact, found_trials(artifact), judged_on))
    session.config = with_found(session.config, chosen.values)


def found_postprocess(session: Session) -> None:
    """Let the session's recipe have post-processing settings that a finished search of its run found.

    Raises:
        DriftError: the run's search is not the recipe's.
    """
    section = session.config.search
    if section is None or not any(path.startswith("postprocess.") for path in section.space):
        return
    artifact = session.artifact("search", section.node_name, "2", {})
    if not (artifact.folder / BEST).is_file():
        raise ConfigError(
            f"search: {artifact.name} has not ended in this run; run jobs/sweep.py with the same recipe first"
        )
    changed = differences(artifact.record()["fields"]["search"], plain(identity(section)))
    if changed:
        raise DriftError([f"{artifact.name} was made with another search: {clause}" for clause in changed])
    values = {
        path: value
        for path, value in best(found_trials(artifact), section).values.items()
        if path.startswith("postprocess.")
    }
    session.config = with_found(session.config, values)


def found_trials(artifact: Artifact) -> list[TrialResult]:
    """The trials of a finished search, the best first."""
    return [TrialResult.of_json(fields) for fields in read_json(artifact.folder / BEST)]


def _num_own(artifact: Artifact) -> int:
    return sum(trial.own for trial in found_trials(artifact))


def _search(
    session: Session,
    section: SearchSection,
    artifact: Artifact,
    source: SnippetSource | RefinerSource,
    judged_on: str,
) -> None:
    artifact.begin()
    (artifact.folder / TRACKED).unlink(missing_ok=True)
    earlier = _warm_start(session, section, artifact.folder, judged_on)
    plan = _plan(session, section, artifact, source)
    with (
        BOARD.step("search", section.num_trials * section.epochs) as step,
        following(lambda: _look(step, section, artifact.folder)),
    ):
        trials = search(plan, _concurrent(session, section, plan), earlier)
    found = best(trials, section)
    write_json(artifact.folder / BEST, [plain(trial) for trial in ranked(trials)])
    artifact.commit(best=found, trials=len(trials))


def _plan(
    session: Session, section: SearchSection, artifact: Artifact, source: SnippetSource | RefinerSource
) -> SearchPlan:
    config, capacity = session.config, session.capacity
    several = section.workers_per_trial > 1
    cpus = 1.0 if capacity.gpu else _trial_cpus(capacity, section.max_concurrent)
    node = target_node(config, section)
    return SearchPlan(
        section=section,
        node=node,
        postprocess=config.postprocess,
        source=source,
        sizes=head_sizes(node, FeatureStore(Path(source.folder)), source.classes),
        folder=str(artifact.folder),
        seed=artifact.fields["seed"],
        cpus=config.resources.cpus_per_worker if several else cpus,
        gpus=config.resources.gpus_per_worker if capacity.gpu else 0.0,
    )


def _trial_cpus(capacity: Capacity, max_concurrent: int) -> float:
    """CPUs of one trial, which one node must hold: no more than the mean node has, so some node does."""
    return max(1.0, capacity.cpus // (capacity.nodes * max_concurrent))


def _concurrent(session: Session, section: SearchSection, plan: SearchPlan) -> int:
    """Trials at a time; with several workers each no more than the nodes hold, or trials wait for each other.

    Raises:
        ConfigError: the nodes do not hold the workers of one trial.
    """
    workers = section.workers_per_trial
    if workers == 1:
        return section.max_concurrent
    slots = worker_slots(plan.cpus, plan.gpus)
    if slots < workers:
        resources = session.config.resources
        size = f"resources.cpus_per_worker ({resources.cpus_per_worker:g})"
        if plan.gpus:
            size += f" and resources.gpus_per_worker ({resources.gpus_per_worker:g})"
        raise ConfigError(
            f"search.workers_per_trial: found {workers}, but the cluster holds {slots} workers of {size}; "
            "lower these or add nodes"
        )
    return min(section.max_concurrent, slots // workers)


def _source(
    session: Session, dataset: Dataset, store: FeatureStore, offered: Mapping[str, Work]
) -> SnippetSource | RefinerSource:
    assert session.config.search is not None
    node = target_node(session.config, session.config.search)
    if isinstance(node, RefinerNode):
        return refiner_source(session, dataset, store, offered[node.proposals], node)
    num_bins = node.model.num_snippets if isinstance(node, DetectorNode) else node.num_bins
    videos = training_videos(session, dataset, store)
    return SnippetSource(str(store.folder), videos, num_bins, dataset.classes)


def _warm_start(session: Session, section: SearchSection, folder: Path, judged_on: str) -> WarmStart:
    """What the search begins with, asked of MLflow once."""
    kept = kept_warm_start(folder)
    if kept is not None or section.warm_start is None:
        return kept or WarmStart()
    earlier = earlier_trials(session.tracker, section.warm_start)
    found = warm_start(earlier, section, judged_on)
    LOGGER.info(
        "search: %d earlier trials match search.warm_start; %d were judged on the same and count as "
        "finished, %d others are tried first",
        len(earlier),
        len(found.finished),
        len(found.first),
    )
    keep_warm_start(folder, found)
    return found


def _look(step: Step, section: SearchSection, folder: Path) -> None:
    """Progress in epochs; one that a trial did not need counts as done."""
    done, ended, scores = 0, 0, []
    for trial in begun_trials(folder):
        result = trial.result()
        if result is None:
            done += min(len(list(read_metrics(trial.path / METRICS))), section.epochs)
            continue
        ended, done = ended + 1, done + section.epochs
        scores += [] if result.score is None else [result.score]
    best_so_far = f", best {max(scores):.4f}" if scores else ""
    step.update(done, f"{ended} of {section.num_trials} trials ended{best_so_far}")


def _choose(session: Session, section: SearchSection, artifact: Artifact) -> TrialResult:
    """The best trial, written as a recipe."""
    chosen = best(found_trials(artifact), section)
    recipe = with_found(session.config, chosen.values).model_copy(update={"search": None})
    about = f"{chosen.name} of {artifact.name}, the best of {_num_own(artifact)} trials"
    save_recipe(recipe, artifact.folder / BEST_RECIPE, about)
    return chosen
