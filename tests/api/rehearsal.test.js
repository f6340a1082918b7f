// A playbook walked in simulated time: what the page and the interface tell, and that nothing comes of it.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { bearer, muster, person, session } from '../lib/muster.js';

let server, risk, page;
before(async () => {
  server = await muster({ asan: true, demo: true, work: false });
  const who = await person(server.db, 'planner', ['risk'], { language: 'en' });
  risk = await bearer(server, who);
  page = await session(server, who);
});
after(() => server.close());

const at = (query = '', slug = 'mobile-banking-outage', version = 1) => risk('GET', `/playbooks/${slug}/versions/${version}/rehearsal${query}`);
const counts = () => server.db.one(`select (select count(*) from run)::int runs, (select count(*) from incident)::int incidents, (select count(*) from outbox)::int outbox, (select count(*) from message)::int messages`);

test('the first way: who does what when, what would be said, how long it takes', async () => {
  const before_ = await counts(), { status, json } = await at(), walk = json.rehearsal;
  assert.equal(status, 200);
  assert.equal(walk.status, 'succeeded');
  assert.deepEqual(walk.problems, []);
  assert.ok(walk.walk.some(line => line.path === 'confirm' && line.what === 'item'));
  const staff = walk.messages.find(m => m.kind === 'notify');
  assert.match(staff.text.zh, /手机银行/);
  assert.match(staff.text.en, /Mobile banking/);
  assert.doesNotMatch(JSON.stringify(walk.messages), /\{\{/);
  assert.ok(walk.rto.longest >= walk.rto.took && walk.rto.took > 0 && walk.rto.target === 7200);
  assert.ok(walk.roles.every(role => role.filled), 'the sample bank fills every role: ' + JSON.stringify(walk.roles.filter(r => !r.filled)));
  assert.deepEqual(await counts(), before_, 'nothing is stored, nobody is told');
});
test('choices and chance', async () => {
  assert.equal((await at('?choose=activate%3Dno')).json.rehearsal.outcome, 'stood_down');
  const mild = (await at('?choose=classify%3DIV&choose=activate%3D')).json;
  assert.ok(mild.rehearsal.unreached.includes('respond/regulate/nfra_first'));
  assert.ok(mild.rehearsal.choices.find(c => c.name === 'classify').options.find(o => o.value === 'IV').is_chosen);
  assert.deepEqual((await at('?seed=7')).json.rehearsal, (await at('?seed=7')).json.rehearsal);
  assert.notDeepEqual((await at('?seed=7')).json.rehearsal.walk, (await at('?seed=8')).json.rehearsal.walk);
  assert.ok((await at('?choose=confirm.when%3Dlate')).json.rehearsal.walk.some(line => line.what === 'missed'));
});
test('roles nobody fills are named', async () => {
  await server.db.query(`delete from role_holder where role = 'executive'`);
  const role = (await at()).json.rehearsal.roles.find(r => r.role === 'executive');
  assert.equal(role.filled, false);
  assert.equal(role.people, 0);
});
test('bad questions', async () => {
  const wrong = await at('?choose=nothing');
  assert.equal(wrong.status, 422);
  assert.equal(wrong.json.errors[0].pointer, '/choose');
  assert.equal((await at('?seed=-1')).status, 422);
  assert.equal((await at('?severity=V')).status, 422);
  assert.equal((await at('', 'mobile-banking-outage', 99)).status, 404);
  assert.equal((await at('', 'no-such')).status, 404);
});
test('the page says the same and works without scripts', async () => {
  const text = await (await fetch(server.url + '/playbooks/mobile-banking-outage/versions/1/rehearsal?seed=3', { headers: { Cookie: page.header, 'Accept-Language': 'en' } })).text();
  assert.match(text, /Simulated time, nobody is told/);
  assert.match(text, /name="choose"/);
  assert.match(text, /<option value="classify=II"/);
  assert.doesNotMatch(text, /⟦/);
});
