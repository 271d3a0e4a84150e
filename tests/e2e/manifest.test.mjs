// A manifest that cannot be loaded: every mistake is named, the exit status is 2, and nothing crashes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, smallest, startHub, weir, weirBin, write } from './support.mjs';

const tenMistakes = `listen = "127.0.0.1:0"
threds = 2
threads = "many"

[limits]
frame_bytes = "64 parsecs"

[[plugin]]
name = "logs"
library = "no-such-library"

[[plugin]]
name = "clock"
library = "ticker"
config = { intervall = "1s" }

[[endpoint]]
path = "ws"

[[channel]]
pattern = "agents/{id}/{id}"

[[channel]]
pattern = "agents/{id}"
histroy = { count = 10 }
from = [{ plugin = "lgos" }]
rules = ["rules/missing.lua", "rules/broken.lua"]

[[channel]]
pattern = "tail/{x}"
overflow = "explode"
history = { count = -1 }
`;
const brokenRule = 'local rule = {}\nfunction rule.filter(ev)\n  retrun true\nend\nreturn rule\n';
// What must be in the output: the line of the manifest and the words that name the mistake.
const expected = [
  [/hub\.toml:2:\d+: .*"threds".*did you mean "threads"/, 'an unknown key, with a suggestion'],
  [/hub\.toml:3:\d+: .*threads/, 'a wrong type'],
  [/hub\.toml:6:\d+: .*64 parsecs/, 'a size that is none'],
  [/hub\.toml:(8|10):\d+: .*no-such-library/, 'a library that is not there'],
  [/hub\.toml:15:\d+: .*intervall/, "a key that the plugin's schema does not know"],
  [/hub\.toml:18:\d+: .*"ws"/, 'a path without its slash'],
  [/hub\.toml:21:\d+: .*agents\/\{id\}\/\{id\}/, 'a name twice in one pattern'],
  [/hub\.toml:25:\d+: .*unknown key "histroy"; did you mean "history"\?/, 'an unknown key in a channel'],
  [/hub\.toml:26:\d+: .*lgos/, 'a plugin that is not in the manifest'],
  [/hub\.toml:27:\d+: .*rules\/missing\.lua/, 'a script that is not there'],
  [/broken\.lua:3/, 'a syntax error in a rule, with script and line'],
  [/hub\.toml:31:\d+: .*explode/, 'a word that is none of the choices'],
  [/hub\.toml:32:\d+: .*-1/, 'a number out of its range'],
];

for (const command of ['check', 'run']) {
  test(`weir ${command} names all mistakes of a manifest in one go and ends with 2`, async (t) => {
    const dir = folder(t);
    write(dir, { 'hub.toml': tenMistakes, 'rules/broken.lua': brokenRule });
    const { code, signal, stdout, stderr } = await weir([command, path.join(dir, 'hub.toml')]);
    const said = stdout + stderr;
    assert.equal(signal, null, said);
    assert.equal(code, 2, said);
    const missing = expected.filter(([pattern]) => !pattern.test(said)).map(([, what]) => what);
    assert.deepEqual(missing, [], said);
    assert.ok(!said.includes('weir ready'));
  });
}

test('weir check of a good manifest ends with 0 and opens nothing', async (t) => {
  const hub = await startHub(t, smallest);
  const dir = folder(t);
  // The address is taken: a check that opened it would fail.
  write(dir, { 'hub.toml': `listen = "${hub.address}"\n${smallest}` });
  const { code, stdout, stderr } = await weir(['check', path.join(dir, 'hub.toml')]);
  assert.equal(code, 0, stdout + stderr);
});

test('the same manifest as JSON is the same hub', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.json': JSON.stringify({ listen: '127.0.0.1:0', endpoint: [{ path: '/ws' }], channel: [{ pattern: '**' }] }) });
  const hub = await startHub(t, null, { folder: dir, manifestFile: path.join(dir, 'hub.json') });
  const client = await hub.connect();
  assert.equal((await client.ask({ type: 'subscribe', channel: 'c' })).type, 'ack');
});

test('a mistake in a JSON manifest has its line too', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.json': '{\n  "listen": "127.0.0.1:0",\n  "endpoint": [{ "path": "/ws" }],\n  "channel": [{ "pattern": "**", "histroy": {} }]\n}\n' });
  const { code, stdout, stderr } = await weir(['check', path.join(dir, 'hub.json')]);
  assert.equal(code, 2);
  assert.match(stdout + stderr, /hub\.json:4:\d+: .*histroy/);
});

