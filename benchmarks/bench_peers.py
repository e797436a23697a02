"""Catching up beside ssb-db2 with EBT and hypercore: as many signed entries, two processes each, over loopback.

Each tool does what it does by default, and each receiver checks the signature of every entry: ssb-db2 by itself,
hypercore with sodium-native beside its own proofs. Ours also applies the rules and confirms each block to the disk.
A block of hypercore is as long as our mean entry; a message of ssb-db2 has a text as long as our mean body, since its
envelope alone is longer than a whole entry of ours.

It needs Node.js and npm, which fetches the packages of `peers/package-lock.json` the first time.

python -m benchmarks.bench_peers [entries] [rounds]
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.bench_catchup import PARTNERS, caught_up
from benchmarks.ledgers import Writer
from benchmarks.report import report
from tallystick.protocol import codec

DEMAND = 1.5
FOLDER = Path(__file__).parent / "peers"
GIVE_UP_S = 1200.0


def sizes() -> tuple[int, int]:
    """(bytes of a mean entry with its signature, bytes of its body) in our benchmarks."""
    entries = list(Writer(PARTNERS).deals(250))
    whole = sum(len(entry.header) + len(entry.signature) for entry in entries)
    return whole // len(entries), sum(len(codec.encode(entry.body)) for entry in entries) // len(entries)


def fetched(script: str, entries: int, size: int) -> dict[str, Any]:
    """What one tool says when its second process has everything of its first one."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "serve"), Path(folder, "fetch")
        ours.mkdir()
        theirs.mkdir()
        server = _start(script, "serve", ours, entries, size)
        try:
            place = _said(server)
            client = _start(script, "fetch", theirs, *place.values(), entries)
            try:
                return _said(client)
            finally:
                _end(client)
        finally:
            _end(server)


def _start(script: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["node", str(FOLDER / f"{script}.js"), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            said: dict[str, Any] = json.loads(line)
            return said
    raise RuntimeError(f"it ended with {process.wait()} before it was done")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=GIVE_UP_S)


def main(entries: int, rounds: int) -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        print("bench_peers: not run, since Node.js and npm are not here")
        return
    if not (FOLDER / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=FOLDER, check=True, stdout=sys.stderr)
    whole, body = sizes()
    rates: dict[str, list[float]] = {"tallystick": [], "hypercore": [], "ssb": []}
    said: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        rates["tallystick"].append(entries / caught_up(entries)[0])
        for script, size in (("hypercore", whole), ("ssb", body)):
            said[script] = fetched(script, entries, size)
            if said[script]["entries"] != entries:
                raise RuntimeError(f"{script} has {said[script]['entries']} of {entries} entries")
            rates[script].append(entries / said[script]["seconds"])
    median = {each: statistics.median(row) for each, row in rates.items()}
    report(
        "peers",
        {
            "entries": entries,
            "entries_per_s": median,
            "rounds": rates,
            "bytes_per_entry": {
                "tallystick": whole,
                **{each: row["bytes"] / row["entries"] for each, row in said.items()},
            },
            "versions": json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"],
        },
        {
            "times_hypercore": (median["tallystick"] / median["hypercore"], ">=", DEMAND),
            "times_ssb_db2": (median["tallystick"] / median["ssb"], ">=", DEMAND),
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
