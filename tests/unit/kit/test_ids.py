"""Ids of ours and ids that are derived from others' names lie apart, for tables that are partitioned by them."""

from uuid import RFC_4122, UUID

from shared.kit.ids import derived_id, new_id

HALF = UUID(int=1 << 127)


def test_derived_ids_are_the_same_for_the_same_names_alone() -> None:
    names = [("a",), ("b",), ("a", "b"), ("ab",), ("a", "", "b"), ("网格", "号"), *((str(n),) for n in range(200))]
    found = [derived_id(*parts) for parts in names]
    assert found == [derived_id(*parts) for parts in names]
    assert len(set(found)) == len(names)
    assert {(one.version, one.variant) for one in found} == {(8, RFC_4122)}


def test_derived_ids_lie_above_all_that_are_made_by_time() -> None:
    assert all(derived_id(str(n)) >= HALF for n in range(200))
    assert new_id() < HALF
