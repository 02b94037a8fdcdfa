"""Whether tests run at full size (`make faults`) or at that which fits into `make test`."""

import os

import pytest

FULL = os.environ.get("BEEGRID_FAULTS") == "full"
"""The counts of the promises instead of those that fit into `make test`."""
full_only = pytest.mark.skipif(not FULL, reason="only at full size: BEEGRID_FAULTS=full")
