// Ending politely: SIGTERM says `closing`, closes each connection with 1001 and ends with status 0.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, refusal, smallest, startHub } from './support.mjs';

test('SIGTERM: every client is told, gets 1001, and the hub ends with status 0', async (t) => {
  const hub = await startHub(t, `[drain]\nrate = 1000\ntimeout = "10s"\n${smallest}`);
  const clients = [];
  for (let n = 0; n < 50; n++) clients.push(await hub.connect());
  await clients[0].ask({ type: 'subscribe', channel: 'c' });
  const ended = hub.stop(12_000);
  for (const client of clients) {
    const closing = await client.take((f) => f.type === 'closing', 'closing');
    assert.ok('code' in closing.data, JSON.stringify(closing));
    assert.equal(typeof closing.data.reason, 'string');
    const [low, high] = closing.data.reconnectIn;
    assert.ok(Number.isFinite(low) && Number.isFinite(high) && low >= 0 && high >= low, JSON.stringify(closing));
    assert.equal((await deadline(client.closed, 'the close')).code, 1001);
  }
  assert.deepEqual(await ended, { code: 0, signal: null });
});

test('what was acknowledged before SIGTERM is flushed to subscribers before they are closed', async (t) => {
  const hub = await startHub(t, smallest);
  const reader = await hub.connect();
  await reader.ask({ type: 'subscribe', channel: 'c' });
  const writer = await hub.connect();
  const count = 500;
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', ...(n === count ? { id: 'end' } : {}), channel: 'c', event: 'e', data: { n } });
  await writer.take((f) => f.id === 'end', 'the last ack');
  const ended = hub.stop();
  await reader.closed;
  assert.deepEqual(reader.pending('event').map((e) => e.data.n), Array.from({ length: count }, (_, i) => i + 1));
  assert.equal((await ended).code, 0);
});

test('an idle hub ends at once, also on SIGINT', async (t) => {
  const hub = await startHub(t, smallest);
  hub.child.kill('SIGINT');
  assert.deepEqual(await deadline(hub.ended, 'the end', 5_000), { code: 0, signal: null });
});

test('a client that never answers the close does not hold the hub beyond drain.timeout', async (t) => {
  const hub = await startHub(t, `[drain]\ntimeout = "1s"\n${smallest}`);
  const deaf = await hub.connect();
  deaf.socket.pause();
  assert.deepEqual(await hub.stop(10_000), { code: 0, signal: null });
});

test('connections leave at drain.rate per second, and a second SIGTERM ends at once', async (t) => {
  const hub = await startHub(t, `[drain]\nrate = 1\ntimeout = "60s"\n${smallest}`);
  const clients = [];
  for (let n = 0; n < 30; n++) clients.push(await hub.connect());
  hub.child.kill('SIGTERM');
  await Promise.race(clients.map((c) => c.closed));
  assert.ok(clients.filter((c) => c.close_code === undefined).length > 20, 'most are still there');
  hub.child.kill('SIGTERM');
  await deadline(hub.ended, 'the end', 5_000);
});

// Symptom: new connections were refused from the signal on, so a load balancer never saw /ready fail.
test('while it drains the hub answers: not ready, no new connections, nothing published', async (t) => {
  const hub = await startHub(t, `[drain]\ntimeout = "60s"\n${smallest}`);
  const stays = await hub.connect();
  stays.socket.pause();  // it does not answer the close frame, and so stays until drain.timeout
  hub.child.kill('SIGTERM');
  const until = Date.now() + 10_000;
  let ready;
  do ready = await hub.get('/ready');
  while (ready.status === 200 && Date.now() < until);
  assert.equal(ready.status, 503);
  assert.deepEqual(ready.json, { ready: false });
  const health = await hub.get('/health');
  assert.equal(health.status, 503);
  assert.deepEqual(health.json.reasons, ['draining']);
  const refused = await refusal(t, hub, {});
  assert.equal(refused.status, 503);
  assert.equal(refused.body.error.code, 'draining');
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const publish = await hub.publish('c', { event: 'e', data: 1 });
  assert.equal(publish.status, 503);
  assert.equal(publish.json.error.code, 'draining');
  assert.ok(Number(publish.headers.get('retry-after')) > 0);
  hub.child.kill('SIGTERM');
  await deadline(hub.ended, 'the end', 5_000);
});

test('when the connections have left the port is closed and the hub ends', async (t) => {
  const hub = await startHub(t, `[drain]\ntimeout = "60s"\n${smallest}`);
  const client = await hub.connect();
  const ended = hub.stop();
  assert.equal((await deadline(client.closed, 'the close')).code, 1001);
  assert.deepEqual(await ended, { code: 0, signal: null });
  await assert.rejects(hub.get('/ready'));
});
