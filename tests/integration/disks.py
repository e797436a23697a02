"""What lies on the disks of stopped nodes, held against what was confirmed to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.integration.computers import Computer
from tests.support.texts import text_ids


def check_stores(everybody: Sequence[Computer], confirmed: Iterable[str]) -> None:
    """What lies on the disks: the same entries, one for each number of a device, none confirmed in vain."""
    held: list[set[bytes]] = []
    numbers: dict[tuple[bytes, int], bytes] = {}
    for each in everybody:
        with each.archive() as archive:
            assert archive.sealings(b"evidence/") == [], "somebody has signed a contradiction"
            ids = set(text_ids(archive.store))
            for entry_id in ids:
                entry = archive.entry(entry_id)
                assert entry is not None
                first = numbers.setdefault((entry.device, entry.seq), entry_id)
                assert first == entry_id, f"two entries with the number {entry.seq}"
            missing = [each_id for each_id in confirmed if bytes.fromhex(each_id) not in ids]
            assert missing == [], f"{each.name} lacks {len(missing)} confirmed entries"
            for each_id in confirmed:
                sealed = archive.sealed_row(bytes.fromhex(each_id))
                assert sealed is not None
                assert sealed.reason == ""
            held.append(ids)
    assert all(ids == held[0] for ids in held)
