"""State roots of all golden rehearsals, as JSON.

Run as a program with other hash seeds and other Pythons, it must print the same.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "rehearsals"


def read(path: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / path).read_text(encoding="utf-8"))


def roots() -> dict[str, str]:
    """State root by the name of the scenario."""
    from tallystick.protocol.rehearsal import Rehearsal
    from tallystick.protocol.scenario import read_scenario

    return {
        path.stem: Rehearsal(read_scenario(read(path.name), read)).play().to_json()["state_root"]
        for path in sorted(FOLDER.glob("*.toml"))
    }


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[2]))
    sys.stdout.write(json.dumps(roots(), indent=4) + "\n")