test('text that is no TOML is named with its line', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': 'listen = "127.0.0.1:0"\n[[endpoint\n' });
  const { code, stdout, stderr } = await weir(['run', path.join(dir, 'hub.toml')]);
  assert.equal(code, 2);
  assert.match(stdout + stderr, /hub\.toml:2:\d+: /);
});

test('a rule with a syntax error is named with script and line by run and by check', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': `listen = "127.0.0.1:0"\n${smallest}rules = ["rules/broken.lua"]\n`, 'rules/broken.lua': brokenRule });
  for (const command of ['run', 'check']) {
    const { code, signal, stdout, stderr } = await weir([command, path.join(dir, 'hub.toml')]);
    assert.equal(signal, null);
    assert.equal(code, 2, stdout + stderr);
    assert.match(stdout + stderr, /broken\.lua:3/);
  }
});

test("a rule whose own test fails does not load, and the message says which", async (t) => {
  const dir = folder(t);
  write(dir, {
    'hub.toml': `listen = "127.0.0.1:0"\n${smallest}rules = ["rules/wrong.lua"]\n`,
    'rules/wrong.lua': 'local rule = {}\nfunction rule.filter(ev) return true end\nrule.tests = { { filter = { event = "a", data = {} }, expect = false } }\nreturn rule\n',
  });
  const { code, stdout, stderr } = await weir(['check', path.join(dir, 'hub.toml')]);
  assert.equal(code, 2, stdout + stderr);
  assert.match(stdout + stderr, /wrong\.lua/);
});

test('a file that is no plugin, beside a manifest that names it, is a message and not a crash', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': `listen = "127.0.0.1:0"\nplugins = ["lib"]\n${smallest}[[plugin]]\nname = "x"\nlibrary = "junk"\n`, 'lib/libweir-junk.so': 'not an ELF file' });
  const { code, signal, stdout, stderr } = await weir(['run', path.join(dir, 'hub.toml')]);
  assert.equal(signal, null);
  assert.equal(code, 2, stdout + stderr);
  assert.match(stdout + stderr, /hub\.toml:\d+:\d+: .*junk/);
});

test('beyond loopback the hub refuses to start without auth, unless told insecure out loud', async (t) => {
  const dir = folder(t);
  write(dir, { 'open.toml': `listen = "0.0.0.0:0"\n${smallest}`, 'loud.toml': `listen = "0.0.0.0:0"\ninsecure = true\n${smallest}` });
  const refused = await weir(['check', path.join(dir, 'open.toml')]);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stdout + refused.stderr, /insecure/);
  const byOption = await weir(['run', path.join(dir, 'open.toml'), '--listen', '[::]:0']);
  assert.equal(byOption.code, 2, byOption.stderr);
  assert.equal((await weir(['check', path.join(dir, 'loud.toml')])).code, 0);
});

test('--listen, --set and the log options take effect; an address or a key that is wrong ends with 2', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': `listen = "127.0.0.1:1"\n${smallest}` });
  const file = path.join(dir, 'hub.toml');
  const hub = await startHub(t, null, {
    folder: dir, manifestFile: file,
    args: ['--listen', '127.0.0.1:0', '--set', 'limits.subscriptions_per_connection=1', '--log-format', 'json', '--log-level', 'debug'],
  });
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'a' });
  assert.equal((await client.ask({ type: 'subscribe', channel: 'b' })).data.code, 'limit_exceeded');
  for (const line of hub.log.trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line);
  for (const wrong of [['--listen', 'nowhere'], ['--listen', '127.0.0.1:99999'], ['--set', 'limits.nothing=1'], ['--set', 'limits'], ['--set', 'listen=nowhere']]) {
    const { code, stdout, stderr } = await weir(['run', file, ...wrong]);
    assert.equal(code, 2, `${wrong.join(' ')}: ${stdout}${stderr}`);
    assert.notEqual(stderr, '', wrong.join(' '));
  }
  for (const wrong of [['--log-level', 'loud'], ['--log-format', 'xml'], ['--no-such-option']]) {
    const { code, stderr } = await weir(['run', file, ...wrong]);
    assert.notEqual(code, 0, wrong.join(' '));
    assert.notEqual(stderr, '', wrong.join(' '));
  }
});

test('a manifest that is not there ends with 2, an address that is taken with 1', async (t) => {
  const hub = await startHub(t, smallest);
  const dir = folder(t);
  const gone = await weir(['run', path.join(dir, 'nowhere.toml')]);
  assert.equal(gone.code, 2);
  assert.match(gone.stderr, /nowhere\.toml/);
  fs.writeFileSync(path.join(dir, 'hub.toml'), `listen = "${hub.address}"\n${smallest}`);
  const taken = await weir(['run', path.join(dir, 'hub.toml')]);
  assert.equal(taken.code, 1);
  assert.ok(taken.stderr.includes(hub.address), taken.stderr);
});

