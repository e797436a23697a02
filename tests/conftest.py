"""What holds for every test: how hypothesis searches, and a home of its own.

`HYPOTHESIS_PROFILE=nightly make test` searches longer. Under `CI` the same examples are tried every time, so that a
failure there is about the change and not about luck.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: a shared machine pauses, and a pause is no bug. Endless tests are stopped by pytest's own timeout.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder, which this test and every process it starts take for the user's own."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("XDG_", "TALLY")):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    return home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with processes of their own come first, for one that began last would keep one core waiting for minutes.

    `--no-loadscope-reorder` keeps this order.
    """
    items.sort(key=lambda item: "integration" not in item.path.parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests have measured (`record_property`), whether they passed or not."""
    rows = [row for state in ("passed", "failed") for row in terminalreporter.getreports(state) if row.user_properties]
    if rows:
        terminalreporter.section("figures")
    for row in rows:
        terminalreporter.line(row.nodeid)
        for name, value in row.user_properties:
            terminalreporter.line(f"    {name}: {value}")
