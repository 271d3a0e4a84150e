// What a client that was away gets: replay none, last, N, since a position, and the truth about what is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smallest, startHub } from './support.mjs';

const manifest = (history) => `[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\nhistory = ${history}\n`;
async function fill(hub, channel, from, to) {
  let last;
  for (let n = from; n <= to; n++) last = await hub.publish(channel, { event: n % 2 ? 'odd' : 'even', data: { n } });
  return last.json;
}

test('replay none, also when nothing is said, starts with what comes next', async (t) => {
  const hub = await startHub(t, smallest);
  await fill(hub, 'c', 1, 5);
  for (const replay of [undefined, 'none']) {
    const client = await hub.connect();
    const ack = await client.ask({ type: 'subscribe', channel: 'c', ...(replay ? { replay } : {}) });
    assert.equal(ack.data.replayed, 0);
    assert.ok(ack.data.sequenceId >= 5);
    await client.ping();
    assert.deepEqual(client.pending('event'), []);
  }
});

test('replay last gives the newest event of each event name', async (t) => {
  const hub = await startHub(t, smallest);
  await fill(hub, 'c', 1, 9);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: 'last' });
  assert.equal(ack.data.replayed, 2);
  const events = await client.events(2);
  assert.deepEqual(events.map((e) => e.data.n), [8, 9]);
  assert.ok(events.every((e) => e.isReplay === true));
});

test('replay N gives the last N in order, flagged, with the time at which they happened', async (t) => {
  const hub = await startHub(t, smallest);
  const live = await hub.connect();
  await live.ask({ type: 'subscribe', channel: 'c' });
  await fill(hub, 'c', 1, 9);
  const original = await live.events(9);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: 4 });
  assert.equal(ack.data.replayed, 4);
  assert.equal(ack.data.sequenceId, 9);
  const events = await client.events(4);
  assert.deepEqual(events, original.slice(5).map((e) => ({ ...e, isReplay: true })));
  const more = await hub.connect();
  const all = await more.ask({ type: 'subscribe', channel: 'c', replay: 100 });
  assert.equal(all.data.replayed, 9);
  assert.equal((await more.events(9))[0].data.n, 1);
});

test('the acknowledgement comes before what is replayed, and live events follow the replayed ones', async (t) => {
  const hub = await startHub(t, smallest);
  await fill(hub, 'c', 1, 50);
  const client = await hub.connect();
  client.send({ type: 'subscribe', id: 's', channel: 'c', replay: 50 });
  client.send({ type: 'publish', id: 'p', channel: 'c', event: 'live', data: { n: 51 } });
  const first = await client.take(() => true, 'any frame');
  assert.equal(first.type, 'ack');
  assert.equal(first.id, 's');
  const events = await client.events(51);
  assert.deepEqual(events.map((e) => e.sequenceId), Array.from({ length: 51 }, (_, i) => i + 1));
  assert.deepEqual(events.map((e) => e.isReplay), [...Array(50).fill(true), false]);
});

test('a client that comes back with its position gets exactly what it missed and is told recovered', async (t) => {
  const hub = await startHub(t, smallest);
  const first = await hub.connect();
  await first.ask({ type: 'subscribe', channel: 'c' });
  await fill(hub, 'c', 1, 3);
  const last = (await first.events(3)).at(-1);
  first.socket.terminate();
  await fill(hub, 'c', 4, 8);
  const again = await hub.connect();
  const ack = await again.ask({ type: 'subscribe', channel: 'c', replay: { epoch: last.epoch, sequenceId: last.sequenceId } });
  assert.equal(ack.data.recovered, true);
  assert.equal(ack.data.replayed, 5);
  assert.deepEqual((await again.events(5)).map((e) => e.data.n), [4, 5, 6, 7, 8]);
  assert.deepEqual(again.pending('gap'), []);
});

test('a client that missed nothing is recovered with nothing replayed', async (t) => {
  const hub = await startHub(t, smallest);
  const { epoch, sequenceId } = await fill(hub, 'c', 1, 3);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch, sequenceId } });
  assert.equal(ack.data.recovered, true);
  assert.equal(ack.data.replayed, 0);
});

