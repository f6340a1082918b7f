// Rules that a review found broken, each with the way it was broken.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { muster, person, bearer, until } from '../lib/muster.js';
import { request } from '../lib/browser.js';

let server, commander, risk, approver;

before(async () => {
  server = await muster({ asan: true, demo: true });
  commander = await bearer(server, await person(server.db, 'r.commander', ['commander']));
  risk = await bearer(server, await person(server.db, 'r.risk', ['risk']));
  approver = await bearer(server, await person(server.db, 'r.approver', ['approver']));
});
after(() => server?.close());

async function declared(playbook) {
  const answer = await commander('POST', '/incidents', { title: 'Review', severity: 'II', services: ['mobile-banking'], playbook });
  assert.equal(answer.status, 201, answer.text);
  return answer.json.ref;
}

test('a token with no role but the viewer’s reads and does nothing else, whatever role of an incident its person fills', async () => {
  const ref = await declared('mobile-banking-outage');
  const run = (await server.db.one('select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1', [ref])).id;
  const lead = await server.db.one(`select r.person_id as id from incident_role r join incident i on i.id = r.incident_id
    where i.ref = $1 and r.role = 'tech_lead' and r.until is null limit 1`, [ref]);
  const step = await server.db.one(`select path, kind, detail from run_step where run_id = $1 and kind in ('task', 'checklist') and role = 'tech_lead' and status in ('active', 'waiting')`, [run]);
  const act = step.kind === 'task' ? { path: step.path, act: 'done', note: 'confirmed' } : { path: step.path, act: 'item', item: step.detail.items[0].id, state: 'done' };
  const reads = await bearer(server, lead, ['viewer']), works = await bearer(server, lead, ['viewer', 'responder']);
  assert.equal((await reads('GET', `/runs/${run}`)).status, 200);
  for (const [method, target, body] of [['POST', `/runs/${run}/steps`, act], ['POST', '/tokens', { name: 'more', scopes: ['viewer'] }],
    ['POST', `/people/${lead.id}/contacts`, { email: 'elsewhere@example.com' }], ['POST', '/me', { mail_language: 'en' }]]) {
    const answer = await reads(method, target, body);
    assert.equal(answer.status, 403, `${target}: ${answer.text}`);
    assert.equal(answer.json.errors[0].code, 'error.token.read_only');
  }
  assert.deepEqual((await server.db.one('select detail from run_step where run_id = $1 and path = $2', [run, step.path])).detail, step.detail);
  const done = await works('POST', `/runs/${run}/steps`, act);
  assert.ok(done.status < 300, done.text);
});

test('a token made with a token does not outlive it', async () => {
  const short = await bearer(server, commander.who, ['commander']);
  await server.db.query(`update api_token set expires_at = clock_timestamp() + interval '1 day' where last_four = $1 and person_id = $2`, [short.token.slice(-4), short.who.id]);
  for (const body of [{ name: 'for ever', scopes: ['viewer'] }, { name: 'a year', scopes: ['viewer'], days: 365 }]) {
    const made = await short('POST', '/tokens', body);
    assert.equal(made.status, 201, made.text);
    assert.ok(Date.parse(made.json.expires_at) < Date.now() + 2 * 86400e3, made.text);
  }
});

