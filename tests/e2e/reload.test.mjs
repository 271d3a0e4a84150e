// A manifest and scripts that change while the hub runs: weir reload, SIGHUP, watch; and what rules hold when it ends.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { deadline, folder, startHub, weir, write } from './support.mjs';

const version = (n) => `return { version = 1, transform = function(ev) ev.data.v = ${n} return ev end,\n  reduce = function(s, ev) s.n = (s.n or 0) + 1 return s end }\n`;
const endpoint = '[[endpoint]]\npath = "/ws"\n';
const channel = '[[channel]]\npattern = "c/{name}"\nrules = ["rules/a.lua"]\n';

// Publishes until an event comes out as wanted: the only way to see a reload that nobody answers.
async function until(hub, client, wanted) {
  for (let n = 0; n < 3000; n++) {
    await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: { n } });
    const [event] = await client.events(1);
    if (wanted(event)) return event;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`it did not change; the hub said:\n${hub.log}`);
}

async function untilHealth(hub, status) {
  for (let n = 0; n < 3000; n++) {
    if ((await hub.get('/health')).json.status === status) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`/health does not become ${status}; the hub said:\n${hub.log}`);
}

test('weir reload takes a changed script under a live connection, and refuses one that does not load', async (t) => {
  const hub = await startHub(t, endpoint + channel, { files: { 'rules/a.lua': version(1) } });
  const manifest = path.join(hub.folder, 'hub.toml');
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: {} });
  assert.equal((await client.events(1))[0].data.v, 1);

  write(hub.folder, { 'rules/a.lua': version(2) });
  const done = await weir(['reload', manifest, '--at', hub.address]);
  assert.deepEqual([done.code, done.stdout, done.stderr], [0, 'rule rules/a.lua has changed\nreloaded\n', '']);
  await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: {} });
  const [event] = await client.events(1);
  assert.deepEqual([event.data.v, event.sequenceId], [2, 2]);
  const later = await hub.connect();
  await later.ask({ type: 'subscribe', channel: 'c/x' });
  assert.deepEqual((await later.take((f) => f.type === 'snapshot')).data, { n: 2 });  // the state went over

  write(hub.folder, { 'rules/a.lua': 'return { filter = function( end }\n' });
  const refused = await weir(['reload', '--at', hub.address]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^\S*hub\.toml:\d+:\d+: rule rules\/a\.lua:1: .*\nnothing was changed; the hub goes on as it was\n$/);
  const health = (await hub.get('/health')).json;
  assert.equal(health.status, 'degraded');
  assert.match(health.reasons[0], /^the last reload was refused: /);
  await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: {} });
  assert.equal((await client.events(1))[0].data.v, 2);

  write(hub.folder, { 'rules/a.lua': version(2) });
  const same = await weir(['reload', '--at', hub.address, '--json']);
  assert.equal(same.code, 0);
  assert.deepEqual(JSON.parse(same.stdout), { reloaded: true, problems: [], warnings: [], changed: [], restart: [] });
  assert.equal((await hub.get('/health')).json.status, 'ok');

  const nobody = await weir(['reload', '--at', '127.0.0.1:1']);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /^weir reload: no hub at 127\.0\.0\.1:1: /);
});

test('SIGHUP does the same', async (t) => {
  const hub = await startHub(t, endpoint + channel, { files: { 'rules/a.lua': version(1) } });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  write(hub.folder, { 'rules/a.lua': version(2) });
  hub.child.kill('SIGHUP');
  const event = await until(hub, client, (e) => e.data.v === 2);
  assert.equal(event.sequenceId, event.data.n + 1);  // none was lost on the way
});

test('with watch a change is taken by itself, also of a script that another one requires', async (t) => {
  const script = 'local v = require("lib/v")\nreturn { transform = function(ev) ev.data.v = v return ev end }\n';
  const hub = await startHub(t, `watch = true\n${endpoint}${channel}`, { files: { 'rules/a.lua': script, 'lib/v.lua': 'return 1\n' } });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  await until(hub, client, (e) => e.data.v === 1);
  write(hub.folder, { 'lib/v.lua': 'return 22\n' });
  await until(hub, client, (e) => e.data.v === 22);
  // A mistake in a script that is not in use yet, mended: both are noticed.
  const other = '[[channel]]\npattern = "d/{name}"\nrules = ["rules/new.lua"]\n';
  write(hub.folder, { 'rules/new.lua': 'return {\n', 'hub.toml': `listen = "127.0.0.1:0"\nwatch = true\n${endpoint}${channel}${other}` });
  await untilHealth(hub, 'degraded');
  write(hub.folder, { 'rules/new.lua': 'return { filter = function(ev) return false, "new" end }\n' });
  await untilHealth(hub, 'ok');
  assert.equal((await hub.publish('d/x', { event: 'e', data: 1 })).json.reason, 'new');
});

test('only an administrator may reload', async (t) => {
  const dir = folder(t);
  const hub = await startHub(t, `[[plugin]]
name = "who"
library = "dev"
config = { subject = "ann", scopes = ["a"] }
[[endpoint]]
path = "/ws"
auth = ["who"]
${channel}`, { folder: dir, files: { 'rules/a.lua': version(1) } });
  const refused = await weir(['reload', '--at', hub.address]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /the hub answered 403: this takes the scope "weir:admin"/);
  assert.match(refused.stderr, /--key/);
});

test('what a rule holds goes out when the hub ends', async (t) => {
  const hub = await startHub(t, `${endpoint}[[channel]]\npattern = "c/{name}"\nrules = [{ script = "filters/batch.lua", every = "1h" }]\n`);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  for (const n of [1, 2, 3]) await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: n });
  const ended = hub.stop();
  const [event] = await client.events(1);
  assert.equal(event.event, 'batch');
  assert.deepEqual(event.data.events.map((e) => e.data), [1, 2, 3]);
  assert.equal((await deadline(ended, 'the hub ends')).code, 0);
});