test('what history no longer holds is a gap with its range, and recovered is false', async (t) => {
  const hub = await startHub(t, manifest('{ count = 10 }'));
  const { epoch } = await fill(hub, 'c', 1, 30);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch, sequenceId: 5 } });
  assert.equal(ack.data.recovered, false);
  const gap = await client.take((f) => f.type === 'gap', 'gap');
  assert.equal(gap.data.channel, 'c');
  assert.equal(gap.data.from, 6);
  assert.equal(gap.data.to, 20);
  assert.equal(gap.data.count, 15);
  assert.equal(typeof gap.data.reason, 'string');
  assert.deepEqual((await client.events(10)).map((e) => e.sequenceId), [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
});

test('the edge: a position right before the oldest event is still recovered', async (t) => {
  const hub = await startHub(t, manifest('{ count = 10 }'));
  const { epoch } = await fill(hub, 'c', 1, 30);
  const edge = await hub.connect();
  assert.equal((await edge.ask({ type: 'subscribe', channel: 'c', replay: { epoch, sequenceId: 20 } })).data.recovered, true);
  const beyond = await hub.connect();
  assert.equal((await beyond.ask({ type: 'subscribe', channel: 'c', replay: { epoch, sequenceId: 19 } })).data.recovered, false);
});

test('a position of another epoch is never recovered, and the client is told that it has a gap', async (t) => {
  const hub = await startHub(t, smallest);
  await fill(hub, 'c', 1, 3);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch: 'another-life', sequenceId: 2 } });
  assert.equal(ack.type, 'ack');
  assert.equal(ack.data.recovered, false);
  await client.take((f) => f.type === 'gap', 'gap');
});

test('a position that the channel has not reached yet is not recovered', async (t) => {
  const hub = await startHub(t, smallest);
  const { epoch } = await fill(hub, 'c', 1, 3);
  const client = await hub.connect();
  const answer = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch, sequenceId: 99 } });
  if (answer.type === 'ack') assert.equal(answer.data.recovered, false);
  else assert.equal(answer.data.code, 'bad_request');
});

test('after a restart of the hub memory has another epoch', async (t) => {
  const one = await startHub(t, smallest);
  const before = await fill(one, 'c', 1, 3);
  assert.equal((await one.stop()).code, 0);
  const two = await startHub(t, smallest);
  const after = await fill(two, 'c', 1, 3);
  assert.notEqual(after.epoch, before.epoch);
  const client = await two.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch: before.epoch, sequenceId: 3 } });
  assert.equal(ack.data.recovered, false);
});

test('any number of missed events that history holds is delivered', async (t) => {
  const hub = await startHub(t, manifest('{ count = 20000, bytes = "64MiB" }'));
  const writer = await hub.connect();
  const count = 12_000;
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', ...(n === count ? { id: 'end' } : {}), channel: 'c', event: 'e', data: { n, pad: 'x'.repeat(400) } });
  const end = await writer.take((f) => f.id === 'end', 'the last ack', 60_000);
  assert.equal(end.data.sequenceId, count);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', replay: { epoch: end.data.epoch, sequenceId: 1 } });
  assert.equal(ack.data.recovered, true);
  let expected = 2;
  for (let n = 2; n <= count; n++) {
    const [event] = await client.events(1, 60_000);
    assert.equal(event.sequenceId, expected++);
  }
  assert.deepEqual(client.pending('gap'), []);
});

test('with a filter, replay and recovered speak of the events that match', async (t) => {
  const hub = await startHub(t, smallest);
  const { epoch } = await fill(hub, 'c', 1, 10);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'c', filter: { event: 'even' }, replay: { epoch, sequenceId: 4 } });
  assert.equal(ack.data.recovered, true);
  assert.equal(ack.data.replayed, 3);
  assert.deepEqual((await client.events(3)).map((e) => e.data.n), [6, 8, 10]);
  const last = await hub.connect();
  assert.equal((await last.ask({ type: 'subscribe', channel: 'c', filter: { event: 'even' }, replay: 2 })).data.replayed, 2);
  assert.deepEqual((await last.events(2)).map((e) => e.data.n), [8, 10]);
});

test('age bounds history as well', async (t) => {
  const hub = await startHub(t, manifest('{ count = 1000, age = "1ms" }'));
  await fill(hub, 'c', 1, 1);
  // Time has to pass on the hub's clock: publishes go on until the first event has aged out.
  let replayed;
  const until = Date.now() + 15_000;
  do {
    await hub.publish('other', { event: 'e', data: 1 });
    const client = await hub.connect();
    replayed = (await client.ask({ type: 'subscribe', channel: 'c', replay: 10 })).data.replayed;
    client.socket.terminate();
  } while (replayed !== 0 && Date.now() < until);
  assert.equal(replayed, 0);
});
