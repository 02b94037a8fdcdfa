"""Print every violation of the house's rules; exit 1 when there is one."""

import sys
from pathlib import Path

from shared.devtools.gen.files import ROOT
from shared.devtools.house.rules import RULES


def main(root: Path = ROOT) -> int:
    """Run all rules."""
    found = [f"{violation} [{name}]" for name, rule in RULES.items() for violation in rule(root)]
    print("\n".join(found) if found else f"{len(RULES)} rules hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
