// An error answers and never closes a healthy connection; a frame that is not ours closes it with 1008 or 1009.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smallest, startHub } from './support.mjs';

test('every wrong request is answered by an error with its id, and the connection goes on', async (t) => {
  const hub = await startHub(t, `[[endpoint]]
path = "/ws"
[[channel]]
pattern = "known/{x}"
[[channel]]
pattern = "closed"
subscribe = false
publish = false
`);
  const client = await hub.connect();
  const cases = [
    [{ type: 'nonsense' }, /^bad_(request|frame)$/, 'nonsense'],
    [{ type: 7 }, /^bad_(request|frame)$/],
    [{}, /^bad_(request|frame)$/],
    [{ type: 'subscribe' }, /^bad_request$/, 'channel'],
    [{ type: 'subscribe', channel: 7 }, /^bad_request$/],
    [{ type: 'subscribe', channel: '' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known//x' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/ x' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/{x}' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/\u0007' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'k'.repeat(256) }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/**/x' }, /^bad_request$/],
    [{ type: 'subscribe', channels: [] }, /^bad_request$/],
    [{ type: 'subscribe', channels: 'known/x' }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/x', replay: -1 }, /^bad_request$/, 'replay'],
    [{ type: 'subscribe', channel: 'known/x', replay: 'everything' }, /^bad_request$/, 'everything'],
    [{ type: 'subscribe', channel: 'known/x', replay: 1.5 }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'known/x', replay: { epoch: 'e' } }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'unknown' }, /^no_such_channel$/, 'unknown'],
    [{ type: 'publish', channel: 'unknown', event: 'e', data: 1 }, /^no_such_channel$/, 'unknown'],
    [{ type: 'publish', channel: 'known/*', event: 'e', data: 1 }, /^bad_request$/],
    [{ type: 'publish', channel: 'known/x', data: 1 }, /^bad_request$/, 'event'],
    [{ type: 'publish', channel: 'known/x', event: '', data: 1 }, /^bad_request$/],
    [{ type: 'publish', channel: 'known/x', event: 'e'.repeat(256), data: 1 }, /^bad_request$/],
    [{ type: 'publish', channel: 'known/x', event: 5, data: 1 }, /^bad_request$/],
    [{ type: 'subscribe', channel: 'closed' }, /^forbidden$/, 'closed'],
    [{ type: 'publish', channel: 'closed', event: 'e', data: 1 }, /^forbidden$/, 'closed'],
    [{ type: 'request', method: 'no.such', params: {} }, /^no_such_method$/, 'no.such'],
    [{ type: 'unsubscribe' }, /^bad_request$/],
  ];
  for (const [message, code, named] of cases) {
    const answer = await client.ask(message);
    const what = `${JSON.stringify(message).slice(0, 120)} -> ${JSON.stringify(answer)}`;
    assert.equal(answer.type, 'error', what);
    assert.match(answer.data.code, code, what);
    assert.equal(typeof answer.data.message, 'string', what);
    assert.ok(answer.data.message.length > 10, what);
    if (named) assert.ok(answer.data.message.includes(named), what);
    assert.deepEqual(Object.keys(answer).sort(), ['data', 'id', 'type'], what);
  }
  assert.equal(client.close_code, undefined);
  await client.ask({ type: 'subscribe', channel: 'known/x' });
  await client.ask({ type: 'publish', channel: 'known/x', event: 'e', data: 1 });
  assert.equal((await client.events(1))[0].data, 1);
});

test('an error to a frame without an id has none', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  client.send({ type: 'nonsense' });
  const error = await client.take((f) => f.type === 'error', 'error');
  assert.equal('id' in error, false);
});

test('one bad channel among several: all or nothing is subscribed, and the answer says which', async (t) => {
  const hub = await startHub(t, '[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "a/*"\n');
  const client = await hub.connect();
  const answer = await client.ask({ type: 'subscribe', channels: ['a/1', 'b', 'a/2'] });
  const list = (await client.ask({ type: 'subscriptions' })).data.subscriptions.map((s) => s.channel).sort();
  if (answer.type === 'error') assert.deepEqual(list, []);
  else assert.deepEqual(list, ['a/1', 'a/2']);
  assert.ok(JSON.stringify(answer).includes('no_such_channel'), JSON.stringify(answer));
});

