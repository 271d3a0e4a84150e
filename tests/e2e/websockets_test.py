"""weir.v1 with Debian's python3-websockets, a client of another family than the npm package ws."""
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import websockets

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR_BIN", os.path.join(ROOT, "build/release/bin/weir"))
DEADLINE_S = 15
SMALLEST = 'listen = "127.0.0.1:0"\n[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\nhistory = { count = 20000 }\n'


COMPRESSED = SMALLEST.replace('path = "/ws"', 'path = "/ws"\ncompression = true')


class Hub:
    def __init__(self, manifest):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-e2e-")
        path = os.path.join(self.folder.name, "hub.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(manifest)
        self.log = open(os.path.join(self.folder.name, "stderr"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([WEIR, "run", path], stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()  # ends with the ready line, or empty when the hub ended
        found = re.match(r"^weir ready http://(\S+)$", line)
        if not found:
            self.log.seek(0)
            raise AssertionError(f"no ready line but {line!r}: {self.log.read()}")
        self.address = found.group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def connect(self, **options):
        return websockets.connect(f"ws://{self.address}/ws", max_size=None, **options)

    def publish(self, channel, body):
        request = urllib.request.Request(f"http://{self.address}/api/v1/channels/{channel}/events", json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return json.load(answer)


async def take(socket, wanted):
    """The next frame that is wanted; those before it are passed over."""
    async def look():
        while True:
            frame = json.loads(await socket.recv())
            if wanted(frame):
                return frame
    return await asyncio.wait_for(look(), DEADLINE_S)


async def ask(socket, message):
    await socket.send(json.dumps(message))
    return await take(socket, lambda f: f.get("id") == message["id"] and f["type"] != "event")


class PythonClientTest(unittest.IsolatedAsyncioTestCase):
    async def test_subscribes_publishes_and_reads(self):
        with Hub(SMALLEST) as hub:
            async with hub.connect(subprotocols=["weir.v1"]) as socket:
                self.assertEqual(socket.subprotocol, "weir.v1")
                self.assertEqual((await take(socket, lambda f: True))["type"], "connected")
                ack = await ask(socket, {"type": "subscribe", "id": "s", "channel": "agents/7"})
                self.assertEqual(ack["data"]["channel"], "agents/7")
                await socket.send(json.dumps({"type": "publish", "channel": "agents/7", "event": "e", "data": {"ä": [1, 2.5, None]}}))
                event = await take(socket, lambda f: f["type"] == "event")
                self.assertEqual((event["channel"], event["event"], event["sequenceId"], event["data"]), ("agents/7", "e", 1, {"ä": [1, 2.5, None]}))
                self.assertEqual(event["epoch"], ack["data"]["epoch"])

    async def test_integer_ids_come_back_as_integers(self):
        with Hub(SMALLEST) as hub:
            async with hub.connect() as socket:
                ack = await ask(socket, {"type": "subscribe", "id": 7, "channel": "c"})
                self.assertEqual(ack["id"], 7)
                error = await ask(socket, {"type": "subscribe", "id": 8})
                self.assertEqual((error["type"], error["id"]), ("error", 8))

    async def test_permessage_deflate_offered_by_the_client_does_no_harm(self):
        with Hub(SMALLEST) as hub:
            async with hub.connect(compression="deflate") as socket:
                await ask(socket, {"type": "subscribe", "id": "s", "channel": "c"})
                text = "compressible " * 1000
                hub.publish("c", {"event": "e", "data": text})
                self.assertEqual((await take(socket, lambda f: f["type"] == "event"))["data"], text)

    async def test_permessage_deflate_is_agreed_on_and_changes_nothing(self):
        with Hub(COMPRESSED) as hub:
            async with hub.connect() as socket, hub.connect(compression=None) as plain:
                self.assertEqual([e.name for e in socket.extensions], ["permessage-deflate"])
                self.assertEqual(plain.extensions, [])
                for each in (socket, plain):
                    await ask(each, {"type": "subscribe", "id": "s", "channel": "c"})
                # This client compresses every message, however short.
                async with hub.connect() as writer:
                    for data in ["a" * n for n in range(0, 6000, 7)] + ["ä€😀" * n for n in range(300)] + ["words and words " * 20_000]:
                        await writer.send(json.dumps({"type": "publish", "channel": "c", "event": "e", "data": data}))
                        for each in (socket, plain):
                            self.assertEqual((await take(each, lambda f: f["type"] == "event"))["data"], data)

    async def test_permessage_deflate_with_small_windows(self):
        from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
        with Hub(COMPRESSED) as hub:
            for bits in range(9, 16):  # 8 is none for Python's own zlib
                factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits)
                async with hub.connect(compression=None, extensions=[factory]) as socket:
                    self.assertIn(f"remote_max_window_bits={bits}", repr(socket.extensions[0]))
                    await ask(socket, {"type": "subscribe", "id": "s", "channel": "w"})
                    for n in (1, 20, 40, 100, 1000, 20_000):
                        text = "".join(f"word {i % 100}, " for i in range(n))
                        hub.publish("w", {"event": "e", "data": text})
                        self.assertEqual((await take(socket, lambda f: f["type"] == "event"))["data"], text)

    async def test_websocket_pings_are_answered(self):
        with Hub(SMALLEST) as hub:
            async with hub.connect(ping_interval=None) as socket:
                await asyncio.wait_for(await socket.ping(b"are you there"), DEADLINE_S)

    async def test_many_clients_get_the_same_events_in_the_same_order(self):
        with Hub(SMALLEST) as hub:
            sockets = [await hub.connect() for _ in range(50)]
            try:
                for socket in sockets:
                    await ask(socket, {"type": "subscribe", "id": "s", "channel": "c"})
                async with hub.connect() as writer:
                    for n in range(200):
                        await writer.send(json.dumps({"type": "publish", "channel": "c", "event": "e", "data": n}))

                    async def read(socket):
                        return [(await take(socket, lambda f: f["type"] == "event"))["data"] for _ in range(200)]

                    for got in await asyncio.gather(*(read(s) for s in sockets)):
                        self.assertEqual(got, list(range(200)))
            finally:
                await asyncio.gather(*(s.close() for s in sockets))

    async def test_a_position_survives_the_connection(self):
        with Hub(SMALLEST) as hub:
            async with hub.connect() as socket:
                await ask(socket, {"type": "subscribe", "id": "s", "channel": "c"})
                hub.publish("c", {"event": "e", "data": 1})
                event = await take(socket, lambda f: f["type"] == "event")
            for n in (2, 3):
                hub.publish("c", {"event": "e", "data": n})
            async with hub.connect() as socket:
                ack = await ask(socket, {"type": "subscribe", "id": "s", "channel": "c", "replay": {"epoch": event["epoch"], "sequenceId": event["sequenceId"]}})
                self.assertTrue(ack["data"]["recovered"])
                self.assertEqual([(await take(socket, lambda f: f["type"] == "event"))["data"] for _ in range(2)], [2, 3])

    async def test_the_close_handshake_is_answered(self):
        with Hub(SMALLEST) as hub:
            socket = await hub.connect()
            await asyncio.wait_for(socket.close(code=1000, reason="bye"), DEADLINE_S)
            self.assertEqual(socket.close_code, 1000)

    async def test_sigterm_closes_with_1001(self):
        with Hub(SMALLEST) as hub:
            socket = await hub.connect()
            await take(socket, lambda f: f["type"] == "connected")
            hub.process.send_signal(signal.SIGTERM)
            closing = await take(socket, lambda f: f["type"] == "closing")
            self.assertEqual(len(closing["data"]["reconnectIn"]), 2)
            await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
            self.assertEqual(socket.close_code, 1001)
            self.assertEqual(await asyncio.to_thread(hub.process.wait, 15), 0)

    async def test_text_that_is_no_json_is_closed_with_1008(self):
        with Hub(SMALLEST) as hub:
            socket = await hub.connect()
            await socket.send("hello")
            await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
            self.assertEqual(socket.close_code, 1008)


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
