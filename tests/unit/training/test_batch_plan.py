"""Which samples make up a step: the same global batches whatever the number of workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talaria.training.batches import BatchPlan

PLANS = st.builds(
    BatchPlan,
    num_samples=st.integers(1, 40),
    batch_size=st.integers(1, 16),
    micro_batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**63),
)


@given(plan=PLANS, epoch=st.integers(0, 5), world_size=st.integers(1, 5))
def test_workers_together_take_exactly_the_global_batch(plan: BatchPlan, epoch: int, world_size: int) -> None:
    alone = plan.epoch(epoch)
    shares = [plan.epoch(epoch, rank, world_size) for rank in range(world_size)]
    assert {len(share) for share in shares} == {len(alone)}, "every worker takes every step"
    for index, whole in enumerate(alone):
        together = [micro for share in shares for micro in share[index]]
        assert sorted(together, key=lambda micro: micro.position) == whole


@given(plan=PLANS, epoch=st.integers(0, 5))
def test_an_epoch_takes_every_sample_once_in_batches_of_the_right_size(plan: BatchPlan, epoch: int) -> None:
    steps = plan.epoch(epoch)
    assert len(steps) == plan.steps_per_epoch
    sizes = [sum(len(micro.samples) for micro in step) for step in steps]
    assert sorted(i for step in steps for micro in step for i in micro.samples) == list(
        range(plan.num_samples)
    )
    assert sizes[:-1] == [plan.batch_size] * (len(sizes) - 1)
    assert 1 <= sizes[-1] <= plan.batch_size
    for index, step in enumerate(steps):
        assert {micro.step for micro in step} == {epoch * plan.steps_per_epoch + index}
        assert [micro.position for micro in step] == list(range(len(step)))
        assert all(len(micro.samples) == plan.micro_batch_size for micro in step[:-1])


def test_a_small_last_batch_leaves_the_second_worker_without_work() -> None:
    plan = BatchPlan(num_samples=6, batch_size=4, micro_batch_size=2, seed=1)
    assert [len(step) for step in plan.epoch(0, rank=0, world_size=2)] == [1, 1]
    assert [len(step) for step in plan.epoch(0, rank=1, world_size=2)] == [1, 0]


def test_the_order_follows_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int, micro: int = 5) -> list[int]:
        plan = BatchPlan(num_samples=30, batch_size=10, micro_batch_size=micro, seed=seed)
        return [i for step in plan.epoch(epoch) for part in step for i in part.samples]

    assert order(1, 0) == order(1, 0) == order(1, 0, micro=3)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
