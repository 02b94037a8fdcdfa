"""With several workers, a file's tests share a worker, and so what the file sets up."""

import pytest

from tests.conftest import group_of

SEEN: list[int] = []


@pytest.mark.parametrize("order", range(8))
def test_a_file_stays_together(order: int) -> None:
    """Each test sees that all before it ran in this process."""
    SEEN.append(order)
    assert list(range(order + 1)) == SEEN


@pytest.mark.parametrize(
    ("place", "group"),
    [
        ("tests/unit/kit/test_jwt.py", "tests/unit/kit/test_jwt.py"),
        ("tests/store/doors/test_words.py", "tests/store/doors/"),
        ("tests/faults/test_alerts.py", "many processes"),
    ],
)
def test_groups(place: str, group: str) -> None:
    assert group_of(place) == group
