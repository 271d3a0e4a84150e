// How many files the process may have open, and what becomes of limits.connections where that is less.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { refusal, smallest, startHub } from './support.mjs';

const manifest = (connections) => `threads = 2\n${connections ? `[limits]\nconnections = ${connections}\n` : ''}${smallest}`;
const files = (soft, hard) => ({ under: ['prlimit', `--nofile=${soft}:${hard}`] });
const limitOf = (pid) => /^Max open files +(\d+) +(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/limits`, 'utf8')).slice(1).map(Number);
const said = (hub) => hub.log.split('\n').filter((line) => line.includes('open files'));

test('the soft limit is raised to the hard one', async (t) => {
  const hub = await startHub(t, manifest(100), files(64, 700));
  assert.deepEqual(limitOf(hub.pid), [700, 700]);
  await hub.stop();
  assert.deepEqual(said(hub), [], 'there is room for all');
});

test('the default of limits.connections is lowered to what there is room for, which is no warning; one more gets 503', async (t) => {
  const hub = await startHub(t, manifest(), files(64, 300));
  for (let n = 0; n < 150; n++) await hub.connect();
  const refused = await refusal(t, hub);
  assert.equal(refused.status, 503);
  assert.match(refused.body.error.message, /150 connections already \(limits\.connections\)/);
  assert.ok(refused.headers['retry-after'], JSON.stringify(refused.headers));
  await hub.stop();
  assert.equal(said(hub).length, 1, hub.log);
  assert.match(said(hub)[0], / info hub at most 150 connections instead of limits\.connections, 100000: this process may have 300 open files; .*to 100150$/);
  assert.doesNotMatch(hub.log, / (warn|error) /);
});

test('whoever asked for more connections than there can be is warned', async (t) => {
  const hub = await startHub(t, manifest(1000), files(64, 700));
  await hub.stop();
  assert.equal(said(hub).length, 1, hub.log);
  assert.match(said(hub)[0], / warn hub at most 444 connections instead of limits\.connections, 1000: this process may have 700 open files; .*to 1256$/);
});
