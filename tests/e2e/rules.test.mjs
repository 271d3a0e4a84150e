// Lua on the way of an event, through the whole hub.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, root, startHub, weir, write } from './support.mjs';

const channel = (rules) => `[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "c/{name}"\nrules = ${rules}\n[[channel]]\npattern = "**"\n`;

test('a filter drops and a transform changes, several scripts in a row, each with its params', async (t) => {
  const hub = await startHub(t, channel('[{ script = "rules/keep.lua", params = { least = 3 } }, "rules/change.lua"]'), {
    files: {
      'rules/keep.lua': 'return { params = { least = { type = "number", default = 0 } },\n  filter = function(ev, ctx) return ev.data.n >= ctx.params.least, "too small" end }\n',
      'rules/change.lua': `return { transform = function(ev, ctx)
  ev.data.secret = nil
  ev.data.name = ctx.name or (ctx.vars and ctx.vars.name)
  ev.event = "changed"
  ev.data.sum = #ev.data.list
  return ev
end }
`,
    },
  });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  const small = await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: { n: 2, list: [] } });
  assert.deepEqual(small.data, { channel: 'c/x', dropped: true, reason: 'too small' });
  const big = await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: { n: 3, secret: 's', list: [1, 2], other: { a: 1 } } });
  assert.equal(big.data.sequenceId, 1);
  const [event] = await client.events(1);
  assert.equal(event.event, 'changed');
  assert.equal(event.data.secret, undefined);
  assert.equal(event.data.sum, 2);
  assert.deepEqual(event.data.other, { a: 1 });
});

test('weir rules run and bench try a script without a hub', async (t) => {
  const dir = folder(t);
  write(dir, { 'events.jsonl': '{"event":"line","data":{"level":"debug"}}\n{"event":"line","data":{"level":"error","n":1.50}}\n', 'bad.lua': 'return {' });
  const script = path.join(root, 'scripts/filters/severity.lua'), input = path.join(dir, 'events.jsonl');
  const ran = await weir(['rules', 'run', script, '--params', '{"at_least":"info"}', '--input', input]);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(ran.stdout, '{"event":"line","data":{"level":"error","n":1.50}}\n');
  assert.ok(ran.stderr.startsWith(`${input}:1: dropped: below the level\n2 events: 1 kept, 1 dropped, 0 failed\n`), ran.stderr);
  assert.match(ran.stderr, /an event took \S+ us \(median\), \S+ us at most; \d+ operations, \d+ bytes allocated \(mean\)\n$/);
  const bench = await weir(['rules', 'bench', script, '--input', input, '--seconds', '0.05']);
  assert.equal(bench.code, 0, bench.stderr);
  assert.deepEqual(bench.stdout.trim().split('\n').map((l) => l.split(/\s+/)[0]), ['jit', 'false', 'true']);
  const failed = await weir(['rules', 'run', path.join(dir, 'bad.lua'), '--input', input]);
  assert.equal(failed.code, 2);
  assert.match(failed.stderr, /bad\.lua:1:/);
  const aFolder = await weir(['rules', 'run', script, '--input', dir]);
  assert.deepEqual([aFolder.code, aFolder.stderr], [2, `--input ${dir}: is a folder\n`]);
  const full = fs.openSync('/dev/full', 'w');  // a disk without room
  const lost = await weir(['rules', 'run', script, '--input', input], { stdio: ['ignore', full, 'pipe'] });
  fs.closeSync(full);
  assert.equal(lost.code, 1);
  assert.match(lost.stderr, /can't be written to standard output\n$/);
  const missing = await weir(['rules', 'run', script, '--input', path.join(dir, 'none')]);
  assert.deepEqual([missing.code, missing.stderr], [2, `--input ${path.join(dir, 'none')}: No such file or directory\n`]);
});

test('an event that no rule changed goes on byte for byte', async (t) => {
  const hub = await startHub(t, channel('["rules/look.lua"]'), {
    files: { 'rules/look.lua': 'return { filter = function(ev) return ev.data.a.b == 1 end, transform = function(ev) return ev end }\n' },
  });
  const client = await hub.connect({ raw: true });
  let text;
  client.socket.on('message', (d) => { if (d.toString().includes('"event":"e"')) text = d.toString(); });
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  const odd = '{"a": {"b": 1},  "z":1.50, "y":1e2, "u":"\\u00e9", "big":12345678901234567890}';
  client.send(`{"type":"publish","id":"p","channel":"c/x","event":"e","data":${odd}}`);
  await client.events(1);
  assert.ok(text.includes(odd), text);
});

test('a rule that runs for ever costs its budget and no more', async (t) => {
  const hub = await startHub(t, channel('["rules/endless.lua"]'), {
    files: { 'rules/endless.lua': 'return { filter = function(ev) if ev.data.endless then while true do end end return true end }\n' },
  });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  const stuck = await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: { endless: true } });
  assert.equal(stuck.type === 'error' || stuck.data.dropped === true, true, JSON.stringify(stuck));
  assert.equal((await client.ask({ type: 'publish', channel: 'c/x', event: 'e', data: { n: 1 } })).data.sequenceId, 1);
  assert.deepEqual((await client.events(1))[0].data, { n: 1 });
});

