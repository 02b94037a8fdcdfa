"""Ids of ours and ids that are derived from others' names lie apart, for tables that are partitioned by them."""

from uuid import RFC_4122, UUID

import pytest

from shared.kit.ids import derived_id, new_id

HALF = UUID(int=1 << 127)


def test_derived_ids_are_the_same_for_the_same_names_alone() -> None:
    names = [("a",), ("b",), ("a", "b"), ("ab",), ("a", "", "b"), ("网格", "号"), *((str(n),) for n in range(200))]
    found = [derived_id(*parts) for parts in names]
    assert found == [derived_id(*parts) for parts in names]
    assert len(set(found)) == len(names)
    assert {(one.version, one.variant) for one in found} == {(8, RFC_4122)}


def test_no_other_parts_have_the_same_id() -> None:
    for parts in (("app\x1f7", "1"), ("app", "7\x1f1"), ("\x1f",)):
        with pytest.raises(ValueError, match=r"U\+001F"):
            derived_id(*parts)
    assert str(derived_id("inbound.sf-express.reports.v1", "app", "7")) == "f3ab48e8-d216-80af-89e1-d5cf54e5872b"


def test_derived_ids_lie_above_all_that_are_made_by_time() -> None:
    assert all(derived_id(str(n)) >= HALF for n in range(200))
    assert new_id() < HALF
