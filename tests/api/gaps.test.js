// What one part of the product must tell another: a grading in the playbook, reports as files, forms that outlive a session, counters.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browser.js';
import { bearer, muster, person, until } from '../lib/muster.js';

let server, boss, commander;
before(async () => {
  server = await muster({ settings: { MUSTER_SITE_NAME: 'Haidong Bank' } });
  boss = await person(server.db, 'wang.min', ['commander', 'admin', 'approver'], { zh: '王敏', en: 'Wang Min', email: 'wang.min@haidong.example' });
  commander = await bearer(server, boss);
  const made = await commander('POST', '/services', { slug: 'mobile-banking', name: { zh: '手机银行', en: 'Mobile banking' }, kind: 'business', importance: 'vital', rto: '2h' });
  assert.ok(made.status < 300, made.text);
});
after(async () => { await server?.close(); });

const declare = async (more = {}) => {
  const answer = await commander('POST', '/incidents', { title: 'Sign-in fails', severity: 'none', services: ['mobile-banking'], playbook: 'mobile-banking-outage', ...more });
  assert.equal(answer.status, 201, answer.text);
  const ref = answer.json.ref;
  return { ref, run: (await server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref]))?.id };
};
const act = async (run, body) => { const answer = await commander('POST', `/runs/${run}/steps`, { occ: 1, ...body }); assert.ok(answer.status < 300, answer.text); return answer; };
const confirm = async run => {
  for (const item of ['login', 'scope', 'freeze', 'count']) await act(run, { path: 'confirm', act: 'item', item, state: 'done' });
  const step = await server.db.one(`select status from run_step where run_id = $1 and path = 'confirm'`, [run]);
  if (step.status === 'active') await act(run, { path: 'confirm', act: 'done' });
};
const incident = ref => server.db.one('select * from incident where ref = $1', [ref]);
const gradings = ref => server.db.query(`select e.data, e.actor from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'severity' order by e.seq`, [ref]);
const tellings = async ref => (await server.db.one(`select count(distinct m.id)::int as n from message m join incident i on i.id = m.incident_id where i.ref = $1 and m.purpose = 'severity'`, [ref])).n;

for (const kind of ['incident', 'drill'])
  test(`grading in the playbook of a ${kind} grades it`, async () => {
    const { ref, run } = await declare({ kind });
    await confirm(run);
    await act(run, { path: 'classify', act: 'decide', value: 'II' });
    assert.equal((await incident(ref)).severity, 'II');
    const [event, ...more] = await gradings(ref);
    assert.equal(more.length, 0, 'one event');
    assert.equal(event.data.from, 'none');
    assert.equal(event.data.to, 'II');
    assert.equal(event.data.graded, true);
    assert.equal(event.actor, boss.id, 'who decided');
    assert.equal(await tellings(ref), 1, 'told once');
    const clock = await server.db.one(`select extract(epoch from c.due_at - c.started_at)::int as s from incident_clock c join incident i on i.id = c.incident_id where i.ref = $1 and c.kind = 'next_update'`, [ref]);
    assert.equal(clock.s, 3600, 'the clock of the new severity');
    assert.equal((await server.db.one(`select state #>> '{run,severity}' as s from run where id = $1`, [run])).s, 'II');
    const page = await new Browser(server).become(boss).then(b => b.get(`/incidents/${ref}`));
    assert.match(page.text, /graded in the playbook/);
    server.cli(['audit', 'verify-run', run]);
  });

test('the same severity again is no change, a lighter one is not told, other runs learn of it', async () => {
  const { ref, run } = await declare({ severity: 'II' });
  await confirm(run);
  await act(run, { path: 'classify', act: 'decide', value: 'II' });
  assert.equal((await gradings(ref)).length, 0, 'it was of that severity');
  const other = await declare({ severity: 'I' });
  const more = await commander('POST', `/incidents/${other.ref}/run`, { playbook: 'payment-outage' });
  assert.ok(more.status < 300, more.text);
  await confirm(other.run);
  await act(other.run, { path: 'classify', act: 'decide', value: 'III' });
  assert.equal((await incident(other.ref)).severity, 'III');
  assert.equal((await gradings(other.ref)).length, 1);
  assert.equal(await tellings(other.ref), 0);
  const runs = await server.db.query(`select r.state #>> '{run,severity}' as s from run r join incident i on i.id = r.incident_id where i.ref = $1`, [other.ref]);
  assert.deepEqual(runs.map(r => r.s), ['III', 'III']);
  for (const { id } of await server.db.query(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [other.ref])) server.cli(['audit', 'verify-run', id]);
});
