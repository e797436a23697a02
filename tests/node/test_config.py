"""Settings: the defaults, every key, and what is said of those that are wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tallystick.node.config import Config, SealingTimes, read_config
from tallystick.node.errors import ConfigError

EVERYTHING = b"""
listen = ["/ip4/127.0.0.1/tcp/4001"]
announce = ["/dns4/ana.example/tcp/4001"]
peers = ["/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust"]
mdns = false
relay = false
dial = "500ms"
api-port = 8080
unlock = "2h"
passphrase-file = "~/secret"
ledger = "a1b2"
[sealing]
propose = "200ms"
propose-step = "100ms"
vote = "150ms"
vote-step = "0s"
timeout-max = "3s"
status = "1s"
present = "4s"
patience = "2d"
"""


def test_empty_file_gives_the_defaults() -> None:
    """What is not said is as where there is no file."""
    assert read_config(b"") == Config()
    assert read_config(b"# nothing\n[sealing]\n") == Config()


def test_every_setting_is_read(home: Path) -> None:
    """Each field has a key, and each key arrives in its field."""
    config = read_config(EVERYTHING)
    default = Config()
    assert [f.name for f in fields(Config) if getattr(config, f.name) == getattr(default, f.name)] == []
    assert [
        f.name for f in fields(SealingTimes) if getattr(config.sealing, f.name) == getattr(default.sealing, f.name)
    ] == []
    assert config.dial_ms == 500
    assert config.unlock_ms == 7_200_000
    assert config.passphrase_file == home / "secret"
    assert config.sealing == SealingTimes(
        propose_ms=200,
        propose_step_ms=100,
        vote_ms=150,
        vote_step_ms=0,
        timeout_ms_max=3000,
        status_ms=1000,
        present_ms=4000,
        patience_ms=172_800_000,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listne = []", "'listne' is unknown; known are announce, api-port"),
        ("[sealing]\nvotes = '1s'", "sealing.'votes' is unknown; known are patience"),
        ("sealing = 3", "sealing must be a table"),
        ("[network]\nmdns = true", "'network' is unknown"),
        ('"\\u202e" = 1', r"'\\u202e' is unknown"),
        ("mdns = 1", "mdns must be true or false"),
        ("mdns = 'yes'", "mdns must be true or false"),
        ("api-port = 65536", "api-port must be a port"),
        ("api-port = -1", "api-port must be a port"),
        ("api-port = true", "api-port must be a port"),
        ("api-port = 80.0", "api-port must be a port"),
        ("dial = 30", "dial must be a duration such as"),
        ("dial = '1ms'", "from 100ms to 1d"),
        ("dial = '-5s'", "dial must be a duration"),
        ("dial = '1.5s'", "dial must be a duration"),
        ("dial = '٣s'", "dial must be a duration"),
        ("dial = '30 s'", "dial must be a duration"),
        ("dial = nan", "dial must be a duration"),
        ("dial = 2026-12-24", "dial must be a duration"),
        ("unlock = '2d'", "unlock must be a duration such as"),
        ("listen = '/ip4/0.0.0.0/tcp/0'", "listen must be a list"),
        ("listen = ['0.0.0.0:4001']", "listen must be a list"),
        ("peers = ['file:///etc/passwd']", "peers must be a list"),
        ("peers = ['/ip4/1.2.3.4 /tcp/1']", "peers must be a list"),
        ("peers = [" + "'/ip4/192.0.2.1/tcp/1'," * 65 + "]", "peers must be a list of at most 64"),
        ("passphrase-file = ''", "passphrase-file must be the path"),
        ("passphrase-file = 3", "passphrase-file must be the path"),
        ("ledger = 'xyz'", "ledger must be the first digits"),
        ("mdns = true\nmdns = false", "(?i)cannot overwrite"),
        ("mdns = ", "(?i)invalid value"),
        ("\ufeffmdns = true", "(?i)invalid"),
        ("api-port = " + "9" * 5000, "out of range"),
        ("listen = " + "[" * 5000, "nested too deeply"),
        ("# " + "x" * 70_000, "larger than"),
    ],
)
def test_mistake_is_named(text: str, words: str) -> None:
    """The message says which key, and what is allowed."""
    with pytest.raises(ConfigError, match=words):
        read_config(text.encode())


@pytest.mark.parametrize("data", ["mdns = true".encode("utf-16"), b"ledger = '\xff'", b"\x00"])
def test_file_that_is_no_text_is_refused(data: bytes) -> None:
    """Bytes that are not UTF-8, or not TOML, are refused as any other mistake."""
    with pytest.raises(ConfigError):
        read_config(data)


def test_all_mistakes_are_named_at_once() -> None:
    """Nobody has to start the node once for each typing mistake."""
    with pytest.raises(ConfigError) as caught:
        read_config(b"mdsn = true\nrelay = 1\napi-port = 'x'\n[sealing]\nvote = 5\nvoet = '1s'\n", "settings.toml")
    assert len(caught.value.problems) == 5
    assert str(caught.value).startswith("settings.toml: ")
