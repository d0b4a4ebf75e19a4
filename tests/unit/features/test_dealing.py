"""How videos are dealt to actors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talaria.features.extraction import actors_worth, dealt


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), st.integers(1, 20))
def test_every_video_is_dealt_once_and_large_ones_first(sizes: list[int], wanted: int) -> None:
    num_blocks = min(wanted, len(sizes))
    blocks = dealt(sizes, num_blocks)
    assert len(blocks) == num_blocks
    assert sorted(index for block in blocks for index in block) == list(range(len(sizes)))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1
    firsts = [sizes[block[0]] for block in blocks]
    assert firsts == sorted(firsts, reverse=True)
    for block in blocks:
        assert [sizes[index] for index in block] == sorted((sizes[index] for index in block), reverse=True)


def test_another_actor_starts_for_more_videos_or_larger_ones() -> None:
    assert actors_worth([1000] * 8) == 1
    assert actors_worth([1000] * 9) == 2
    assert actors_worth([50 * 2**20]) == 5
