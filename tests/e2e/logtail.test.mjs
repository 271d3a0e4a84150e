// Files of the machine, through the hub, to a subscriber: soon, in order, once.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { deadline, folder, startHub } from './support.mjs';

const manifest = (dir, more = '') => `[[plugin]]
name = "logs"
library = "log-tail"
config = { files = ["${dir}/*.log"] }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "logs/{file}"
from = [{ plugin = "logs", subject = "{file}" }]
history = { count = 100000, bytes = "256MiB" }
${more}`;

// The tail knows the file once a line written to it arrives.
async function settled(client, file) {
  fs.appendFileSync(file, 'settled\n');
  await client.take((f) => f.type === 'event' && f.data.line === 'settled', 'the first line');
}

test('a line that is appended arrives within a second', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'app.log');
  fs.writeFileSync(file, '');
  const hub = await startHub(t, manifest(dir));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/app.log' });
  await settled(client, file);
  const took = [];
  for (let n = 0; n < 20; n++) {
    const start = performance.now();
    fs.appendFileSync(file, `line ${n} with "quotes", \\ and ünïcode ☂\n`);
    const event = await client.take((f) => f.type === 'event', 'the line', 1000);
    took.push(performance.now() - start);
    assert.equal(event.event, 'line');
    assert.deepEqual(event.data, { line: `line ${n} with "quotes", \\ and ünïcode ☂`, file: 'app.log' });
  }
  t.diagnostic(`median ${took.sort((a, b) => a - b)[10].toFixed(1)} ms, slowest ${took.at(-1).toFixed(1)} ms`);
});

test('a file that appears later is followed from its first line', async (t) => {
  const dir = folder(t);
  const hub = await startHub(t, manifest(dir));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/*' });
  fs.writeFileSync(path.join(dir, 'late.log'), 'one\ntwo\n');
  const lines = [];
  while (lines.length < 2) {
    const event = await client.take((f) => f.type === 'event', 'a line');
    if (event.event === 'line') lines.push(`${event.channel} ${event.data.line}`);
  }
  assert.deepEqual(lines, ['logs/late.log one', 'logs/late.log two']);
});

test('half a line waits for its end', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'app.log');
  fs.writeFileSync(file, '');
  const hub = await startHub(t, manifest(dir));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/app.log' });
  await settled(client, file);
  fs.appendFileSync(path.join(dir, 'app.log'), 'first half, ');
  // Another file's line that came after it shows that the half has been seen and held.
  await client.ask({ type: 'subscribe', channel: 'logs/other.log' });
  fs.writeFileSync(path.join(dir, 'other.log'), 'other\n');
  await client.take((f) => f.type === 'event' && f.data.line === 'other', 'the other line');
  assert.deepEqual(client.pending('event').filter((e) => e.event === 'line'), []);
  fs.appendFileSync(file, 'second half\n');
  const event = await client.take((f) => f.type === 'event' && f.event === 'line', 'the whole line');
  assert.equal(event.data.line, 'first half, second half');
});

test('a late subscriber gets what was written before it came', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'app.log');
  fs.writeFileSync(file, '');
  const hub = await startHub(t, manifest(dir));
  const first = await hub.connect();
  await first.ask({ type: 'subscribe', channel: 'logs/app.log' });
  await settled(first, file);
  for (let n = 0; n < 10; n++) fs.appendFileSync(file, `n${n}\n`);
  await first.take((f) => f.type === 'event' && f.data.line === 'n9', 'the last line');
  const late = await hub.connect();
  const ack = await late.ask({ type: 'subscribe', channel: 'logs/**', replay: 3 });
  assert.equal(ack.data.replayed, 3);
  assert.deepEqual((await late.events(3)).map((e) => e.data.line), ['n7', 'n8', 'n9']);
});

// Written by another process, as fast as it can, so that the hub is behind when the file is renamed under it.
const writer = `
import os, sys
folder, total = sys.argv[1], 100000
path = os.path.join(folder, "app.log")
out = open(path, "ab", buffering=0)
for start in range(0, total, 500):
    if start in (33000, 66000):
        out.close()
        if os.path.exists(path + ".1"):
            os.rename(path + ".1", path + ".2")
        os.rename(path, path + ".1")
        out = open(path, "ab", buffering=0)
    out.write(b"".join(b"line %06d of a burst that goes on while the file is rotated\\n" % n for n in range(start, start + 500)))
out.close()
`;

async function burst(t, rules) {
  const dir = folder(t);
  const file = path.join(dir, 'app.log');
  fs.writeFileSync(file, '');
  const hub = await startHub(t, manifest(dir, rules));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/app.log' });
  await settled(client, file);
  let next = 0, rotations = 0;
  const odd = [];
  const all = new Promise((resolve) => client.socket.on('message', (text) => {
    const frame = JSON.parse(text.toString());
    if (frame.type !== 'event') return odd.push(frame);
    if (frame.event !== 'line') return rotations++;
    const n = Number(frame.data.line.slice(5, 11));
    if (n !== next && odd.length < 5) odd.push({ expected: next, came: frame.data.line });
    next++;
    client.frames.length = 0;
    if (next >= 100_000) resolve();
  }));
  const process = spawn('/usr/bin/python3', ['-c', writer, dir], { stdio: 'inherit' });
  const start = performance.now();
  assert.deepEqual(await once(process, 'exit'), [0, null]);
  await deadline(all, () => `100,000 lines; ${next} came, ${JSON.stringify(odd)}; the hub's log:\n${hub.log}`, 60_000);
  t.diagnostic(`${next} lines in ${(performance.now() - start).toFixed(0)} ms, ${rotations} rotations told`);
  assert.deepEqual(odd, []);
  await client.ping();
  assert.equal(next, 100_000);
  assert.ok(rotations >= 2, `${rotations} rotations told`);
}

test('100,000 lines in a burst, rotated twice meanwhile, arrive all, in order, once', (t) => burst(t, ''));

test('the same burst through the rules of the quickstart', (t) =>
  burst(t, 'rules = ["filters/parse-log.lua", { script = "filters/redact.lua", params = { patterns = ["token=%S+"] } }]\n'));
