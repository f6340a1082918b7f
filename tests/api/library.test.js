// The starter library as a fresh site gets it: everything published, nothing doubled, and each playbook starts as a drill.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { bearer, muster } from '../lib/muster.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../playbooks');
const slugs = folder => readdirSync(path.join(root, folder)).filter(name => name.endsWith('.yaml')).map(name => name.slice(0, -5));
const scenarios = [...slugs('incident'), ...slugs('drill')], blocks = slugs('blocks');
let server, commander;
before(async () => {
  server = await muster({ work: false });
  server.cli(['seed', '--demo']);
  commander = await bearer(server, await server.db.one(`select id, login from person where login = 'wang.min'`), ['commander', 'admin']);
});
after(() => server?.close());

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
