// Who may come in, and what they may do: API keys at the handshake and in a frame, scopes, limits, revocation.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { deadline, folder, refusal, startHub } from './support.mjs';

// A key and its entry of the file, as the README of the api-key plugin describes them.
function makeKey(id, more = {}) {
  const key = `wk_${id}_${randomBytes(32).toString('hex')}`;
  const salt = randomBytes(16);
  const hash = `sha256:${salt.toString('hex')}:${createHash('sha256').update(salt).update(key).digest('hex')}`;
  return { key, entry: { id, form: 'wk', hash, ...more } };
}
const keyFile = (...keys) => JSON.stringify({ keys: keys.map((k) => k.entry) });

const manifest = (endpoint = '') => `[[plugin]]
name = "keys"
library = "api-key"
config = { file = "keys.json" }
[[endpoint]]
path = "/ws"
auth = ["keys"]
${endpoint}
[[channel]]
pattern = "notes/{id}"
subscribe = { scope = "notes:read" }
publish = { scope = "notes:write" }
[[channel]]
pattern = "instances/{id}"
subscribe = { scope = "notes:read", where = { "data.instanceId" = "{identity.instances}" } }
publish = { scope = "notes:write" }
`;
const reader = makeKey('reader', { scopes: ['notes:read'], attributes: { instances: ['i1', 'i2'] } });
const writer = makeKey('writer', { scopes: ['notes:read', 'notes:write'] });
const start = (t, endpoint, keys = [reader, writer]) => startHub(t, manifest(endpoint), { files: { 'keys.json': keyFile(...keys) } });
const bearer = (k) => ({ headers: { authorization: `Bearer ${k.key}` } });

test('without a key, or with a wrong one, the upgrade is refused with 401', async (t) => {
  const hub = await start(t);
  for (const options of [{}, { headers: { 'x-api-key': 'wk_reader_00' } }, { headers: { authorization: 'Bearer nonsense' } }, { path: '/ws?api_key=' },
                         { path: `/ws?api_key=${makeKey('reader').key}` }]) {
    const refused = await refusal(t, hub, options);
    assert.equal(refused.status, 401, JSON.stringify(options));
    assert.equal(refused.body.error.code, 'unauthorized');
    assert.ok(refused.body.error.message.length > 5);
  }
});

test('a key comes in by query, by header and as a bearer token, and the identity is told', async (t) => {
  const hub = await start(t);
  for (const options of [{ path: `/ws?api_key=${reader.key}` }, { headers: { 'x-api-key': reader.key } }, bearer(reader)]) {
    const client = await hub.connect(options);
    assert.equal(client.connected.data.identity.subject, 'reader');
    assert.ok(!JSON.stringify(client.connected).includes(reader.key));
  }
});

test('scopes decide who may subscribe and who may publish', async (t) => {
  const nobody = makeKey('nobody');
  const hub = await start(t, '', [reader, writer, nobody]);
  const none = await hub.connect(bearer(nobody));
  for (const message of [{ type: 'subscribe', channel: 'notes/1' }, { type: 'publish', channel: 'notes/1', event: 'e', data: 1 }]) {
    const answer = await none.ask(message);
    assert.equal(answer.type, 'error');
    assert.equal(answer.data.code, 'forbidden');
  }
  const read = await hub.connect(bearer(reader));
  assert.equal((await read.ask({ type: 'subscribe', channel: 'notes/1' })).type, 'ack');
  assert.equal((await read.ask({ type: 'publish', channel: 'notes/1', event: 'e', data: 1 })).data.code, 'forbidden');
  const write = await hub.connect(bearer(writer));
  assert.equal((await write.ask({ type: 'publish', channel: 'notes/1', event: 'e', data: 1 })).type, 'ack');
  assert.equal((await read.events(1))[0].data, 1);
});

test('a wildcard brings only what the scopes allow, and never more', async (t) => {
  const nobody = makeKey('nobody');
  const hub = await start(t, '', [reader, writer, nobody]);
  const none = await hub.connect(bearer(nobody));
  const read = await hub.connect(bearer(reader));
  await none.ask({ type: 'subscribe', channel: '**', replay: 10 });
  await read.ask({ type: 'subscribe', channel: '**' });
  const write = await hub.connect(bearer(writer));
  await write.ask({ type: 'publish', channel: 'notes/1', event: 'e', data: 'private' });
  await read.events(1);
  await none.ping();
  assert.deepEqual(none.pending('event'), []);
});

