"""Which request for new keys is meant: one that is approved by mistake gives a membership away."""

from __future__ import annotations

import pytest

from tallystick.node.errors import ExitCode, HomeReason
from tallystick.node.resolve import UnresolvedError
from tallystick.node.writes_devices import RecoverApproveArgs, recover_approve
from tallystick.protocol.kinds.recover import RecoverApprove
from tests.support.builders import key
from tests.support.computers import newcomer, request_body
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
