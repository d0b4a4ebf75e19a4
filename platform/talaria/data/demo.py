"""The demo set: untrimmed videos rendered from a seed, with annotations that are exact to a frame.

Actions differ by motion alone (see `demo_motion`). As in HACS nearly every video shows one class. Some files
are flawed on purpose, so that a run meets what real downloads hold.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from talaria.config.fingerprint import differences, plain
from talaria.config.specs import DemoSpec
from talaria.data.demo_plan import VideoPlan, plan_videos
from talaria.data.demo_video import render_video
from talaria.errors import DataError

ANNOTATIONS_NAME = "annotations.json"
VIDEOS_NAME = "videos"
_SPEC_NAME = "spec.json"
_VERSION = 1
"""Raised when the same spec would give other videos, so that sets are not mixed."""


def render_demo(
    folder: str | Path,
    spec: DemoSpec,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render what is missing of a demo set: `videos/*.mp4`, then `annotations.json`.

    Safe to kill and to repeat: a video has its name only when it is complete, and is not rendered again then.
    The files are the same whatever the number of workers. One call at a time may work on a folder.

    Args:
        folder: made if absent.
        spec: what to render.
        workers: processes; None takes every core that this process may use. With more than one, the calling
            script needs the usual main guard.
        progress: called with videos finished and videos in all, first for those already there.

    Returns:
        The annotation file, in ActivityNet layout.

    Raises:
        DataError: if the folder holds a set made from another spec.
        ValueError: if workers is below 1.
    """
    workers = _usable_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    folder = Path(folder)
    videos = folder / VIDEOS_NAME
    videos.mkdir(parents=True, exist_ok=True)
    _claim(folder, spec)
    plans = plan_videos(spec)
    missing = [plan for plan in plans if not _path(videos, plan).exists()]
    missing.sort(key=lambda plan: -plan.num_frames)
    report = progress or _silent
    report(len(plans) - len(missing), len(plans))
    for num_rendered, _ in enumerate(_rendered(videos, missing, workers), start=1):
        report(len(plans) - len(missing) + num_rendered, len(plans))
    return _write_json(folder / ANNOTATIONS_NAME, _annotations(spec, plans))


def _usable_cores() -> int:
    """Cores that this process may use; all of them where the system (macOS) does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _claim(folder: Path, spec: DemoSpec) -> None:
    """Mark the folder as this spec's, or refuse it."""
    path = folder / _SPEC_NAME
    asked = {"version": _VERSION, **plain(spec)}
    if not path.exists():
        _write_json(path, asked)
        return
    changed = differences(json.loads(path.read_text(encoding="utf-8")), asked)
    if changed:
        raise DataError(
            f"{folder}: holds a demo set made with other settings ({'; '.join(changed)}); "
            "expected the same settings, or another folder"
        )


def _rendered(videos: Path, plans: Sequence[VideoPlan], workers: int) -> Iterator[None]:
    """Render every plan; one item for each that is done."""
    if workers == 1 or len(plans) < 2:
        for plan in plans:
            render_video(plan, str(_path(videos, plan)))
            yield
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(plans)), mp_context=spawn) as pool:
        for future in as_completed(
            [pool.submit(render_video, plan, str(_path(videos, plan))) for plan in plans]
        ):
            future.result()
            yield


def _path(videos: Path, plan: VideoPlan) -> Path:
    return videos / f"{plan.video_id}.mp4"


def _annotations(spec: DemoSpec, plans: Sequence[VideoPlan]) -> dict[str, Any]:
    database = {
        plan.video_id: {
            "duration": round(plan.annotated_s, 6),
            "subset": plan.subset,
            "fps": float(plan.fps),
            "annotations": [
                {
                    "segment": [
                        round(float(i.start_idx / plan.fps), 6),
                        round(float(i.end_idx / plan.fps), 6),
                    ],
                    "label": i.label,
                }
                for i in plan.instances
            ],
        }
        for plan in plans
    }
    return {"version": f"talaria demo {_VERSION}, seed {spec.seed}", "database": database}


def _write_json(path: Path, content: Any) -> Path:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, path)
    return path


def _silent(_num_done: int, _num_all: int) -> None:
    """Progress that nobody asked for."""