test('a mandatory filter is shown and holds, whatever the client asks for', async (t) => {
  const hub = await start(t);
  const read = await hub.connect(bearer(reader));
  const ack = await read.ask({ type: 'subscribe', channel: 'instances/x', filter: { 'data.instanceId': ['i1', 'i3'] } });
  assert.equal(ack.type, 'ack');
  const shown = JSON.stringify(ack.data.filter);
  assert.ok(shown.includes('i2') && shown.includes('i3'), shown);
  const write = await hub.connect(bearer(writer));
  for (const instanceId of ['i1', 'i2', 'i3']) await write.ask({ type: 'publish', channel: 'instances/x', event: 'e', data: { instanceId } });
  await read.events(1).then(([event]) => assert.equal(event.data.instanceId, 'i1'));
  await read.ping();
  assert.deepEqual(read.pending('event'), []);
});

test('HTTP publishing asks for the same key and scope', async (t) => {
  const hub = await start(t);
  const body = { event: 'e', data: 1 };
  const without = await hub.publish('notes/1', body);
  assert.equal(without.status, 401);
  assert.equal(without.json.error.code, 'unauthorized');
  const read = await hub.publish('notes/1', body, bearer(reader));
  assert.equal(read.status, 403);
  assert.equal(read.json.error.code, 'forbidden');
  assert.equal((await hub.publish('notes/1', body, bearer(writer))).status, 200);
  assert.equal((await hub.publish('notes/1', body, { headers: { 'x-api-key': writer.key } })).status, 200);
});

test('health and ready are open; stats and subscriptions want the admin scope', async (t) => {
  const admin = makeKey('admin', { scopes: ['weir:admin'] });
  const hub = await start(t, '', [reader, admin]);
  assert.equal((await hub.get('/health')).status, 200);
  assert.equal((await hub.get('/ready')).status, 200);
  for (const where of ['/stats', '/subscriptions']) {
    assert.equal((await hub.get(where)).status, 401, where);
    assert.equal((await hub.get(where, bearer(reader))).status, 403, where);
    assert.equal((await hub.get(where, bearer(admin))).status, 200, where);
  }
});

test('more connections than connections_max of a key are 429, and one that left makes room', async (t) => {
  const two = makeKey('two', { connections_max: 2 });
  const hub = await start(t, '', [two, reader]);
  const first = await hub.connect(bearer(two));
  await hub.connect(bearer(two));
  const refused = await refusal(t, hub, bearer(two));
  assert.equal(refused.status, 429);
  assert.equal(refused.body.error.code, 'limit_exceeded');
  await hub.connect(bearer(reader));
  first.socket.close();
  await first.closed;
  // The hub counts the connection out a moment after the client saw it closed: asked until it did.
  const until = Date.now() + 10_000;
  for (;;) {
    try {
      await hub.connect(bearer(two));
      break;
    } catch (error) {
      if (error.status !== 429 || Date.now() > until) throw error;
    }
  }
});

test('with auth_by = "frame" a key at its connections_max is told so and closed with 4429, not asked for a new key', async (t) => {
  const one = makeKey('one', { connections_max: 1 });
  const hub = await start(t, '[[endpoint]]\npath = "/later"\nauth = ["keys"]\nauth_by = "frame"\n', [one]);
  await hub.connect(bearer(one));
  const second = await hub.connect({ path: '/later' });
  const answer = await second.ask({ type: 'auth', token: one.key });
  assert.equal(answer.data.code, 'limit_exceeded');
  const closed = await deadline(second.closed, 'the close');
  assert.equal(closed.code, 4429);
  assert.match(closed.reason, /connections_max/);
});

test('a key that is taken out of the file is revoked on live connections, and others stay', async (t) => {
  const hub = await start(t);
  const gone = await hub.connect(bearer(reader));
  const stays = await hub.connect(bearer(writer));
  fs.writeFileSync(path.join(hub.folder, 'keys.json'), keyFile(writer));
  const { code } = await deadline(gone.closed, 'the close');
  assert.equal(code, 4401);
  await stays.ping();
  assert.equal((await refusal(t, hub, bearer(reader))).status, 401);
});

