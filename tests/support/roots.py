"""State roots of all golden rehearsals and of the example years, as JSON.

Run as a program with other hash seeds and other Pythons, it must print the same.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "rehearsals"
EXAMPLES: Final = FOLDER.parents[2] / "examples"


def root(path: Path) -> str | None:
    """The root that a scenario comes to; None for a file that is none, such as a charter."""
    from tallystick.protocol.rehearsal import Rehearsal
    from tallystick.protocol.scenario import read_scenario

    def read(name: str) -> dict[str, Any]:
        return tomllib.loads((path.parent / name).read_text(encoding="utf-8"))

    document = read(path.name)
    if "event" not in document:
        return None
    found: str = Rehearsal(read_scenario(document, read)).play().to_json()["state_root"]
    return found


def roots() -> dict[str, str]:
    """State root by the name of the scenario; of an example by `examples/` and its name."""
    paths = {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}
    paths |= {f"examples/{path.stem}": path for path in sorted(EXAMPLES.glob("*.toml"))}
    return {name: found for name, path in paths.items() if (found := root(path)) is not None}


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[2]))
    sys.stdout.write(json.dumps(roots(), indent=4) + "\n")
