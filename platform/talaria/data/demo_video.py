"""One video of the demo set, from its plan to an H.264 file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from talaria.data.demo_motion import Stage, actor_poses, distractor_poses
from talaria.data.demo_plan import VideoPlan
from talaria.data.demo_scene import paint, random_background, random_shape
from talaria.seeds import content_seed

_ACTOR_RADIUS_FRAC = (0.125, 0.165)
_DISTRACTOR_SCALE = 0.6
_ACTOR_BRIGHTNESS, _DISTRACTOR_BRIGHTNESS = 0.95, 0.5
_ENCODER = {"preset": "ultrafast", "crf": "23", "threads": "1"}
"""One thread: the same bytes whatever the machine is doing."""
_KEYFRAMES_S = 2
_KEPT_OF_BROKEN_FRAC = 0.6


def render_video(plan: VideoPlan, path: str) -> None:
    """Write a video under a temporary name and give it its own when it is complete."""
    aside = Path(path).with_name(f".{plan.video_id}.part")
    _encode(plan, aside)
    if plan.flaw == "broken":  # the index of an MP4 comes last, so without its end it does not open
        os.truncate(aside, int(aside.stat().st_size * _KEPT_OF_BROKEN_FRAC))
    os.replace(aside, path)


def frames_of(plan: VideoPlan) -> Iterator[NDArray[np.uint8]]:
    """Every frame (H, W, 3) of a plan, in order."""
    rng = np.random.default_rng(content_seed(plan.seed, "scene"))
    stage = Stage(plan.width, plan.height, float(plan.fps))
    background_look, *shape_looks = (np.random.default_rng(seed) for seed in plan.look_seeds)
    background = random_background(plan.height, plan.width, background_look)
    radii = rng.uniform(*_ACTOR_RADIUS_FRAC, size=len(shape_looks)) * stage.unit
    radii[1:] *= _DISTRACTOR_SCALE
    brightness = [_ACTOR_BRIGHTNESS] + [_DISTRACTOR_BRIGHTNESS] * (len(radii) - 1)
    actor, *others = map(random_shape, radii.tolist(), brightness, shape_looks)
    poses = [distractor_poses(stage, plan.num_frames, shape.radius, rng) for shape in others]
    poses.append(actor_poses(stage, plan.num_frames, plan.instances, actor.radius, rng))
    shapes = [*others, actor]  # painted last, the actor is never hidden
    for frame_idx in range(plan.num_frames):
        frame = background.copy()
        for shape, path in zip(shapes, poses, strict=True):
            paint(frame, shape, path[frame_idx])
        yield frame


def _encode(plan: VideoPlan, path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=plan.fps, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = plan.width, plan.height, "yuv420p"
        stream.gop_size = round(_KEYFRAMES_S * plan.fps)
        for index, pixels in enumerate(frames_of(plan)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / plan.fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
