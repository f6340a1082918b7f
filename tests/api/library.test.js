// The starter library as a fresh site gets it: everything published, nothing doubled, and each playbook starts as a drill.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { bearer, muster, until } from '../lib/muster.js';
import { mailServer } from '../lib/receivers.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../playbooks');
const slugs = folder => readdirSync(path.join(root, folder)).filter(name => name.endsWith('.yaml')).map(name => name.slice(0, -5));
const scenarios = [...slugs('incident'), ...slugs('drill')], blocks = slugs('blocks');
let server, mail, commander;
before(async () => {
  mail = await mailServer();
  server = await muster({ settings: { MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example' } });
  server.cli(['seed', '--demo']);
  commander = await bearer(server, await server.db.one(`select id, login from person where login = 'wang.min'`), ['commander', 'admin']);
});
after(async () => { await server?.close(); await mail?.close(); });

test('twenty playbooks and eight blocks are published, and seeding again adds nothing', async () => {
  assert.equal(scenarios.length, 20);
  assert.equal(blocks.length, 8);
  const look = () => server.db.query(`select p.slug, string_agg(v.version || ' ' || v.state, ',' order by v.version) as versions, max(v.body_sha256) as hash from playbook p join playbook_version v on v.playbook_id = p.id group by p.slug order by p.slug`);
  const rows = await look();
  assert.deepEqual(rows.map(r => r.slug), [...scenarios, ...blocks].sort());
  assert.deepEqual(rows.filter(r => r.versions !== '1 published'), []);
  server.cli(['seed']);
  assert.deepEqual(await look(), rows);
});

test('what a playbook calls is there, and knows every parameter it is given', async () => {
  const rows = await server.db.query(`select p.slug, v.body from playbook p join playbook_version v on v.playbook_id = p.id`);
  const bodies = new Map(rows.map(r => [r.slug, r.body])), calls = [];
  const walk = (slug, at) => { for (const value of Object.values(at ?? {})) if (value && typeof value === 'object') { if (value.call && value.playbook) calls.push([slug, value]); walk(slug, value); } };
  for (const [slug, body] of bodies) walk(slug, body);
  assert.deepEqual([...new Set(calls.map(([, step]) => step.playbook))].sort(), blocks.sort());
  for (const [slug, step] of calls) {
    const called = bodies.get(step.playbook);
    for (const name of Object.keys(step.with ?? {})) assert.ok(called.params?.[name], `${slug}: ${step.playbook} has no parameter ${name}`);
    for (const name of Object.values(step.save ?? {})) assert.ok(called.vars?.[name], `${slug}: ${step.playbook} has no variable ${name}`);
  }
});

for (const slug of scenarios)
  test(`${slug} starts as a drill with somebody in every role`, async () => {
    const answer = await commander('POST', '/incidents', { title: `Drill of ${slug}`, kind: 'drill', severity: 'II', services: ['mobile-banking'], playbook: slug });
    assert.equal(answer.status, 201, answer.text);
    const run = await server.db.one(`select r.id, r.status from run r join incident i on i.id = r.incident_id where i.ref = $1`, [answer.json.ref]);
    assert.equal(run.status, 'running');
    const open = await server.db.query(`select path, status from run_step where run_id = $1 and status in ('active','waiting','ready')`, [run.id]);
    assert.ok(open.length > 0, 'a step is open');
    const events = await server.db.query(`select body from run_event where run_id = $1 and kind = 'role_empty'`, [run.id]);
    assert.deepEqual(events, []);
    server.cli(['audit', 'verify-run', run.id]);
  });

// Answers that bring a loop to its end; everything else takes the first choice.
const GOOD = /^(steady|same|cleared|balanced|books_good|tested|proven|accepted|seen_good|repaired|healthy|pulled|deleted|restored|control|good|go|understood)$/;
const answer = field => field.type === 'bool' ? GOOD.test(field.var ?? field.id) : field.type === 'int' ? (field.var === 'users' ? 0 : 3) : field.values ? field.values[0] : 'as seen';
const form = fields => Object.fromEntries((fields ?? []).map(f => [f.id, answer(f)]));
const choice = detail => {
  const values = (detail.options ?? []).map(o => o.value), into = [detail.into ?? []].flat()[0];
  return String(values.every(v => typeof v === 'boolean') ? GOOD.test(into) : values.includes('stop') && into === 'next' ? 'stop' : values.includes('II') ? 'II' : values[0]);
};

// Two people say that they have seen what asks for it.
async function acknowledge(ref) {
  const [step] = await server.db.query(`select s.run_id, s.path, s.occ from run_step s join run r on r.id = s.run_id join incident i on i.id = r.incident_id where i.ref = $1 and s.kind = 'notify' and s.status = 'waiting' and s.detail #> '{notify,ack}' is not null`, [ref]);
  for (const login of step ? ['wang.min', 'liu.yang'] : [])
    await (await bearer(server, await server.db.one('select id, login from person where login = $1', [login])))('POST', `/runs/${step.run_id}/steps`, { path: step.path, occ: step.occ, act: 'acknowledge' });
  return Boolean(step);
}

// Plays every open step of an incident, those of called runs too, until its first run is over. Time moves when nobody has anything to do.
async function playAll(ref) {
  const { db } = server, people = new Map();
  const as = async login => { if (!people.has(login)) people.set(login, await bearer(server, await db.one('select id, login from person where login = $1', [login]))); return people.get(login); };
  const holder = async (run, role) => (await db.one(`select coalesce((select p.login from jsonb_array_elements(r.state #> array['roles', $2]) x join person p on p.id = (x ->> 'id')::uuid limit 1), 'wang.min') as login from run r where r.id = $1`, [run, role ?? 'commander'])).login;
  const open = () => db.query(`select s.run_id, s.path, s.occ, s.kind, s.status, s.detail from run_step s join run r on r.id = s.run_id join incident i on i.id = r.incident_id
    where i.ref = $1 and r.status in ('running','waiting') and s.status in ('active','waiting','ready','failed','unknown') and s.kind in ('task','checklist','decide','approve','report') order by r.created_at, s.position, s.path`, [ref]);
  const first = () => db.one(`select r.id, r.status, r.state ->> 'outcome' as outcome from run r join incident i on i.id = r.incident_id where i.ref = $1 order by r.created_at limit 1`, [ref]);
  let acks = 0;
  for (let round = 0; round < 1500; round++) {
    const state = await first();
    if (!['running', 'waiting'].includes(state.status)) return state;
    const [step] = (await open()).filter(s => !['failed', 'unknown'].includes(s.status));
    if (!step && acks++ % 2 === 0 && (await acknowledge(ref))) continue;
    if (!step) { await server.clock(1800); await until('time to pass', async () => (await db.query(`select 1 from timer where state = 'armed' and due_real <= app_now()`)).length === 0, 30); continue; }
    const { detail } = step, base = { path: step.path, occ: step.occ }, item = (detail.items ?? []).find(i => !i.state || i.state === 'open');
    const role = step.kind === 'approve' ? detail.approve.role : step.kind === 'report' ? 'executive' : detail.role;
    const body = step.kind === 'checklist' ? { ...base, act: 'item', item: item?.id, state: 'done', values: form(item?.form) } : step.kind === 'task' ? { ...base, act: 'done', link: 'https://wiki.haidong.example/proof', values: form(detail.form) }
      : step.kind === 'decide' ? { ...base, act: 'decide', value: choice(detail) } : { ...base, act: 'approve' };
    const said = await (await as(await holder(step.run_id, role)))('POST', `/runs/${step.run_id}/steps`, body);
    assert.ok(said.status < 300, `${step.path}#${step.occ} ${step.kind} ${role}: ${said.status} ${said.text}`);
  }
  throw new Error('the run does not end: ' + JSON.stringify(await open()));
}

for (const slug of ['counterfeit-app', 'core-banking-failure'])
  test(`${slug} is drilled to its end through the real store, called playbooks and all`, async () => {
    const made = await commander('POST', '/incidents', { title: `Whole drill of ${slug}`, kind: 'drill', severity: 'III', services: ['mobile-banking'], playbook: slug });
    assert.equal(made.status, 201, made.text);
    const end = await playAll(made.json.ref);
    assert.equal(end.status, 'succeeded');
    assert.equal(end.outcome, 'completed');
    const runs = await server.db.query(`select r.id, r.status, r.kind, r.parent_run from run r join incident i on i.id = r.incident_id where i.ref = $1`, [made.json.ref]);
    assert.ok(runs.filter(r => r.parent_run).length >= 5, `${runs.length} runs`);
    assert.deepEqual(runs.filter(r => r.kind !== 'drill'), []);
    assert.equal((await server.db.one(`select severity from incident where ref = $1`, [made.json.ref])).severity, 'II', 'a called playbook grades the incident');
    for (const run of runs) server.cli(['audit', 'verify-run', run.id]);
  });
