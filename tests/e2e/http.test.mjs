// The HTTP side: publishing, health, statistics, with fetch and with curl.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { deadline, smallest, startHub } from './support.mjs';

const run = promisify(execFile);

test('an event published over HTTP has its place in the answer and reaches subscribers', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  const { data: { epoch } } = await client.ask({ type: 'subscribe', channel: 'a/b' });
  const answer = await hub.publish('a/b', { event: 'x', data: { n: 1 }, id: 'mine', key: 'k' });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  assert.deepEqual(answer.json, { channel: 'a/b', epoch, sequenceId: 1 });
  const [event] = await client.events(1);
  assert.equal(event.id, 'mine');
  assert.equal(event.event, 'x');
  assert.deepEqual(event.data, { n: 1 });
});

test('publishing with the same dedupe twice has the effect of once', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'c' });
  const first = await hub.publish('c', { event: 'x', data: 1, dedupe: 'd1' });
  const second = await hub.publish('c', { event: 'x', data: 1, dedupe: 'd1' });
  assert.equal(second.status, 200);
  assert.equal(second.json.sequenceId, first.json.sequenceId);
  await hub.publish('c', { event: 'x', data: 2, dedupe: 'd2' });
  assert.deepEqual((await client.events(2)).map((e) => e.data), [1, 2]);
  await client.ping();
  assert.deepEqual(client.pending('event'), []);
});

test('the channel in the path is percent-decoded', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'räume/1:2/ä' });
  const answer = await hub.get('/api/v1/channels/r%C3%A4ume/1%3a2/%C3%A4/events', { method: 'POST', body: '{"event":"x","data":1}' });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.channel, 'räume/1:2/ä');
  await client.events(1);
});

test('curl publishes as the README says', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'demo/hello' });
  const { stdout } = await run('curl', ['-sS', '-X', 'POST', `${hub.url}/api/v1/channels/demo/hello/events`, '-H', 'content-type: application/json',
    '-d', '{"event":"greeting","data":{"text":"good day"}}']);
  assert.equal(JSON.parse(stdout).channel, 'demo/hello');
  assert.deepEqual((await client.events(1))[0].data, { text: 'good day' });
});

test('what is wrong with a publication is said with status, code and sentence', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "known/{x}"\n[[channel]]\npattern = "closed"\npublish = false\n');
  const cases = [
    ['known/x', '{"event":', 400, /^bad_(request|frame)$/],
    ['known/x', '', 400, /^bad_(request|frame)$/],
    ['known/x', '[]', 400, /^bad_(request|frame)$/],
    ['known/x', '{"data":1}', 400, /^bad_request$/],
    ['known/x', '{"event":"","data":1}', 400, /^bad_request$/],
    ['known/x', '{"event":5,"data":1}', 400, /^bad_request$/],
    ['known/x', '{"event":"e","data":1,"id":5}', 400, /^bad_request$/],
    ['unknown', '{"event":"e","data":1}', 404, /^no_such_channel$/],
    ['closed', '{"event":"e","data":1}', 403, /^forbidden$/],
  ];
  for (const [channel, body, status, code] of cases) {
    const answer = await hub.publish(channel, body);
    assert.equal(answer.status, status, `${channel} ${body}: ${answer.text}`);
    assert.match(answer.json.error.code, code, answer.text);
    assert.ok(answer.json.error.message.length > 10, answer.text);
  }
  for (const where of ['/api/v1/channels/known/%20/events', '/api/v1/channels/known/%zz/events', '/api/v1/channels//events', '/api/v1/channels/a*/events']) {
    const answer = await hub.get(where, { method: 'POST', body: '{"event":"e","data":1}' });
    assert.ok([400, 404].includes(answer.status), `${where}: ${answer.status}`);
  }
  assert.equal((await hub.publish('known/x', { event: 'e', data: 1 })).status, 200);
});

test('a body that is too large is 413, from fetch and from curl', async (t) => {
  const hub = await startHub(t, `[limits]\ndata_bytes = "1KiB"\nframe_bytes = "64KiB"\n${smallest}`);
  const answer = await hub.publish('c', { event: 'e', data: 'x'.repeat(8000) });
  assert.equal(answer.status, 413);
  assert.equal(answer.json.error.code, 'too_large');
  const file = path.join(hub.folder, 'body.json');
  fs.writeFileSync(file, JSON.stringify({ event: 'e', data: 'x'.repeat(3_000_000) }));
  const { stdout } = await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--data-binary', `@${file}`, `${hub.url}/api/v1/channels/c/events`]).catch((e) => e);
  assert.equal(stdout, '413');
  assert.equal((await hub.publish('c', { event: 'e', data: 'fits' })).status, 200);
});

