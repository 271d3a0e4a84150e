// weir.v1 over the smallest manifest, with the npm package ws.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, smallest, startHub } from './support.mjs';

const isoMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

test('the first frame is connected and says who the client is to the hub', async (t) => {
  const hub = await startHub(t, smallest);
  const one = await hub.connect();
  const two = await hub.connect();
  assert.deepEqual(Object.keys(one.connected).sort(), ['data', 'type']);
  const { data } = one.connected;
  assert.equal(typeof data.clientId, 'string');
  assert.equal(typeof data.sessionId, 'string');
  assert.notEqual(data.clientId, '');
  assert.equal(data.resumed, false);
  assert.ok('identity' in data, 'identity');
  assert.ok('heartbeat' in data, 'heartbeat');
  assert.notEqual(two.connected.data.clientId, data.clientId);
  assert.notEqual(two.connected.data.sessionId, data.sessionId);
});

test('the subprotocol weir.v1 is chosen when it is offered and spoken when none is', async (t) => {
  const hub = await startHub(t, smallest);
  const named = await hub.connect({ protocols: ['weir.v1'] });
  assert.equal(named.socket.protocol, 'weir.v1');
  const several = await hub.connect({ protocols: ['something.else', 'weir.v1'] });
  assert.equal(several.socket.protocol, 'weir.v1');
  const none = await hub.connect();
  assert.equal(none.socket.protocol, '');
});

test('an event reaches its subscriber with every field of the protocol', async (t) => {
  const hub = await startHub(t, smallest);
  const reader = await hub.connect();
  const subscribed = await reader.ask({ type: 'subscribe', channel: 'agents/7', id: 'sub-1' });
  assert.equal(subscribed.type, 'ack');
  assert.equal(subscribed.id, 'sub-1');
  assert.equal(subscribed.data.channel, 'agents/7');
  assert.equal(typeof subscribed.data.epoch, 'string');
  assert.equal(subscribed.data.sequenceId, 0);
  assert.equal(typeof subscribed.data.recovered, 'boolean');
  assert.equal(subscribed.data.replayed, 0);
  assert.ok('filter' in subscribed.data, 'filter');

  const writer = await hub.connect();
  const before = Date.now();
  const data = { text: 'grüße ☂ 😀 "quoted" \\ \u0000', number: 1.5e-3, big: 9007199254740991, list: [1, null, true, {}], deep: { a: { b: [] } } };
  const published = await writer.ask({ type: 'publish', channel: 'agents/7', event: 'task.completed', data });
  assert.equal(published.type, 'ack');
  assert.deepEqual(published.data, { channel: 'agents/7', epoch: subscribed.data.epoch, sequenceId: 1 });

  const [event] = await reader.events(1);
  assert.equal(event.type, 'event');
  assert.equal(event.channel, 'agents/7');
  assert.equal(event.event, 'task.completed');
  assert.equal(typeof event.id, 'string');
  assert.notEqual(event.id, '');
  assert.equal(event.epoch, subscribed.data.epoch);
  assert.equal(event.sequenceId, 1);
  assert.match(event.emittedAt, isoMs);
  assert.ok(Math.abs(Date.parse(event.emittedAt) - before) < 60_000, event.emittedAt);
  assert.equal(event.isReplay, false);
  assert.deepEqual(event.data, data);
});

test('data of every kind of JSON value arrives as it was', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'kinds' });
  const values = [null, true, false, 0, -1, 1e300, '', 'text', [], {}, [[['x']]], { '': '' }];
  for (const data of values) await client.ask({ type: 'publish', channel: 'kinds', event: 'e', data });
  assert.deepEqual((await client.events(values.length)).map((e) => e.data), values);
});

