// The outage of mobile banking, clicked through as people would: with scripts and without, in Chinese and English, at a desk and on a phone.
import assert from 'node:assert/strict';
import { readFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { test, before, after } from 'node:test';
import { muster, person, until } from '../lib/muster.js';
import { openBrowser, open, byTest, fits, spoken, WIDE, NARROW } from '../lib/chromium.js';

const shots = process.env.MUSTER_SCREENSHOTS ? path.resolve(import.meta.dirname, '../../docs/screenshots') : null;
if (shots) mkdirSync(shots, { recursive: true });
let server, browser, second, deputy;
before(async () => {
  server = await muster({ demo: true, settings: { MUSTER_LOG_LEVEL: 'warn' } });
  second = await server.db.one(`select id, login from person where login = 'gao.feng'`);
  deputy = await server.db.one(`select id, login from person where login = 'zhou.kai'`);
  browser = await openBrowser();
});
after(async () => { await browser?.close(); await server?.close(); });

// A press that leads to a page. Every page on the way must fit the window and be in words.
async function press(seat, locator) {
  await Promise.all([seat.page.waitForEvent('domcontentloaded'), locator.click()]);
  await seat.page.waitForLoadState('load');
  await fits(seat.page);
  await spoken(seat.page);
}
const go = async (seat, target) => { await seat.go(target); await fits(seat.page); await spoken(seat.page); };
const it = (seat, id) => byTest(seat.page, id);
const timeline = async seat => (await it(seat, 'timeline').textContent()).replace(/\s+/g, ' ');

// Minutes ago, as a person in Shanghai writes it into a field.
const ago = minutes => new Date(Date.now() + 8 * 3600e3 - minutes * 60e3).toISOString().slice(0, 16);

async function declare(seat, { kind, title, severity, services, began }) {
  await press(seat, it(seat, 'nav-declare'));
  await it(seat, `kind-${kind}`).check();
  await seat.page.fill('#f-title', title);
  await it(seat, `severity-${severity}`).check();
  for (const service of services) await it(seat, `service-${service}`).check();
  if (began) { await it(seat, 'declare-form').locator('details.more summary').click(); await seat.page.fill('#f-occurred_at', began); }
  await press(seat, it(seat, 'declare'));
  const ref = (await it(seat, 'ref').textContent()).trim();
  assert.match(ref, kind === 'drill' ? /^DRL-\d{4}-\d{4}$/ : /^INC-\d{4}-\d{4}$/);
  assert.ok(await it(seat, 'told').locator('li').count() >= 3, 'the receipt names who is told');
  await press(seat, it(seat, 'to-room'));
  assert.ok(seat.page.url().endsWith(`/incidents/${ref}`));
  return ref;
}
// One of the acts: a press opens its form, a press sends it.
async function act(seat, name, fill) {
  const details = it(seat, `act-${name}`);
  await details.locator('summary').click();
  await fill(details);
  await press(seat, details.locator('form button').last());
}
const severity = (seat, level, reason) => act(seat, 'severity', async form => { await form.locator('[name="severity"]').selectOption(level); await form.locator('[name="reason"]').fill(reason); });
const state = (seat, value, reason) => act(seat, 'state', async form => { await form.locator('[name="state"]').selectOption(value); await form.locator('[name="reason"]').fill(reason); });
const note = async (seat, text) => { await seat.page.fill('#f-text', text); await press(seat, it(seat, 'note-send')); };

async function signIn(seat, login, once) {
  await go(seat, '/incidents');                                 // leads to the form, and back afterwards
  assert.match(seat.page.url(), /\/signin/);
  await seat.page.fill('#f-login', login);
  await seat.page.fill('#f-password', 'not the password');
  await press(seat, it(seat, 'signin-button'));
  assert.ok(await it(seat, 'errors').isVisible(), 'a wrong password is said');
  await seat.page.fill('#f-login', login);
  await seat.page.fill('#f-password', once);
  await press(seat, it(seat, 'signin-button'));
  assert.match(seat.page.url(), /\/password$/, 'a one-time password must be changed first');
  await seat.page.fill('#f-current', once);
  await seat.page.fill('#f-password', 'korrekt-pferd-batterie-9');
  await seat.page.fill('#f-again', 'korrekt-pferd-batterie-9');
  await press(seat, it(seat, 'password-button'));
  await go(seat, '/');
  assert.ok(await it(seat, 'open').count() === 1);
}

// What a commander needs is on the first screenful at a desk.
async function onOneScreen(seat) {
  const edge = await seat.page.evaluate(() => innerHeight);
  const regions = { title: '[data-testid="title"]', since: '[data-testid="running"]', severity: '#header .pill', commander: '[data-testid="commander"]', 'next update': '[data-testid="next-update"]', clocks: '[data-testid="clocks"] > li', steps: '#steps',
    'current step': '#steps [data-testid="step"] h3', people: '#roles', 'first person': '[data-testid="roles"] dd', services: '#services', timeline: '#timeline', 'an entry': '[data-testid="timeline"] > li', 'the next entry': '[data-testid="timeline"] > li:nth-child(2)' };
  for (const [what, selector] of Object.entries(regions)) {
    const box = await seat.page.locator(selector).first().boundingBox();
    assert.ok(box && box.height > 0 && box.y >= 0 && box.y + Math.min(box.height, 24) <= edge, `${what} is on the first screenful: ${JSON.stringify(box)}`);
  }
}

async function full(seat, { login, name, title, shot }) {
  const { page } = seat;
  const once = server.cli(['user', 'create', login, '--role', 'commander', '--name', name]).trim();
  await signIn(seat, login, once);
  const ref = await declare(seat, { kind: 'incident', title, severity: 'II', services: ['mobile-banking', 'fast-payment'], began: ago(12) });
  const room = () => go(seat, `/incidents/${ref}`);
  if (page.viewportSize().width > 1000) await onOneScreen(seat);

  // ticks with values; the last one closes the list
  const item = id => page.locator('#steps .item', { has: page.locator(`[data-testid="tick-${id}"]`) });
  await item('login').locator('[name="value"]').fill('E-4012');
  await press(seat, it(seat, 'tick-login'));
  await room();
  assert.match(await page.locator('#steps').textContent(), /E-4012/, 'the value stays beside the tick');
  for (const id of ['scope', 'freeze']) { await press(seat, it(seat, `tick-${id}`)); await room(); }
  await item('count').locator('[name="values.users"]').fill('1200000');
  await press(seat, it(seat, 'tick-count'));
  await room();
  await press(seat, it(seat, 'decide-II'));
  await room();
  assert.ok(await page.locator('#steps').textContent());

  // another person approves, elsewhere
  const other = await open(browser, server, { who: second, language: 'zh', scripts: seat.scripts });
  await go(other, `/incidents/${ref}`);
  await press(other, it(other, 'approve'));
  await other.close();
  assert.deepEqual(other.faults, []);
  await room();

  // a task wants its fields and a proof
  const repair = page.locator('[data-testid="step"]', { has: page.locator('[name="values.cause"]') });
  await repair.locator('[name="values.cause"]').selectOption('release');
  await repair.locator('[name="values.healthy"]').selectOption('true');
  await repair.locator('form details.more summary').first().click();
  await repair.locator('[name="link"]').fill('https://wiki.haidong.example/rollback');
  await press(seat, repair.locator('[data-testid="done"]'));
  await room();
  assert.equal(await page.locator('[name="values.cause"]').count(), 0, 'the task is done');

  await note(seat, 'The sign-in service answers again · 登录服务恢复应答');
  await room();
  assert.match(await timeline(seat), /登录服务恢复应答/);
  await page.locator('[data-testid="note-form"] summary').click();
  await page.fill('#f-at', ago(40));
  await note(seat, 'Change window closed · 变更窗口结束');
  await room();
  assert.match(await timeline(seat), new RegExp(`变更窗口结束.*${(await page.evaluate(() => document.documentElement.lang)) === 'en' ? 'recorded|later|late' : '记|补'}`), 'both times are shown');

  await severity(seat, 'III', 'Half of the customers can sign in');
  await room();
  assert.equal(await page.locator('#header .sev-III').count(), 1);
  await act(seat, 'next-update', form => form.locator('[name="minutes"]').fill('45'));
  await room();
  assert.ok(await it(seat, 'next-update').isVisible());
  await act(seat, 'handover', async form => { await form.locator('[name="to"]').selectOption(deputy.id); await form.locator('[name="reason"]').fill('End of my shift'); });
  await room();
  assert.match(await it(seat, 'commander').textContent(), /Zhou Kai|周凯/);
  if (shot) await page.screenshot({ path: shot });

  // the public
  await press(seat, page.locator(`a[href="/incidents/${ref}/status-updates"]`).first());
  await it(seat, 'status-form').locator('[name="status"][value="monitoring"]').check();
  await page.fill('[name="text.zh"]', '手机银行已恢复，正在观察。');
  await page.fill('[name="text.en"]', 'Mobile banking is back. We are watching it.');
  await press(seat, it(seat, 'publish'));
  assert.match(await it(seat, 'published').textContent(), /正在观察/);
  const visitor = await open(browser, server, { language: 'zh', scripts: seat.scripts, size: page.viewportSize() });
  await until('the public page', async () => { await go(visitor, '/status'); return (await visitor.page.textContent('body')).includes('手机银行已恢复，正在观察。'); });
  assert.ok(!(await visitor.page.textContent('body')).includes(title), 'the internal title stays inside');
  if (shots && seat.language === 'en') await visitor.page.screenshot({ path: path.join(shots, 'status-zh.png') });
  await visitor.close();
  assert.deepEqual(visitor.faults, []);

  // the regulator: the playbook opened a draft
  await go(seat, `/incidents/${ref}/reports`);
  await press(seat, page.locator('a[href^="/reports/RPT-"]').first());
  assert.ok(await it(seat, 'facts').isVisible() && await it(seat, 'content').isVisible());

  // the end: the run is broken off by two people, then the states in order
  await room();
  const run = (await server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref])).id;
  const abort = async who => { await go(who, `/runs/${run}`); await who.page.fill('#f-reason', 'Restored, the rest is done by hand'); await press(who, who.page.locator('button[name="act"][value="abort"]')); };
  await abort(seat);
  const next = await open(browser, server, { who: deputy, language: 'en', scripts: seat.scripts });
  await abort(next);
  await next.close();
  assert.notEqual((await server.db.one('select finished_at from run where id = $1', [run])).finished_at, null, 'two people end a run');
  for (const value of ['mitigated', 'resolved', 'closed']) {
    await room();
    await state(seat, value, 'Rolled back to the version before');
    await room();
    assert.equal(await page.locator(`#header .state-${value}`).count(), 1);
  }
  assert.ok(await page.locator('#header [data-since]').count() === 0, 'the clock stands');

  const [file] = await Promise.all([page.waitForEvent('download'), page.locator(`a[href="/incidents/${ref}/export.json"]`).click()]);
  const saved = await file.path();
  assert.equal(JSON.parse(readFileSync(saved, 'utf8')).incident.ref, ref);
  assert.doesNotThrow(() => server.cli(['audit', 'verify', saved]), 'the hash chain of the file holds');
  assert.deepEqual(seat.faults.filter(fault => !/\/signin: Failed to load resource.* 422 /.test(fault)), [], 'but for the wrong password');
}

