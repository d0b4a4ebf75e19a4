"""What a person may get wrong: exit code 2, a sentence for every problem, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from by_hand import MICRO, FullRun, Home, MakeHome, stamps

pytestmark = pytest.mark.timeout(400)

SUBSETS = ("training", "validation", "testing")
GOOD = {"duration": 9.0, "subset": "training", "annotations": [{"segment": [1, 2], "label": "x"}]}


def refused(ended: subprocess.CompletedProcess[str], *words: str) -> list[str]:
    """The sentences on stderr of a job that was refused, each `words` in one of them."""
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    sentences = ended.stderr.splitlines()
    assert all(sentence.startswith("error: ") for sentence in sentences), ended.stderr
    for word in words:
        assert any(word in sentence for sentence in sentences), f"{word!r} is not in:\n{ended.stderr}"
    return sentences


def own_data(home: Home, database: object) -> list[str]:
    """Flags for an annotation file and an empty folder of videos."""
    (home.path / "videos").mkdir()
    (home.path / "own.json").write_text(database if isinstance(database, str) else json.dumps(database))
    return [
        "--set", f"data.videos={home.path / 'videos'}", "--set", f"data.annotations={home.path / 'own.json'}",
    ]  # fmt: skip


def test_a_recipe_with_mistakes_hears_of_all_of_them(home: Home) -> None:
    recipe = home.path / "mine.yaml"
    text = MICRO.read_text().replace("num_snippets: 16", "num_snipets: 16").replace("seed: 0", "seed: many")
    recipe.write_text(text.replace("folds: 2", "folds: 1"))
    ended = home.run("full_pipeline", recipe=recipe)
    refused(
        ended,
        "mine.yaml: detectors.bmn16.model.num_snipets: unknown field; did you mean num_snippets?",
        "mine.yaml: run.seed",
        "mine.yaml: ensemble.folds",
    )
    assert not (home.path / "runs").exists()


def test_a_missing_recipe_and_a_bad_flag(home: Home) -> None:
    refused(home.run("train", recipe=Path("nowhere.yaml")), "nowhere.yaml: cannot be read")
    refused(home.run("train", "--set", "search.num_trails=3"), "--set: search.num_trails", "num_trials")


def test_a_missing_folder_of_videos(home: Home) -> None:
    flags = own_data(home, {"database": {"a": GOOD}})
    (home.path / "videos").rmdir()
    refused(home.run("full_pipeline", *flags), f"{home.path / 'videos'}: cannot be listed")
    assert not (home.path / "runs").exists()


def test_missing_annotations_and_files_that_are_no_annotations(home: Home) -> None:
    flags = own_data(home, "{not json")
    refused(home.run("full_pipeline", *flags), f"{home.path / 'own.json'}")
    (home.path / "own.json").unlink()
    refused(home.run("full_pipeline", *flags), f"{home.path / 'own.json'}")
    assert not (home.path / "runs").exists()


def test_annotations_hear_of_every_problem(home: Home) -> None:
    def segment(start_s: float, end_s: float) -> dict[str, object]:
        return {**GOOD, "annotations": [{"segment": [start_s, end_s], "label": "x"}]}

    entries = {
        "backwards": segment(5, 4),
        "negative": segment(-4, -3),
        "overlong": segment(20, 90),
        "../x": GOOD,
        "unlabelled": {**GOOD, "annotations": [{"segment": [1, 2]}]},
        "strange": {**GOOD, "subset": "trainig"},
        "endless": {**GOOD, "duration": "long"},
    }
    twice = ", ".join(f'"twice": {json.dumps(GOOD)}' for _ in range(2))
    text = json.dumps({"database": entries})[:-2] + f", {twice}}}}}"
    sentences = refused(home.run("full_pipeline", *own_data(home, text)), *entries, "twice")
    assert len(sentences) == len(entries) + 1
    assert not (home.path / "runs").exists()


def test_subsets_without_videos(home: Home) -> None:
    ended = home.run("full_pipeline", *own_data(home, {"database": {"a": GOOD}}))
    refused(ended, "'validation' (data.fit_subset)", "'testing' (data.judge_subset)")
    assert not (home.path / "runs").exists()


def test_a_home_that_cannot_be_written(home: Home) -> None:
    (home.path / "file").write_text("")
    ended = home.run("full_pipeline", "--set", f"run.root={home.path / 'file' / 'below'}")
    refused(ended, "cannot be written", "run.root or TALARIA_HOME")
    assert [path.name for path in home.path.iterdir() if not path.name.startswith(".")] == ["file"]


@pytest.mark.slow
def test_published_weights_that_are_none(home: Home) -> None:
    import torch

    flags = [*own_data(home, {"database": {name: {**GOOD, "subset": name} for name in SUBSETS}}), "--set"]
    setting, file = "backbones.slowfast.published", home.path / "net.pth"

    def told(value: str, *words: str) -> None:
        refused(home.run("extract_features", *flags, f"{setting}={value}"), *words)
        assert not list(home.path.glob("runs/**/record.json"))

    told(f"{{file: {file}}}", f"{file}: is no file", f"correct {setting}.file")
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(3)}}, file)
    told(
        f"{{file: {file}}}", f"{file}: checkpoint of no known SlowFast layout", "found backbone.conv1.weight"
    )
    told(f"{{file: {file}, sha256: {'0' * 64}}}", f"expected {'0' * 64} ({setting}.sha256)")
    torch.save({"state_dict": {}, "config": Path("any")}, file)
    told(f"{{file: {file}}}", f"{file}: holds more than tensors (pathlib.")
    told("{url: 'https://nowhere.invalid/net.pth'}", f"{setting}.sha256: missing; a url needs")


def test_no_video_is_left_after_failures(home: Home) -> None:
    subsets = {"a": "training", "b": "training", "c": "validation", "d": "testing"}
    flags = own_data(home, {"database": {name: {**GOOD, "subset": s} for name, s in subsets.items()}})
    (home.path / "videos" / "a.mp4").write_bytes(b"no video at all")
    ended = home.run("full_pipeline", *flags)
    refused(ended, "no video is left, all 2 failed", "a: ", "b: no file of this video in data.videos")
    assert not list(home.path.glob("runs/*/*/*/record.json"))


def test_settings_that_drift_are_named_and_nothing_is_touched(undisturbed: FullRun) -> None:
    before = stamps(undisturbed.home.folder())
    ended = undisturbed.home.run("full_pipeline", "--set", "detectors.bmn16.model.hidden_dim_1d=32")
    refused(ended, "hidden_dim_1d was 16, is now 32", "choose another run.name")
    assert stamps(undisturbed.home.folder()) == before


def test_a_filter_that_finds_no_members(undisturbed: FullRun) -> None:
    before = stamps(undisturbed.home.folder())
    ended = undisturbed.home.run("ensemble", "--members", "tags.talaria.member = 'perhaps'")
    refused(ended, "the filter \"tags.talaria.member = 'perhaps'\" matches no run")
    ended = undisturbed.home.run("ensemble", "--members", "member is yes")
    refused(ended, "MLflow cannot read the filter 'member is yes'")
    assert stamps(undisturbed.home.folder()) == before


def test_members_of_another_dataset_and_time_base(undisturbed: FullRun, make_home: MakeHome) -> None:
    home = copied_runs(undisturbed, make_home("mixed"))
    strange_member(home, Path(undisturbed.home.folder() / "predict" / "slowfast-bmn12" / "raw"))
    ended = home.run("ensemble", "--members", "tags.talaria.member = 'yes'")
    refused(
        ended, "(micro/strange): dataset: found 'another'", "(micro/strange): time_base: found 'annotated'"
    )
    assert not (home.path / "runs" / "micro").exists()


def copied_runs(undisturbed: FullRun, home: Home) -> Home:
    """`home` with the demo set and the MLflow store of a whole run; predictions stay where they are."""
    shutil.copytree(undisturbed.home.path / "demo_data", home.path / "demo_data")
    (home.path / "runs").mkdir()
    shutil.copy(undisturbed.home.path / "runs" / "mlflow.db", home.path / "runs")
    return home


def strange_member(home: Home, predictions: Path) -> None:
    """One more run in the home's MLflow, whose predictions are about other videos on another clock."""
    from mlflow import MlflowClient

    from talaria.prediction.stores import RawStore, write_raw

    store = RawStore(predictions)
    meta = replace(store.meta, member="strange", dataset="another", time_base="annotated")
    write_raw(
        home.path / "strange" / "part-00000.parquet", [store.read(i) for i in store.meta.video_ids], meta
    )
    client = MlflowClient(f"sqlite:///{home.path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("talaria")
    tags = {"talaria.member": "yes", "talaria.predictions": str(home.path / "strange")}
    client.create_run(experiment.experiment_id, tags=tags, run_name="micro/strange")


def test_a_filter_that_finds_one_member(undisturbed: FullRun) -> None:
    before = stamps(undisturbed.home.folder())
    member = undisturbed.home.summary()["members"][0]
    ended = undisturbed.home.run("ensemble", "--members", f"attributes.run_id = '{member['run_id']}'")
    refused(ended, f"matches one run alone, {member['run_id']}", "expected at least two")
    assert stamps(undisturbed.home.folder()) == before


@pytest.mark.parametrize("job", ["full_pipeline", "sweep", "ensemble"])
def test_a_dry_run_shows_the_recipe_and_does_nothing(home: Home, job: str) -> None:
    ended = home.run(job, "--dry-run", "--set", "run.name=shown")
    assert ended.returncode == 0, ended.stderr
    recipe, _, stages = ended.stdout.rpartition("stages:")
    assert json.loads(recipe)["run"]["name"] == "shown"
    assert stages.split()[0] == "data"
    assert not (home.path / "runs").exists()
