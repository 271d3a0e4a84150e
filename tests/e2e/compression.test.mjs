// permessage-deflate with the npm package ws, a browser, and by hand where no client would do such a thing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { chromium } from 'playwright-core';
import { browserPath, deadline, startHub } from './support.mjs';

const manifest = `[[endpoint]]
path = "/ws"
compression = true
[[endpoint]]
path = "/plain"
[[channel]]
pattern = "**"
history = { count = 20000 }
`;
const deflating = { ws: { perMessageDeflate: { threshold: 0 } } };
const words = (n) => Array.from({ length: n }, (_, i) => `word ${i % 100}`).join(', ');
// What the client compresses by itself does not matter here: it is RFC 7692 section 7.2.1, by zlib.
const deflated = (text) => zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);

// A masked frame; the mask is zero, so that the payload stands there as it is.
function frame(first, payload) {
  const head = payload.length < 126 ? Buffer.from([first, 0x80 | payload.length])
    : payload.length < 65536 ? Buffer.from([first, 0xfe, payload.length >> 8, payload.length & 0xff])
    : Buffer.concat([Buffer.from([first, 0xff, 0, 0, 0, 0]), Buffer.from(new Uint32Array([payload.length]).buffer).swap32()]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}
const memory = (hub, what) => Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(fs.readFileSync(`/proc/${hub.pid}/status`, 'utf8'))[1]) * 1024;

test('a client that offers it gets the same events in fewer bytes, beside one that does not', async (t) => {
  const hub = await startHub(t, manifest);
  const [with_, without, plain] = [await hub.connect(deflating), await hub.connect(), await hub.connect({ ...deflating, path: '/plain' })];
  assert.equal(with_.socket.extensions, 'permessage-deflate');
  assert.equal(without.socket.extensions, '');
  assert.equal(plain.socket.extensions, '');
  const all = [with_, without, plain];
  for (const c of all) await c.ask({ type: 'subscribe', channel: 'c' });
  const before = all.map((c) => c.socket._socket.bytesRead);
  for (let n = 1; n <= 200; n++) await hub.publish('c', { event: 'e', data: { n, text: words(n) } });
  const [a, b, c] = await Promise.all(all.map((one) => one.events(200)));
  assert.deepEqual(a, b);
  assert.deepEqual(a, c);
  assert.deepEqual(a.map((e) => e.sequenceId), a.map((_, i) => i + 1));
  const read = all.map((one, i) => one.socket._socket.bytesRead - before[i]);
  assert.equal(read[1], read[2]);
  assert.ok(read[0] < read[1] / 2, `${read}`);
});

test('what a client compresses arrives as it was: every length, text of all kinds, both directions at once', async (t) => {
  const hub = await startHub(t, manifest);
  const client = await hub.connect(deflating);
  await client.ask({ type: 'subscribe', channel: 'c' });
  const sent = [];
  for (let n = 0; n < 400; n++) sent.push('a'.repeat(n), 'ä€😀 '.repeat(n));
  for (let n = 2900; n < 3200; n++) sent.push('a'.repeat(n));  // a buffer of Beast's ends there
  for (const n of [4095, 4096, 65_535, 65_536, 200_000, 800_000]) sent.push(words(n).slice(0, n));
  const got = (async () => {
    for (const data of sent) assert.equal((await client.events(1))[0].data, data);
  })();
  for (const data of sent) {
    client.send({ type: 'publish', channel: 'c', event: 'e', data });
    if (client.socket.bufferedAmount > 1_000_000) await client.ping();
  }
  await got;
});

test('a replay, and a reader that had stopped reading, get everything in order', async (t) => {
  const hub = await startHub(t, `${manifest}[limits]\noutbox_bytes = "64KiB"\nsocket_send_bytes = "16KiB"\n`);
  const writer = await hub.connect();
  const slow = await hub.connect(deflating);
  await slow.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  const count = 5000;
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', ...(n === count ? { id: 'end' } : {}), channel: 'c', event: 'e', data: words(100) + n });
  await writer.take((f) => f.id === 'end', 'the last ack', 60_000);
  slow.socket.resume();
  const late = await hub.connect(deflating);
  await late.ask({ type: 'subscribe', channel: 'c', replay: count });
  for (const client of [slow, late]) {
    const events = await client.events(count, 60_000);
    assert.ok(events.every((e, i) => e.sequenceId === i + 1 && e.data === words(100) + (i + 1)));
    assert.deepEqual(client.pending('gap'), []);
  }
});

test('a client with a small window', async (t) => {
  const hub = await startHub(t, manifest);
  for (const [serverMaxWindowBits, clientMaxWindowBits] of [[9, 9], [10, 15], [15, 8], [12, true]]) {
    const client = await hub.connect({ ws: { perMessageDeflate: { threshold: 0, serverMaxWindowBits, clientMaxWindowBits } } });
    assert.equal(client.socket.extensions, 'permessage-deflate');
    await client.ask({ type: 'subscribe', channel: 'w' });
    for (const n of [1, 30, 60, 100, 1000, 10_000]) {
      client.send({ type: 'publish', channel: 'w', event: 'e', data: words(n) + words(n) });
      assert.equal((await client.events(1))[0].data, words(n) + words(n), `${serverMaxWindowBits} ${n}`);
    }
  }
});

