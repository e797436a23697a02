"""Which request for new keys, and which computer, is meant: what is approved or revoked by mistake stays so."""

from __future__ import annotations

import pytest

from tallystick.node.errors import ExitCode, HomeReason
from tallystick.node.resolve import UnresolvedError, beginning
from tallystick.node.writes_devices import RecoverApproveArgs, recover_approve, resolve_device
from tallystick.protocol.kinds.recover import RecoverApprove
from tests.support.builders import key
from tests.support.computers import added, newcomer, request_body
from tests.support.kept import Kept, kept_market


def asked(kept: Kept, name: str, of: str) -> bytes:
    """A request for new keys, by a computer that nobody knows."""
    return kept.do(name, request_body(kept, newcomer(kept, name, of), key(name, "recovery")))


def meant(kept: Kept, text: str) -> bytes:
    body = recover_approve(kept.look("ana"), RecoverApproveArgs(request=text)).body
    assert isinstance(body, RecoverApprove)
    return body.request


def test_request_is_named_by_its_digits_or_by_who_asks() -> None:
    """At least six digits: fewer may be a name, and then the one who is called so is meant."""
    kept = kept_market()
    request = asked(kept, "bo-2", "bo")
    assert meant(kept, "bo") == meant(kept, request.hex()[:6].upper()) == meant(kept, request.hex()) == request
    kept.names["eve"] = request.hex()[:4]
    kept.join("eve")
    with pytest.raises(UnresolvedError) as caught:
        meant(kept, request.hex()[:4])
    assert caught.value.reason == HomeReason.NOT_FOUND
    assert "nobody asks for new keys in the name of" in caught.value.message


def test_what_does_not_say_which_request_is_not_found_or_ambiguous() -> None:
    """Exit 3, with the requests to choose from."""
    kept = kept_market()
    with pytest.raises(UnresolvedError) as caught:
        meant(kept, "cy")
    assert (caught.value.reason, caught.value.exit_code) == (HomeReason.NOT_FOUND, ExitCode.NOT_FOUND)
    requests = [asked(kept, name, "bo") for name in ("bo-2", "bo-3")]
    with pytest.raises(UnresolvedError) as caught:
        meant(kept, "bo")
    assert (caught.value.reason, caught.value.exit_code) == (HomeReason.AMBIGUOUS, ExitCode.NOT_FOUND)
    assert all(request.hex()[:8] in caught.value.message for request in requests)


def test_computer_is_named_by_its_digits_or_by_its_label() -> None:
    """Six digits at least: a label may be made of the same letters as a key, and the wrong one would be cut off."""
    kept = kept_market()
    old, new = kept.people["ana"].secret.public, key("ana-2").public
    kept.words = {"label": old.hex()[:4]}
    added(kept, "ana-2", "ana")
    view = kept.look("ana")
    assert resolve_device(view, old.hex()[:4]) == new
    assert resolve_device(view, old.hex()[:6].upper()) == old
    for few in ("", " ", new.hex()[:5]):
        with pytest.raises(UnresolvedError) as caught:
            resolve_device(view, few)
        assert caught.value.reason == HomeReason.NOT_FOUND
    assert beginning([old, new], new.hex()[:6]) == [new]


def test_label_that_is_the_beginning_of_another_key_means_neither() -> None:
    """Both are shown, and nothing is cut off."""
    kept = kept_market()
    old = kept.people["ana"].secret.public
    kept.words = {"label": old.hex()[:6]}
    added(kept, "ana-2", "ana")
    with pytest.raises(UnresolvedError) as caught:
        resolve_device(kept.look("ana"), old.hex()[:6])
    assert caught.value.reason == HomeReason.AMBIGUOUS
    assert old.hex()[:8] in caught.value.message
