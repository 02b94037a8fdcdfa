"""Which ids of the outbox a relay asks for: never one that it has deleted, always one that may still appear."""

from hypothesis import given
from hypothesis import strategies as st

from shared.kit.publishing.backlog import GAP_ENDS_AFTER_S, GAPS_MAX, Backlog


def asked(backlog: Backlog, id_: int) -> bool:
    """Whether the next read would find a row of this id."""
    return id_ > backlog.top or any(low <= id_ <= high for low, high in zip(*backlog.bounds(), strict=True))


def test_a_gap_is_asked_for_until_no_transaction_can_fill_it() -> None:
    backlog = Backlog(0)
    backlog.settled([1, 2, 5], 0.0, whole=True)
    assert backlog.bounds() == ([3], [4])
    assert (backlog.top, backlog.floor) == (5, 2)
    backlog.settled([4, 6], 10.0, whole=True)  # 4 was committed late
    assert backlog.bounds() == ([3], [3])
    backlog.settled([], GAP_ENDS_AFTER_S, whole=True)
    assert asked(backlog, 3)
    backlog.settled([], GAP_ENDS_AFTER_S + 0.1, whole=True)
    assert not asked(backlog, 3)
    assert backlog.floor == 6


def test_a_gap_that_a_cut_read_did_not_reach_stays() -> None:
    backlog = Backlog(0)
    backlog.settled([5, 20], 0.0, whole=True)
    backlog.settled([3], GAP_ENDS_AFTER_S + 1, whole=False)
    assert not asked(backlog, 2)
    assert asked(backlog, 4) is False or backlog.gaps[0].low == 4
    assert asked(backlog, 10)


@given(
    order=st.permutations(range(1, 40)),
    never=st.sets(st.integers(1, 39), max_size=8),
    rounds=st.lists(st.integers(1, 6), min_size=1, max_size=20),
)
def test_whatever_the_order_of_commits_each_row_is_read_once(
    order: list[int], never: set[int], rounds: list[int]
) -> None:
    backlog, present, read = Backlog(0), set[int](), list[int]()
    coming = [id_ for id_ in order if id_ not in never]
    now_s = 0.0
    for size in [*rounds, 100]:
        present |= set(coming[:size])
        del coming[:size]
        now_s += 1.0
        found = sorted(id_ for id_ in present if asked(backlog, id_))
        read += found
        present -= set(found)
        backlog.settled(found, now_s, whole=True)
        assert all(asked(backlog, id_) for id_ in coming)
    assert sorted(read) == sorted(set(order) - never)
    assert not any(asked(backlog, id_) for id_ in read)


def test_many_gaps_become_few_and_none_is_forgotten() -> None:
    backlog = Backlog(0)
    odd = range(1, 4 * GAPS_MAX, 2)
    backlog.settled(odd, 0.0, whole=True)
    assert len(backlog.gaps) <= GAPS_MAX
    assert all(asked(backlog, id_) for id_ in range(2, 4 * GAPS_MAX, 2))
