"""Video files: what comes out of good ones, and that bad ones end in one clear sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from talaria.config.specs import ClipSpec
from talaria.data.decoder_process import IDLE, DecoderProcess
from talaria.data.decoding import DecodedSummary, decode_frames, probe
from talaria.errors import DataError

SHARED_VIDEOS = Path(__file__).resolve().parents[4] / "shared" / "data" / "videos"
REAL_FILES = sorted(SHARED_VIDEOS.glob("edge*/*")) + sorted(SHARED_VIDEOS.glob("actions/asl_[a-b]*"))
UNREADABLE = {
    "audio_only.mp4": "holds no video stream",
    "invalid-bitstream.webm": "no frame of its vp9 stream decodes",
    "random_bytes.mkv": "cannot be opened",
    "sample_ac3_audio_only.mp4": "holds no video stream",
    "sample_fragmented_zero_size_atom.mp4": "no frame of its h264 stream decodes",
    "text_not_video.mp4": "cannot be opened",
    "truncated_no_moov.mp4": "cannot be opened",
    "zero_bytes.mp4": "cannot be opened",
}
DURATIONS_S = {  # measured with another reader, see the README of the files
    "avi_h264_bframes.avi": 3.0,
    "avi_mpeg4_bframes.avi": 3.0,
    "sample.flv": 1.0,
    "sample_fps1000.mkv": 1.0,
    "sample_h265.ts": 1.0,
    "nasa_13013.mp4": 13.013,
    "sample_sef_super_slow_motion.mp4": 14.5,
    "var_fps_video.mp4": 14.95,
    "sample_partially_fragmented.mp4": 1.0,
    "1x1_1fps.mp4": 5.0,
    "one_frame.mp4": 1 / 30,
}


def spec(fps: float, height: int = 12, width: int = 16) -> ClipSpec:
    return ClipSpec(fps=fps, num_frames=4, stride_frames=4, height=height, width=width)


def decoded(path: Path, fps: float = 5.0, time_limit_s: float = 60.0) -> tuple[np.ndarray, DecodedSummary]:
    summary = DecodedSummary()
    return np.concatenate(
        list(decode_frames(path, spec(fps), time_limit_s=time_limit_s, summary=summary))
    ), summary


def write_video(path: Path, greys: list[int], rate: int = 30, b_frames: int = 0) -> Path:
    options = {"preset": "ultrafast", "crf": "1", "x264-params": f"bframes={b_frames}:b-adapt=0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index, grey in enumerate(greys):
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), grey, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def long_video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "long.mp4", [i % 200 for i in range(6000)])


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name)
def test_every_real_file_ends_in_frames_or_one_sentence(path: Path) -> None:
    if path.name in UNREADABLE:
        for read in (probe, decoded):
            with pytest.raises(DataError) as caught:
                read(path)
            assert caught.value.problems == (str(caught.value),)
            assert str(caught.value).startswith(f"{path}: ")
            assert UNREADABLE[path.name] in str(caught.value)
        return
    frames, summary = decoded(path)
    assert frames.dtype == np.uint8
    assert frames.shape == (summary.num_frames, 12, 16, 3)
    assert len(frames) == max(1, np.ceil((summary.duration_s - 0.002) * 5))
    assert summary.duration_s == pytest.approx(DURATIONS_S.get(path.name, summary.duration_s), abs=0.05)
    found = probe(path)
    assert found.fps is None or 0 < found.fps < 100
    if summary.error is None and found.duration_s is not None:
        assert summary.duration_s == pytest.approx(found.duration_s, abs=0.2)


@pytest.mark.skipif(not REAL_FILES, reason=f"{SHARED_VIDEOS} is absent")
def test_damage_is_told_beside_what_decodes() -> None:
    _, cut = decoded(SHARED_VIDEOS / "edge_derived/truncated_60pct.mp4")
    assert cut.error is not None
    assert "only 2.5" in cut.error
    assert "of the declared 5.00 s" in cut.error
    _, damaged = decoded(SHARED_VIDEOS / "edge/corrupted.mp4")
    assert damaged.error is not None
    assert "damaged" in damaged.error
    _, good = decoded(SHARED_VIDEOS / "edge/friday.mp4")
    assert good.error is None


@pytest.mark.skipif(not REAL_FILES, reason=f"{SHARED_VIDEOS} is absent")
def test_rotation_is_applied() -> None:
    path = SHARED_VIDEOS / "edge/number1_rot90_vfr.mp4"  # a dark edge lies left of the upright page
    found = probe(path)
    assert (found.width, found.height, found.rotation_deg) == (288, 352, 90)
    upright = next(iter(decode_frames(path, spec(5.0, 88, 72), time_limit_s=60.0)))[0]
    with av.open(str(path)) as container:
        raw = next(container.decode(video=0)).to_ndarray(width=88, height=72, format="rgb24")
    turned = np.rot90(raw)
    assert np.abs(upright.astype(int) - turned).mean() < 3
    assert np.abs(upright.astype(int) - turned[::-1, ::-1]).mean() > 10


def test_frames_are_those_on_screen(tmp_path: Path) -> None:
    greys = [40 + 3 * i for i in range(60)]
    path = write_video(tmp_path / "grey.mp4", greys)
    frames, summary = decoded(path, fps=10.0)
    np.testing.assert_allclose(frames[:, 6, 8, 0], greys[::3], atol=2)
    assert (summary.num_frames, summary.num_decoded, summary.error) == (20, 60, None)
    assert summary.duration_s == pytest.approx(2.0)
    doubled, _ = decoded(path, fps=60.0)
    np.testing.assert_allclose(doubled[:, 6, 8, 0], np.repeat(greys, 2), atol=2)


@pytest.mark.parametrize("container", ["mp4", "avi", "mkv", "ts"])
def test_frames_decoded_out_of_order_come_in_order(tmp_path: Path, container: str) -> None:
    greys = [40 + 3 * i for i in range(60)]
    frames, _ = decoded(write_video(tmp_path / f"b.{container}", greys, b_frames=3), fps=30.0)
    np.testing.assert_allclose(frames[:, 6, 8, 0], greys, atol=2)


def test_probe_reads_the_header(tmp_path: Path) -> None:
    found = probe(write_video(tmp_path / "a.mp4", [9] * 50, rate=25))
    assert (found.width, found.height, found.fps, found.codec, found.rotation_deg) == (
        32,
        24,
        25.0,
        "h264",
        0,
    )
    assert found.duration_s == pytest.approx(2.0)


def test_absent_file_and_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.mp4", tmp_path):
        with pytest.raises(DataError, match="is no file"):
            next(decode_frames(path, spec(5.0), time_limit_s=1.0))


def test_the_time_limit_ends_a_video_and_not_the_next_one(long_video: Path, tmp_path: Path) -> None:
    probe(long_video)  # the child is there, so that only decoding counts
    message = r"long.mp4: decoding took 0.001 s longer than it shows \(data.decode_limit_s\)"
    with pytest.raises(DataError, match=message):
        list(decode_frames(long_video, spec(30.0, 64, 80), time_limit_s=0.001))
    frames, _ = decoded(write_video(tmp_path / "short.mp4", [100] * 30))
    assert len(frames) == 5


@pytest.mark.parametrize(("wait_s", "in_time"), [(3.0, True), (8.0, False)])
def test_all_waiting_counts_beyond_the_length_of_what_came(
    long_video: Path, monkeypatch: pytest.MonkeyPatch, wait_s: float, in_time: bool
) -> None:
    """Blocks show 4.5 s each: waits of 3 s are earned, whatever their sum; those of 8 s are not."""
    real, read, ahead_s = time.monotonic, DecoderProcess.read_header, 0.0

    def slow_header(child: DecoderProcess, limit_s: float) -> tuple[bytes, int]:
        nonlocal ahead_s
        ahead_s += wait_s
        return read(child, limit_s)

    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead_s)
    monkeypatch.setattr(DecoderProcess, "read_header", slow_header)
    stream = decode_frames(long_video, spec(30.0, 64, 80), time_limit_s=20.0)
    if in_time:
        assert sum(map(len, stream)) > 1000
        assert ahead_s > 3 * 20.0
    else:
        with pytest.raises(DataError, match="decoding took 20 s longer than it shows"):
            list(stream)


def test_the_callers_own_time_does_not_count(long_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ahead_s = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead_s)
    for _ in decode_frames(long_video, spec(30.0, 64, 80), time_limit_s=60.0):
        ahead_s += 50.0  # as if the caller were busy for that long with each block
    assert ahead_s > 1000


def decoder_children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children() if "talaria.data.decoding_child" in c.cmdline()]


def test_one_child_serves_video_after_video_and_an_abandoned_one_ends(long_video: Path) -> None:
    probe(long_video)
    (child,) = decoder_children()
    decoded(long_video)
    assert decoder_children() == [child]
    stream = decode_frames(long_video, spec(30.0, 64, 80), time_limit_s=60.0)
    next(stream)
    stream.close()
    assert not child.is_running()
    probe(long_video)
    assert len(decoder_children()) == 1


def test_two_streams_at_once_do_not_mix(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{grey}.mp4", [grey] * 600) for grey in (50, 150)]
    streams = [decode_frames(path, spec(30.0, 64, 80), time_limit_s=60.0) for path in paths]
    for dark, light in zip(*streams, strict=True):
        assert abs(int(dark.max()) - 50) < 4
        assert abs(int(light.min()) - 150) < 4


def test_a_crashed_decoder_is_the_videos_fault(long_video: Path) -> None:
    IDLE.end()
    summary = DecodedSummary()
    stream = decode_frames(long_video, ClipSpec(30.0, 4, 4, 224, 224), time_limit_s=60.0, summary=summary)
    first = next(stream)
    (child,) = decoder_children()
    child.send_signal(signal.SIGSEGV)
    with pytest.raises(DataError, match=r"long.mp4: the decoder process ended \(signal 11\)"):
        list(stream)
    assert summary.num_frames >= len(first)
    assert len(decoded(long_video)[0]) == 1000


def test_the_child_starts_light_and_ends_with_its_parent(long_video: Path) -> None:
    """A fork keeps the child's pipes open, so that only the parent's absence can tell it to end."""
    script = (
        "import os, signal, psutil\n"
        "from talaria.data.decoding import decode_frames\n"
        "from talaria.config.specs import ClipSpec\n"
        f"stream = decode_frames({str(long_video)!r}, ClipSpec(30.0, 4, 4, 224, 224), time_limit_s=60)\n"
        "next(stream)\n"
        "child, = psutil.Process().children()\n"
        "libraries = ' '.join(m.path for m in child.memory_maps())\n"
        "fork = os.fork()\n"
        "if not fork:\n"
        "    os.close(1), os.close(2)\n"
        "    signal.pause()\n"
        "print(fork, child.pid, 'libtorch' in libraries, '_raylet' in libraries, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    fork, child, has_torch, has_ray = done.stdout.split()
    try:
        assert (done.returncode, has_torch, has_ray) == (-signal.SIGKILL, "False", "False")
        end_s = time.monotonic() + 10
        while runs(int(child)):
            assert time.monotonic() < end_s, "the child outlived its parent"
            time.sleep(0.05)
    finally:
        os.kill(int(fork), signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_names_with_spaces_and_other_scripts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "naïve 视频 #1.mp4", [10] * 10)
    assert len(decoded(path)[0]) == 2
    os.remove(path)
