// examples/quickstart as it is, and the built-in page in a real browser.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { browserPath, folder, root, smallest, startHub } from './support.mjs';

async function openPage(t, url, options = {}) {
  const browser = await chromium.launch({
    executablePath: browserPath(),
    args: [...(process.getuid() === 0 ? ['--no-sandbox'] : []), '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, ...options });
  page.problems = [];
  page.on('console', (m) => { if (m.type() === 'error') page.problems.push(m.text()); });
  page.on('pageerror', (e) => page.problems.push(String(e)));
  await page.goto(url);
  return page;
}

async function quickstart(t) {
  const dir = folder(t);
  fs.cpSync(path.join(root, 'examples/quickstart'), dir, { recursive: true, filter: (name) => path.basename(name) !== 'log' });
  const hub = await startHub(t, null, { folder: dir, manifestFile: path.join(dir, 'hub.toml'), args: ['--listen', '127.0.0.1:0'], cwd: '/' });
  return { dir, hub };
}

test('the quickstart runs as it is: healthy, its own log followed, secrets hidden, debug lines dropped', async (t) => {
  const { dir, hub } = await quickstart(t);
  const health = await hub.get('/health');
  assert.equal(health.json.status, 'ok', health.text);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/**', replay: 50 });
  await client.ask({ type: 'subscribe', channel: 'demo/ticks' });
  await client.take((f) => f.channel === 'demo/ticks' && f.event === 'tick', 'a tick');
  const log = path.join(dir, 'log/weir.log');
  fs.appendFileSync(log, '2026-01-01T12:00:00.000Z debug test nobody wants this one\n');
  fs.appendFileSync(log, '2026-01-01T12:00:00.000Z info test hello from me, password=hunter2 token=abcdef\n');
  const event = await client.take((f) => f.type === 'event' && f.channel === 'logs/weir.log' && String(f.data.line).includes('hello from me'), 'the line');
  assert.ok(!JSON.stringify(event).includes('hunter2'), JSON.stringify(event));
  assert.ok(!JSON.stringify(event).includes('abcdef'), JSON.stringify(event));
  assert.equal(event.data.level, 'info', JSON.stringify(event));
  assert.ok(!client.pending('event').some((e) => JSON.stringify(e).includes('nobody wants')));
  assert.equal((await hub.publish('logs/weir.log', { event: 'line', data: {} })).status, 403);
  assert.equal((await hub.publish('demo/hello', { event: 'greeting', data: { text: 'good day' } })).status, 200);
  assert.equal((await hub.stop()).code, 0);
});

// PASSWORD=hunter2 and its like arrived as they were; a line of JSON lost all that stood behind the password.
test('the quickstart hides secrets however they are written, and keeps the rest of the line', async (t) => {
  const { dir, hub } = await quickstart(t);
  const client = await hub.connect();
  await client.ask({ type: 'subscribe', channel: 'logs/weir.log' });
  const lines = [
    ['PASSWORD=hunter2 a', 'PASSWORD=[hidden] a'],
    ['SECRET=zzz b', 'SECRET=[hidden] b'],
    ['TOKEN=abc c', 'TOKEN=[hidden] c'],
    ['API-KEY: abc d', 'API-KEY: [hidden] d'],
    ['mysql://user:pass@host e', 'mysql://user:[hidden]@host e'],
    ['pwd=abc f', 'pwd=[hidden] f'],
    ['passphrase: x', 'passphrase: [hidden]'],
    ['passwd="a b c" g', 'passwd="[hidden]" g'],
    ['Authorization: Bearer abc h', 'Authorization: Bearer [hidden] h'],
    ['{"password":"hunter2","level":"info"}', '{"password":"[hidden]","level":"info"}'],
    ['password changed for user bob', 'password changed for user bob'],
  ];
  fs.appendFileSync(path.join(dir, 'log/weir.log'), lines.map(([line]) => `${line}\n`).join(''));
  for (const [, line] of lines) {
    const event = await client.take((f) => f.type === 'event' && f.data.line === line, line);
    if (line.startsWith('{')) {
      assert.equal(event.data.level, 'info');
      assert.deepEqual(event.data.fields, { password: '[hidden]', level: 'info' });
    }
  }
});

test('the page shows the quickstart live: state, channels with rates, rows, text filter', async (t) => {
  const { dir, hub } = await quickstart(t);
  const page = await openPage(t, hub.url);
  await page.waitForSelector('#state[data-state="live"]');
  await page.waitForFunction(() => [...document.querySelectorAll('#rows .channel')].filter((e) => e.textContent === 'demo/ticks').length >= 2);
  await page.waitForFunction(() => [...document.querySelectorAll('#channels button')]
    .some((b) => b.querySelector('.name').textContent === 'demo/ticks' && /\d\/s$/.test(b.querySelector('.rate').textContent)));
  fs.appendFileSync(path.join(dir, 'log/weir.log'), '2026-01-01T12:00:00.000Z info test a line for the browser\n');
  await page.waitForFunction(() => [...document.querySelectorAll('#rows .data')].some((e) => e.textContent.includes('a line for the browser')));
  await page.fill('#filter', 'for the BROWSER');
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll('#rows li')];
    return rows.length >= 1 && rows.every((r) => r.textContent.includes('for the browser'));
  });
  await page.fill('#filter', '');
  await page.waitForFunction(() => [...document.querySelectorAll('#rows .channel')].some((e) => e.textContent === 'demo/ticks'));
  if (process.env.WEIR_E2E_SHOTS) await page.screenshot({ path: path.join(process.env.WEIR_E2E_SHOTS, 'page.png') });
  assert.deepEqual(page.problems, []);
});

test('the page shows what events hold as text and never as markup', async (t) => {
  const hub = await startHub(t, smallest);
  const page = await openPage(t, hub.url);
  await page.waitForSelector('#state[data-state="live"]');
  const markup = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
  await hub.publish(`m/${'<b>x</b>'.replace('/', '|')}`, { event: markup, data: { line: markup } });
  await hub.publish('m/json', { event: 'e', data: { html: markup } });
  await page.waitForFunction(() => document.querySelectorAll('#rows li').length === 2);
  assert.equal(await page.textContent('#rows li:first-child .data'), markup);
  assert.equal(await page.textContent('#rows li:last-child .data'), JSON.stringify({ html: markup }));
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator('#rows img, #rows script, #channels b').count(), 0);
  assert.deepEqual(page.problems, []);
});

test('the pattern stands in the address, pause holds, clear empties, a channel can be picked', async (t) => {
  const hub = await startHub(t, smallest);
  const page = await openPage(t, `${hub.url}/#a/*`);
  await page.waitForSelector('#state[data-state="live"]');
  assert.equal(await page.inputValue('#pattern'), 'a/*');
  const rows = (n) => page.waitForFunction((count) => document.querySelectorAll('#rows li').length === count, n);
  await hub.publish('b/1', { event: 'e', data: 'unseen' });
  await hub.publish('a/1', { event: 'e', data: 'one' });
  await hub.publish('a/2', { event: 'e', data: 'two' });
  await rows(2);
  await page.click('#channels button:has-text("a/2")');
  await rows(1);
  await page.click('#channels button:has-text("a/2")');
  await rows(2);
  await page.click('#pause');
  await hub.publish('a/1', { event: 'e', data: 'three' });
  await page.waitForFunction(() => document.getElementById('footer').textContent.includes('paused with 1 new'));
  await rows(2);
  await page.click('#pause');
  await rows(3);
  await page.click('#clear');
  await rows(0);
  await page.fill('#pattern', 'b/**');
  await page.press('#pattern', 'Enter');
  await rows(1);
  assert.ok(page.url().endsWith('#b/**'), page.url());
  await page.fill('#pattern', 'not//valid');
  await page.press('#pattern', 'Enter');
  await page.waitForSelector('#problem:not([hidden])');
  assert.deepEqual(page.problems, []);
});

test('the page comes back by itself after the hub was restarted, and shows nothing twice', async (t) => {
  const first = await startHub(t, smallest);
  const page = await openPage(t, first.url);
  await page.waitForSelector('#state[data-state="live"]');
  await first.publish('c', { event: 'e', data: 'before' });
  await page.waitForFunction(() => document.querySelectorAll('#rows li').length === 1);
  await first.stop();
  await page.waitForSelector('#state:not([data-state="live"])');
  const second = await startHub(t, smallest, { args: ['--listen', first.address] });
  await page.waitForSelector('#state[data-state="live"]', { timeout: 60_000 });
  await second.publish('c', { event: 'e', data: 'after' });
  await page.waitForFunction(() => document.querySelectorAll('#rows li').length === 2);
  assert.deepEqual(await page.locator('#rows .data').allTextContents(), ['"before"', '"after"']);
});

test('a flood does not hurt the page: at most 1000 rows, all counted, the rest admitted', async (t) => {
  // History holds all of it: what a slow browser could not take at once is caught up and not a gap.
  const hub = await startHub(t, `${smallest}history = { count = 100000, bytes = "64MiB" }\n`);
  const page = await openPage(t, hub.url);
  await page.waitForSelector('#state[data-state="live"]');
  const writer = await hub.connect();
  const count = 30_000;
  for (let n = 1; n <= count; n++) writer.send({ type: 'publish', channel: `f/${n % 10}`, event: 'e', data: { n } });
  await page.waitForFunction((all) => document.getElementById('total-count').textContent === all, count.toLocaleString('en'), { timeout: 60_000 });
  const { rows, footer } = await page.evaluate(() => ({ rows: document.querySelectorAll('#rows li').length, footer: document.getElementById('footer').textContent }));
  assert.ok(rows > 0 && rows <= 1000, `${rows} rows`);
  assert.match(footer, /not drawn/);
  assert.deepEqual(page.problems, []);
});

test('the page fits into 320 pixels, light and dark', async (t) => {
  const hub = await startHub(t, smallest);
  for (const colorScheme of ['light', 'dark']) {
    const page = await openPage(t, hub.url, { viewport: { width: 320, height: 640 }, colorScheme });
    await page.waitForSelector('#state[data-state="live"]');
    await hub.publish(`a-rather-long-channel-name/with/segments/${colorScheme}`, { event: 'something.happened', data: { line: 'x'.repeat(400) } });
    await page.waitForSelector('#rows li');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 320), 'no sideways scrolling');
    if (process.env.WEIR_E2E_SHOTS) await page.screenshot({ path: path.join(process.env.WEIR_E2E_SHOTS, `narrow-${colorScheme}.png`) });
  }
});
