// `weir NAME` runs weir-NAME, beside the program or in PATH.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, weirBin as bin } from './support.mjs';

const run = (program, args, env = {}) => spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env } });
const script = (file, text) => fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });

test('a program in PATH is run with its arguments, input and exit status', (t) => {
  const dir = folder(t);
  script(path.join(dir, 'weir-say-it'), 'echo "$# $1 $2"; cat; exit 7');
  const done = spawnSync(bin, ['say-it', '--help', 'two words'], { encoding: 'utf8', input: 'in', env: { PATH: `${dir}:${process.env.PATH}` } });
  assert.deepEqual([done.status, done.stdout], [7, '2 --help two words\nin']);
});

test('one beside the program comes first, and a built-in command before both', (t) => {
  const dir = folder(t), beside = path.join(dir, 'bin');
  fs.mkdirSync(beside);
  fs.copyFileSync(bin, path.join(beside, 'weir'));
  script(path.join(beside, 'weir-x'), 'echo beside');
  script(path.join(dir, 'weir-x'), 'echo path');
  script(path.join(dir, 'weir-check'), 'echo stolen');
  const env = { PATH: `${dir}:${process.env.PATH}` };
  assert.equal(run(path.join(beside, 'weir'), ['x'], env).stdout, 'beside\n');
  assert.equal(run(bin, ['x'], env).stdout, 'path\n');
  assert.doesNotMatch(run(bin, ['check', '--limits'], env).stdout, /stolen/);
});

test('a command that is none is named, with where a program was looked for', (t) => {
  const dir = folder(t);
  fs.writeFileSync(path.join(dir, 'weir-plain'), 'no program');
  for (const [name, expected] of [
    ['nope', /^weir: there is no command "nope", and no program weir-nope in .+ or in PATH; weir --help lists the commands\n$/],
    ['plain', /no program weir-plain/],
    ['../x', /^weir: there is no command "\.\.\/x"; weir --help lists them\n$/],
  ]) {
    const done = run(bin, [name], { PATH: `${dir}:${process.env.PATH}` });
    assert.equal(done.status, 1);
    assert.match(done.stderr, expected);
  }
  assert.match(run(bin, ['--help']).stdout, /weir-NAME/);
});

test('weir pg prints the SQL of an outbox', (t) => {
  const done = run(bin, ['pg', 'init', '--print', '--schema', 'shop']);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /create table if not exists "shop"\.outbox \(/);
});