test('a publisher that sends many frames at once gets them acknowledged and delivered in order', async (t) => {
  const hub = await startHub(t, smallest);
  const reader = await hub.connect();
  await reader.ask({ type: 'subscribe', channel: 'order' });
  const writer = await hub.connect();
  const count = 1000;
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', id: `p${n}`, channel: 'order', event: 'n', data: { n } });
  for (let n = 1; n <= count; n++) {
    const ack = await writer.take((f) => f.type === 'ack', `ack ${n}`);
    assert.equal(ack.id, `p${n}`);
    assert.equal(ack.data.sequenceId, n);
  }
  const events = await reader.events(count);
  assert.deepEqual(events.map((e) => e.data.n), Array.from({ length: count }, (_, i) => i + 1));
  assert.deepEqual(events.map((e) => e.sequenceId), Array.from({ length: count }, (_, i) => i + 1));
});

test('a publish without an id is done, and an answer to it has none', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c' });
  client.send({ type: 'publish', channel: 'c', event: 'e', data: 1 });
  const [event] = await client.events(1);
  assert.equal(event.data, 1);
  await client.ping();
  for (const ack of client.pending('ack')) assert.equal(ack.id, undefined);
  assert.deepEqual(client.pending('error'), []);
});

test('channels do not hear each other, and each counts for itself', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'a' });
  const first = await client.ask({ type: 'publish', channel: 'b', event: 'e', data: 1 });
  const second = await client.ask({ type: 'publish', channel: 'a', event: 'e', data: 2 });
  assert.equal(first.data.sequenceId, 1);
  assert.equal(second.data.sequenceId, 1);
  const [event] = await client.events(1);
  assert.equal(event.channel, 'a');
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
});

test('several channels in one subscribe are acknowledged one by one in one answer', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channels: ['a', 'b/c'] });
  assert.equal(ack.type, 'ack');
  assert.deepEqual(ack.data.channels.map((c) => c.channel), ['a', 'b/c']);
  for (const one of ack.data.channels) {
    assert.equal(typeof one.epoch, 'string');
    assert.equal(one.sequenceId, 0);
    assert.equal(one.replayed, 0);
  }
  await hub.publish('a', { event: 'e', data: 1 });
  await hub.publish('b/c', { event: 'e', data: 2 });
  const events = await client.events(2);
  assert.deepEqual(events.map((e) => e.channel).sort(), ['a', 'b/c']);
});

test('after unsubscribe nothing arrives any more', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'a' });
  await client.ask({ type: 'subscribe', channel: 'b' });
  await client.ask({ type: 'publish', channel: 'a', event: 'e', data: 1 });
  await client.events(1);
  const answer = await client.ask({ type: 'unsubscribe', channel: 'a' });
  assert.equal(answer.type, 'ack');
  assert.equal(answer.data.channel, 'a');
  await client.ask({ type: 'publish', channel: 'a', event: 'e', data: 2 });
  await client.ask({ type: 'publish', channel: 'b', event: 'e', data: 3 });
  const [event] = await client.events(1);
  assert.equal(event.channel, 'b');
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
});

test('unsubscribing from several channels at once works, and from one that was never subscribed harms nothing', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channels: ['a', 'b'] });
  assert.equal((await client.ask({ type: 'unsubscribe', channels: ['a', 'b'] })).type, 'ack');
  await client.ask({ type: 'unsubscribe', channel: 'never' });
  await hub.publish('a', { event: 'e', data: 1 });
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
});

test('a client can list its own subscriptions', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  const empty = await client.ask({ type: 'subscriptions' });
  assert.deepEqual(empty.data.subscriptions, []);
  await client.ask({ type: 'subscribe', channel: 'a', filter: { 'data.size': { $gte: 10 } } });
  await client.ask({ type: 'subscribe', channel: 'logs/*' });
  const answer = await client.ask({ type: 'subscriptions', id: 'list-1' });
  assert.equal(answer.id, 'list-1');
  const byChannel = new Map(answer.data.subscriptions.map((s) => [s.channel, s]));
  assert.deepEqual([...byChannel.keys()].sort(), ['a', 'logs/*']);
  assert.deepEqual(byChannel.get('a').filter, { 'data.size': { $gte: 10 } });
});

