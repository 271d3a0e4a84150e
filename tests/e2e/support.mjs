// What every end-to-end test needs: a hub in a folder of its own, and a client that can wait for a fact.
// Nothing here sleeps: each wait ends with what was waited for, or fails at its deadline with what came instead.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
export const weirBin = process.env.WEIR_BIN || path.join(root, 'build/release/bin/weir');
const DEADLINE_MS = 15_000;

// The smallest manifest that the docs show.
export const smallest = '[[endpoint]]\npath = "/ws"\n[[channel]]\npattern = "**"\n';

export function browserPath() {
  for (const one of ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']) if (fs.existsSync(one)) return one;
  throw new Error('no Chromium here; ./dev test installs it');
}

export function deadline(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-e2e-'));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

// Writes files {name: text} into a folder; names may hold folders.
export function write(into, files) {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(into, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
}

// Runs `weir ARGS` to its end: {code, signal, stdout, stderr}.
export async function weir(args, options = {}) {
  const child = spawn(weirBin, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let stdout = '', stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (d) => (stdout += d));
  child.stderr.setEncoding('utf8').on('data', (d) => (stderr += d));
  try {
    const [code, signal] = await deadline(once(child, 'close'), () => `weir ${args.join(' ')} ends; so far:\n${stdout}\n${stderr}`, 30_000);
    return { code, signal, stdout, stderr };
  } finally {
    child.kill('SIGKILL');
  }
}

// Starts a hub. `manifest` is TOML text without `listen`; it and `files` land in a new folder (or in options.folder, and
// with options.manifestFile a manifest that is there already is used as it is). options.under: a command that starts it,
// such as ['prlimit', '--nofile=64'].
export async function startHub(t, manifest, options = {}) {
  const dir = options.folder || folder(t);
  write(dir, options.files || {});
  const file = options.manifestFile || path.join(dir, 'hub.toml');
  if (manifest !== null) fs.writeFileSync(file, `listen = "127.0.0.1:0"\n${manifest}`);
  const [program, ...words] = [...(options.under || []), weirBin, 'run', file, ...(options.args || [])];
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], cwd: options.cwd || dir });
  const hub = { folder: dir, child, pid: child.pid, log: '', output: '', ended: null };
  // Strings that stay small are worth keeping whole: they are the story when a test fails.
  child.stderr.setEncoding('utf8').on('data', (d) => (hub.log = (hub.log + d).slice(-64_000)));
  hub.ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  t.after(async () => {
    child.kill('SIGKILL');
    await hub.ended;
  });
  const ready = new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (d) => {
      hub.output += d;
      const found = /^weir ready (http:\/\/(\S+))$/m.exec(hub.output);
      if (found) resolve(found);
    });
    hub.ended.then(({ code, signal }) => reject(new Error(`weir ended before it was ready (${code ?? signal}):\n${hub.output}${hub.log}`)));
  });
  const [, url, address] = await deadline(ready, () => `the ready line; the hub said:\n${hub.output}${hub.log}`, 30_000);
  hub.url = url;
  hub.address = address;
  hub.ws = `ws://${address}`;
  hub.stop = async (ms = 20_000) => {
    child.kill('SIGTERM');
    return deadline(hub.ended, () => `the hub ends after SIGTERM; its log:\n${hub.log}`, ms);
  };
  hub.connect = (opts) => connect(t, hub, opts);
  hub.publish = async (channel, body, init = {}) => {
    const response = await fetch(`${url}/api/v1/channels/${channel.split('/').map(encodeURIComponent).join('/')}/events`, {
      method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...init,
      headers: { 'content-type': 'application/json', ...init.headers },
    });
    const text = await response.text();
    let json = null;
    try { json = JSON.parse(text); } catch { /* the test looks at `text` then */ }
    return { status: response.status, headers: response.headers, json, text };
  };
  hub.get = async (where, init) => {
    const response = await fetch(url + where, init);
    const text = await response.text();
    let json = null;
    try { json = JSON.parse(text); } catch { /* as above */ }
    return { status: response.status, headers: response.headers, json, text };
  };
  return hub;
}

// One connection of the npm package `ws`, with every frame kept in the order in which it came.
export class Client {
  constructor(socket) {
    this.socket = socket;
    this.frames = [];       // not taken yet
    this.waiting = null;
    this.number = 0;
    this.closed = new Promise((resolve) => socket.on('close', (code, reason) => {
      this.close_code = code;
      resolve({ code, reason: reason.toString() });
      this.waiting?.();
    }));
    socket.on('message', (data, binary) => {
      this.frames.push(binary ? { binary: true } : JSON.parse(data.toString()));
      this.waiting?.();
    });
    socket.on('error', () => {});  // a refused or broken connection ends in 'close'
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  // Takes the first frame that `wanted` accepts out of those that came, or waits for it.
  async take(wanted, what = wanted.toString(), ms = DEADLINE_MS) {
    const until = Date.now() + ms;
    let looked = 0;
    for (;;) {
      for (; looked < this.frames.length; looked++) {
        if (wanted(this.frames[looked])) return this.frames.splice(looked, 1)[0];
      }
      if (this.close_code !== undefined) throw new Error(`closed with ${this.close_code} while waiting for ${what}; came: ${this.story()}`);
      const left = until - Date.now();
      if (left <= 0) throw new Error(`not within ${ms} ms: ${what}; came: ${this.story()}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => { clearTimeout(timer); this.waiting = null; resolve(); };
      });
    }
  }

  story() {
    return JSON.stringify(this.frames.slice(-20)).slice(0, 3000);
  }

  // Sends with a fresh id and takes the answer to it.
  async ask(message, ms) {
    const id = message.id ?? `q${++this.number}`;
    this.send({ ...message, id });
    return this.take((f) => f.id === id && f.type !== 'event', `the answer to ${JSON.stringify(message).slice(0, 200)}`, ms);
  }

  // The next `count` events, in the order in which they came.
  async events(count, ms) {
    const out = [];
    while (out.length < count) out.push(await this.take((f) => f.type === 'event', `event ${out.length + 1} of ${count}`, ms));
    return out;
  }

  // Everything sent before has been answered or has been pushed once this returns: pong comes behind it.
  async ping() {
    this.send({ type: 'ping' });
    return this.take((f) => f.type === 'pong', 'pong');
  }

  pending(type) {
    return this.frames.filter((f) => f.type === type);
  }
}

// Opens a connection; resolves once `connected` is there unless options.raw. Refused: an error with .status and .body.
export async function connect(t, hub, options = {}) {
  const { path: where = '/ws', headers, protocols = [], raw = false, ws = {} } = options;
  const socket = new WebSocket(hub.ws + where, protocols, { headers, perMessageDeflate: false, ...ws });
  t.after(() => socket.terminate());
  const client = new Client(socket);
  await deadline(new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
    socket.once('unexpected-response', (_, response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (d) => (body += d)).on('end', () => {
        const refused = new Error(`refused with ${response.statusCode}: ${body}`);
        refused.status = response.statusCode;
        refused.headers = response.headers;
        try { refused.body = JSON.parse(body); } catch { refused.body = body; }
        reject(refused);
      });
    });
  }), () => `the connection to ${where}; the hub's log:\n${hub.log}`);
  if (!raw) client.connected = await client.take((f) => f.type === 'connected', 'connected');
  return client;
}

// The error with which a connection is refused before the upgrade.
export async function refusal(t, hub, options) {
  let client;
  try {
    client = await connect(t, hub, { ...options, raw: true });
  } catch (error) {
    if (error.status === undefined) throw error;
    return error;
  }
  throw new Error(`the connection was accepted: ${client.story()}`);
}
