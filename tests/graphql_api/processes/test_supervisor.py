"""The parent, with processes that are not the api: they answer each connection with their number."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cluster.errors import SettingError
from cluster.settings import Settings
from cluster.system.counts import CountTable
from cluster.system.process_table import ProcessState, ProcessTable
from dask_graphql.dev_system import free_port
from graphql_api.processes.decisions import Limits
from graphql_api.processes.listener import Listener, bind
from graphql_api.processes.member import Member, create_shared_files
from graphql_api.processes.supervisor import Supervisor
from tests.polling import until

PROCESS = """
import asyncio, sys
from pathlib import Path
from graphql_api.processes.member import Member
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(sys.argv[1].encode())
        transport.close()
async def main():
    member, lost = Member(Path(sys.argv[3]), int(sys.argv[1]), int(sys.argv[2])), asyncio.Event()
    member.counts.counts("sockets").add("a")
    member.receive(Answer, lost.set)
    while not lost.is_set():
        member.beat(connections=0, ready=True)
        await asyncio.sleep(0.05)
asyncio.run(main())
"""
LIMITS = Limits(stale=0.5, frozen=1.0, first_pause=0.05, max_pause=0.1)


def supervisor(settings: Settings, folder: Path, program: str = PROCESS) -> Supervisor:
    def command(number: int, channel: int) -> list[str]:
        return [sys.executable, "-P", "-c", program, str(number), str(channel), str(folder)]

    return Supervisor(settings, folder, command, LIMITS)


async def answers(port: int, count: int) -> Counter[bytes]:
    """Which processes answer so many connections."""
    found = Counter[bytes]()
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found[await reader.read()] += 1
        writer.close()
    return found


async def test_processes_share_a_port_and_those_that_end_or_hang_are_replaced(
    tmp_path: Path, settings: Settings
) -> None:
    settings = replace(settings, port=free_port(), api_processes=2)
    parent, stop = supervisor(settings, tmp_path), asyncio.Event()
    running = asyncio.create_task(parent.run(stop))
    table = ProcessTable(tmp_path / "processes")

    def serving() -> list[ProcessState]:
        return [state for state in table.states() if state.beat_at and state.phase == 1]

    async with asyncio.timeout(60):
        await until(lambda: len(serving()) == 2)
        assert min((await answers(settings.port, 40)).values()) > 15
        first = table.states()
        os.kill(first[0].process_id, signal.SIGKILL)
        await until(lambda: table.state(0).phase != 1 or table.state(0).restarts)
        # The other one serves on.
        assert set(await answers(settings.port, 4)) <= {b"0", b"1"}
        os.kill(first[1].process_id, signal.SIGSTOP)
        await until(lambda: [state.restarts for state in serving()] == [1, 1])
        # The counts of those that ended are cleared.
        assert CountTable(tmp_path / "counts", 0).counts("sockets")["a"] == 1
        assert set(await answers(settings.port, 10)) == {b"0", b"1"}
        last = table.states()
        assert {state.process_id for state in last}.isdisjoint(state.process_id for state in first)
        stop.set()
        assert await running == 0
    assert not any(psutil.pid_exists(state.process_id) for state in (*first, *last))


async def test_a_command_whose_first_process_cannot_start_ends_with_its_exit_code(
    tmp_path: Path, settings: Settings
) -> None:
    settings = replace(settings, port=free_port(), api_processes=3)
    started = tmp_path / "started"
    program = f"open({str(started)!r}, 'a').write('x'); raise SystemExit(7)"
    async with asyncio.timeout(30):
        assert await supervisor(settings, tmp_path, program).run(asyncio.Event()) == 7
    assert started.read_text() == "x"


async def test_a_port_that_is_taken_is_named_once(tmp_path: Path, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"DASK_GRAPHQL_PORT.*{port}.*a port that is free on 127.0.0.1"):
            await supervisor(replace(settings, port=port, api_processes=2), tmp_path).run(asyncio.Event())


class Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def test_a_connection_is_handed_over_when_a_process_can_take_it(tmp_path: Path) -> None:
    create_shared_files(tmp_path, 1)
    port = free_port()
    ours, theirs = socket.socketpair()
    ended, other = socket.socketpair()
    ended.setblocking(False)
    other.close()
    channels, handed = [None, ended, ours], list[socket.socket]()
    listener = Listener(bind("127.0.0.1", port), lambda: channels.pop(0), handed.append)
    listener.listen()
    member, lost = Member(tmp_path, 0, theirs.detach()), asyncio.Event()
    member.receive(Hello, lost.set)
    try:
        async with asyncio.timeout(10):
            # None serves at first; then the chosen one has just ended.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"hello"
            writer.close()
            assert (handed, member.received) == ([ours], 1)
            ours.close()
            await lost.wait()
    finally:
        listener.close()
        member.stop_receiving()
        ended.close()
