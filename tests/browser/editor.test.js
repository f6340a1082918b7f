// The editor of playbooks in a real browser: text with findings as one types, the form face, comparison and the picture; with and
// without scripts, in both languages, wide and narrow, light and dark.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test, before, after } from 'node:test';
import { muster, bearer, until, published } from '../lib/muster.js';
import { openBrowser, open, byTest, fits, spoken, violations, WIDE, NARROW } from '../lib/chromium.js';

const shots = process.env.MUSTER_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
let server, browser, who, other, api, second;
before(async () => {
  server = await muster({ demo: true, settings: { MUSTER_LOG_LEVEL: 'warn' } });
  const find = login => server.db.one('select id, login from person where login = $1', [login]);
  who = await find('wang.min');
  other = await find('gao.feng');
  api = await bearer(server, who);
  second = await bearer(server, other);
  browser = await openBrowser();
});
after(async () => { await browser?.close(); await server?.close(); });

const book = id => `format: muster/1
id: ${id}
title: {zh: 编辑测试, en: Editor test}
roles:
  commander: {zh: 应急指挥长, en: Incident commander, min: 1}
  duty: {zh: 值班经理, en: Duty manager, min: 1}
steps:
  - checklist: look
    title: {zh: 查看现象, en: Look at what happens}
    role: duty
    items:
      - {id: one, critical: true, zh: 查看错误码, en: Note the error code}
      - {id: two, zh: 查看变更, en: List the changes}
  - if: bad
    cond: run.severity == 'I'
    then:
      - task: call
        title: {zh: 通知指挥长, en: Call the commander}
        role: duty
        deadline: {after: 10m, escalate: [commander]}
  - {task: close, role: commander, title: {zh: 收尾, en: Close}}
`;
const good = answer => { assert.ok(answer.status < 300, `${answer.status} ${answer.text}`); return answer; };
const press = (seat, locator) => Promise.all([seat.page.waitForNavigation(), locator.click()]);

