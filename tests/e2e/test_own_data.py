"""Other data of the same format, job after job by hand, from a backbone that is there already; proposals are
classified one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from by_hand import FullRun, Home
from own_data import LABELS, write_own_data


def ledger(home: Home) -> dict[str, tuple[str, int]]:
    """Status and attempts of every video."""
    rows = (home.folder("own") / "features/slowfast/ledger.jsonl").read_text().splitlines()
    return {row["video_id"]: (row["status"], row["attempts"]) for row in map(json.loads, rows)}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_other_classes_sizes_rates_and_containers(undisturbed: FullRun, home: Home) -> None:
    videos, annotations = write_own_data(home.path / "own")
    good = (videos / "tr-3.mkv").read_bytes()
    (videos / "tr-3.mkv").write_bytes(good[:500])
    backbone = undisturbed.home.folder() / "finetune" / "slowfast"
    settings = {
        "data.videos": videos, "data.annotations": annotations, "run.name": "own", "search": "null",
        "postprocess.classification": "proposal",
        "backbones.slowfast.finetune": "null", "backbones.slowfast.checkpoint": backbone,
    }  # fmt: skip
    flags = [part for path, value in settings.items() for part in ("--set", f"{path}={value}")]

    assert home.run("extract_features", *flags).returncode == 0
    assert ledger(home)["tr-3"] == ("failed", 1)
    assert not (home.folder("own") / "train").exists()
    (videos / "tr-3.mkv").write_bytes(good)
    assert home.run("extract_features", *flags, "--retry-failed").returncode == 0
    tried = ledger(home)
    assert tried.pop("tr-3") == ("done", 2)
    assert set(tried.values()) == {("done", 1)}

    predicted = home.run("predict", *flags)
    assert predicted.returncode == 0, predicted.stderr
    assert "features: finished earlier, skipped" in predicted.stdout
    assert not (home.folder("own") / "ensemble").exists()
    whole = home.run("full_pipeline", *flags)
    assert whole.returncode == 0, whole.stderr
    for stage in ("features", "train", "predict"):
        assert f"{stage}: finished earlier, skipped" in whole.stdout
    check(home, annotations)


def check(home: Home, annotations: Path) -> None:
    """The summary and the detections are about this data."""
    summary = home.summary("own")
    assert summary["classes"] == sorted(LABELS)
    assert summary["failed_videos"] == []
    assert summary["annotations"] == str(annotations)
    results = json.loads(Path(summary["detections"]).read_text())["results"]
    assert set(results) == {"te-0", "te-1", "te-2"}
    assert {found["label"] for row in results.values() for found in row} <= set(LABELS)
    assert all(0 <= f["segment"][0] < f["segment"][1] <= 6.5 for row in results.values() for f in row)
