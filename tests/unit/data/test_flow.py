"""Optical flow against motion that is known, however the stream is cut up and whatever is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from talaria.config.specs import ClipSpec, DemoSpec, FlowSpec
from talaria.data.decoding import decode_frames
from talaria.data.demo_plan import plan_videos
from talaria.data.demo_video import render_video
from talaria.data.flow import clip_frames, encoded, flow_blocks, flow_method
from talaria.errors import ConfigError

cv2 = pytest.importorskip("cv2", reason="OpenCV, the extra `flow`, is not installed")

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH, SIDE = 96, 128, 56
SPEC = FlowSpec(bound_px=8.0)
STEP_PX = SPEC.bound_px / 127


@pytest.fixture(params=["dis", "tvl1"])
def spec(request: pytest.FixtureRequest) -> FlowSpec:
    if request.param == "tvl1" and not hasattr(cv2, "optflow"):
        pytest.skip("this OpenCV lacks TV-L1, which opencv-contrib-python-headless has")
    return replace(SPEC, method=request.param)


def moving_square(velocity_px: tuple[float, float], count: int) -> Pixels:
    """(count, H, W, 3): a waved square that moves by (x, y) pixels a frame, over waves that stand still."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    frames = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    behind = 70 + 25 * np.sin(columns / 3.1) * np.sin(rows / 2.7)
    for k, frame in enumerate(frames):
        x, y = columns - 20 - velocity_px[0] * k, rows - 20 - velocity_px[1] * k
        inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
        frame[:] = np.where(inside, 170 + 40 * np.sin(x / 2.3) + 40 * np.sin(y / 2.9), behind)[..., None]
    return frames


def flow_of(frames: Pixels, spec: FlowSpec = SPEC, sizes: tuple[int, ...] = ()) -> Pixels:
    return np.concatenate(list(flow_blocks(np.split(frames, np.cumsum(sizes)) if sizes else [frames], spec)))


def pixels_of(flow: Pixels, spec: FlowSpec = SPEC) -> NDArray[np.float64]:
    return (flow.astype(float) - 128) * spec.bound_px / 127


@pytest.mark.parametrize("velocity_px", [(2.0, 0.0), (0.0, -1.5), (-1.25, 0.75), (0.5, 0.5)])
def test_a_moving_square_has_its_velocity_and_its_surroundings_none(
    spec: FlowSpec, velocity_px: tuple[float, float]
) -> None:
    flow = pixels_of(flow_of(moving_square(velocity_px, 3), spec), spec)
    for k in range(2):
        left, top = (round(20 + v * k) for v in velocity_px)
        inside = flow[k, top + 8 : top + SIDE - 8, left + 8 : left + SIDE - 8]
        np.testing.assert_allclose(np.median(inside, axis=(0, 1)), velocity_px, atol=0.2)
        assert np.abs(np.median(flow[k, :, -30:], axis=(0, 1))).max() <= STEP_PX


def test_the_last_frame_repeats_the_flow_before_it(spec: FlowSpec) -> None:
    flow = flow_of(moving_square((1.0, 2.0), 4), spec)
    assert flow.shape == (4, HEIGHT, WIDTH, 2)
    assert np.array_equal(flow[3], flow[2])
    assert not np.array_equal(flow[2], flow[1])


def test_what_stands_still_has_exactly_no_flow(spec: FlowSpec) -> None:
    assert (flow_of(np.repeat(moving_square((0, 0), 1), 3, axis=0), spec) == 128).all()


def test_a_single_frame_stands_still_and_no_frame_has_no_flow(spec: FlowSpec) -> None:
    one = flow_of(moving_square((3.0, 0.0), 1), spec)
    assert one.shape == (1, HEIGHT, WIDTH, 2)
    assert (one == 128).all()
    assert list(flow_blocks([], spec)) == []


def test_displacements_are_cut_to_the_bound() -> None:
    assert encoded(np.array([-99.0, -4.0, -0.01, 0.0, 2.0, 4.0, 99.0]), 4.0).tolist() == [
        1, 1, 128, 128, 192, 255, 255
    ]  # fmt: skip
    fast = pixels_of(flow_of(moving_square((3.0, 0.0), 2), replace(SPEC, bound_px=1.0)), FlowSpec("dis", 1.0))
    assert np.median(fast[0, 36:60, 36:60, 0]) == 1.0
    assert np.abs(fast).max() == 1.0


@pytest.mark.parametrize("sizes", [(1,), (2, 3), (1, 1, 1, 1, 1, 1), (0, 4, 0), (6,)])
def test_blocks_of_any_size_give_the_same_bytes(spec: FlowSpec, sizes: tuple[int, ...]) -> None:
    frames = moving_square((1.5, -0.5), 7)
    assert np.array_equal(flow_of(frames, spec, sizes), flow_of(frames, spec))


def test_no_more_than_one_block_is_asked_for_at_a_time() -> None:
    asked = 0

    def blocks() -> Iterator[Pixels]:
        nonlocal asked
        for frame in moving_square((1.0, 0.0), 6):
            asked += 1
            yield frame[None]

    for given, flow in enumerate(flow_blocks(blocks(), SPEC)):
        assert len(flow) == 1
        assert asked == min(given + 2, 6)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_no_byte(spec: FlowSpec, threads: int) -> None:
    frames = moving_square((2.0, 1.0), 2)
    expected = flow_of(frames, spec)
    motion, grey = flow_method(spec)
    assert cv2.getNumThreads() == 1
    cv2.setNumThreads(threads)
    flow = encoded(motion(grey(frames[0]), grey(frames[1])), spec.bound_px)
    cv2.setNumThreads(1)
    assert flow.tobytes() == expected[0].tobytes()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 45), (16, 400), (400, 16), (17, 64)])
def test_the_smallest_frames_that_settings_allow_have_flow(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, height, width, 3), np.uint8)
    spec = ClipSpec(10.0, 4, 4, height, width, SPEC)
    assert flow_of(frames, spec.flow or SPEC).shape == (3, height, width, spec.channels)


def test_clips_are_cut_from_flow_where_their_settings_say_so(tmp_path: Path) -> None:
    plan = plan_videos(
        DemoSpec(num_training=1, min_duration_s=4, max_duration_s=5, num_broken=0, num_short=0)
    )
    path = tmp_path / "video.mp4"
    render_video(plan[0], str(path))
    colours = ClipSpec(10.0, 8, 4, 32, 40)
    frames = np.concatenate(list(clip_frames(path, colours, time_limit_s=60.0)))
    assert np.array_equal(frames, np.concatenate(list(decode_frames(path, colours, time_limit_s=60.0))))
    flow = np.concatenate(list(clip_frames(path, replace(colours, flow=SPEC), time_limit_s=60.0)))
    assert flow.shape == (*frames.shape[:3], 2)
    assert np.array_equal(flow, flow_of(frames))
    assert (flow != 128).any()


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        ConfigError, match=r"OpenCV, which the extra flow installs: pip install .*'\.\[flow\]'"
    ):
        flow_of(moving_square((1.0, 0.0), 2))


def test_without_opencvs_contrib_modules_tvl1_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "optflow", raising=False)
    with pytest.raises(
        ConfigError, match=r"'tvl1', which this OpenCV lacks; .*opencv-contrib-python-headless"
    ):
        flow_of(moving_square((1.0, 0.0), 2), FlowSpec("tvl1"))
