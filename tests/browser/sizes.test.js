// What pages weigh, as a bank's thin line sees it.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { gzipSync } from 'node:zlib';
import { muster } from '../lib/muster.js';
import { openBrowser, open, scene } from '../lib/chromium.js';
import { session } from '../lib/muster.js';

let server, browser, play, cookie;
before(async () => { server = await muster({ demo: true, settings: { MUSTER_LOG_LEVEL: 'warn' } }); play = await scene(server, { notes: 100 }); cookie = (await session(server, play.people.commander)).header; browser = await openBrowser(); });
after(async () => { await browser?.close(); await server?.close(); });
const get = async (path, cookies = cookie) => { const answer = await fetch(server.url + path, { headers: { Cookie: cookies, 'Accept-Language': 'zh' } }); assert.equal(answer.status, 200, path); return answer.text(); };
const gz = text => gzipSync(text, { level: 6 }).length;
const links = (html, pattern) => [...html.matchAll(pattern)].map(found => found[1]);

test('scripts ≤ 15 KB, styles ≤ 14 KB, icons ≤ 4 KB', async () => {
  const html = await get(`/incidents/${play.ref}`);
  const scripts = new Set(links(html, /<script[^>]+src="([^"]+)"/g));
  const sources = new Map();
  for (const path of scripts) {
    const text = await get(path);
    sources.set(path, text);
    for (const [, name] of text.matchAll(/from '([^']+)'/g)) { const full = new URL(name, server.url + path).pathname; if (!scripts.has(full)) scripts.add(full); }
  }
  assert.ok(scripts.size >= 5, [...scripts].join());
  const script = [...sources.values()].reduce((sum, text) => sum + gz(text), 0);
  assert.ok(script <= 15 * 1024, `scripts are ${script} bytes`);
  const style = gz(await get(links(html, /<link rel="stylesheet" href="([^"]+)"/g)[0]));
  assert.ok(style <= 14 * 1024, `styles are ${style} bytes`);
  const icons = gz(await get(links(html, /<use href="([^"#]+)#/g)[0]));
  assert.ok(icons <= 4 * 1024, `icons are ${icons} bytes`);
});

test('an incident with 100 entries ≤ 30 KB; one region of it ≤ 3 KB', async () => {
  const html = await get(`/incidents/${play.ref}`);
  assert.equal(links(html, /<li id="(e\d+)"/g).length, 100, 'the newest hundred');
  assert.ok(gz(html) <= 30 * 1024, `the page is ${gz(html)} bytes`);
  for (const part of ['header', 'clocks', 'services', 'roles', 'deliveries', 'steps']) {
    const region = await get(`/incidents/${play.ref}?part=${part}`);
    assert.ok(gz(region) <= 3 * 1024, `${part} is ${gz(region)} bytes`);
  }
});

test('the plain page ≤ 10 KB, without style and script', async () => {
  const html = await get(`/incidents/${play.ref}/plain`);
  assert.ok(Buffer.byteLength(html) <= 10 * 1024, `the page is ${Buffer.byteLength(html)} bytes`);
  assert.ok(!/<script|<style|stylesheet|style="/.test(html));
});

test('the status page: no script, ≤ 40 KB with everything, nothing from anywhere else', async () => {
  for (const language of ['zh', 'en']) {
    const seat = await open(browser, server, { language });
    let bytes = 0;
    seat.page.on('response', async answer => { const body = await answer.body().catch(() => Buffer.alloc(0)); bytes += body.length; });
    await seat.page.goto(server.url + '/status', { waitUntil: 'networkidle' });
    assert.equal(await seat.page.locator('script').count(), 0);
    assert.ok(bytes > 5000 && bytes <= 40 * 1024, `${bytes} bytes unpacked`);
    assert.deepEqual(seat.faults, []);
    await seat.close();
  }
});