test('the paper of an approved report is made anew, though not a word of the draft has changed', async () => {
  const ref = await declared('none');
  const opened = await risk('POST', `/incidents/${ref}/reports`, { profile: 'nfra-it-incident' });
  assert.equal(opened.status, 201, opened.text);
  const report = opened.json.ref;
  const clock = (await commander('GET', `/incidents/${ref}`)).json.clocks.find(c => c.kind === 'report');
  if (clock) assert.equal(clock.report, report, 'the clock leads to its report');
  const order = async () => { const answer = await risk('POST', `/reports/${report}/documents`, { format: 'docx' }); assert.equal(answer.status, 202, answer.text); };
  await order();
  await until('the draft as a document', () => server.db.one(`select 1 from job where subject = $1 and state = 'done'`, [report]), 60);
  assert.equal((await risk('GET', `/reports/${report}`)).json.documents[0].current, true);
  const tag = async () => ({ 'If-Match': (await risk('GET', `/reports/${report}`)).headers.get('etag') });
  const approved = await approver('POST', `/reports/${report}/approve`, { incomplete: true }, await tag());
  assert.ok(approved.status < 300, approved.text);
  assert.equal((await risk('GET', `/reports/${report}`)).json.documents[0].current, false, 'the draft’s paper is no longer the report’s');
  await order();
  const papers = await server.db.query(`select model ->> 'draft' as draft from job where subject = $1 order by ordered_at`, [report]);
  assert.deepEqual(papers.map(p => p.draft), ['true', 'false']);
  await until('the approved report as a document', () => server.db.one(`select 1 from job where subject = $1 and state = 'done' and model ->> 'draft' = 'false'`, [report]), 60);
});

test('whoever wrote in a report does not sign it for the playbook either', async () => {
  const ref = await declared('none');
  const both = await bearer(server, await person(server.db, 'r.both', ['risk', 'approver']));
  const opened = await both('POST', `/incidents/${ref}/reports`, { profile: 'nfra-it-incident' });
  const report = opened.json.ref, run = (await server.db.one('select id from run order by created_at desc limit 1')).id;
  await server.db.query(`update report set run_id = $2, path = 'x', occ = 1 where ref = $1`, [report, run]);
  const tag = async () => ({ 'If-Match': (await both('GET', `/reports/${report}`)).headers.get('etag') });
  await server.db.query(`update report set state = 'approved', approved_by = $2, approved_at = clock_timestamp() where ref = $1`, [report, approver.who.id]);
  const answer = await both('POST', `/reports/${report}/approve`, {}, await tag());
  assert.equal(answer.status, 403, answer.text);
  assert.equal(answer.json.errors[0].code, 'error.report.own');
});

test('why something was not delivered, and what was decided, is said in words', async () => {
  const ref = await declared('mobile-banking-outage');
  await until('deliveries', async () => (await server.db.one(`select count(*)::int n from outbox o join incident i on i.id = o.incident_id where i.ref = $1`, [ref])).n > 1);
  await server.db.query(`update outbox o set state = 'dead', done_at = clock_timestamp(), last_error = case when o.id % 2 = 0 then 'error.url.address' else '550 5.1.1 no such user' end from incident i where i.id = o.incident_id and i.ref = $1`, [ref]);
  const rows = (await commander('GET', `/incidents/${ref}/deliveries`)).json.rows;
  assert.ok(rows.some(r => r.error?.zh && r.error?.en), JSON.stringify(rows[0]));
  assert.ok(rows.some(r => r.error === '550 5.1.1 no such user'), 'the words of a mail server stay its own');
  const run = (await server.db.one('select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1', [ref])).id;
  const view = await server.db.one(`select step_view(s, r, '{}') as v from run r, lateral (select (jsonb_populate_record(null::run_step, to_jsonb(x) || jsonb_build_object('kind', 'decide',
    'result', '{"attack": false}'::jsonb, 'detail', '{"options": [{"value": true, "zh": "是", "en": "Yes"}, {"value": false, "zh": "否", "en": "No"}]}'::jsonb))).* from run_step x where x.run_id = r.id limit 1) s
    where r.id = $1`, [run]);
  assert.deepEqual(view.v.choice, { zh: '否', en: 'No' });
});

test('no page of ours links to another host, whatever address was asked for', async () => {
  for (const target of ['//evil.example/x', '/\\evil.example/x', '//evil.example/x?lang=en']) {
    const answer = await request(server, 'GET', target, { headers: { 'Accept-Language': 'en' } });
    assert.ok(answer.status >= 400 && answer.status < 500, target);
    assert.ok(!/(href|value|action)="[^"]*evil/.test(answer.text), target);
  }
});