test('a rule that drops says so to the publisher', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "c"\nrules = ["rules/drop.lua"]\n', {
    files: { 'rules/drop.lua': 'return { filter = function(ev) return ev.data.keep == true, "not kept" end }\n' },
  });
  const dropped = await hub.publish('c', { event: 'e', data: { keep: false } });
  assert.equal(dropped.status, 200);
  assert.deepEqual(dropped.json, { channel: 'c', dropped: true, reason: 'not kept' });
  assert.equal((await hub.publish('c', { event: 'e', data: { keep: true } })).json.sequenceId, 1);
});

test('health, ready, stats and subscriptions say what is there', async (t) => {
  const hub = await startHub(t, `[[plugin]]\nname = "clock"\nlibrary = "ticker"\nconfig = { interval = "100ms", subject = "s", event = "tick", data = {} }\n${smallest}from = [{ plugin = "clock", subject = "s" }]\n`
    .replace('pattern = "**"', 'pattern = "s"'));
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 's', filter: { event: 'tick' } });
  await client.events(1);
  const health = await hub.get('/health');
  assert.equal(health.status, 200);
  assert.equal(health.json.status, 'ok', health.text);
  assert.deepEqual(health.json.reasons, []);
  assert.match(health.json.version, /^\d+\.\d+\.\d+$/);
  assert.equal(typeof health.json.uptimeMs, 'number');
  assert.equal(health.json.connections, 1);
  assert.equal(health.json.subscriptions, 1);
  assert.equal(health.json.channels, 1);
  assert.equal(health.json.plugins.length, 1);
  const [plugin] = health.json.plugins;
  assert.equal(plugin.name, 'clock');
  assert.equal(plugin.library, 'ticker');
  assert.equal(plugin.state, 'running');
  assert.ok('since' in plugin);
  assert.ok(Array.isArray(health.json.rules));
  assert.equal((await hub.get('/ready')).status, 200);
  const stats = await hub.get('/stats');
  assert.equal(stats.status, 200);
  assert.equal(typeof stats.json, 'object');
  const subscriptions = await hub.get('/subscriptions');
  assert.equal(subscriptions.status, 200);
  assert.ok(subscriptions.text.includes('"tick"'), subscriptions.text);
});

test('unknown paths are 404, an endpoint without an upgrade 426, and the page is at /', async (t) => {
  const hub = await startHub(t, smallest.replace('/ws', '/live/ws'));
  const nowhere = await hub.get('/nowhere');
  assert.equal(nowhere.status, 404);
  assert.equal(nowhere.json.error.code, 'not_found');
  assert.equal((await hub.get('/live/ws')).status, 426);
  const page = await hub.get('/');
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.ok(page.text.includes('content="/live/ws"'), 'the page knows the endpoint');
  assert.ok(!page.text.includes('{{endpoint}}'));
  const policy = page.headers.get('content-security-policy');
  assert.match(policy, /default-src '(none|self)'/);
  assert.match(policy, /connect-src 'self'/);
});

test('several requests on one connection are answered in order, and HEAD has no body', async (t) => {
  const hub = await startHub(t, smallest);
  const [host, port] = hub.address.split(':');
  const socket = net.connect(Number(port), host);
  t.after(() => socket.destroy());
  let text = '';
  const three = new Promise((resolve) => socket.setEncoding('utf8').on('data', (d) => {
    text += d;
    if ((text.match(/HTTP\/1\.1 /g) || []).length === 3) resolve();
  }));
  const request = (method, where) => `${method} ${where} HTTP/1.1\r\nHost: ${hub.address}\r\n\r\n`;
  socket.write(request('GET', '/ready') + request('HEAD', '/health') + request('GET', '/nowhere'));
  await deadline(three, () => `three answers; came:\n${text}`);
  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404']);
  assert.ok(!text.includes('uptimeMs'), 'HEAD has no body');
});

test('bytes that are no HTTP end that connection and nothing else', async (t) => {
  const hub = await startHub(t, smallest);
  const [host, port] = hub.address.split(':');
  const socket = net.connect(Number(port), host);
  socket.on('error', () => {});
  const ended = new Promise((resolve) => socket.on('close', resolve));
  socket.resume();
  socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0d, 0x0a, 0x0d, 0x0a, 0x0d, 0x0a]));
  await deadline(ended, 'the hub hangs up');
  assert.equal((await hub.get('/health')).status, 200);
});
