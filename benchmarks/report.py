"""What every benchmark prints: one JSON object with the figures, the machine, and whether the demand is met."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def report(name: str, figures: dict[str, Any], demands: dict[str, tuple[float, str, float]]) -> None:
    """Print it. A demand is (what was measured, "<=" or ">=", what is asked for)."""
    judged = {
        each: {
            "is": rounded(value),
            "demand": f"{sign} {limit:g}",
            "met": value <= limit if sign == "<=" else value >= limit,
        }
        for each, (value, sign, limit) in demands.items()
    }
    answer = {
        "benchmark": name,
        "met": all(row["met"] for row in judged.values()),
        "demands": judged,
        "figures": {each: rounded(value) for each, value in figures.items()},
        "machine": machine(),
    }
    print(json.dumps(answer, indent=1))


def rounded(value: Any) -> Any:
    """Three digits say all that a measurement knows."""
    if isinstance(value, dict):
        return {each: rounded(part) for each, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def machine() -> dict[str, Any]:
    """On what this was measured, and how busy it was with other things."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "load_1_min": rounded(os.getloadavg()[0]),
        "commit": _commit(),
        "argv": sys.argv[1:],
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip()


def peak_mib() -> float:
    """The most memory that this process has had so far."""
    path = Path("/proc/self/status")
    if path.exists():
        # What `getrusage` says begins with what the process that started this one had.
        line = next(line for line in path.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1024 * 1024 if sys.platform == "darwin" else 1024)
