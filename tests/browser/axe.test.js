// Every main screen in both languages, both colour schemes and two widths: no violation, nothing wider than the window, no word that is
// not translated, nothing on the console. Then the keyboard: skip link, visible focus, every control reachable.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { muster } from '../lib/muster.js';
import { openBrowser, open, scene, screens, fits, spoken, violations, WIDE, NARROW } from '../lib/chromium.js';

let server, browser, play;
before(async () => { server = await muster({ demo: true, settings: { MUSTER_LOG_LEVEL: 'warn' } }); play = await scene(server); browser = await openBrowser(); });
after(async () => { await browser?.close(); await server?.close(); });

// The screens of one language and width. The page is loaded once; in the other colours only colours can differ.
async function look(language, size) {
  const list = screens(play), bad = [];
  const half = async part => {
    const seats = new Map();
    for (const [name, path, who, status = 200] of part) {
      const key = who?.login || '';
      if (!seats.has(key)) seats.set(key, await open(browser, server, { who, language, size }));
      const seat = seats.get(key), what = `${name} ${language} ${size.width}`;
      try {
        await seat.page.emulateMedia({ colorScheme: 'light' });
        await seat.go(path, status);
        assert.equal(await seat.page.evaluate(() => document.documentElement.lang), language === 'zh' ? 'zh-CN' : 'en', what);
        if (who && name !== 'report-document') assert.equal(await seat.page.locator('nav.side').count(), 1, `${what}: the page knows who reads it`);
        await fits(seat.page, what);
        await spoken(seat.page, what);
        for (const found of await violations(seat.page)) bad.push(`${what} light: ${found}`);
        if (language === 'zh') continue;               // colours do not depend on the language
        await seat.page.emulateMedia({ colorScheme: 'dark' });
        for (const found of await violations(seat.page, ['color-contrast', 'link-in-text-block'])) bad.push(`${what} dark: ${found}`);
      } catch (error) { bad.push(`${what}: ${error.message}`); }
    }
    for (const seat of seats.values()) { bad.push(...seat.faults.filter(fault => !fault.includes('INC-2020-9999: Failed to load resource'))); await seat.close(); }
  };
  const [even, odd] = [list.filter((s, n) => n % 2 === 0), list.filter((s, n) => n % 2)];
  await Promise.all([half(even), half(odd)]);
  assert.deepEqual(bad, []);
}
for (const language of ['en', 'zh'])
  for (const size of [WIDE, NARROW]) test(`${language} at ${size.width}: every screen`, () => look(language, size));

test('a person may choose dark, and the choice stays', async () => {
  const seat = await open(browser, server, { who: play.people.commander });
  await seat.go('/me');
  await Promise.all([seat.page.waitForNavigation(), seat.page.click('button[name="theme"][value="dark"]')]);
  await seat.go('/incidents');
  assert.equal(await seat.page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  assert.equal(await seat.page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(17, 21, 27)');
  assert.deepEqual(seat.faults, []);
  await seat.close();
});

// Walks a page with Tab. Every control must get the focus, show it with an outline of 2 px, and not be hidden by a bar that sticks.
async function walk(seat) {
  const { page } = seat;
  const wanted = await page.evaluate(() => {
    const folded = element => { for (let at = element.parentElement; at; at = at.parentElement) if (at.matches('details:not([open])') && !(at.firstElementChild.contains(element))) return true; return false; };
    const shown = element => element.getClientRects().length > 0 && getComputedStyle(element).visibility !== 'hidden' && !folded(element);
    const groups = new Set();
    let n = 0;
    for (const element of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')) {
      if (!shown(element) || element.disabled || element.tabIndex < 0) continue;
      if (element.type === 'radio') { const group = element.form?.action + element.name; if (groups.has(group)) continue; groups.add(group); element.dataset.group = group; }
      element.dataset.tab = n++;
    }
    return n;
  });
  const seen = new Set(), blind = [];
  await page.evaluate(() => { document.activeElement.blur(); window.scrollTo(0, 0); getSelection().removeAllRanges(); });
  for (let presses = 0; presses < wanted * 2 + 20; presses++) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element), box = element.getBoundingClientRect();
      const label = element.closest('label');
      const near = [[.5, .5], [.1, .5], [.9, .5], [.5, .2], [.5, .8]].some(([x, y]) => {
        const hit = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
        return hit && (hit === element || element.contains(hit) || hit.contains(element) && hit !== document.body && hit !== document.documentElement || label?.contains(hit));
      });
      const tab = element.dataset.tab ?? (element.type === 'radio' ? document.querySelector(`[data-group="${CSS.escape(element.form?.action + element.name)}"]`)?.dataset.tab : undefined);
      return { tab, outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, near, what: element.outerHTML.slice(0, 140) };
    });
    if (!now) { if (seen.size >= wanted) break; continue; }
    if (now.tab !== undefined) seen.add(now.tab);
    if (!now.outline) blind.push('no outline: ' + now.what);
    if (!now.near) blind.push('hidden: ' + now.what);
    if (seen.size >= wanted) break;
  }
  const missed = await page.evaluate(got => [...document.querySelectorAll('[data-tab]')].filter(e => !got.includes(e.dataset.tab)).map(e => e.outerHTML.slice(0, 140)), [...seen]);
  return { missed, blind: [...new Set(blind)], wanted };
}
for (const [name, path] of [['declare', () => '/declare'], ['incident', () => `/incidents/${play.ref}`]])
  for (const size of [WIDE, NARROW]) test(`keyboard: ${name} at ${size.width}`, async () => {
    const seat = await open(browser, server, { who: play.people.commander, size });
    await seat.go(path());
    const { missed, blind, wanted } = await walk(seat);
    assert.ok(wanted > 20, `${wanted} controls`);
    assert.deepEqual(missed, [], 'every control gets the focus');
    assert.deepEqual(blind, [], 'the focus can be seen');
    await seat.close();
  });

test('the skip link is the first stop, and leads past the navigation', async () => {
  const seat = await open(browser, server, { who: play.people.commander });
  await seat.go('/incidents');
  await seat.page.keyboard.press('Tab');
  assert.ok(await seat.page.evaluate(() => document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().top >= 0));
  await seat.page.keyboard.press('Enter');
  await seat.page.keyboard.press('Tab');
  assert.ok(await seat.page.evaluate(() => document.getElementById('main').contains(document.activeElement)));
  await seat.close();
});

test('at 400 % nothing needs scrolling in two directions', async () => {
  const seat = await open(browser, server, { who: play.people.commander, size: { width: 320, height: 640 } });
  for (const path of ['/', '/declare', `/incidents/${play.ref}`, '/incidents', '/status']) { await seat.go(path); await fits(seat.page, path); }
  await seat.close();
});
