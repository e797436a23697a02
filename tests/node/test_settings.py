"""Settings that are known to be right are not read again, and others always are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.node.errors import ConfigError, HomeError, HomeReason
from tallystick.node.home import Home
from tallystick.node.settings import named_ledger


@pytest.fixture
def ours(tmp_path: Path) -> Home:
    return Home.create(tmp_path / "tally")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that were really read."""
    from tallystick.node import config

    texts: list[bytes] = []
    real = config.read_config

    def reading(data: bytes, name: str = "config.toml") -> config.Config:
        texts.append(data)
        return real(data, name)

    monkeypatch.setattr(config, "read_config", reading)
    return texts


def test_settings_name_a_ledger_or_none(ours: Home) -> None:
    """Without a file there is none to name; what the file says now counts, however often it is changed."""
    assert named_ledger(ours) is None
    for text, ledger in (('ledger = "ab12"', "ab12"), ("mdns = false", None), ("", None), ('ledger = "ab13"', "ab13")):
        ours.config_path.write_text(text)
        assert [named_ledger(ours), named_ledger(ours)] == [ledger, ledger]


def test_same_settings_are_read_once(ours: Home, parsed: list[bytes]) -> None:
    """Other bytes are read again, also where they have the same length and the same time."""
    ours.config_path.write_bytes(b'ledger = "ab"')
    for _ in range(3):
        assert named_ledger(ours) == "ab"
    assert parsed == [b'ledger = "ab"']
    ours.config_path.write_bytes(b'ledger = "ac"')
    assert named_ledger(ours) == "ac"
    assert len(parsed) == 2


def test_wrong_settings_are_an_error_each_time(ours: Home) -> None:
    """Also where they were right before, and until they are right again."""
    ours.config_path.write_text("mdns = true\n")
    named_ledger(ours)
    for text in ("mdns = 3\n", "nonsense = true\n", "mdns = \n", 'ledger = "xyz"\n'):
        ours.config_path.write_text(text)
        for _ in range(2):
            with pytest.raises(ConfigError):
                named_ledger(ours)
    ours.config_path.write_text("mdns = true\n")
    assert named_ledger(ours) is None


def test_another_release_reads_for_itself(ours: Home, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one release took may be unknown to the next."""
    ours.config_path.write_text("mdns = true\n")
    named_ledger(ours)
    monkeypatch.setattr("tallystick.node.settings._RELEASE", b"tallystick 99\n")
    named_ledger(ours)
    assert len(parsed) == 2


@pytest.mark.parametrize("kept", [b"", b"rubbish", b"tallystick 0.1.0\n", b"tallystick 0.1.0\nmdns = 3\n"])
def test_damage_to_what_is_kept_does_no_harm(ours: Home, kept: bytes) -> None:
    """Only the same bytes under the right head stand for settings that were read."""
    ours.config_path.write_text("mdns = 3\n")
    ours.write_file("run/settings", kept)
    with pytest.raises(ConfigError):
        named_ledger(ours)


def test_home_that_cannot_be_written_is_read_all_the_same(ours: Home, parsed: list[bytes]) -> None:
    """Then the settings are read each time."""
    (ours.path / "run").rmdir()
    (ours.path / "run").write_text("in the way")
    ours.config_path.write_text('ledger = "ab"')
    assert [named_ledger(ours), named_ledger(ours)] == ["ab", "ab"]
    assert len(parsed) == 2


def test_settings_that_are_no_file_have_words(ours: Home) -> None:
    """A folder of that name is told of as by every other reader."""
    ours.config_path.mkdir()
    with pytest.raises(HomeError) as caught:
        named_ledger(ours)
    assert caught.value.reason == HomeReason.IO
