"""The transport over libp2p between two processes on loopback: start, stop, throughput and round trip.

python -m benchmarks.transport [megabytes]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys

import trio

from tallystick.node.transport import Frame, PeerUp
from tallystick.node.transport_libp2p import Libp2pTransport

LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)
SMALL = 200
ROUNDS = 1000


async def serve() -> None:
    """Send each small frame back, read the large ones, until the input ends."""
    node = Libp2pTransport(b"b" * 32, listen=LOOPBACK)
    node.set_gate(lambda _peer: True)
    async with node.running(), trio.open_nursery() as nursery:
        print(node.addresses()[0], flush=True)

        async def answer() -> None:
            async for event in node.events:
                if isinstance(event, Frame) and len(event.data) <= SMALL:
                    node.send(event.peer, event.data)

        nursery.start_soon(answer)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)  # type: ignore[call-arg,unused-ignore]
        nursery.cancel_scope.cancel()


async def measure(megabytes: int) -> dict[str, float]:
    """Measure against a second process."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "benchmarks.transport", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    address = ""
    while not address.endswith("\n"):
        address += (await process.stdout.receive_some(1000)).decode()
    found: dict[str, float] = {}
    node = Libp2pTransport(b"a" * 32, listen=LOOPBACK)
    node.set_gate(lambda _peer: True)
    begun = trio.current_time()
    async with node.running():
        found["start_ms"] = (trio.current_time() - begun) * 1000
        begun = trio.current_time()
        peer = await node.dial(address.strip(), 10)
        found["dial_ms"] = (trio.current_time() - begun) * 1000
        while not isinstance(await node.events.receive(), PeerUp):
            continue
        times = []
        for _ in range(ROUNDS):
            begun = trio.current_time()
            node.send(peer, bytes(SMALL))
            await node.events.receive()
            times.append((trio.current_time() - begun) * 1000)
        found["round_trip_ms"] = statistics.median(times)
        found["round_trip_ms_99"] = sorted(times)[-ROUNDS // 100]
        for name, size in (("256_kib", 256 * 1024), ("1_kib", 1024)):
            count = megabytes * 1024 * 1024 // size // (1 if size > 1024 else 8)
            begun = trio.current_time()
            for _ in range(count):
                while not node.send(peer, bytes(size)):
                    await node.events.receive()
            # The answer to a small frame comes after all large ones were read.
            while not node.send(peer, bytes(SMALL)):
                await node.events.receive()
            while not isinstance(await node.events.receive(), Frame):
                continue
            seconds = trio.current_time() - begun
            found[f"mib_per_s_{name}"] = count * size / 1024 / 1024 / seconds
            found[f"frames_per_s_{name}"] = count / seconds
        begun = trio.current_time()
    found["stop_ms"] = (trio.current_time() - begun) * 1000
    found["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await process.stdin.aclose()
    await process.wait()
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        trio.run(serve)
    else:
        results = trio.run(measure, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        print(json.dumps({name: round(value, 3) for name, value in results.items()}, indent=1))
