// A backup taken in the middle of a run, with notices and calls on their way, and restored elsewhere: the run goes on there. What was
// claimed when the backup was taken is sent again under the same key, or, where it may be sent once only, a person is asked.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { bearer, muster, until, published } from '../lib/muster.js';
import { hookServer } from '../lib/receivers.js';
import { cast, lapse, patient } from '../lib/story.js';

const call = (id, target, effect) => `      ${id}:
        - http: ${id}
          title: {zh: 询问, en: Ask}
          request: {method: POST, url: '{{conn.core}}/${target}', body: x, timeout: 60s}
          effect: ${effect}
          expect: {status: 200}
          drill: {simulate: {status: 200}}
`;
const playbook = `format: muster/1
id: backup-story
title: {zh: 备份, en: Backup}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
steps:
  - {task: first, title: {zh: 第一步, en: First}, role: commander}
  - parallel: under_way
    title: {zh: 并行, en: Under way}
    join: all
    branches:
      tell:
        - notify: tell
          title: {zh: 通知, en: Tell}
          to: [role.commander]
          via: [webhook.duty]
          text: {zh: 请知悉, en: Please note}
${call('ask', 'again', 'idempotent')}${call('file', 'once', 'once')}  - {wait: watch, title: {zh: 观察, en: Watch}, for: 1m}
  - {task: last, title: {zh: 最后一步, en: Last}, role: commander}
  - {end: closed, outcome: completed, title: {zh: 结束, en: Closed}}
`;
// The sample bank has a drill of its own under way, whose clocks may speak up meanwhile.
const told = () => hook.calls.filter(c => String(c.raw).includes('Please note'));
const settings = { MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on', MUSTER_HOOKS_TIMEOUT: '60s', MUSTER_WORK_CHILD: 'off' };
const tool = (name, ...args) => execFileSync(path.join(process.env.MUSTER_TEST_PG_BIN, name), args, { stdio: ['ignore', 'pipe', 'pipe'] });

let house, other, hook, system, holding = true;
const hold = (request, response) => { if (!holding) { response.end('{}'); } return true; };
before(async () => {
  hook = await hookServer(hold);
  system = await hookServer(hold);
  house = await muster({ demo: true, settings });
});
after(async () => {
  for (const one of [house, other]) { try { process.kill(-one.workers.pid, 'SIGKILL'); } catch {} }
  await other?.close();
  await other?.db.drop();
  await house?.close();
  await hook?.close();
  await system?.close();
});

// The backup as another database.
async function restored(file) {
  const name = 't_' + randomBytes(6).toString('hex');
  tool('createdb', name);
  tool('psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', name, '-f', file);
  const pool = new pg.Pool({ host: process.env.PGHOST, user: 'postgres', database: name, max: 4 });
  pool.on('error', () => {});
  return { name, pool, url: `host=${process.env.PGHOST} user=postgres dbname=${name}`, query: async (text, values) => (await pool.query(text, values)).rows,
    one: async (text, values) => (await pool.query(text, values)).rows[0], drop: async () => { await pool.end(); tool('dropdb', '--force', name); } };
}

test('a run goes on in the restored database', async () => {
  const people = await cast(house, hook), ok = answer => { assert.ok(answer.status < 300, answer.text); return answer; };
  ok(await people.commander('POST', '/connections', { slug: 'core', name: 'Core', base_url: system.url.replace('/hook', ''), methods: ['POST'] }));
  ok(await people.commander('POST', '/playbooks', { text: playbook }));
  ok(await published(people.commander, people.second, 'backup-story'));
  const { ref } = ok(await people.commander('POST', '/incidents', { title: 'Backup', severity: 'III', playbook: 'backup-story' })).json;
  const { id: run } = await until('the run', () => house.db.one('select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1', [ref]));
  const act = (api, body) => patient(api)('POST', `/runs/${run}/steps`, body);
  const step = async (db, name) => db.one(`select path, status, detail from run_step where run_id = $1 and step_id = $2`, [run, name]);
  await house.db.query(`update outbox set state = 'cancelled' where state = 'pending'`);       // of no interest here; so nothing but the story leaves
  await house.db.query('delete from outbox_queue');
  ok(await act(people.commander, { path: 'first', act: 'done' }));

  // All three have left and nobody has answered: now the backup is taken, and the house burns down.
  house.workers = house.launch('work');
  await until('all three to be on their way', () => told().length === 1 && system.calls.length === 2, 60);
  const file = path.join(mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'dump-')), 'muster.sql');
  tool('pg_dump', '-f', file, house.db.name);
  await house.kill();
  process.kill(-house.workers.pid, 'SIGKILL');
  await house.workers.ended;
  holding = false;

  const db = await restored(file);
  const kept = await db.one(`select (select count(*)::int from outbox_batch b join outbox o on o.id = any(b.ids) where o.path = 'under_way/tell/tell') as notices,
    (select count(*)::int from http_call where state = 'claimed') as calls`);
  assert.deepEqual(kept, { notices: 1, calls: 2 }, 'what was on its way is in the backup as claimed');
  await lapse(db);                                // the leases end by themselves; nobody waits for that here
  other = await muster({ db, data: house.data, settings });
  other.workers = other.launch('work');
  const again = { commander: await bearer(other, people.commander.who, ['commander', 'admin']) };

  await until('the notice and the call to arrive', async () => (await step(db, 'tell')).status === 'done' && (await step(db, 'ask')).status === 'done', 60);
  assert.equal(told().length, 2);
  assert.equal(new Set(told().map(c => c.headers['webhook-id'])).size, 1, 'the notice came again under its key');
  const keys = target => system.calls.filter(c => c.path === target).map(c => c.headers['idempotency-key']);
  assert.deepEqual([keys('/again').length, new Set(keys('/again')).size], [2, 1], 'and so did the call');
  await until('the other call to be of unknown fate', async () => (await step(db, 'file')).status === 'unknown', 60);
  assert.equal(keys('/once').length, 1, 'what may leave once did not leave again by itself');
  assert.equal((await step(db, 'file')).detail.asks, true, 'a person is asked');

  ok(await act(again.commander, { path: (await step(db, 'file')).path, act: 'retry', reason: 'they never received it' }));
  await until('the wait', async () => (await step(db, 'watch')).status === 'waiting' || (await step(db, 'watch')).status === 'active', 60);
  assert.deepEqual([keys('/once').length, new Set(keys('/once')).size], [2, 1], 'sent on the word of a person, under the same key');
  await other.clock(61);
  await until('the last step', async () => (await step(db, 'last')).status === 'active', 60);
  ok(await act(again.commander, { path: 'last', act: 'done' }));
  await until('the end', async () => (await db.one('select status from run where id = $1', [run])).status === 'succeeded', 60);
  other.cli(['audit', 'verify-run', run]);
  assert.equal((await db.one(`select count(*)::int n from run_event where run_id = $1 and kind = 'step_done' and path like '%first'`, [run])).n, 1, 'what was done before the backup was not done again');
});