test('a key that expires is closed with 4401 and refused from then on', async (t) => {
  const short = makeKey('short', { scopes: ['notes:read'], expires_at: new Date(Date.now() + 4000).toISOString() });
  const hub = await start(t, '', [short]);
  const client = await hub.connect(bearer(short));
  assert.equal((await deadline(client.closed, 'the close')).code, 4401);
  assert.equal((await refusal(t, hub, bearer(short))).status, 401);
});

test('a file of keys that does not parse leaves the old keys in force, and health says so', async (t) => {
  const hub = await start(t);
  fs.writeFileSync(path.join(hub.folder, 'keys.json'), '{ broken');
  const until = Date.now() + 15_000;
  let health;
  do health = (await hub.get('/health')).json;
  while (health.status === 'ok' && Date.now() < until);
  assert.equal(health.status, 'degraded');
  assert.ok(JSON.stringify(health.plugins).includes('keys.json'), JSON.stringify(health));
  await hub.connect(bearer(reader));
});

test('a token in a frame: nothing before it, everything after it', async (t) => {
  const hub = await start(t, 'auth_by = "frame"');
  const client = await hub.connect({ raw: true });
  const early = await client.ask({ type: 'subscribe', channel: 'notes/1' });
  assert.equal(early.type, 'error');
  assert.equal(early.data.code, 'unauthorized');
  assert.equal((await client.ask({ type: 'publish', channel: 'notes/1', event: 'e', data: 1 })).data.code, 'unauthorized');
  const ack = await client.ask({ type: 'auth', token: reader.key });
  assert.equal(ack.type, 'ack', JSON.stringify(ack));
  assert.equal((await client.ask({ type: 'subscribe', channel: 'notes/1' })).type, 'ack');
  assert.equal((await client.ask({ type: 'publish', channel: 'notes/1', event: 'e', data: 1 })).data.code, 'forbidden');
});

test('a wrong token in a frame is unauthorized and closed with 4401', async (t) => {
  const hub = await start(t, 'auth_by = "frame"');
  const client = await hub.connect({ raw: true });
  client.send({ type: 'auth', id: 'a', token: 'wk_reader_00' });
  assert.equal((await deadline(client.closed, 'the close')).code, 4401);
  const error = client.frames.find((f) => f.type === 'error');
  if (error) assert.equal(error.data.code, 'unauthorized');
});

test('a client that never says who it is is closed with 4401 when its time is up', async (t) => {
  const dir = folder(t);
  const hub = await startHub(t, `[limits]\nauth_ms = "300ms"\n${manifest('auth_by = "frame"')}`, { folder: dir, files: { 'keys.json': keyFile(reader) } });
  const client = await hub.connect({ raw: true });
  assert.equal((await deadline(client.closed, 'the close')).code, 4401);
});

test('a good key at the handshake needs no frame where a frame is allowed', async (t) => {
  const hub = await start(t, 'auth_by = "frame"');
  const client = await hub.connect(bearer(reader));
  assert.equal((await client.ask({ type: 'subscribe', channel: 'notes/1' })).type, 'ack');
});

test('keys never stand in the log', async (t) => {
  const dir = folder(t);
  const hub = await startHub(t, manifest(), { folder: dir, files: { 'keys.json': keyFile(reader) }, args: ['--log-level', 'trace'] });
  await hub.connect({ path: `/ws?api_key=${reader.key}` });
  await refusal(t, hub, { path: '/ws?api_key=wk_reader_wrongsecret' });
  await hub.stop();
  assert.ok(!hub.log.includes(reader.key));
  assert.ok(!hub.log.includes('wrongsecret'));
});

test('a browser from elsewhere is refused by its Origin, one from here and one without are taken', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\n');
  const refused = await refusal(t, hub, { headers: { origin: 'https://elsewhere.example' } });
  assert.equal(refused.status, 403);
  await hub.connect({ headers: { origin: hub.url } });
  await hub.connect();
  const named = await startHub(t, '[[endpoint]]\npath = "/ws"\norigins = ["https://app.example"]\n[[channel]]\npattern = "**"\n');
  await named.connect({ headers: { origin: 'https://app.example' } });
  assert.equal((await refusal(t, named, { headers: { origin: 'https://app.example.evil' } })).status, 403);
});