test('pings, compressed and plain messages and the close come in their order', async (t) => {
  const hub = await startHub(t, manifest);
  const client = await hub.connect(deflating);
  await client.ask({ type: 'subscribe', channel: 'c' });
  let pongs = 0;
  client.socket.on('pong', (data) => assert.equal(Number(data.toString()), ++pongs));
  for (let n = 1; n <= 500; n++) {
    client.socket.ping(String(n));
    client.send({ type: 'publish', channel: 'c', event: 'e', data: n % 2 ? n : words(n) });
  }
  const events = await client.events(500);
  assert.deepEqual(events.map((e) => e.sequenceId), events.map((_, i) => i + 1));
  assert.ok(events.every((e, i) => e.data === ((i + 1) % 2 ? i + 1 : words(i + 1))));
  await client.ping();
  assert.equal(pongs, 500);
  client.socket.close(1000, 'bye');
  assert.equal((await deadline(client.closed, 'the close')).code, 1000);
  const last = await hub.connect(deflating);
  assert.equal((await hub.stop()).code, 0);
  assert.equal((await deadline(last.closed, 'the close')).code, 1001);
});

test('a message in pieces, compressed as a whole', async (t) => {
  const hub = await startHub(t, manifest);
  const client = await hub.connect(deflating);
  const text = JSON.stringify({ type: 'publish', id: 'p', channel: 'c', event: 'e', data: words(5000) });
  for (let i = 0; i < text.length; i += 7001) client.socket.send(text.slice(i, i + 7001), { compress: true, fin: i + 7001 >= text.length });
  assert.equal((await client.take((f) => f.id === 'p')).type, 'ack');
});

test('bombs close with 1009 and take no memory; others go on', async (t) => {
  const hub = await startHub(t, manifest);
  const other = await hub.connect(deflating);
  await other.ask({ type: 'subscribe', channel: 'c' });
  // 1 GB in 1 MB: a block of 16 MB, again and again, since without context every repetition is the same bytes.
  const block = zlib.deflateRawSync(Buffer.alloc(1 << 24, 'a'), { level: 9, finishFlush: zlib.constants.Z_FULL_FLUSH });
  const bomb = Buffer.concat([...Array(60).fill(block), Buffer.from([0])]);
  assert.ok(bomb.length < 1_048_576 && bomb.length > 900_000, `${bomb.length}`);
  const explode = async (bytes) => {
    const client = await hub.connect({ ...deflating, raw: true });
    client.socket._socket.write(bytes);
    return (await deadline(client.closed, 'the close')).code;
  };
  assert.equal(await explode(frame(0xc1, bomb)), 1009);  // the inflater has its memory now
  const before = memory(hub, 'VmHWM');
  for (let n = 0; n < 20; n++) assert.equal(await explode(frame(0xc1, bomb)), 1009);
  assert.equal(await explode(Buffer.concat([frame(0x41, block), ...Array(50).fill(frame(0x00, block)), frame(0x80, Buffer.from([0]))])), 1009);
  // Lengths that are claimed and never sent.
  for (const length of [0x7fffffffffffffffn, 1n << 46n, 1n << 34n, 1n << 21n]) {
    const head = Buffer.alloc(14);
    head[0] = 0xc1;
    head[1] = 0xff;
    head.writeBigUInt64BE(length, 2);
    assert.equal(await explode(Buffer.concat([head, block])), 1009, `${length}`);
  }
  const grown = memory(hub, 'VmHWM') - before;
  assert.ok(grown < 8_000_000, `${grown}`);
  await hub.publish('c', { event: 'e', data: words(500) });
  assert.equal((await other.events(1))[0].data, words(500));
});

test('what is no deflate stream closes with 1007, a mark where none may be with 1002', async (t) => {
  const hub = await startHub(t, manifest);
  for (const [bytes, code, options = deflating] of [
    [frame(0xc1, Buffer.from('no deflate stream at all')), 1007],
    [frame(0xc1, deflated('{"type":"ping"}').subarray(0, 5)), 1007],
    [frame(0xc1, deflated(Buffer.from([0x22, 0xff, 0x22]))), 1007],
    [frame(0xc9, Buffer.from('x')), 1002],
    [frame(0xc1, deflated('{"type":"ping"}')), 1002, {}],
    [frame(0xc1, deflated('{"type":"ping"}')), 1002, { ...deflating, path: '/plain' }],
  ]) {
    const client = await hub.connect({ ...options, raw: true });
    client.socket._socket.write(bytes);
    assert.equal((await deadline(client.closed, 'the close')).code, code);
  }
});

test('a browser agrees on it by itself', async (t) => {
  const hub = await startHub(t, manifest);
  const browser = await chromium.launch({ executablePath: browserPath(), args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(hub.url);  // the hub's own page, so that the origin is allowed
  const result = await page.evaluate(([url, text]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url), got = [];
    socket.onclose = (e) => reject(new Error(`closed with ${e.code}`));
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: 'subscribe', channel: 'b' }));
      for (let n = 0; n < 100; n++) socket.send(JSON.stringify({ type: 'publish', channel: 'b', event: 'e', data: n % 3 ? n : text.slice(0, n * 100) }));
    };
    socket.onmessage = (m) => {
      const f = JSON.parse(m.data);
      if (f.type === 'event') got.push(f.data);
      if (got.length === 100) resolve({ extensions: socket.extensions, got });
    };
  }), [`${hub.ws}/ws`, words(2000)]);
  assert.match(result.extensions, /^permessage-deflate/);
  assert.deepEqual(result.got, Array.from({ length: 100 }, (_, n) => (n % 3 ? n : words(2000).slice(0, n * 100))));
});
