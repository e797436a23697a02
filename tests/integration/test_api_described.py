"""The local interface is what its description says: every operation is tried with whatever the description allows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

#: These would end the node, write files, or wait for a network.
LEFT_OUT = ("/v1/stop", "/v1/bundle_out", "/v1/bundle_in", "/v1/sync", "/v1/lock")


def _tally(home: Path, passphrase: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tallystick", "--home", str(home), "-q", *args],
        env={**os.environ, "TALLY_PASSPHRASE_FILE": str(passphrase)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running node that offers its interface on loopback TCP, unlocked: its address and its token."""
    folder = tmp_path_factory.mktemp("api")
    passphrase = folder / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    home = folder / "home"
    _tally(home, passphrase, "init", "--name", "Ana", "--words-file", str(folder / "words"))
    charter = folder / "charter.toml"
    charter.write_text(_tally(home, passphrase, "charter", "template", "community"))
    _tally(home, passphrase, "found", str(charter), "--yes")
    (home / "config.toml").write_text('api-port = 0\nlisten = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n')
    node = subprocess.Popen(
        [sys.executable, "-m", "tallystick", "--home", str(home), "node"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert node.stdout is not None
        # It says so when it runs, and its doors are open by then.
        node.stdout.readline()
        deadline = time.monotonic() + 20
        while not (home / "run" / "api.json").exists() and time.monotonic() < deadline:
            node.poll()
        row = json.loads((home / "run" / "api.json").read_text())
        _tally(home, passphrase, "unlock")
        yield {"url": f"http://127.0.0.1:{row['port']}", "token": row["token"]}
    finally:
        node.terminate()
        node.wait(10)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_is_one_that_is_described(door: dict[str, str]) -> None:
    """No operation answers anything but what its description says, and none ends in an error of ours."""
    headers = {"Authorization": f"Bearer {door['token']}"}
    schema = schemathesis.openapi.from_url(f"{door['url']}/v1/openapi.json", headers=headers)
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in LEFT_OUT:
            continue

        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=operation.as_strategy())
        def try_it(case: schemathesis.Case) -> None:
            # Well-formed arguments may still name what is not there, such as a step that the charter does not have.
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        try_it()
        tried.add(operation.path)
    assert {"/v1/points", "/v1/offer", "/v1/propose", "/v1/seal"} <= tried


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_other_pages_and_programs_are_kept_out(door: dict[str, str], headers: dict[str, str], status: int) -> None:
    """Without the token, under another name, or from another page, nothing is answered."""
    import urllib.error
    import urllib.request

    right = {} if status == 401 else {"Authorization": f"Bearer {door['token']}"}
    request = urllib.request.Request(f"{door['url']}/v1/points", headers={**right, **headers})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == status
    assert "rows" not in refused.value.read().decode()