for (const scripts of [true, false])
  for (const [language, size] of [['en', WIDE], ['zh', NARROW]])
    test(`a draft is written, checked, mended and edited as a form: ${language}, ${size.width} px, scripts ${scripts ? 'on' : 'off'}`, async () => {
      const id = `edit-${language}-${scripts ? 'on' : 'off'}`, seat = await open(browser, server, { who, language, size, scripts }), { page } = seat;
      await seat.go('/playbooks');
      await press(seat, byTest(page, 'new'));
      const area = page.locator('#f-text');
      await area.fill(book(id).replace('role: duty\n    items', 'role: nobody\n    items'));
      if (scripts) await byTest(page, 'checked').getByText('V12').first().waitFor();
      else { await press(seat, byTest(page, 'check')); assert.match(await byTest(page, 'checked').innerText(), /V12/); }
      assert.match(await area.inputValue(), /role: nobody/, 'checking loses nothing');
      await press(seat, byTest(page, 'save'));
      assert.equal(new URL(page.url()).pathname, `/playbooks/${id}/versions/1`);
      assert.match(await byTest(page, 'findings').innerText(), /V12/);
      await press(seat, byTest(page, 'edit'));
      await area.fill(book(id));
      await press(seat, byTest(page, 'save'));
      assert.equal(new URL(page.url()).pathname, `/playbooks/${id}/draft`);
      assert.doesNotMatch(await byTest(page, 'checked').innerText(), /V12/);
      await seat.go(`/playbooks/${id}/form`);
      const step = page.locator('#step-look');
      await step.locator('summary').first().click();
      await step.locator('[name="title.en"]').first().fill('Look closely');
      await press(seat, step.locator('form').first().locator('button').first());
      assert.match(page.url(), /#step-look$/);
      const add = byTest(page, 'item-add-look');
      if (!await add.isVisible()) await step.locator('summary').first().click();
      await add.locator('[name="text.zh"]').fill('查看监控');
      await add.locator('[name="text.en"]').fill('Look at the monitors');
      await press(seat, add.locator('button'));
      const text = (await api('GET', `/playbooks/${id}/draft`)).json.source;
      assert.match(text, /en: Look closely/);
      assert.match(text, /\{id: item3, zh: 查看监控, en: Look at the monitors\}/);
      assert.deepEqual(seat.faults, []);
      await seat.close();
    });

test('the text is never lost: a save on top of another one shows both', async () => {
  good(await api('POST', '/playbooks', { text: book('both') }));
  const seat = await open(browser, server, { who }), { page } = seat;
  await seat.go('/playbooks/both/draft');
  const tag = (await api('GET', '/playbooks/both/draft')).json.etag;
  good(await api('PUT', '/playbooks/both/draft', { text: book('both').replace('en: Close', 'en: Theirs') }, { 'If-Match': `"${tag}"` }));
  await page.locator('#f-text').fill(book('both').replace('en: Close', 'en: Mine'));
  await press(seat, byTest(page, 'save'));
  assert.match(await page.locator('#f-text').inputValue(), /Mine/);
  assert.match(await byTest(page, 'theirs').innerText(), /Theirs/);
  if (shots) await page.screenshot({ path: path.join(shots, 'stale-en-1366.png'), fullPage: true });
  await press(seat, byTest(page, 'save'));
  assert.match((await api('GET', '/playbooks/both/draft')).json.source, /Mine/);
  assert.deepEqual(seat.faults.filter(fault => !fault.includes('412')), []);
  await seat.close();
});

test('the flow is drawn by the server and stands on the page as an image', async () => {
  good(await api('POST', '/playbooks', { text: book('drawn') }));
  const seat = await open(browser, server, { who }), { page } = seat;
  await seat.go('/playbooks/drawn');
  await until('the picture', async () => (await server.db.one(`select state from playbook_picture where language = 'en' and sha256 = (select v.body_sha256 from playbook_version v join playbook p on p.id = v.playbook_id where p.slug = 'drawn' limit 1)`)).state === 'done');
  await seat.go('/playbooks/drawn');
  const image = byTest(page, 'picture').locator('img');
  assert.ok(await image.evaluate(async element => { await element.decode(); return element.naturalWidth > 50 && element.alt.length > 10; }));
  const light = await (await page.request.get(server.url + '/playbooks/drawn/versions/1/picture?lang=en')).text(), dark = await (await page.request.get(server.url + '/playbooks/drawn/versions/1/picture?colours=dark&lang=en')).text();
  assert.match(light, /Close/);
  assert.match(light, /#14181d/);
  assert.doesNotMatch(dark, /#14181d|"#ffffff"/);
  assert.doesNotMatch(light, /<script|<a |style="/);
  assert.deepEqual(seat.faults, []);
  await seat.close();
});

for (const language of ['en', 'zh'])
  for (const size of [WIDE, NARROW])
    test(`every screen of it, ${language} at ${size.width}: no violation, nothing too wide, no untranslated word`, async () => {
      const id = `look-${language}-${size.width}`, bad = [];
      good(await api('POST', '/playbooks', { text: book(id) }));
      good(await published(api, second, id));
      good(await api('POST', '/playbooks', { text: book(id).replace('en: Close', 'en: Close it').replace('  - {task: close', '  - {task: added, role: duty, title: {zh: 新增, en: Added}}\n  - {task: close').replace('zh: 查看变更, ', '') }));
      const seat = await open(browser, server, { who, language, size });
      await seat.go(`/playbooks/${id}/versions/2`);
      await until('the picture', async () => (await server.db.one(`select count(*)::int n from playbook_picture where state = 'pending' or state = 'claimed'`)).n === 0);
      for (const [name, target] of [['version', `/playbooks/${id}/versions/2`], ['draft', `/playbooks/${id}/draft`], ['form', `/playbooks/${id}/form`], ['compare', `/playbooks/${id}/compare`],
        ['policy', '/settings/playbooks'], ['runs', `/playbooks/${id}/runs`], ['plan', `/playbooks/${id}/versions/2/plan`], ['new', '/playbooks/new'], ['list', '/playbooks']]) {
        const what = `${name} ${language} ${size.width}`;
        await seat.page.emulateMedia({ colorScheme: 'light' });
        await seat.go(target);
        if (name === 'form') await seat.page.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = true; });
        if (name === 'draft') await byTest(seat.page, 'checked').getByText('V29').first().waitFor();
        try { await fits(seat.page, what); await spoken(seat.page, what); } catch (error) { bad.push(error.message); }
        for (const found of await violations(seat.page)) bad.push(`${what} light: ${found}`);
        if (shots) await seat.page.screenshot({ path: path.join(shots, `${name}-${language}-${size.width}.png`), fullPage: true });
        await seat.page.emulateMedia({ colorScheme: 'dark' });
        for (const found of await violations(seat.page, ['color-contrast'])) bad.push(`${what} dark: ${found}`);
        if (shots) await seat.page.screenshot({ path: path.join(shots, `${name}-${language}-${size.width}-dark.png`), fullPage: true });
      }
      bad.push(...seat.faults);
      await seat.close();
      assert.deepEqual(bad, []);
    });
