"""Verification of a run's stored features: every shard is read, a sample is computed again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from talaria.config.schema import RunConfig
from talaria.errors import ConfigError, DataError
from talaria.features.verification import (
    OTHER_DEVICE_FRAC,
    Finding,
    Recomputation,
    device_kind,
    sampled,
    shard_findings,
)
from talaria.log import BOARD, LOGGER, console
from talaria.pipeline.data import prepare_dataset
from talaria.pipeline.graph import feature_backbones
from talaria.pipeline.session import Session
from talaria.pipeline.weights import model_folder
from talaria.records import Dataset
from talaria.store.artifact import RECORD
from talaria.store.checkpoint import read_card, weights_digest
from talaria.store.feature_store import FeatureStore
from talaria.store.files import read_json
from talaria.store.ledger import Ledger


def verify_features(config: RunConfig, home: Path, share: float) -> bool:
    """Check the features of all backbones of a run and show what was found.

    Args:
        config: the resolved recipe.
        home: folder below which runs/ lies, unless the recipe sets run.root.
        share: videos to compute again, or below 1 which part of the finished ones.

    Returns:
        Whether all is well.

    Raises:
        ConfigError: `share` is no number of videos and no part.
        DataError: features that are not finished, or a backbone that is not the one they were made with.
    """
    if not (0 <= share < 1 or (math.isfinite(share) and share == int(share) > 0)):
        raise ConfigError(f"--verify: found {share:g}; expected a number of videos, or a part below 1")
    session = Session(config, home, {})
    unfinished = [
        f"{folder}: holds no finished features; run jobs/extract_features.py without --verify first"
        for name in feature_backbones(config)
        if not ((folder := _folder(session, name)) / RECORD).is_file()
    ]
    if unfinished:
        raise DataError(unfinished)
    dataset = prepare_dataset(session)
    found = {name: _findings(session, dataset, name, share) for name in feature_backbones(config)}
    console.print(_table(config.run.name, found))
    wrong = [name for name, findings in found.items() if any(finding.problem for finding in findings)]
    for name in wrong:
        console.print(f"{name}: to compute its features again, delete {_folder(session, name)}")
    return not wrong


def _findings(session: Session, dataset: Dataset, name: str, share: float) -> list[Finding]:
    folder = _folder(session, name)
    store, ledger, record = FeatureStore(folder), Ledger(folder), read_json(folder / RECORD)
    contract, model = store.contract, model_folder(session.folder, session.config, name)
    num_logits = read_card(model).sizes["num_classes"]
    if weights_digest(model) != contract.weights:
        raise DataError(f"{model}: is not the backbone that {folder} was made with; delete {folder}")
    videos = sampled(ledger, contract.fingerprint, share, dataset.videos)
    broken = {finding.video_id: finding for finding in shard_findings(store, ledger, num_logits)}
    found = list(broken.values())
    made_on = (record["info"].get("device"), record["versions"]["torch"])
    same = made_on == (device_kind(), version("torch"))
    LOGGER.info(
        "verify: %s: %d rows of the ledger read with their shards, %d wrong; %d videos computed again, %s",
        name,
        len(ledger.rows),
        len(broken),
        len(videos),
        "to be equal" if same else f"on another device: up to {OTHER_DEVICE_FRAC:.0%} may differ",
    )
    again = Recomputation(
        store, model, int(record["fields"]["chunk_clips"]), session.config.data.decode_limit_s
    )
    with BOARD.step(f"verify {name}", len(videos)) as step:
        for video in videos:
            if video.video_id not in broken:
                found.append(again.finding(video, 0.0 if same else OTHER_DEVICE_FRAC))
            step.advance(note=video.video_id)
    return found


def _folder(session: Session, name: str) -> Path:
    return session.folder / "features" / name


def _table(run: str, found: Mapping[str, Sequence[Finding]]) -> Table:
    table = Table(title=f"{run}: stored features, verified", title_justify="left", title_style="bold")
    table.add_column("backbone")
    table.add_column("video", overflow="fold")
    table.add_column("snippets", justify="right")
    table.add_column("largest difference", justify="right")
    table.add_column("verdict", overflow="fold")
    for name, findings in found.items():
        for one in findings:
            compared = (str(one.num_snippets), f"{one.largest_frac:.2%}") if one.num_snippets else ("", "")
            verdict = one.problem or ("equal" if not one.largest_frac else "close")
            table.add_row(name, one.video_id, *compared, verdict)
    return table