test('a rule that fails over and over is quarantined, and health says which', async (t) => {
  const hub = await startHub(t, `[limits]\nrule_errors_in_a_row = 5\n${channel('["rules/bad.lua"]')}`, {
    files: { 'rules/bad.lua': 'return { filter = function(ev) return ev.data.a.b.c.d end }\n' },
  });
  for (let n = 0; n < 10; n++) await hub.publish('c/x', { event: 'e', data: {} });
  const health = await hub.get('/health');
  assert.equal(health.status, 200);
  assert.equal(health.json.status, 'degraded', health.text);
  assert.ok(health.json.reasons.some((r) => JSON.stringify(r).includes('bad.lua')), health.text);
  assert.ok(health.json.rules.some((r) => r.script.includes('bad.lua') && r.reason), health.text);
  assert.equal((await hub.publish('free', { event: 'e', data: 1 })).json.sequenceId, 1);
});

// After one error all events of the channel were dropped, and /health went on to say "ok".
test('a channel that on_error stopped is in /health, with script, channel and error; a mended script and a reload bring it back', async (t) => {
  const manifest = channel('[{ script = "rules/strict.lua", on_error = "stop-channel" }]');
  const hub = await startHub(t, manifest, {
    files: { 'rules/strict.lua': 'return { filter = function(ev) return ev.data.a.b == 1 end }\n' },
  });
  const good = { event: 'e', data: { a: { b: 1 } } };
  assert.equal((await hub.publish('c/x', good)).json.sequenceId, 1);
  assert.equal((await hub.get('/health')).json.status, 'ok');
  await hub.publish('c/x', { event: 'e', data: {} });
  const dropped = await hub.publish('c/x', good);
  assert.match(dropped.text, /channel stopped by a rule error: rules\/strict\.lua:1: /);
  assert.equal((await hub.publish('c/y', good)).json.sequenceId, 1);
  const health = await hub.get('/health');
  assert.equal(health.status, 200);
  assert.equal(health.json.status, 'degraded', health.text);
  assert.equal(health.json.reasons.length, 1, health.text);
  assert.match(health.json.reasons[0], /^channel c\/x is stopped by rule rules\/strict\.lua: rules\/strict\.lua:1: attempt to index .*; mend it, then weir reload$/);
  assert.equal(health.json.rules[0].state, 'stopped', health.text);
  assert.match(health.json.rules[0].reason, /^channel c\/x is stopped: rules\/strict\.lua:1: /);

  fs.writeFileSync(path.join(hub.folder, 'rules/strict.lua'), 'return { filter = function(ev) return ev.data.a ~= nil end }\n');
  const done = await weir(['reload', '--at', hub.address]);
  assert.equal(done.code, 0, done.stderr);
  assert.equal((await hub.publish('c/x', { event: 'e', data: {} })).json.dropped, true);
  assert.equal((await hub.publish('c/x', good)).json.sequenceId, 2);
  assert.equal((await hub.get('/health')).json.status, 'ok');
});

// `ops = 3` added an empty `rule filters/severity.lua: params: ` and hid the mistake in the params; of several only the
// first was named; malformed patterns and names that are no text passed.
test('weir check names every mistake in the params of rules, with its place, and nothing else', async (t) => {
  const dir = folder(t);
  const rules = `[
  { script = "filters/severity.lua", ops = 3, params = { a = 1, b = 2 } },
  { script = "filters/redact.lua", params = { patterns = ["ok", "%"] } },
  { script = "filters/rename.lua", params = { events = { a = 1 } } },
  { script = "rules/thrown.lua" },
]`;
  write(dir, { 'hub.toml': channel(rules), 'rules/thrown.lua': 'error({})\n' });
  const { code, stdout, stderr } = await weir(['check', path.join(dir, 'hub.toml')]);
  assert.equal(code, 2);
  const told = (stdout + stderr).split('\n').filter((l) => l.includes('rule ')).map((l) => l.replace(/^.*hub\.toml:(\d+)[:0-9]*\s*/, '$1 '));
  assert.deepEqual(told, [
    '6 rule filters/severity.lua: unknown params.a; this rule has: at_least, field',
    '6 rule filters/severity.lua: unknown params.b; this rule has: at_least, field',
    '7 rule filters/redact.lua: params.patterns[2] is "%": malformed pattern (ends with \'%\')',
    '8 rule filters/rename.lua: params.events.a is 1; expected a string',
    '9 rule rules/thrown.lua: the error value is a table; use error("text")',
  ], stdout + stderr);
  assert.match(stdout + stderr, /ops/);
});

test('hub.publish sends to another channel', async (t) => {
  const hub = await startHub(t, channel('["rules/copy.lua"]'), {
    files: { 'rules/copy.lua': 'return { transform = function(ev) hub.publish("copies", "copy", { of = ev.data.n }) return ev end }\n' },
  });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'copies' });
  await hub.publish('c/x', { event: 'e', data: { n: 7 } });
  const [event] = await client.events(1);
  assert.equal(event.event, 'copy');
  assert.deepEqual(event.data, { of: 7 });
});

test('the shipped filters severity and redact do what they are for', async (t) => {
  const hub = await startHub(t, channel('[{ script = "filters/severity.lua", params = { at_least = "warn" } }, { script = "filters/redact.lua", params = { fields = ["data.password"] } }]'));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c/x' });
  for (const level of ['debug', 'info', 'warn', 'error']) await hub.publish('c/x', { event: 'e', data: { level, password: 'hunter2' } });
  const events = await client.events(2);
  assert.deepEqual(events.map((e) => e.data.level), ['warn', 'error']);
  for (const e of events) assert.ok(!JSON.stringify(e).includes('hunter2'));
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
});
