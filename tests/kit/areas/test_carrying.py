"""How often a service looks for what a new map moves."""

from shared.kit.areas import AreaTree, KnownArea
from shared.kit.areas.carrying import LOOKS_UNTIL_STEADY, STEADY_EVERY, Looks

GONE = KnownArea("A", "grid", (), False, ("B",))


def looked(looks: Looks, tree: AreaTree, moved: int = 0, turns: int = LOOKS_UNTIL_STEADY) -> int:
    """In how many of these turns it looks, each look moving so many."""
    times = 0
    for _ in range(turns):
        if looks.due(tree):
            times += 1
            looks.seen(moved)
    return times


def test_once_a_map_was_carried_to_its_end_looks_become_rare() -> None:
    tree, looks = AreaTree.of([GONE]), Looks()
    assert looked(looks, tree) == LOOKS_UNTIL_STEADY, "reports that the old map routed still come"
    assert looked(looks, tree, turns=10 * STEADY_EVERY) == 10, "late ones are found all the same"


def test_a_new_map_or_something_late_makes_them_frequent_again() -> None:
    looks = Looks()
    for tree in AreaTree.of([GONE]), AreaTree.of([GONE]):
        assert looked(looks, tree) == LOOKS_UNTIL_STEADY, "of the second map, too"
    assert looked(looks, tree, moved=3, turns=STEADY_EVERY) == 1
    assert looked(looks, tree) == LOOKS_UNTIL_STEADY


def test_where_nothing_vanished_nothing_is_looked_for() -> None:
    assert looked(Looks(), AreaTree.of([KnownArea("B", "grid", (), True)])) == 0


def test_a_look_that_failed_is_made_again_at_once() -> None:
    tree, looks = AreaTree.of([GONE]), Looks()
    looked(looks, tree)
    while not looks.due(tree):
        pass
    assert looks.due(tree), "it was not said what it saw"