test('an onlooker neither ticks what nobody is there for nor silences an escalation', async () => {
  const ref = await declared('mobile-banking-outage'), onlooker = await bearer(server, await person(server.db, 'r.auditor', ['auditor']));
  const run = (await server.db.one('select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1', [ref])).id;
  await server.db.query(`update run set state = jsonb_set(state, '{roles,tech_lead}', '[]') where id = $1`, [run]);
  const step = await server.db.one(`select path, kind, detail from run_step where run_id = $1 and kind in ('task', 'checklist') and role = 'tech_lead' and status in ('active', 'waiting')`, [run]);
  for (const body of [step.kind === 'task' ? { act: 'done' } : { act: 'item', item: step.detail.items[0].id, state: 'done' }, { act: 'acknowledge' }, { act: 'signal', name: 'x' }]) {
    const answer = await onlooker('POST', `/runs/${run}/steps`, { path: step.path, ...body });
    assert.equal(answer.status, 403, `${body.act}: ${answer.text}`);
    assert.equal(answer.json.errors[0].code, 'error.run.role');
  }
  assert.ok((await commander('POST', `/runs/${run}/steps`, { path: step.path, act: 'acknowledge' })).status < 300);
});

test('a changed byte anywhere in an export is found', async () => {
  const ref = await declared('none'), exported = await commander('GET', `/incidents/${ref}/export.json`);
  assert.equal(exported.status, 200);
  const at = path.join(server.data, 'export.json'), verify = text => { writeFileSync(at, text); return server.cli(['audit', 'verify', at]); };
  assert.match(verify(exported.text), /good/);
  for (const change of [d => { d.incident.title = 'other'; }, d => { d.roles.pop(); }, d => { d.messages[0].text.zh += ' '; }, d => { d.deliveries[0].state = 'done?'; }, d => { delete d.document_sha256; }]) {
    const changed = JSON.parse(exported.text);
    change(changed);
    assert.throws(() => verify(JSON.stringify(changed)), error => error.status === 1 && /BROKEN/.test(error.stdout), change.toString());
  }
});

test('two administrators who take each other away at the same moment do not both succeed', async () => {
  const hash = (await server.db.one(`select '$argon2id$x' as h`)).h, two = [];
  await server.db.query(`delete from person_role where role = 'admin'`);
  for (const login of ['r.one', 'r.two']) {
    const who = await person(server.db, login, ['admin']);
    await server.db.query('insert into account(person_id, password_hash) values ($1, $2)', [who.id, hash]);
    two.push(who);
  }
  const clients = await Promise.all(two.map(async (who, i) => {
    const client = new pg.Client({ connectionString: `postgresql:///${server.db.name}?host=${encodeURIComponent(process.env.PGHOST)}&user=postgres` });
    await client.connect();
    await client.query('begin');
    await client.query(`select set_config('muster.me', $1, true)`, [two[i].id]);
    return client;
  }));
  const take = (i, other) => clients[i].query('select person_roles_set($1, $2)', [two[other].id, ['viewer']]).then(() => true, () => false);
  const results = [await take(0, 1)];
  let second = null;
  take(1, 0).then(value => { second = value; });
  await until('the second one to wait or to be done', async () => second !== null
    || (await server.db.one(`select count(*)::int n from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`)).n > 0);
  await clients[0].query('commit');
  results.push(await until('an answer', () => second !== null && { second }).then(done => done.second));
  await clients[1].query('commit');
  await Promise.all(clients.map(client => client.end()));
  assert.deepEqual(results, [true, false]);
  assert.equal((await server.db.one(`select count(*)::int n from person_role where role = 'admin'`)).n, 1);
});

test('what a playbook tells people has the site’s time and an address that can be opened', async () => {
  const ref = await declared('mobile-banking-outage');
  const state = (await server.db.one('select r.state from run r join incident i on i.id = r.incident_id where i.ref = $1', [ref])).state;
  assert.equal(state.run.url, `${server.url}/incidents/${ref}`);
  assert.equal(state.settings.utc_offset, 8 * 3600);
});
