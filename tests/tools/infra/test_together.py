"""With several workers, a file's tests share a worker, and so what the file sets up."""

import pytest

from shared.devtools.gen.files import ROOT
from tests.conftest import LONG, group_of

SEEN: list[int] = []


@pytest.mark.parametrize("order", range(8))
def test_a_file_stays_together(order: int) -> None:
    """Each test sees that all before it ran in this process."""
    SEEN.append(order)
    assert list(range(order + 1)) == SEEN


@pytest.mark.parametrize(
    ("place", "group"),
    [
        ("tests/kit/auth/test_jwt.py", "tests/kit/auth/test_jwt.py"),
        ("tests/doors/strangers/test_words.py", "tests/doors/strangers/"),
        ("tests/alerts/test_alerts.py", "faults"),
        ("tests/promises/test_promise_1_nothing_accepted_is_lost.py", "faults"),
        ("tests/journeys/test_scale.py", "journeys"),
        ("tests/promises/crowd/test_crowd.py", "tests/promises/crowd/test_crowd.py"),
    ],
)
def test_groups(place: str, group: str) -> None:
    assert group_of(place) == group


@pytest.mark.parametrize("place", LONG)
def test_what_is_begun_first_is_there(place: str) -> None:
    assert (ROOT / place).is_file(), "a file that was renamed is begun when its turn comes, at the end"