test('the whole story in English, at a desk, with scripts', async () => {
  const seat = Object.assign(await open(browser, server, { language: 'en', size: WIDE }), { scripts: true, language: 'en' });
  await full(seat, { login: 'lin.jing', name: 'Lin Jing', title: 'Mobile banking: sign-in fails', shot: shots && path.join(shots, 'incident-en.png') });
  await seat.close();
});

test('the whole story in Chinese, on a phone, without scripts', async () => {
  const seat = Object.assign(await open(browser, server, { language: 'zh', size: NARROW, scripts: false }), { scripts: false, language: 'zh' });
  await full(seat, { login: 'fan.qiao', name: '樊乔', title: '手机银行登录大面积失败', shot: shots && path.join(shots, 'incident-zh-phone.png') });
  await seat.close();
});

// The other six of the eight: declared as a drill, one tick, a note, severity, restored. The mark of the drill is on every page.
for (const language of ['en', 'zh']) for (const size of [WIDE, NARROW]) for (const scripts of [true, false]) {
  if ((language === 'en' && size === WIDE && scripts) || (language === 'zh' && size === NARROW && !scripts)) continue;
  test(`a drill in ${language}, ${size.width} wide, scripts ${scripts ? 'on' : 'off'}`, async () => {
    const who = await person(server.db, `drill.${language}.${size.width}.${scripts ? 'on' : 'off'}`, ['commander'], { language });
    const seat = await open(browser, server, { who, language, size, scripts });
    await go(seat, '/');
    const ref = await declare(seat, { kind: 'drill', title: language === 'zh' ? '桌面推演：核心系统' : 'Table-top: core banking', severity: 'III', services: ['mobile-banking'] });
    const marked = async () => {
      const mark = language === 'zh' ? '【演练】' : '[DRILL]';
      assert.ok(await it(seat, 'drill-banner').isVisible());
      assert.ok((await seat.page.title()).startsWith(mark), await seat.page.title());
    };
    await marked();
    if (size === WIDE) await onOneScreen(seat);
    await press(seat, it(seat, 'tick-login'));
    await go(seat, `/incidents/${ref}`);
    assert.match(await seat.page.locator('#steps').textContent(), /1 \/ 4/);
    await note(seat, 'First note of the drill');
    await go(seat, `/incidents/${ref}`);
    assert.match(await timeline(seat), /First note of the drill/);
    await severity(seat, 'I', 'The exercise gets worse');
    await go(seat, `/incidents/${ref}`);
    assert.equal(await seat.page.locator('#header .sev-I').count(), 1);
    await state(seat, 'resolved', 'The aims were met');
    await go(seat, `/incidents/${ref}`);
    await marked();
    assert.equal(await seat.page.locator('#header .state-resolved').count(), 1);
    for (const tab of ['timeline', 'deliveries', 'reports', 'status-updates', 'print']) { await go(seat, `/incidents/${ref}/${tab}`); await marked(); }
    await go(seat, '/incidents');
    assert.ok(await seat.page.locator('[data-row]', { hasText: ref }).locator('.pill.drill').count() === 1, 'the list marks it');
    assert.deepEqual(seat.faults, []);
    await seat.close();
  });
}
