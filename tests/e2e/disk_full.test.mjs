// The disk under the hub's own log file is full: the hub goes on, says so once, and says when it is over.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, root, startHub } from './support.mjs';

const aboutTheFile = (hub) => hub.log.split('\n').filter((line) => line.includes('the log file'));

test('the quickstart on a full disk starts, serves and ends as ever, and says once what is wrong', async (t) => {
  const dir = folder(t);
  fs.cpSync(path.join(root, 'examples/quickstart'), dir, { recursive: true, filter: (name) => path.basename(name) !== 'log' });
  fs.mkdirSync(path.join(dir, 'log'));
  fs.symlinkSync('/dev/full', path.join(dir, 'log/weir.log'));  // writing there fails as on a disk without room
  const hub = await startHub(t, null, { folder: dir, manifestFile: path.join(dir, 'hub.toml'), args: ['--listen', '127.0.0.1:0'] });

  for (let n = 0; n < 3; n++) {  // asking does not make it say more
    const health = await hub.get('/health');
    assert.equal(health.status, 200);
    assert.equal(health.json.status, 'degraded', health.text);
    assert.ok(health.json.reasons.some((r) => /the log file ".*log\/weir\.log" can't be written: No space left on device/.test(r)), health.text);
  }
  assert.equal((await hub.get('/ready')).status, 200);

  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'demo/**' });
  await client.take((f) => f.channel === 'demo/ticks', 'a tick');
  assert.equal((await hub.publish('demo/hello', { event: 'greeting', data: 'good day' })).status, 200);
  assert.equal((await client.take((f) => f.channel === 'demo/hello', 'the event')).data, 'good day');

  assert.deepEqual(await hub.stop(), { code: 0, signal: null });
  const said = aboutTheFile(hub);
  assert.equal(said.length, 1, hub.log);
  assert.match(said[0], / error log the log file can't be written; the hub goes on without it .*reason="No space left on device"/);
  assert.match(hub.log, /hub ready .*[^]*hub drained /, 'standard error has everything');
});

test('a log file that reaches its limit: nothing else is lost, and it goes on with whole lines once there is room', async (t) => {
  // A line of the log for every event, so that each publication answered is a line tried.
  const rule = 'local rule = {}\nfunction rule.filter(ev)\n  hub.log("line " .. ev.data.n .. " " .. string.rep("x", 200))\n  return true\nend\nreturn rule\n';
  const hub = await startHub(t, `[log]\nfile = "weir.log"\n[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\nrules = ["chatty.lua"]\n`, {
    files: { 'chatty.lua': rule },
    under: ['prlimit', '--fsize=4096:'],
  });
  const file = path.join(hub.folder, 'weir.log');
  const lines = () => fs.readFileSync(file, 'utf8').split('\n');
  assert.equal((await hub.get('/health')).json.status, 'ok');
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c' });
  for (let n = 1; n <= 40; n++) assert.equal((await hub.publish('c', { event: 'e', data: { n } })).status, 200);
  assert.deepEqual((await client.events(40)).map((e) => e.data.n), Array.from({ length: 40 }, (_, i) => i + 1));

  const full = await hub.get('/health');
  assert.equal(full.status, 200);
  assert.equal(full.json.status, 'degraded', full.text);
  assert.match(full.json.reasons.join(), /the log file ".*weir\.log" can't be written: File too large/);
  assert.equal(fs.statSync(file).size, 4096);
  const before = lines();
  if (before.at(-1) === '') before.pop();  // the limit fell between two lines

  execFileSync('prlimit', ['--pid', String(hub.pid), '--fsize=unlimited:']);
  assert.equal((await hub.get('/health')).json.status, 'ok', 'it looks for itself, without waiting for the next line');
  await hub.publish('c', { event: 'e', data: { n: 41 } });
  const after = lines();
  assert.equal(after.pop(), '', 'the file ends with a whole line');
  assert.deepEqual(after.slice(0, before.length), before, 'what was cut stays as it is, and nothing is written behind it');
  const [again, last, ...more] = after.slice(before.length);
  assert.match(again, / warn log the log file can be written again; lines are missing in it .*missing=\d+$/);
  assert.match(last, / info rules line 41 x{200} script=chatty\.lua$/);
  assert.deepEqual(more, []);
  const kept = before.filter((line) => / info rules line \d+ x{200} script=chatty\.lua$/.test(line)).length;
  assert.equal(kept + Number(/missing=(\d+)$/.exec(again)[1]), 40, 'the count is true');

  assert.equal((await hub.stop()).code, 0);
  assert.deepEqual(aboutTheFile(hub).map((line) => line.split(' ')[1]), ['error', 'warn'], hub.log);
  assert.equal(hub.log.match(/ info rules line \d+ x/g).length, 41, 'standard error has every line');
});
