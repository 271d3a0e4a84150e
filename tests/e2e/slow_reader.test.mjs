// A client that stops reading costs the hub a bounded outbox, and gets what was promised when it reads on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, startHub } from './support.mjs';

const manifest = (channel) => `[limits]\noutbox_bytes = "64KiB"\n[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\n${channel}\n`;

async function publish(hub, count, pad = 1000) {
  const writer = await hub.connect();
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', ...(n === count ? { id: 'end' } : {}), channel: 'c', event: 'e', data: { n, pad: 'x'.repeat(pad) } });
  return writer.take((f) => f.id === 'end', 'the last ack', 60_000);
}

test('catch-up: a reader that paused for 20 MB of events gets every one of them, in order, once', async (t) => {
  const hub = await startHub(t, manifest('history = { count = 30000, bytes = "64MiB" }'));
  const slow = await hub.connect();
  await slow.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  const count = 20_000;
  await publish(hub, count);
  const quick = await hub.connect();
  await quick.ping();
  slow.socket.resume();
  for (let n = 1; n <= count; n++) {
    const [event] = await slow.events(1, 60_000);
    assert.equal(event.sequenceId, n);
    assert.equal(event.data.n, n);
  }
  await slow.ping();
  assert.deepEqual(slow.pending('gap'), []);
  assert.deepEqual(slow.pending('event'), []);
});

test('catch-up: what history no longer holds is told as a gap, and what was sent and the gaps make a whole', async (t) => {
  const hub = await startHub(t, manifest('history = { count = 100 }'));
  const slow = await hub.connect();
  await slow.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  const count = 20_000;
  await publish(hub, count);
  slow.socket.resume();
  let next = 1, gaps = 0;
  while (next <= count) {
    const frame = await slow.take((f) => f.type === 'event' || f.type === 'gap', `event ${next}`, 60_000);
    if (frame.type === 'gap') {
      gaps++;
      assert.equal(frame.data.channel, 'c');
      assert.equal(frame.data.from, next);
      assert.equal(frame.data.count, frame.data.to - frame.data.from + 1);
      next = frame.data.to + 1;
    } else {
      assert.equal(frame.sequenceId, next);
      next++;
    }
  }
  assert.ok(gaps >= 1);
});

test('catch-up and live meet: events published while a reader catches up come once', async (t) => {
  const hub = await startHub(t, manifest('history = { count = 30000, bytes = "64MiB" }'));
  const slow = await hub.connect();
  await slow.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  await publish(hub, 5000);
  slow.socket.resume();
  const more = publish(hub, 5000);
  for (let n = 1; n <= 10_000; n++) assert.equal((await slow.events(1, 60_000))[0].sequenceId, n);
  await more;
  await slow.ping();
  assert.deepEqual(slow.pending('event'), []);
});

test('disconnect: a reader that is too slow is closed with 4408', async (t) => {
  const hub = await startHub(t, manifest('overflow = "disconnect"\nhistory = { count = 100 }'));
  const slow = await hub.connect();
  await slow.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  await publish(hub, 20_000);
  slow.socket.resume();
  assert.equal((await deadline(slow.closed, 'the close', 60_000)).code, 4408);
});

test('one slow reader does not hold up the others', async (t) => {
  const hub = await startHub(t, manifest('history = { count = 30000, bytes = "64MiB" }'));
  const slow = await hub.connect();
  const quick = await hub.connect();
  await slow.ask({ type: 'subscribe', channel: 'c' });
  await quick.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  await publish(hub, 10_000);
  for (let n = 1; n <= 10_000; n++) assert.equal((await quick.events(1))[0].sequenceId, n);
});

