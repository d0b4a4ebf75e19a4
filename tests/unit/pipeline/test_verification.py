"""Stored features verified: a sound store is equal, and whatever was changed behind its back is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talaria.config.loading import load_recipe
from talaria.config.schema import RunConfig
from talaria.config.specs import DemoSpec
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.errors import ConfigError, DataError
from talaria.features.extractor import Extractor
from talaria.features.requests import ExtractionPlan, done_row
from talaria.features.verification import device_kind
from talaria.log import console
from talaria.pipeline.backbones import make_contract
from talaria.pipeline.data import prepare_dataset
from talaria.pipeline.session import Session
from talaria.pipeline.verify import verify_features
from talaria.store.checkpoint import SavedModel, save_model
from talaria.store.feature_store import FeatureStore
from talaria.store.ledger import Ledger
from talaria_models.registry import build

MICRO = Path(__file__).resolve().parents[2] / "e2e" / "micro.yaml"
SPEC = DemoSpec(
    num_training=2, num_validation=1, num_testing=1, num_broken=0, num_short=0,
    min_duration_s=8, max_duration_s=9,
)  # fmt: skip
Change = Callable[[FeatureStore, str], None]


class Run:
    """A run whose features are there; Ray and training had no part in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        settings = [
            f"data.videos={self._videos()}",
            f"data.annotations={home / 'own.json'}",
            "backbones.slowfast.finetune=null",
            f"backbones.slowfast.checkpoint={home / 'backbone'}",
            "backbones.slowfast.chunk_clips=3",
        ]
        self.config: RunConfig = load_recipe(MICRO, settings)
        self._save_backbone()
        self.store = self._extracted()
        self.ids = sorted(Ledger(self.store.folder).done())

    def _videos(self) -> Path:
        folder, database = self.home / "videos", {}
        folder.mkdir()
        for plan in plan_videos(SPEC):
            render_video(plan, str(folder / f"{plan.video_id}.mp4"))
            note = {"segment": [1.0, 3.0], "label": "jump"}
            fields = {"duration": plan.annotated_s, "subset": plan.subset, "annotations": [note]}
            database[plan.video_id] = fields
        (self.home / "own.json").write_text(json.dumps({"database": database}))
        return folder

    def _save_backbone(self) -> None:
        torch.manual_seed(0)
        model, sizes = self.config.backbones["slowfast"].model, {"num_frames": 8, "height": 24, "width": 32}
        network = build(model, num_classes=3, **sizes)
        card = {"classes": ["a", "b"], "feature_dim": network.feature_dim}
        save_model(self.home / "backbone", network, SavedModel(model, {"num_classes": 3, **sizes}, card))

    def _extracted(self) -> FeatureStore:
        session, node = Session(self.config, self.home, {}), self.config.backbones["slowfast"]
        dataset = prepare_dataset(session)
        contract = make_contract(node, self.home / "backbone", dataset)
        artifact = session.artifact("features", "slowfast", "2", {"contract": contract, "chunk_clips": 3})
        artifact.begin()
        store, ledger = FeatureStore(artifact.folder), Ledger(artifact.folder)
        store.write_contract(contract)
        model = str(self.home / "backbone")
        extractor = Extractor(
            ExtractionPlan(str(store.folder), model, node.clip, node.chunk_clips, node.feature_dtype, 60.0)
        )
        for video in dataset.videos:
            found = extractor.extracted(video.video_id, str(video.path))
            ledger.add(done_row(video, ledger, found.decoded_s, found.num_snippets, ""))
        ledger.close(0.0, "features")
        artifact.commit(device=device_kind())
        return store

    def verify(self, share: float) -> tuple[bool, str]:
        """Whether all is well, and what was shown."""
        with console.capture() as shown:
            well = verify_features(self.config, self.home, share)
        return well, " ".join(shown.get().replace("│", " ").split())

    def contents(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return Run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(sound: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The run; what a test does to its features is undone."""
    monkeypatch.setattr(console, "width", 300)
    before = sound.contents()
    yield sound
    for path in [path for path in sound.home.rglob("*") if path.is_file() and str(path) not in before]:
        path.unlink()
    for path, content in before.items():
        Path(path).write_bytes(content)


def rewritten(store: FeatureStore, video_id: str, **changes: object) -> None:
    """The shard of a video with other numbers."""
    stored = replace(store.read(video_id), **changes)
    half = np.float16
    store.write(video_id, stored.features_TC.astype(half), stored.logits_TK.astype(half), stored.decoded_s)


def one_number(store: FeatureStore, video_id: str) -> None:
    features_TC = store.read(video_id).features_TC.copy()
    features_TC[-1, 5] = np.nextafter(np.float16(features_TC[-1, 5]), np.float16(9))
    rewritten(store, video_id, features_TC=features_TC)


def not_finite(store: FeatureStore, video_id: str) -> None:
    logits_TK = store.read(video_id).logits_TK.copy()
    logits_TK[2, 1] = np.inf
    rewritten(store, video_id, logits_TK=logits_TK)


def a_snippet_less(store: FeatureStore, video_id: str) -> None:
    stored = store.read(video_id)
    rewritten(store, video_id, features_TC=stored.features_TC[:-1], logits_TK=stored.logits_TK[:-1])


def other_width(store: FeatureStore, video_id: str) -> None:
    rewritten(store, video_id, features_TC=store.read(video_id).features_TC[:, :-1])


def other_dtype(store: FeatureStore, video_id: str) -> None:
    stored = store.read(video_id)
    store.write(video_id, stored.features_TC, stored.logits_TK, stored.decoded_s)


def cut_off(store: FeatureStore, video_id: str) -> None:
    path = store.path(video_id)
    path.write_bytes(path.read_bytes()[:-100])


def removed(store: FeatureStore, video_id: str) -> None:
    store.path(video_id).unlink()


def test_a_sound_store_is_equal_and_stays_as_it_is(run: Run) -> None:
    before = run.contents()
    well, shown = run.verify(2)
    assert well
    assert shown.count(" 0.00% equal") == 2
    assert run.verify(0)[0]
    assert run.contents() == before


def test_a_part_is_rounded_up_and_the_same_videos_are_drawn_again(run: Run) -> None:
    tenth, half = run.verify(0.1)[1], run.verify(0.5)[1]
    assert (tenth.count("% equal"), half.count("% equal")) == (1, 2)
    assert run.verify(0.5)[1] == half
    first = next(name for name in run.ids if name in tenth)
    assert first in half


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (not_finite, "numbers that are not finite"),
        (a_snippet_less, "snippets of"),
        (other_width, "dtype, channels and logits are float16 191 3, expected float16 192 3"),
        (other_dtype, "are float32 192 3, expected float16 192 3"),
        (cut_off, "no readable features of video"),
        (removed, "the ledger says it is done, but there is no shard"),
    ],
)
def test_every_shard_is_looked_at(run: Run, change: Change, words: str) -> None:
    for video_id in run.ids[:2]:
        change(run.store, video_id)
    well, shown = run.verify(0)
    assert not well
    assert shown.count(words) == 2
    assert all((video_id in shown) == (video_id in run.ids[:2]) for video_id in run.ids)
    assert f"delete {run.store.folder}" in shown


def test_one_number_that_moved_by_the_least_is_found_by_computing_again(run: Run) -> None:
    one_number(run.store, run.ids[1])
    assert run.verify(0)[0]
    well, shown = run.verify(len(run.ids))
    assert not well
    assert f"slowfast {run.ids[1]}" in shown
    assert shown.count("computed again, features are others") == 1


def test_on_another_device_roundings_may_differ_but_not_features(run: Run) -> None:
    record = run.store.folder / "record.json"
    record.write_text(record.read_text().replace(json.dumps(device_kind()), json.dumps("another GPU")))
    one_number(run.store, run.ids[1])
    well, shown = run.verify(len(run.ids))
    assert well
    assert shown.count("close") == 1
    rewritten(run.store, run.ids[1], features_TC=run.store.read(run.ids[1]).features_TC * np.float32(1.2))
    well, shown = run.verify(len(run.ids))
    assert not well
    assert "features are others; up to 3.0% are allowed" in shown


def test_a_video_that_was_replaced(run: Run) -> None:
    videos = Path(str(run.config.data.videos))
    (videos / f"{run.ids[0]}.mp4").write_bytes((videos / f"{run.ids[1]}.mp4").read_bytes())
    (videos / f"{run.ids[2]}.mp4").write_bytes(b"no video")
    well, shown = run.verify(len(run.ids))
    assert not well
    assert "features are others" in shown
    assert "cannot be opened as a video" in shown


def test_shards_and_rows_that_do_not_belong_together(run: Run) -> None:
    ledger = Ledger(run.store.folder)
    ledger.add(replace(ledger.rows[run.ids[0]], status="failed", reason="broken"))
    run.store.path("stranger").write_bytes(run.store.path(run.ids[1]).read_bytes())
    well, shown = run.verify(0)
    assert not well
    assert "the ledger says it failed, but there is a shard" in shown
    assert "stranger the ledger has no row for this shard" in shown


@pytest.mark.parametrize("share", [-1, 1.5, float("nan"), float("inf")])
def test_a_number_of_videos_that_is_none(run: Run, share: float) -> None:
    with pytest.raises(ConfigError, match="--verify: found"):
        run.verify(share)


def test_features_that_are_not_there_and_another_backbone(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no finished features; run jobs/extract_features\.py"):
        verify_features(run.config, tmp_path, 1)
    weights = run.home / "backbone" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"1234")
    with pytest.raises(DataError, match="is not the backbone that"):
        run.verify(1)
