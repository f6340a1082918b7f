// What one person does appears on the other's page by itself, and nothing is taken out of anybody's hands.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { muster, until } from '../lib/muster.js';
import { openBrowser, open, scene, byTest } from '../lib/chromium.js';

let server, browser, play, seat, page;
before(async () => {
  server = await muster({ demo: true, settings: { MUSTER_LOG_LEVEL: 'warn' } });
  play = await scene(server);
  browser = await openBrowser();
  seat = await open(browser, server, { who: play.people.commander });
  page = await seat.go(`/incidents/${play.ref}`);
  await until('the page to be live', async () => (await page.textContent('#live-state')) === 'live');
  await page.evaluate(() => { window.stillHere = true; });
});
after(async () => { await browser?.close(); await server?.close(); });
const good = answer => { assert.ok(answer.status < 300, `${answer.status} ${answer.text}`); return answer; };

test('a note of another person appears within five seconds, without a reload', async () => {
  const began = Date.now();
  good(await play.lead('POST', `/incidents/${play.ref}/notes`, { text: 'Traffic shifted to the second site' }));
  await until('the note', async () => (await byTest(page, 'timeline').textContent()).includes('Traffic shifted to the second site'), 5);
  assert.ok(Date.now() - began < 5000);
  assert.equal(await page.evaluate(() => window.stillHere), true, 'the page was not loaded again');
});

test('severity, commander and state change in the header', async () => {
  const etag = async () => (await play.api('GET', `/incidents/${play.ref}`)).headers.get('etag');
  good(await play.api('POST', `/incidents/${play.ref}/severity`, { severity: 'I', reason: 'every region is affected' }, { 'If-Match': await etag() }));
  await until('the severity', async () => await page.locator('#header .sev-I').count() === 1, 5);
  good(await play.api('POST', `/incidents/${play.ref}/state`, { state: 'mitigated', reason: 'rolled back' }, { 'If-Match': await etag() }));
  await until('the state', async () => (await byTest(page, 'state').textContent()) === 'Mitigated', 5);
});

test('a tick of another person appears; a field with words in it stays as it is until it is left empty', async () => {
  const row = await server.db.one(`select path, occ from run_step where run_id = $1 and kind = 'checklist' and status = 'active'`, [play.run]);
  const tick = item => play.api('POST', `/runs/${play.run}/steps`, { path: row.path, occ: row.occ, act: 'item', item, state: 'done' });
  const steps = page.locator('#steps');
  good(await tick('login'));
  await until('the first tick', async () => /1 \/ 4/.test(await steps.textContent()), 5);

  const field = steps.locator('.item', { has: page.locator('[data-testid="tick-scope"]') }).locator('input[name="value"]');
  await field.click();
  await field.pressSequentially('38 % in all');
  good(await tick('freeze'));
  await until('the page to hear of it', () => page.evaluate(() => document.getElementById('steps').dataset.waiting === '1'), 5);
  assert.equal(await field.inputValue(), '38 % in all');
  await field.pressSequentially(' regions');
  assert.equal(await field.inputValue(), '38 % in all regions', 'neither the words nor the focus were lost');

  await page.locator('#f-text').click();                      // left, but not empty: still nobody's to replace
  good(await play.lead('POST', `/incidents/${play.ref}/notes`, { text: 'Vendor joined the call' }));
  await until('the timeline to go on meanwhile', async () => (await byTest(page, 'timeline').textContent()).includes('Vendor joined the call'), 5);
  assert.equal(await field.inputValue(), '38 % in all regions');

  await field.fill('');
  await page.locator('#f-text').click();
  await until('the second tick, now that nothing is typed', async () => /2 \/ 4/.test(await steps.textContent()), 5);
});

test('words typed into the note survive the changes of others, and a reload by accident', async () => {
  const note = page.locator('#f-text');
  await note.fill('Half a sentence');
  good(await play.lead('POST', `/incidents/${play.ref}/notes`, { text: 'Third message' }));
  await until('the note of the other', async () => (await byTest(page, 'timeline').textContent()).includes('Third message'), 5);
  assert.equal(await note.inputValue(), 'Half a sentence');
  await page.reload();
  assert.equal(await page.locator('#f-text').inputValue(), 'Half a sentence');
  await page.evaluate(() => { window.stillHere = true; });
});

test('the clocks run', async () => {
  const clock = byTest(page, 'running'), first = await clock.textContent();
  assert.match(first, /^\d\d:\d\d:\d\d$/);
  await until('the clock to go on', async () => (await clock.textContent()) !== first, 3);
});

test('after the server was away the page finds back by itself', async () => {
  await server.stop();
  await until('the page to say so', async () => (await page.textContent('#live-state')) !== 'live', 20);
  await server.start();
  await until('the page to be live again', async () => (await page.textContent('#live-state')) === 'live', 60);
  good(await play.lead('POST', `/incidents/${play.ref}/notes`, { text: 'Back again' }));
  await until('the note after the break', async () => (await byTest(page, 'timeline').textContent()).includes('Back again'), 5);
  assert.equal(await page.evaluate(() => window.stillHere), true);
});

test('neither the console nor the policy had anything to say', () => {
  assert.deepEqual(seat.faults.filter(fault => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(fault)), []);
});