test('subscribing again to the same channel replaces the subscription and duplicates nothing', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'a', filter: { event: 'never' } });
  await client.ask({ type: 'subscribe', channel: 'a' });
  await client.ask({ type: 'publish', channel: 'a', event: 'e', data: 1 });
  await client.events(1);
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
  const list = await client.ask({ type: 'subscriptions' });
  assert.equal(list.data.subscriptions.length, 1);
});

test('* takes one segment, ** all that follow, and channels that appear later are included', async (t) => {
  const hub = await startHub(t, smallest);
  await hub.publish('logs/old', { event: 'e', data: 0 });
  const one = await hub.connect();
  const all = await hub.connect();
  const oneAck = await one.ask({ type: 'subscribe', channel: 'logs/*' });
  assert.equal(oneAck.data.channel, 'logs/*');
  assert.equal(oneAck.data.pattern, true);
  assert.equal(oneAck.data.channels, 1);
  assert.equal(oneAck.data.replayed, 0);
  await all.ask({ type: 'subscribe', channel: 'logs/**' });
  for (const [n, channel] of ['logs/old', 'logs/new', 'logs/a/b', 'log', 'other/x', 'logs/end'].entries()) await hub.publish(channel, { event: 'e', data: n + 1 });
  assert.deepEqual((await one.events(3)).map((e) => e.channel).sort(), ['logs/end', 'logs/new', 'logs/old']);
  assert.deepEqual((await all.events(4)).map((e) => e.channel).sort(), ['logs/a/b', 'logs/end', 'logs/new', 'logs/old']);
  await one.ping();
  await all.ping();
  assert.deepEqual(one.pending('event'), []);
  assert.deepEqual(all.pending('event'), []);
});

test('a wildcard subscription replays what history holds of every channel', async (t) => {
  const hub = await startHub(t, smallest);
  for (const [channel, n] of [['w/a', 1], ['w/b', 2], ['w/a', 3], ['other', 4]]) await hub.publish(channel, { event: 'e', data: n });
  const client = await hub.connect();
  const ack = await client.ask({ type: 'subscribe', channel: 'w/*', replay: 10 });
  assert.equal(ack.data.channels, 2);
  assert.equal(ack.data.replayed, 3);
  const events = await client.events(3);
  assert.ok(events.every((e) => e.isReplay === true));
  assert.deepEqual(events.filter((e) => e.channel === 'w/a').map((e) => e.data), [1, 3]);
  assert.deepEqual(events.filter((e) => e.channel === 'w/b').map((e) => e.data), [2]);
});

test('ping is answered by pong, and an id comes back', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  assert.equal((await client.ping()).type, 'pong');
  client.send({ type: 'ping', id: 'here' });
  const pong = await client.take((f) => f.type === 'pong', 'pong');
  assert.ok(pong.id === undefined || pong.id === 'here');
});

test('a heartbeat of WebSocket pings keeps a quiet client and needs nothing from it', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\nheartbeat = { interval = "200ms", timeout = "1s" }\n[[channel]]\npattern = "**"\n');
  const client = await hub.connect();
  for (let n = 1; n <= 8; n++) {
    await deadline(Promise.race([new Promise((resolve) => client.socket.once('ping', resolve)), client.closed]), `ping ${n}`);
    assert.equal(client.close_code, undefined, `closed although every ping was answered, after ${n} pings`);
  }
  await client.ping();
});

test('a heartbeat of JSON pings closes with 1001 who stays silent, and keeps who answers', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\nheartbeat = { interval = "200ms", timeout = "1s", style = "json" }\n[[channel]]\npattern = "**"\n');
  const silent = await hub.connect({ ws: { autoPong: false } });
  const good = await hub.connect();
  good.socket.on('message', (text) => { if (JSON.parse(text.toString()).type === 'ping') good.send({ type: 'pong' }); });
  await silent.take((f) => f.type === 'ping', 'a JSON ping');
  assert.equal((await silent.closed).code, 1001);
  await good.ping();
  assert.equal(good.close_code, undefined);
});
