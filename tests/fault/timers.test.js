// A thousand timers of many runs that fall due at once: each fires once, and every run goes on to its end.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, until, published } from '../lib/muster.js';
import { cast } from '../lib/story.js';

const RUNS = process.env.MUSTER_LONG ? 50 : 10, EACH = 100;
const playbook = `format: muster/1
id: many-waits
title: {zh: 多个定时器, en: Many waits}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
steps:
  - parallel: waits
    title: {zh: 并行等待, en: Waits}
    join: all
    branches:
${Array.from({ length: EACH }, (_, n) => `      b${n}: [{wait: w${n}, title: {zh: 观察, en: Watch}, for: 1m}]`).join('\n')}
  - {end: closed, outcome: completed, title: {zh: 结束, en: Closed}}
`;
let server;
before(async () => { server = await muster({ demo: true, settings: { MUSTER_WORK_CHILD: 'off' } }); });
after(async () => { try { process.kill(-server.workers.pid, 'SIGKILL'); } catch {} await server?.close(); });

test(`${RUNS * EACH} timers due in one second`, async t => {
  const people = await cast(server), ok = answer => { assert.ok(answer.status < 300, answer.text); return answer; };
  ok(await people.commander('POST', '/playbooks', { text: playbook }));
  ok(await published(people.commander, people.second, 'many-waits'));
  for (let n = 0; n < RUNS; n++) ok(await people.commander('POST', '/incidents', { title: `Waits ${n}`, kind: 'drill', severity: 'III', playbook: 'many-waits' }));
  const count = async state => (await server.db.one(`select count(*)::int n from timer t join run r on r.id = t.run_id join playbook p on p.id = r.playbook_id where p.slug = 'many-waits' and t.state = $1`, [state])).n;
  await until('all of them to be armed', async () => await count('armed') === RUNS * EACH, 60);
  await server.db.query(`update timer set due_real = app_now() + interval '60 seconds' where state = 'armed'`);
  await server.clock(61);
  const from = Date.now();
  server.workers = server.launch('work');
  await until('all of them to fire', async () => await count('armed') === 0, 300);
  t.diagnostic(`${RUNS * EACH} timers fired in ${((Date.now() - from) / 1000).toFixed(1)} s, the start of the workers included`);
  assert.equal(await count('fired'), RUNS * EACH);
  const runs = await server.db.query(`select r.id, r.status, (select count(*)::int from run_event e where e.run_id = r.id and e.kind = 'timer_fired') as fired from run r join playbook p on p.id = r.playbook_id where p.slug = 'many-waits'`);
  assert.equal(runs.length, RUNS);
  for (const { id, status, fired } of runs) {
    assert.deepEqual([status, fired], ['succeeded', EACH], id);
    server.cli(['audit', 'verify-run', id]);
  }
});
