"""Runs a program that knows no TLS against a DICOM door that takes nothing else.

    tunnel.py --port PORT --ca CA --cert CERT --key KEY -- PROGRAM ARGUMENT ...

Each connection of the program to the port of this script goes on over TLS. Arguments HOST and PORT of the program become
where it listens; without them host and port are added behind its arguments.
Prints {"status": number, "said": text}.
"""

import asyncio
import json
import sys

from peer import parser, tls


async def carry(source, sink):
    try:
        while piece := await source.read(1 << 16):
            sink.write(piece)
            await sink.drain()
        sink.write_eof() if sink.can_write_eof() else sink.close()
    except (ConnectionError, OSError):
        sink.close()


async def run(arguments):
    async def connected(reader, writer):
        onward, back = await asyncio.open_connection(arguments.host, arguments.port, ssl=tls(arguments))
        await asyncio.gather(carry(reader, back), carry(onward, writer))
        back.close()
        writer.close()

    door = await asyncio.start_server(connected, "127.0.0.1", 0)
    there = {"HOST": "127.0.0.1", "PORT": str(door.sockets[0].getsockname()[1])}
    program = [there.get(argument, argument) for argument in arguments.program]
    if program == arguments.program:
        program += there.values()
    program = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    print(json.dumps({"status": program.returncode, "said": said.decode(errors="replace")}))
    return 0 if program.returncode == 0 else 1


known = parser()
known.add_argument("program", nargs="+")
sys.exit(asyncio.run(run(known.parse_args())))
