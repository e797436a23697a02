"""What every store does, whatever it stands on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store import Store


class StoreContract:
    """Tests of a `store` fixture."""

    def test_reads_what_was_written(self, store: Store) -> None:
        """A value is read as it was written, an empty one too."""
        store.write([(b"Ea", b"1"), (b"Eb", b"")], sync=True)
        assert store.get(b"Ea") == b"1"
        assert store.get(b"Eb") == b""
        assert store.get(b"Ec") is None

    def test_last_value_of_a_key_counts(self, store: Store) -> None:
        """Within a batch and after it, a later value replaces an earlier one, and a put outlives a delete."""
        store.write([(b"Ea", b"1"), (b"Ea", b"2")], sync=False)
        assert store.get(b"Ea") == b"2"
        store.write([(b"Ea", b"3")], [b"Ea"], sync=False)
        assert store.get(b"Ea") == b"3"

    def test_deleted_key_is_gone(self, store: Store) -> None:
        """A deleted key is neither found nor listed; deleting what is not there is no error."""
        store.write([(b"Ea", b"1"), (b"Eb", b"2")], sync=False)
        store.write((), [b"Ea", b"Ez"], sync=True)
        assert store.get(b"Ea") is None
        assert list(store.iterate()) == [(b"Eb", b"2")]

    def test_scrubbing_changes_nothing_that_is_read(self, store: Store) -> None:
        """What was deleted stays so, what was not is there, and a key that never was is no error."""
        store.write([(b"Aa", b"1"), (b"Ab", b"2")], sync=True)
        store.write((), [b"Aa"], sync=True)
        store.scrub([b"Aa", b"Az"])
        assert list(store.iterate()) == [(b"Ab", b"2")]
        store.write([(b"Aa", b"3")], sync=True)
        assert store.get(b"Aa") == b"3"

    def test_frozen_store_stays_as_it_was(self, store: Store) -> None:
        """What is written afterwards is not seen, also by a thread that reads meanwhile; nothing is written there."""
        store.write([(b"Ea", b"1"), (b"Eb", b"2")], sync=False)
        frozen = store.freeze()
        rows = frozen.iterate(b"E")
        store.write([(b"Ea", b"3"), (b"Ec", b"4")], [b"Eb"], sync=True)
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(list, rows).result() == [(b"Ea", b"1"), (b"Eb", b"2")]
            assert threads.submit(frozen.get, b"Ea").result() == b"1"
        assert list(frozen.iterate(b"E", start=b"Ea", reverse=True)) == [(b"Ea", b"1")]
        assert frozen.get(b"Ec") is None
        for refused in (lambda: frozen.write([(b"Ed", b"5")], sync=True), lambda: frozen.scrub([b"Ea"])):
            with pytest.raises(StoreError):
                refused()
        assert store.get(b"Eb") is None
        assert frozen.batch < store.batch

    @pytest.mark.parametrize("how", ["closed", "scrubbed", "store-closed"])
    def test_frozen_store_is_closed_under_whoever_reads_it(self, store: Store, how: str) -> None:
        """In the middle of a walk too: by itself, before values are scrubbed, and with the store it is of."""
        store.write([(b"E%04d" % number, b"1") for number in range(2_000)], sync=False)
        frozen = store.freeze()
        rows = frozen.iterate(b"E")
        next(rows)
        if how == "closed":
            frozen.close()
            frozen.close()
        elif how == "scrubbed":
            store.scrub([b"E0000"])
        else:
            store.close()
        with pytest.raises(StoreError) as caught:
            list(rows)
        assert caught.value.reason == StoreReason.CLOSED
        with pytest.raises(StoreError):
            frozen.get(b"E0000")

    def test_iterates_in_order_of_keys(self, store: Store) -> None:
        """A prefix limits, a start begins there, and both work backwards."""
        keys = [b"D", b"E", b"E\x00", b"E\x01", b"E\xff", b"E\xff\xff", b"F", b"\xff", b"\xff\xff\x01"]
        store.write([(key, key) for key in reversed(keys)], sync=False)

        def listed(prefix: bytes = b"", start: bytes | None = None, *, reverse: bool = False) -> list[bytes]:
            return [key for key, value in store.iterate(prefix, start=start, reverse=reverse) if value == key]

        assert listed() == keys
        assert listed(reverse=True) == keys[::-1]
        assert listed(b"E") == keys[1:6]
        assert listed(b"E", reverse=True) == keys[5:0:-1]
        assert listed(b"\xff") == keys[7:]
        assert listed(b"E", b"E\x01") == keys[3:6]
        assert listed(b"E", b"E\x00\x05") == keys[3:6]
        assert listed(b"E", b"A") == keys[1:6]
        assert listed(b"E", b"G") == []
        assert listed(b"E", b"E\x01", reverse=True) == keys[3:0:-1]
        assert listed(b"E", b"E\x00\x05", reverse=True) == keys[2:0:-1]
        assert listed(b"E", b"G", reverse=True) == keys[5:0:-1]
        assert listed(b"E", b"A", reverse=True) == []
        assert listed(b"Q") == []

    def test_iteration_sees_the_store_as_it_was(self, store: Store) -> None:
        """Writing while reading does not change what is read."""
        store.write([(b"E%d" % number, b"old") for number in range(5)], sync=False)
        rows = store.iterate(b"E")
        first = next(rows)
        store.write([(b"E3", b"new"), (b"E9", b"new")], [b"E4"], sync=False)
        assert [first, *rows] == [(b"E%d" % number, b"old") for number in range(5)]

    def test_iteration_may_be_left_early(self, store: Store) -> None:
        """Nobody has to read to the end."""
        store.write([(b"Ea", b"1"), (b"Eb", b"2")], sync=False)
        assert next(store.iterate(b"E"), None) == (b"Ea", b"1")
        store.close()

    def test_own_rows_are_hidden(self, store: Store) -> None:
        """What the store keeps for itself is never listed and cannot be written."""
        assert list(store.iterate()) == []
        store.write([(b"Ea", b"1")], sync=True)
        assert list(store.iterate(reverse=True)) == [(b"Ea", b"1")]
        for key in (b"", b"\x00head"):
            with pytest.raises(ValueError, match="not a key"):
                store.write([(key, b"1")], sync=True)
            with pytest.raises(ValueError, match="not a key"):
                store.write((), [key], sync=True)

    def test_refused_batch_changes_nothing(self, store: Store) -> None:
        """A batch with a bad key leaves no trace of its good ones, and the store goes on."""
        with pytest.raises(ValueError, match="not a key"):
            store.write([(b"Ea", b"1"), (b"", b"2")], sync=True)
        assert list(store.iterate()) == []
        assert store.batch == 0
        store.write([(b"Ea", b"1")], sync=True)
        assert store.batch == 1

    def test_batches_are_numbered_and_guarded(self, store: Store) -> None:
        """Each batch has the next number; a synced one raises the guard, another does not."""
        store.write([(b"Ea", b"1")], sync=True)
        assert (store.batch, store.guard.state.batch) == (1, 1)
        store.write([(b"Ea", b"2")], sync=False)
        assert (store.batch, store.guard.state.batch) == (2, 1)
        store.write((), sync=True)
        assert (store.batch, store.guard.state.batch) == (3, 3)
        assert not store.is_restored

    def test_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is fine; using it afterwards is an error of its own."""
        store.close()
        store.close()
        for use in (
            lambda: store.get(b"Ea"),
            lambda: store.iterate(b"E"),
            lambda: store.write([(b"Ea", b"1")], sync=True),
        ):
            with pytest.raises(StoreError) as caught:
                use()
            assert caught.value.reason == StoreReason.CLOSED
