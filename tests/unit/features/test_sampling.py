"""Which clips of a training video are cut out: inside its actions, and outside of all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talaria.config.specs import ClipSpec
from talaria.features.sampling import background_gaps, draw_clips
from talaria.records import Annotation

CLASSES = ("jump", "run")
SPEC = ClipSpec(fps=10.0, num_frames=16, stride_frames=4, height=8, width=8)
HALF_FRAME_S = 0.5 / SPEC.fps + 1e-9

TIMES = st.floats(0, 60, allow_nan=False)
NOTES = st.lists(
    st.builds(
        lambda a, b, label: Annotation(min(a, b), max(a, b), label), TIMES, TIMES, st.sampled_from(CLASSES)
    ),
    max_size=5,
).map(tuple)


def centre_s(first_frame_idx: int) -> float:
    return (first_frame_idx + SPEC.num_frames // 2) / SPEC.fps


@given(notes=NOTES, duration_s=st.floats(1, 60), seed=st.integers(0, 2**63))
def test_clips_lie_where_their_class_says(
    notes: tuple[Annotation, ...], duration_s: float, seed: int
) -> None:
    clips = draw_clips(notes, duration_s, CLASSES, SPEC, 3, 4, seed)
    assert list(clips) == sorted(clips, key=lambda clip: (clip.first_frame_idx, clip.label))
    for clip in clips:
        spans = background_gaps(notes, duration_s)
        if clip.label < len(CLASSES):
            spans = [(note.start_s, note.end_s) for note in notes if note.label == CLASSES[clip.label]]
        centre = centre_s(clip.first_frame_idx)
        assert any(start - HALF_FRAME_S <= centre <= end + HALF_FRAME_S for start, end in spans)
        assert centre <= duration_s + HALF_FRAME_S


@given(notes=NOTES, duration_s=st.floats(1, 60), seed=st.integers(0, 2**63))
def test_every_action_and_the_rest_give_their_number_of_clips(
    notes: tuple[Annotation, ...], duration_s: float, seed: int
) -> None:
    labels = [clip.label for clip in draw_clips(notes, duration_s, CLASSES, SPEC, 3, 4, seed)]
    inside = [note for note in notes if min(note.end_s, duration_s) > note.start_s]
    for index, name in enumerate(CLASSES):
        assert labels.count(index) == 3 * sum(note.label == name for note in inside)
    assert labels.count(len(CLASSES)) == (4 if background_gaps(notes, duration_s) else 0)


@given(notes=NOTES, duration_s=st.floats(1, 60), points=st.lists(st.floats(0, 1), max_size=10))
def test_gaps_are_what_no_action_covers(
    notes: tuple[Annotation, ...], duration_s: float, points: list[float]
) -> None:
    gaps = background_gaps(notes, duration_s)
    edges = {time_s for note in notes for time_s in (note.start_s, note.end_s)}
    for point in points:
        time_s = point * duration_s
        if time_s in edges or time_s in (0, duration_s):
            continue
        covered = any(note.start_s < time_s < note.end_s for note in notes)
        assert covered != any(start < time_s < end for start, end in gaps)


def test_draws_follow_the_seed_alone() -> None:
    notes = (Annotation(2.0, 9.0, "run"),)
    assert draw_clips(notes, 30.0, CLASSES, SPEC, 8, 8, 5) == draw_clips(notes, 30.0, CLASSES, SPEC, 8, 8, 5)
    assert draw_clips(notes, 30.0, CLASSES, SPEC, 8, 8, 5) != draw_clips(notes, 30.0, CLASSES, SPEC, 8, 8, 6)


def test_clips_of_one_action_are_spread_over_it() -> None:
    clips = draw_clips((Annotation(10.0, 20.0, "jump"),), 20.0, CLASSES, SPEC, 10, 0, 5)
    tenths = [int((centre_s(clip.first_frame_idx) - 10.0 + 1e-9) // 1.0) for clip in clips]
    assert all(abs(tenth - expected) <= 1 for expected, tenth in enumerate(tenths))
