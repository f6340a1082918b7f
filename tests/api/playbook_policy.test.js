// What the house asks of playbooks beyond the format: who may set it, why, and what it does to the checker.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer, published } from '../lib/muster.js';
import { Browser } from '../lib/browser.js';

const ours = ['alone', 'real'];
let server, admin, author, second, page, reader;
before(async () => {
  server = await muster({ asan: true, work: false });
  const boss = await person(server.db, 'adam.admin', ['admin']), anna = await person(server.db, 'anna.author', ['commander']), paul = await person(server.db, 'paul.publisher', ['approver']);
  [admin, author, second] = [await bearer(server, boss), await bearer(server, anna), await bearer(server, paul)];
  page = await new Browser(server).become(boss);
  reader = await new Browser(server).become(anna);
  await server.db.query(`insert into role_holder(role, person_id) values ('a', $1), ('b', $1)`, [paul.id]);
});
after(() => server?.close());

const book = (id, step) => `format: muster/1\nid: ${id}\ntitle: {zh: 测试, en: Test}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 1}\n  b: {zh: 乙, en: B, min: 1, max: 1}\nsteps:\n${step}`;
const ALONE = '  - {approve: ok, title: {zh: 批准, en: Approve}, by: {role: a, count: 1}, deadline: {after: 5m, escalate: [b]}}\n';
const REAL = '  - {notify: tell, title: {zh: 通知, en: Tell}, to: [role.a], via: [email], text: {zh: 试, en: Trial}, drill: real}\n';
const get = () => admin('GET', '/settings/playbooks');
const put = async body => admin('PUT', '/settings/playbooks', body, { 'If-Match': `"${(await get()).json.etag}"` });
const rules = answer => answer.json.findings.map(f => f.id);
const check = step => author('POST', '/playbooks/check', { text: book('checked', step) });

test('nothing is asked at the start, everybody may read it, and only an administrator sets it', async () => {
  const first = await author('GET', '/settings/playbooks');
  assert.deepEqual([first.status, first.json.four_eyes, first.json.drill_real, first.json.can.set, first.json.changes], [200, false, false, false, []], first.text);
  const refused = await author('PUT', '/settings/playbooks', { four_eyes: true, reason: 'I should like it this way' }, { 'If-Match': '*' });
  assert.deepEqual([refused.status, refused.json.errors[0].code], [403, 'error.role.admin']);
  assert.match((await reader.get('/settings/playbooks')).text, /data-testid="policy"/);
  assert.doesNotMatch((await reader.get('/settings/playbooks')).text, /data-testid="policy-save"/);
});

test('a change needs a reason, is written down with it, and is refused when somebody else was faster', async () => {
  for (const reason of [undefined, '', 'short']) {
    const answer = await put({ four_eyes: true, reason });
    assert.deepEqual([answer.status, answer.json.errors[0].pointer], [422, '/reason'], answer.text);
  }
  assert.equal((await admin('PUT', '/settings/playbooks', { four_eyes: true, reason: 'as the audit office asked' })).status, 428);
  const old = (await get()).json.etag;
  assert.equal((await put({ four_eyes: true, reason: 'as the audit office asked' })).status, 200);
  assert.equal((await admin('PUT', '/settings/playbooks', { drill_real: true, reason: 'with an old page in hand' }, { 'If-Match': `"${old}"` })).status, 412);
  const { json } = await get();
  assert.deepEqual([json.four_eyes, json.drill_real, json.changes.map(c => c.reason)], [true, false, ['as the audit office asked']]);
  const kept = await server.db.one(`select data, actor_name from audit_event where action = 'playbook.policy'`);
  assert.deepEqual(kept.data, { before: { four_eyes: false, drill_real: false }, after: { four_eyes: true, drill_real: false }, reason: 'as the audit office asked' });
  assert.equal((await put({ four_eyes: true, reason: 'the same once more, nothing new' })).status, 200);
  assert.equal((await get()).json.changes.length, 1, 'what changes nothing is no change');
});

test('V14 and V20 follow it, in the editor and on publication; what is in force is listed and stays', async () => {
  await put({ reason: 'back to the beginning again' });
  assert.deepEqual(rules(await check(ALONE)), []);
  assert.deepEqual(rules(await check(REAL)), ['V20']);
  assert.equal((await author('POST', '/playbooks', { text: book('alone', ALONE) })).status, 201);
  assert.equal((await published(author, second, 'alone')).status, 201);
  await put({ four_eyes: true, drill_real: true, reason: 'four eyes from now on; one real drill' });
  assert.deepEqual(rules(await check(ALONE)), ['V14']);
  assert.deepEqual(rules(await check(ALONE.replace('count: 1', 'count: 1, not: [requester]'))), []);
  assert.deepEqual(rules(await check(REAL)), []);
  assert.deepEqual((await get()).json.against.filter(p => ours.includes(p.slug)).map(p => [p.slug, p.four_eyes, p.drill_real]), [['alone', true, false]]);
  assert.equal((await author('GET', '/playbooks/alone')).json.state, 'published');
  assert.equal((await author('POST', '/playbooks', { text: book('real', REAL) })).status, 201);
  assert.equal((await published(author, second, 'real')).status, 201);
  // The rule is read on the day: what was handed in under the old policy does not pass under the new one.
  assert.equal((await author('POST', '/playbooks', { text: book('late', REAL) })).status, 201);
  assert.ok((await author('POST', '/playbooks/late/versions/1/submit', {})).status < 300);
  await put({ reason: 'the real drill is over by now' });
  const late = await second('POST', '/playbooks/late/versions/1/publish', {});
  assert.deepEqual([late.status, late.json.errors[0].code], [409, 'error.playbook.findings'], late.text);
  assert.deepEqual((await get()).json.against.filter(p => ours.includes(p.slug)).map(p => [p.slug, p.four_eyes, p.drill_real]), [['real', false, true]]);
});

test('the page works without scripts in both languages, and what was typed stays', async () => {
  const shown = await page.get('/settings/playbooks'), etag = /name="_etag" value="([^"]+)"/.exec(shown.text)[1];
  const refused = await page.post('/settings/playbooks', { _method: 'PUT', _etag: etag, four_eyes: 'true', reason: 'short' });
  assert.equal(refused.status, 422);
  assert.match(refused.text, /id="e-reason"/);
  assert.match(refused.text, /name="four_eyes" value="true" checked/);
  assert.match(refused.text, />short<\/textarea>/);
  const done = await page.post('/settings/playbooks', { _method: 'PUT', _etag: etag, four_eyes: 'true', reason: 'as the board decided in May' });
  assert.equal(done.status, 303, done.text);
  assert.match((await page.get('/settings/playbooks')).text, /as the board decided in May/);
  const zh = await new Browser(server, { cookie: page.cookie, language: 'zh' }).get('/settings/playbooks');
  assert.match(zh.text, /预案制度要求/);
  assert.doesNotMatch(zh.text, />policy\.|>title\./);
});
