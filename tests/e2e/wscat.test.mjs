// The command line client wscat, as the README shows it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { deadline, here, smallest, startHub } from './support.mjs';

const wscat = path.join(here, 'node_modules/.bin/wscat');

test('wscat subscribes, sees a live event, and leaves', async (t) => {
  const hub = await startHub(t, smallest);
  const child = spawn(wscat, ['-c', `${hub.ws}/ws`, '-x', '{"type":"subscribe","channel":"demo/**"}', '-w', '30', '--no-color'], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  let heard = () => {};
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (d) => { said += d; heard(); });
  const says = (what) => deadline(new Promise((resolve) => {
    heard = () => { if (said.includes(what)) resolve(); };
    heard();
  }), () => `${what} from wscat, which said:\n${said}`);
  await says('"type":"ack"');
  await hub.publish('demo/hello', { event: 'greeting', data: { text: 'good day' } });
  await says('good day');
  assert.ok(said.includes('"type":"connected"'), said);
});

test('wscat with a subprotocol, a header and a ping', async (t) => {
  const hub = await startHub(t, smallest);
  const child = spawn(wscat, ['-c', `${hub.ws}/ws?some=thing`, '-H', 'X-A: b', '-s', 'weir.v1', '-x', '{"type":"ping"}', '-w', '1', '-P'], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (d) => (said += d));
  const [code] = await deadline(once(child, 'close'), () => `wscat ends; it said:\n${said}`);
  assert.equal(code, 0, said);
  assert.ok(said.includes('"type":"pong"'), said);
});