// Every policy that loses events: what arrives and what the gaps say, together, is everything that was published.
for (const policy of ['drop-oldest', 'drop-newest', 'latest']) {
  test(`${policy}: what was lost is told exactly, to a reader that paused, while another one gets everything`, async (t) => {
    const hub = await startHub(t, manifest(`overflow = "${policy}"\nhistory = { count = 10 }`));
    const slow = await hub.connect();
    const quick = await hub.connect();
    await slow.ask({ type: 'subscribe', channel: 'c' });
    await quick.ask({ type: 'subscribe', channel: 'c' });
    slow.socket.pause();
    const count = 10_000;
    const writer = await hub.connect();
    for (let n = 1; n <= count; n++) {
      writer.send({ type: 'publish', channel: 'c', event: 'e', key: `k${n % 5}`, data: { n, pad: 'x'.repeat(1000) } });
      // The quick one stays close behind the writer: it is not slow, so it must lose nothing.
      if (n % 10 === 0) assert.equal((await quick.events(10)).at(-1).sequenceId, n);
    }
    slow.socket.resume();
    let next = 1, lost = 0, last;
    while (next <= count) {
      const frame = await slow.take((f) => f.type === 'event' || f.type === 'gap', `event ${next}`, 60_000);
      if (frame.type === 'gap') {
        assert.equal(frame.data.reason, policy === 'latest' ? 'conflated' : 'overflow');
        assert.equal(frame.data.from, next);
        assert.equal(frame.data.count, frame.data.to - frame.data.from + 1);
        lost += frame.data.count;
        next = frame.data.to + 1;
      } else {
        assert.equal(frame.sequenceId, next++);
        last = frame.sequenceId;
      }
    }
    assert.ok(lost > 0);
    if (policy !== 'drop-newest') assert.equal(last, count);
    const [after] = await Promise.all([slow.events(1), writer.ask({ type: 'publish', channel: 'c', event: 'e', data: 1 })]);
    assert.equal(after[0].sequenceId, count + 1);
    assert.deepEqual(quick.pending('gap'), []);
  });
}

test('snapshot: a reader that paused gets the state in place of what it missed, and what it makes of it is right', async (t) => {
  const hub = await startHub(t, manifest('overflow = "snapshot"\nhistory = { count = 10 }\nrules = ["sum.lua"]'), {
    files: { 'sum.lua': 'return { initial = function() return { sum = 0 } end, reduce = function(s, ev) s.sum = s.sum + ev.data.n return s end }\n' },
  });
  const slow = await hub.connect();
  const quick = await hub.connect();
  for (const reader of [slow, quick]) await reader.ask({ type: 'subscribe', channel: 'c' });
  slow.socket.pause();
  const count = 10_000;
  const writer = await hub.connect();
  for (let n = 1; n <= count; n++) {
    writer.send({ type: 'publish', channel: 'c', event: 'e', data: { n, pad: 'x'.repeat(1000) } });
    if (n % 10 === 0) assert.equal((await quick.events(10)).at(-1).sequenceId, n);
  }
  slow.socket.resume();
  let at = 0, sum = 0, snapshots = 0, lost = 0;
  while (at < count) {
    const frame = await slow.take((f) => ['event', 'gap', 'snapshot'].includes(f.type), `event ${at + 1}`, 60_000);
    if (frame.type === 'event') {
      assert.equal(frame.sequenceId, at + 1);
      at = frame.sequenceId;
      sum += frame.data.n;
    } else if (frame.type === 'gap') {
      assert.equal(frame.data.reason, 'overflow');
      assert.equal(frame.data.from, at + 1);
      assert.equal(frame.data.count, frame.data.to - at);
      lost += frame.data.count;
      const snapshot = await slow.take((f) => f.type === 'snapshot' || f.type === 'event', 'the state behind the gap');
      assert.equal(snapshot.type, 'snapshot');
      assert.equal(snapshot.sequenceId, frame.data.to);
      snapshots++;
      at = snapshot.sequenceId;
      sum = snapshot.data.sum;
    } else {
      assert.equal(at, 0);  // the one it began with
      assert.equal(frame.sequenceId, 0);
    }
  }
  assert.equal(sum, (count * (count + 1)) / 2);
  assert.ok(snapshots >= 1 && lost > 0);
  assert.deepEqual(quick.pending('gap'), []);
});
