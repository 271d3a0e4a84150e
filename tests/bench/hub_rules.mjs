// What a rule adds to the hub's cost per event, end to end: events are published in frames of one WebSocket to three
// channels that differ in their rule only, in turns, and the CPU time of the hub's threads is read after each turn.
// Prints the median over the rounds of the difference within one round, with its quartiles.
// usage: node hub_rules.mjs WEIR [ROUNDS]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const WebSocket = createRequire(new URL('../e2e/', import.meta.url))('ws');
const rounds = Number(process.argv[3] ?? 40);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-hub-rules-'));
const rules = {
  none: null,
  one: "return { filter = function(ev) return ev.data.level ~= 'debug' end }",
  three: `return { filter = function(ev)
    local d = ev.data
    return d.level ~= 'debug' and d.user.id >= 0 and d.size >= 0
  end }`,
};
let manifest = 'listen = "127.0.0.1:0"\nthreads = 1\n[[endpoint]]\npath = "/ws"\n';
for (const [name, text] of Object.entries(rules)) {
  manifest += `[[channel]]\npattern = "${name}/{x}"\nhistory = { count = 100 }\n`;
  if (text === null) continue;
  fs.writeFileSync(path.join(folder, `${name}.lua`), text);
  manifest += `rules = ["${name}.lua"]\n`;
}
fs.writeFileSync(path.join(folder, 'hub.toml'), manifest);

const hub = spawn(process.argv[2], ['run', path.join(folder, 'hub.toml')], { stdio: ['ignore', 'pipe', 'ignore'] });
const said = await new Promise((resolve) => hub.stdout.once('data', (data) => resolve(data.toString())));
const address = said.match(/127\.0\.0\.1:\d+/)[0];

const cpuUs = () => {
  let ns = 0;
  for (const thread of fs.readdirSync(`/proc/${hub.pid}/task`))
    ns += Number(fs.readFileSync(`/proc/${hub.pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return ns / 1000;
};

const socket = new WebSocket(`ws://${address}/ws`, { perMessageDeflate: false });
await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
let ponged;
socket.on('message', (text) => {
  const frame = JSON.parse(text);
  if (frame.type === 'error') throw new Error(frame.message);
  if (frame.type === 'pong') ponged();
});
const ping = () => {
  const pong = new Promise((resolve) => (ponged = resolve));
  socket.send('{"type":"ping","id":1}');
  return pong;
};

function dataOf(size) {
  const base = { id: 'a-1', level: 'info', size: 17, user: { id: 7, name: 'Anna', admin: false }, ok: true };
  const steps = [];
  while (JSON.stringify({ ...base, steps }).length < size)
    steps.push({ step: steps.length, tool: 'search', ms: 12.5, tags: ['a', 'b'], text: 'what was found there' });
  return JSON.stringify(steps.length > 0 ? { ...base, steps } : base);
}

async function costOf(rule, data, count) {
  const frame = `{"type":"publish","channel":"${rule}/1","event":"e","data":${data}}`;
  const before = cpuUs();
  for (let i = 1; i <= count; i++) {
    socket.send(frame);
    if (i % 500 === 0) await ping();
  }
  return (cpuUs() - before) / count;
}

const at = (list, part) => list.sort((a, b) => a - b)[Math.floor(part * (list.length - 1))];
const text = (list) => `${at(list, 0.5).toFixed(2)} (${at(list, 0.25).toFixed(2)} to ${at(list, 0.75).toFixed(2)})`;
console.log('CPU us of the hub per event: median (quartiles)');
for (const size of [80, 1000, 6000]) {
  const data = dataOf(size);
  const costs = [];
  for (let round = -1; round < rounds; round++) {
    const cost = {};
    for (const rule of Object.keys(rules)) cost[rule] = await costOf(rule, data, 5000);
    if (round >= 0) costs.push(cost);
  }
  const added = (rule) => text(costs.map((cost) => cost[rule] - cost.none));
  console.log(
    `${String(data.length).padStart(5)} B: without a rule ${text(costs.map((cost) => cost.none))};`,
    `a filter that reads one field adds ${added('one')}, one that reads three ${added('three')}`,
  );
}
socket.close();
hub.kill();
await new Promise((resolve) => hub.once('exit', resolve));
fs.rmSync(folder, { recursive: true });