test('the environment fills ${NAME} and ${NAME:-default} in strings', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': 'listen = "${WEIR_E2E_LISTEN}"\n[[endpoint]]\npath = "${WEIR_E2E_PATH:-/ws}"\n[[channel]]\npattern = "**"\n' });
  const without = await weir(['check', path.join(dir, 'hub.toml')], { env: {} });
  assert.equal(without.code, 2);
  assert.match(without.stdout + without.stderr, /hub\.toml:1:\d+: .*WEIR_E2E_LISTEN/);
  process.env.WEIR_E2E_LISTEN = '127.0.0.1:0';
  t.after(() => delete process.env.WEIR_E2E_LISTEN);
  const hub = await startHub(t, null, { folder: dir, manifestFile: path.join(dir, 'hub.toml') });
  await hub.connect();
});

// Symptom: a secret of the environment stood in what `weir check` and `weir run` print.
test('what comes from the environment is printed by neither check nor run, whatever is wrong', async (t) => {
  const dir = folder(t);
  const env = { SEC: 'topsecretvalue' };
  const wrong = [
    '[[channel]]\npattern = "c"\nrules = [{ script = "filters/severity.lua", params = { at_least = "${SEC}" } }]\n',
    '[[channel]]\npattern = "${SEC} bad"\nhistroy = 5\noverflow = "x"\n',
    '[[plugin]]\nname = "a"\nlibrary = "${SEC}"\n',
    '[[plugin]]\nname = "a"\nlibrary = "api-key"\nconfig = { file = "${SEC}.json" }\n',
    '[[channel]]\npattern = "c"\nrules = ["${SEC}.lua"]\n',
    '[[endpoint]]\npath = "/${SEC} x"\n',
    '[log]\nfile = "/dev/null/${SEC}"\n',
  ];
  for (const text of wrong) {
    write(dir, { 'hub.toml': `listen = "127.0.0.1:0"\n${text}` });
    for (const command of text.startsWith('[log]') ? ['run'] : ['check', 'run']) {
      const { code, stdout, stderr } = await weir([command, path.join(dir, 'hub.toml')], { env });
      const said = stdout + stderr;
      assert.equal(code, 2, said);
      assert.ok(!said.includes('topsecretvalue'), `${command}: ${said}`);
      assert.ok(said.includes('${SEC}'), `${command}: ${said}`);
    }
  }
});

// Symptom: check said ok where run ended with 2.
test('check finds a key file that is missing or wrong, with its place', async (t) => {
  const dir = folder(t);
  const manifest = `listen = "127.0.0.1:0"\n[[plugin]]\nname = "keys"\nlibrary = "api-key"\nconfig = { file = "keys.json" }\n${smallest.replace('\n[[channel', '\nauth = ["keys"]\n[[channel')}`;
  for (const keys of [null, '{"keys":[{"id":"x"}]}']) {
    write(dir, { 'hub.toml': manifest, ...(keys ? { 'keys.json': keys } : {}) });
    for (const command of ['check', 'run']) {
      const { code, stdout, stderr } = await weir([command, path.join(dir, 'hub.toml')]);
      assert.equal(code, 2, stdout + stderr);
      assert.match(stderr, /hub\.toml:5:19: plugin "keys" .*keys\.json/);
    }
  }
});

test('a manifest may come from standard input, but a pipe that nobody writes into is refused at once', async (t) => {
  const dir = folder(t);
  write(dir, { 'hub.toml': `listen = "127.0.0.1:0"\n${smallest}` });
  execFileSync('mkfifo', [path.join(dir, 'pipe.toml')]);
  const pipe = await weir(['check', path.join(dir, 'pipe.toml')]);
  assert.equal(pipe.code, 2);
  assert.match(pipe.stderr, /pipe\.toml: this is no file/);
  const out = execFileSync('/bin/sh', ['-c', `cat "$0" | "$1" check /dev/stdin`, path.join(dir, 'hub.toml'), weirBin]);
  assert.match(out.toString(), /ok/);
});

test('numbers in a JSON log are numbers', async (t) => {
  const hub = await startHub(t, smallest, { args: ['--log-format', 'json'] });
  await hub.stop();
  const ready = hub.log.trim().split('\n').map((line) => JSON.parse(line)).find((line) => line.message === 'ready');
  assert.equal(ready.channels, 1, hub.log);
  assert.equal(ready.address, hub.address);
});

test('standard output has the ready line and nothing else', async (t) => {
  const hub = await startHub(t, smallest);
  await hub.connect();
  await hub.stop();
  assert.match(hub.output, /^weir ready http:\/\/127\.0\.0\.1:\d+\n$/);
});
