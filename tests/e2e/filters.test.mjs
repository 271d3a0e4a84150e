// Declarative filters of a subscription, from outside. The unit tests know every corner; here each operator once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smallest, startHub } from './support.mjs';

const events = [
  { event: 'message.new', id: 'a', key: 'k1', data: { instanceId: 'i1', size: 5, name: 'alpha.log', tags: ['x', 'y'], on: true, none: null } },
  { event: 'message.read', id: 'b', data: { instanceId: 'i2', size: 10, name: 'beta.log', tags: [], deep: { list: [{ v: 1 }, { v: 2 }] } } },
  { event: 'task.created', id: 'c', data: { instanceId: 'i1', size: 15.0, name: 'alps', 'dotted.key': 'yes' } },
  { event: 'end', id: 'd', data: {} },
];

const cases = [
  ['an event name', { event: 'task.created' }, 'c'],
  ['a glob of event names', { event: 'message.*' }, 'ab'],
  ['a list of names and globs', { event: ['message.n*', 'task.created'] }, 'ac'],
  ['equality', { 'data.instanceId': 'i1' }, 'ac'],
  ['all keys must hold', { 'data.instanceId': 'i1', event: 'message.*' }, 'a'],
  ['a list is any of', { 'data.instanceId': ['i2', 'i9'] }, 'b'],
  ['$eq', { 'data.size': { $eq: 10 } }, 'b'],
  ['numbers by value', { 'data.size': 15 }, 'c'],
  ['types must agree', { 'data.size': '10' }, ''],
  ['null equals null only', { 'data.none': null }, 'a'],
  ['true equals true', { 'data.on': true }, 'a'],
  ['$in', { 'data.size': { $in: [5, 15] } }, 'ac'],
  ['$nin, also where the path leads nowhere', { 'data.instanceId': { $nin: ['i1'] } }, 'bd'],
  ['$ne, also where the path leads nowhere', { 'data.instanceId': { $ne: 'i1' } }, 'bd'],
  ['$gte', { 'data.size': { $gte: 10 } }, 'bc'],
  ['$gt and $lt together', { 'data.size': { $gt: 5, $lt: 15 } }, 'b'],
  ['$lte', { 'data.size': { $lte: 10 } }, 'ab'],
  ['order between strings', { 'data.name': { $gte: 'alps' } }, 'bc'],
  ['$prefix', { 'data.name': { $prefix: 'alp' } }, 'ac'],
  ['$glob', { 'data.name': { $glob: '*.log' } }, 'ab'],
  ['$glob with one character', { 'data.name': { $glob: 'alp?' } }, 'c'],
  ['$exists', { 'data.deep': { $exists: true } }, 'b'],
  ['$exists false', { 'data.instanceId': { $exists: false } }, 'd'],
  ['any element of an array', { 'data.tags': 'y' }, 'a'],
  ['an index into an array', { 'data.deep.list.1.v': 2 }, 'b'],
  ['a dot in a name', { 'data.dotted\\.key': 'yes' }, 'c'],
  ['$or', { $or: [{ event: 'end' }, { 'data.size': 5 }] }, 'ad'],
  ['$and', { $and: [{ 'data.instanceId': 'i1' }, { 'data.size': { $gt: 5 } }] }, 'c'],
  ['$not', { $not: { event: 'message.*' } }, 'cd'],
  ['the key', { key: 'k1' }, 'a'],
  ['the id', { id: ['c', 'd'] }, 'cd'],
  ['the channel', { channel: 'f' }, 'abcd'],
  ['an empty filter', {}, 'abcd'],
];

test('each operator passes what it names and nothing else, live and in replay', async (t) => {
  const hub = await startHub(t, smallest);
  const subscribed = [];
  for (const [name, filter, wanted] of cases) {
    const client = await hub.connect();
    const ack = await client.ask({ type: 'subscribe', channel: 'f', filter });
    assert.equal(ack.type, 'ack', `${name}: ${JSON.stringify(ack)}`);
    subscribed.push({ name, client, wanted });
  }
  for (const e of events) assert.equal((await hub.publish('f', e)).status, 200);
  for (const { name, client, wanted } of subscribed) {
    const got = (await client.events(wanted.length)).map((e) => e.id).join('');
    await client.ping();
    assert.equal(got + client.pending('event').map((e) => e.id).join(''), wanted, `live: ${name}`);
  }
  for (const [name, filter, wanted] of cases) {
    const client = await hub.connect();
    const ack = await client.ask({ type: 'subscribe', channel: 'f', filter, replay: 100 });
    assert.equal(ack.data.replayed, wanted.length, `replayed: ${name}`);
    const got = (await client.events(wanted.length)).map((e) => e.id).join('');
    assert.equal(got, wanted, `replay: ${name}`);
  }
});

test('the acknowledgement shows the filter that is in force', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  const filter = { event: ['message.*'], 'data.instanceId': 'i1', 'data.size': { $gte: 10 } };
  const ack = await client.ask({ type: 'subscribe', channel: 'c', filter });
  assert.deepEqual(ack.data.filter, filter);
});

test('a filter that is not valid is answered by bad_filter with a JSON pointer to the spot', async (t) => {
  const hub = await startHub(t, smallest);
  const client = await hub.connect();
  const bad = [
    [{ 'data.x': { $regex: 'a' } }, '/data.x/$regex'],
    [{ 'data.x': { $in: 'a' } }, '/data.x/$in'],
    [{ $or: [{ event: 'a' }, { 'data.y': { $gt: 1, $nope: 2 } }] }, '/$or/1/data.y/$nope'],
    [{ 'data.a/b': { $exists: 'yes' } }, '/data.a~1b/$exists'],
    [{ 'data.x': { $eq: {} } }, '/data.x/$eq'],
    [{ nowhere: 1 }, '/nowhere'],
    [{ $and: {} }, '/$and'],
    ['text', ''],
    [{ 'data.x': Array.from({ length: 1025 }, () => 1) }, '/data.x'],
    [Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`data.k${i}`, i])), ''],
  ];
  for (const [filter, pointer] of bad) {
    const answer = await client.ask({ type: 'subscribe', channel: 'c', filter });
    assert.equal(answer.type, 'error', JSON.stringify(filter).slice(0, 100));
    assert.equal(answer.data.code, 'bad_filter', JSON.stringify(filter).slice(0, 100));
    assert.ok(answer.data.message.includes(pointer), `${pointer} in: ${answer.data.message}`);
  }
  const list = await client.ask({ type: 'subscriptions' });
  assert.deepEqual(list.data.subscriptions, []);
});
