// The run on paper: printed, filled in by hand, typed back in.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { bearer, muster, session, until } from '../lib/muster.js';
import { Browser } from '../lib/browser.js';

let server, commander, page, ref, run;
before(async () => {
  server = await muster({ asan: true, demo: true });
  const who = await server.db.one(`select id, login from person where login = 'wang.min'`);
  commander = await bearer(server, who, ['commander', 'admin']);
  page = new Browser(server, { cookie: (await session(server, who)).header });
  ref = (await commander('POST', '/incidents', { title: 'Paper and pencil', kind: 'incident', severity: 'II', services: ['mobile-banking'], playbook: 'mobile-banking-outage' })).json.ref;
  run = (await until('the run', () => server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref]))).id;
});
after(() => server.close());

const sheet = async () => (await commander('GET', `/runs/${run}/sheet`)).json;
const status = async path => (await server.db.one('select status from run_step where run_id = $1 and path = $2 order by occ desc limit 1', [run, path])).status;
const type = body => commander('POST', `/runs/${run}/sheet`, body);

test('the sheet has a number for every box, steps that may still come included', async () => {
  const { rows } = await sheet(), numbers = rows.map(r => r.number);
  assert.equal(new Set(numbers).size, numbers.length);
  const confirm = rows.find(r => r.path === 'confirm' && !r.is_item);
  assert.deepEqual(rows.filter(r => r.path === 'confirm' && r.is_item).map(r => r.number), [1, 2, 3, 4].map(n => `${confirm.number}.${n}`));
  assert.equal(confirm.title.en, 'Confirm the impact within five minutes');
  assert.ok(rows.some(r => r.path === 'respond/restore/verify'), 'what comes later is on the paper too');
  const text = (await page.get(`/runs/${run}/sheet`)).text;
  assert.match(text, /name="done\.\d+\.1"/);
  assert.doesNotMatch(text, /⟦|checked/, 'no box is ticked beforehand');
});
test('typed back in: items, their step, and the decision behind it, in one go', async () => {
  const { rows } = await sheet(), of = (path, item) => rows.find(r => r.path === path && (item ? r.item === item : !r.is_item)).number;
  const done = Object.fromEntries([...['login', 'scope', 'freeze', 'count'].map(item => of('confirm', item)), of('classify')].map(n => [n, 'on']));
  const answer = await type({ done, at: { [of('confirm', 'login')]: '14:05' }, value: { [of('confirm', 'login')]: 'E1042', [of('classify')]: 'II' } });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await status('confirm'), 'done');
  assert.equal(await status('classify'), 'done');
  const login = await server.db.one(`select i->>'value' as value from run_step s, jsonb_array_elements(s.detail->'items') i where s.run_id = $1 and s.path = 'confirm' and i->>'id' = 'login'`, [run]);
  assert.equal(login.value, '14:05, E1042');
  server.cli(['audit', 'verify-run', run]);
});
test('all or nothing: a box that does not fit is named, nothing is done, nothing typed is lost', async () => {
  const { rows } = await sheet(), verify = rows.find(r => r.path === 'respond/restore/verify' && r.item === 'login').number, closed = rows.find(r => r.path === 'confirm' && r.item === 'login').number;
  const before_ = (await server.db.one('select seq from run where id = $1', [run])).seq;
  const wrong = await type({ done: { [verify]: 'on' } });
  assert.equal(wrong.status, 422, wrong.text);
  assert.equal(wrong.json.errors[0].pointer, `/done/${verify}`);
  assert.equal((await type({ done: { [closed]: 'on' } })).status, 422);
  assert.equal((await type({ done: { 999: 'on' } })).json.errors[0].pointer, '/done/999');
  assert.equal((await type({})).status, 422);
  const shown = await page.post(`/runs/${run}/sheet`, { [`done.${verify}`]: 'on', [`at.${verify}`]: '15:30', [`value.${verify}`]: 'kept text' });
  assert.equal(shown.status, 422);
  assert.match(shown.text, /kept text/);
  assert.match(shown.text, new RegExp(`name="done\\.${verify.replace('.', '\\.')}" value="on" checked`));
  assert.equal((await server.db.one('select seq from run where id = $1', [run])).seq, before_);
});
test('onlookers may print but not type', async () => {
  const viewer = await bearer(server, await server.db.one(`insert into person(login, name) values ('onlooker', '{"zh":"旁","en":"On"}') returning id, login`), ['viewer']);
  await server.db.query(`insert into person_role select id, 'viewer' from person where login = 'onlooker'`);
  assert.equal((await viewer('GET', `/runs/${run}/sheet`)).status, 200);
  assert.equal((await viewer('POST', `/runs/${run}/sheet`, { done: { 1: 'on' } })).status, 403);
});
test('a do-confirm list: what is ticked is confirmed together, under one name; a tick can be taken back', async () => {
  const text = `format: muster/1\nid: confirm-list\ntitle: {zh: 核对, en: Check}\nroles: {commander: {zh: 指挥, en: Commander, min: 1}}\nsteps:\n  - checklist: close\n    title: {zh: 收尾, en: Close}\n    role: commander\n    mode: do_confirm\n    items:\n      - {id: one, critical: true, zh: 查看甲, en: Look at one}\n      - {id: two, zh: 查看乙, en: Look at two}\n`;
  const made = await commander('POST', '/playbooks', { text });
  assert.equal(made.status, 201, made.text);
  for (const state of ['in_review', 'published']) await server.db.query(`update playbook_version set state = '${state}' where playbook_id = (select id from playbook where slug = 'confirm-list')`);
  const there = (await commander('POST', '/incidents', { title: 'Confirm', kind: 'incident', severity: 'III', playbook: 'confirm-list' })).json.ref;
  const id = (await until('the run', () => server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [there]))).id;
  const confirm = body => commander('POST', `/runs/${id}/confirm`, { path: 'close', ...body });
  assert.equal((await confirm({})).status, 422);
  assert.equal((await confirm({ items: ['nothing'] })).status >= 400, true);
  assert.equal((await confirm({ items: ['one'], seen: { one: '99.9 %' } })).status, 200);
  assert.equal((await commander('POST', `/runs/${id}/steps`, { path: 'close', act: 'item', item: 'one', state: 'open' })).status, 200);
  const shown = (await page.get(`/runs/${id}`)).text;
  assert.match(shown, /type="checkbox" form="cf-[^"]+" name="items" value="one"/);
  assert.equal((await page.post(`/runs/${id}/confirm`, { path: 'close', occ: 1, items: ['one', 'two'], 'seen.one': '99.9 %' })).status, 303);
  const step = await server.db.one(`select status, detail from run_step where run_id = $1 and path = 'close'`, [id]);
  assert.equal(step.status, 'done');
  assert.equal(step.detail.items[0].value, '99.9 %');
});