const deep = (levels) => '{"type":"ping","x":' + '['.repeat(levels - 1) + ']'.repeat(levels - 1) + '}';
const fatal = [
  ['text that is not JSON', (c) => c.send('hello'), 1008],
  ['half an object', (c) => c.send('{"type":"ping"'), 1008],
  ['two objects in one frame', (c) => c.send('{"type":"ping"}{"type":"ping"}'), 1008],
  ['an array', (c) => c.send('[{"type":"ping"}]'), 1008],
  ['a bare string', (c) => c.send('"ping"'), 1008],
  ['an empty frame', (c) => c.send(''), 1008],
  ['nesting beyond limits.frame_depth', (c) => c.send(deep(65)), 1008],
  ['a binary frame', (c) => c.socket.send(Buffer.from('{"type":"ping"}')), 1008],
  ['a frame larger than limits.frame_bytes', (c) => c.send({ type: 'ping', pad: 'x'.repeat(70_000) }), 1009],
  ['a message larger than that in many fragments', (c) => {
    for (let n = 0; n < 70; n++) c.socket.send((n === 0 ? '{"a":"' : '') + 'x'.repeat(1000), { fin: n === 69 });
  }, 1009],
];
for (const [name, act, code] of fatal) {
  test(`${name} closes with ${code} and disturbs no one else`, async (t) => {
    const hub = await startHub(t, `[limits]\nframe_bytes = "64KiB"\n${smallest}`);
    const other = await hub.connect();
    const client = await hub.connect();
    act(client);
    assert.equal((await client.closed).code, code);
    await other.ping();
    assert.equal((await hub.get('/health')).status, 200);
  });
}

test('the edges are fine: the deepest and the largest frame that is allowed', async (t) => {
  const hub = await startHub(t, `[limits]\nframe_bytes = "64KiB"\n${smallest}`);
  const client = await hub.connect();
  client.send(deep(64));
  await client.take((f) => f.type === 'pong', 'pong');
  const frame = '{"type":"ping","pad":""}';
  client.send(frame.replace('""', `"${'x'.repeat(65_536 - frame.length)}"`));
  await client.take((f) => f.type === 'pong', 'pong');
  assert.equal(client.close_code, undefined);
});

test('text that is not UTF-8 closes the connection and nothing more', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  client.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false });
  assert.ok([1007, 1008].includes((await client.closed).code));
  assert.equal((await hub.get('/health')).status, 200);
});

test('data larger than limits.data_bytes is too_large and the connection goes on', async (t) => {
  const hub = await startHub(t, `[limits]\ndata_bytes = "1KiB"\n${smallest}`);
  const client = await hub.connect();
  const answer = await client.ask({ type: 'publish', channel: 'c', event: 'e', data: 'x'.repeat(2000) });
  assert.equal(answer.type, 'error');
  assert.equal(answer.data.code, 'too_large');
  assert.equal((await client.ask({ type: 'publish', channel: 'c', event: 'e', data: 'x'.repeat(900) })).type, 'ack');
});

test('more subscriptions than limits.subscriptions_per_connection are limit_exceeded', async (t) => {
  const hub = await startHub(t, `[limits]\nsubscriptions_per_connection = 3\n${smallest}`);
  const client = await hub.connect();
  for (let n = 0; n < 3; n++) assert.equal((await client.ask({ type: 'subscribe', channel: `c/${n}` })).type, 'ack');
  const answer = await client.ask({ type: 'subscribe', channel: 'c/3' });
  assert.equal(answer.type, 'error');
  assert.equal(answer.data.code, 'limit_exceeded');
  assert.equal((await client.ask({ type: 'unsubscribe', channel: 'c/0' })).type, 'ack');
  assert.equal((await client.ask({ type: 'subscribe', channel: 'c/3' })).type, 'ack');
});
