"""What ruff is asked to find, it finds: rules that the house would else have to write itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.devtools.gen.files import ROOT

VIOLATIONS = [
    ("import time\n\nSTART = time.monotonic()\n", "TID251"),
    ("from datetime import datetime as dt\n\nNOW = dt.now\n", "TID251"),
    ("import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n", "TID251"),
    ("from time import perf_counter\n\nNOW = perf_counter()\n", "TID251"),
    ("try:\n    pass\nexcept:\n    pass\n", "E722"),
    ("try:\n    pass\nexcept Exception:\n    pass\n", "BLE001"),
    ("try:\n    pass\nexcept (ValueError, BaseException):\n    x = 1\n", "BLE001"),
    ("x = 1  # TO" + "DO later\n", "FIX002"),
    ("x = 1  # HA" + "CK\n", "FIX004"),
]
ALLOWED = [
    (
        "services/riders/domain.py",
        "from datetime import datetime\n\nNOW: datetime | None = None\n",
    ),
    ("shared/kit/clock.py", "import time\n\nNOW = time.time()\n"),
    ("shared/kit/ids.py", "try:\n    x = 1\nexcept Exception:\n    x = 2\n    raise\n"),
]


def found(text: str, name: str) -> str:
    """What ruff says of a file of this text and name."""
    words = ["check", "--no-cache", "--output-format", "concise", "--stdin-filename", name, "-"]
    ruff = Path(sys.executable).with_name("ruff")
    return subprocess.run([ruff, *words], input=text, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(("text", "rule"), VIOLATIONS, ids=[f"{rule} {text[:24]!r}" for text, rule in VIOLATIONS])
def test_a_violation_is_found(text: str, rule: str) -> None:
    assert rule in found(text, "services/riders/domain.py")


@pytest.mark.parametrize(("name", "text"), ALLOWED)
def test_what_is_right_is_not_reported(name: str, text: str) -> None:
    assert "All checks passed" in found(text, name)
