// What the README shows, run as it stands there.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { deadline, folder, here, root, startHub, weir } from './support.mjs';

const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const block = (language, word) => {
  for (const [, text] of readme.matchAll(new RegExp('```' + language + '\\n([^`]*)```', 'g'))) if (text.includes(word)) return text;
  throw new Error(`no ${language} block of the README has ${word}`);
};
const quickstart = path.join(root, 'examples/quickstart');

test('the ten lines of JavaScript print what the curl line publishes', async (t) => {
  const dir = folder(t);
  fs.cpSync(quickstart, dir, { recursive: true, filter: (name) => path.basename(name) !== 'log' });
  const hub = await startHub(t, null, { folder: dir, manifestFile: path.join(dir, 'hub.toml'), args: ['--listen', '127.0.0.1:0'] });
  fs.symlinkSync(path.join(here, 'node_modules'), path.join(dir, 'node_modules'));
  fs.writeFileSync(path.join(dir, 'client.mjs'), block('js', 'new WebSocket').replaceAll('127.0.0.1:8080', hub.address));
  const child = spawn(process.execPath, ['client.mjs'], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  let heard = () => {};
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (d) => { said += d; heard(); });
  const says = (what) => deadline(new Promise((resolve) => {
    heard = () => { if (said.includes(what)) resolve(); };
    heard();
  }), () => `${what} from the client, which said:\n${said}`);
  await says('demo/ticks');
  await promisify(execFile)('sh', ['-c', block('sh', 'curl -X POST').replaceAll('127.0.0.1:8080', hub.address)]);
  await says("greeting { text: 'good day' }");
  await hub.stop();
  await says('closed 1001');
});

test('the smallest manifest is a manifest, and the rule shown is the one of the quickstart', async (t) => {
  const dir = folder(t);
  fs.writeFileSync(path.join(dir, 'my-hub.toml'), block('toml', 'pattern'));
  const { code, stderr } = await weir(['check', path.join(dir, 'my-hub.toml')]);
  assert.equal(code, 0, stderr);
  assert.ok(fs.readFileSync(path.join(quickstart, 'rules/quickstart.lua'), 'utf8').includes(block('lua', 'rule.filter')));
});

test('editing the rule of the quickstart and reloading changes what arrives', async (t) => {
  const dir = folder(t);
  fs.cpSync(quickstart, dir, { recursive: true, filter: (name) => path.basename(name) !== 'log' });
  const file = path.join(dir, 'hub.toml'), rule = path.join(dir, 'rules/quickstart.lua'), log = path.join(dir, 'log/weir.log');
  const hub = await startHub(t, null, { folder: dir, manifestFile: file, args: ['--listen', '127.0.0.1:0'] });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/weir.log' });
  const lines = async (end) => {
    fs.appendFileSync(log, `2026-01-01T12:00:00.000Z info test the status is fine\n2026-01-01T12:00:00.000Z info test ${end}\n`);
    const got = [];
    do got.push((await client.take((f) => f.type === 'event' && f.event === 'line', 'a line')).data.line); while (!got.at(-1).includes(end));
    return got.join('\n');
  };
  assert.match(await lines('first end'), /the status is fine/);
  fs.writeFileSync(rule, fs.readFileSync(rule, 'utf8').replace('ev.data.line == ""', 'ev.data.line:find("status", 1, true)')
    .replace('{ line = "" }', '{ line = "status" }'));
  const done = await weir(['reload', file, '--at', hub.address]);
  assert.equal(done.code, 0, done.stderr);
  assert.doesNotMatch(await lines('second end'), /the status is fine/);
});

// Whole ones begin with `listen`; a line `config = ...` alone stands for that of the whole one before it.
test('each manifest in the README of a plugin is one', async (t) => {
  const dir = folder(t);
  fs.writeFileSync(path.join(dir, 'keys.json'), '{"keys":[]}');  // of api-key; it holds hashes that nobody should copy
  let plugins = 0, configs = 0;
  for (const kind of ['sources', 'auth']) for (const name of fs.readdirSync(path.join(root, 'plugins', kind))) {
    const file = path.join(root, 'plugins', kind, name, 'README.md');
    if (!fs.existsSync(file)) continue;
    const manifests = [];
    let whole;
    for (const [, text] of fs.readFileSync(file, 'utf8').matchAll(/```toml\n([^`]*)```/g)) {
      if (text.startsWith('listen')) manifests.push(whole = text);
      else for (const [config] of text.matchAll(/^config .*$/gm)) {
        assert.match(whole, /^config .*$/m, `${file}: no config that could be ${config}`);
        manifests.push(whole.replace(/^config .*$/m, () => config));
        configs++;
      }
    }
    assert.ok(whole, `${file} shows no whole manifest`);
    for (const manifest of manifests) {
      fs.writeFileSync(path.join(dir, `${name}.toml`), manifest);
      const { code, stdout, stderr } = await weir(['check', path.join(dir, `${name}.toml`)]);
      assert.equal(code, 0, `${file}: ${stdout}${stderr}\n${manifest}`);
    }
    plugins++;
  }
  assert.ok(plugins >= 7, `${plugins} plugins`);
  assert.ok(configs >= 3, `${configs} configs`);
});
