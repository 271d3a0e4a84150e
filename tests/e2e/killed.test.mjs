// The hub dies without a word (kill -9) and comes back on the same port: what its clients see, with history in memory.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { deadline, smallest, startHub } from './support.mjs';

// A port that nobody is given by chance while the hub is away: below those that the kernel hands out for port 0.
async function ownPort() {
  const [lowest] = fs.readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number);
  for (;;) {
    const port = 2048 + Math.floor(Math.random() * (Math.max(lowest, 4096) - 2048));
    const server = net.createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue;  // taken
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

test('kill -9 and a start on the same port: a new epoch, not recovered, a gap that says so, and it goes on', async (t) => {
  const listen = ['--listen', `127.0.0.1:${await ownPort()}`];
  const before = await startHub(t, smallest, { args: listen });
  const reader = await before.connect();
  await reader.ask({ type: 'subscribe', channel: 'c' });
  const writer = await before.connect();
  for (let n = 1; n <= 3; n++) await writer.ask({ type: 'publish', channel: 'c', event: 'e', data: { n } });
  const last = (await reader.events(3)).at(-1);
  assert.equal(last.sequenceId, 3);

  before.child.kill('SIGKILL');
  assert.deepEqual(await deadline(before.ended, 'the end'), { code: null, signal: 'SIGKILL' });
  // No close frame: 1006 is what a client's library makes of a connection that just ended.
  for (const client of [reader, writer]) {
    assert.equal((await deadline(client.closed, 'the close')).code, 1006);
    assert.deepEqual(client.frames, []);
  }

  const after = await startHub(t, smallest, { args: listen });
  assert.equal(after.address, before.address);
  // Published before the reader is back: history of the new life holds it.
  const first = await after.publish('c', { event: 'e', data: { n: 4 } });
  assert.equal(first.status, 200);
  assert.equal(first.json.sequenceId, 1);
  assert.notEqual(first.json.epoch, last.epoch);

  const again = await after.connect();
  assert.equal(again.connected.data.resumed, false);
  const ack = await again.ask({ type: 'subscribe', channel: 'c', replay: { epoch: last.epoch, sequenceId: last.sequenceId } });
  assert.equal(ack.type, 'ack', JSON.stringify(ack));
  assert.deepEqual([ack.data.recovered, ack.data.replayed], [false, 1]);
  assert.deepEqual([ack.data.epoch, ack.data.sequenceId], [first.json.epoch, 1]);
  // The gap comes before anything of the new life and names no range: what the old life had said by its end is not known.
  const gap = await again.take(() => true, 'the first frame behind the acknowledgement');
  assert.equal(gap.type, 'gap', JSON.stringify(gap));
  assert.deepEqual(gap.data, { channel: 'c', epoch: null, from: null, to: null, count: null, reason: 'epoch_changed' });

  await again.ask({ type: 'publish', channel: 'c', event: 'e', data: { n: 5 } });
  await after.publish('c', { event: 'e', data: { n: 6 } });
  const events = await again.events(3);
  assert.deepEqual(events.map((e) => [e.epoch, e.sequenceId, e.data.n, e.isReplay]), [
    [first.json.epoch, 1, 4, true], [first.json.epoch, 2, 5, false], [first.json.epoch, 3, 6, false],
  ]);
  await again.ping();
  assert.deepEqual(again.frames, [], 'one gap, nothing twice');

  // With a position of the new life it is as if nothing had been.
  const third = await after.connect();
  const known = await third.ask({ type: 'subscribe', channel: 'c', replay: { epoch: first.json.epoch, sequenceId: 1 } });
  assert.deepEqual([known.data.recovered, known.data.replayed], [true, 2]);
  assert.deepEqual((await third.events(2)).map((e) => e.data.n), [5, 6]);
  assert.equal((await after.stop()).code, 0);
});

test('a hub that is killed again and again comes back each time: the port is free at once', async (t) => {
  const listen = ['--listen', `127.0.0.1:${await ownPort()}`];
  const epochs = new Set();
  for (let life = 1; life <= 3; life++) {
    const hub = await startHub(t, smallest, { args: listen });
    const client = await hub.connect();
    await client.ask({ type: 'subscribe', channel: 'c' });
    epochs.add((await client.ask({ type: 'publish', channel: 'c', event: 'e', data: life })).data.epoch);
    hub.child.kill('SIGKILL');  // with a connection open
    await deadline(client.closed, 'the close');
    await deadline(hub.ended, 'the end');
  }
  assert.equal(epochs.size, 3);
});
