// A whole drill with a sink behind every channel: nothing reaches customers or regulators, every byte that leaves says that it is a
// drill, the status page does not move. And what nobody's code would do is refused by the database itself.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, until } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';
import { cast, channels, play, timeline } from '../lib/story.js';

const MARK = /【演练】.*\[DRILL\]|\[DRILL\].*【演练】/s;
let server, mail, hook, story, end, drill, run, real;
const sinks = { duty: ['internal', true], chat: ['internal', false], portal: ['customer', false], authority: ['regulator', false] };
const sink = name => hook.calls.filter(c => c.path === '/' + name);

before(async () => {
  mail = await mailServer();
  hook = await hookServer();
  server = await muster({ demo: true, settings: channels(mail) });
  story = await cast(server);
  for (const [slug, [audience, safe]] of Object.entries(sinks)) {
    const made = await story.commander('POST', '/endpoints', { slug, kind: 'webhook', name: slug, address: hook.url.replace('/hook', '/' + slug), audience, drill_safe: safe });
    assert.ok(made.status < 300, made.text);
  }
  for (const [slug, audience] of [['customers', 'customer'], ['regulator', 'regulator']]) {
    const made = await story.commander('POST', '/endpoints', { slug, kind: 'email', name: slug, address: `${slug}@outside.example`, audience });
    assert.ok(made.status < 300, made.text);
  }
});
after(async () => { await server?.close(); await mail?.close(); await hook?.close(); });

const strip = doc => JSON.stringify(doc, (key, value) => ['updated_at', 'generated_at'].includes(key) ? undefined : value);
const page = async () => strip(await (await fetch(server.url + '/api/v2/summary.json')).json()) + strip(await (await fetch(server.url + '/api/v2/incidents.json')).json());

test('an endpoint of customers or regulators can never be made safe for drills', async () => {
  const made = await story.commander('POST', '/endpoints', { slug: 'sly', kind: 'webhook', name: 'sly', address: hook.url, audience: 'regulator', drill_safe: true });
  assert.equal(made.status, 422, made.text);
  assert.equal(made.json.errors[0].pointer, '/drill_safe');
});

test('a drill from the declaration to its end', async () => {
  await until('the status page', async () => (await fetch(server.url + '/status')).ok);
  const before_ = await page();
  end = await play(server, story, { kind: 'drill', title: 'Drill: sign-in fails', notes: 2 });
  assert.equal(end.status, 'succeeded');
  assert.match(end.ref, /^DRL-/);
  const status = await story.commander('POST', `/incidents/${end.ref}/status-updates`, { status: 'investigating', text: { zh: '演练文字', en: 'Drill words' }, components: { 'mobile-banking': 'major_outage' } });
  assert.ok(status.status < 300, status.text);
  const { id: authority } = await server.db.one(`select id from endpoint where slug = 'authority'`);
  const { ref } = await server.db.one(`select r.ref from report r join incident i on i.id = r.incident_id where i.ref = $1 limit 1`, [end.ref]);
  const sent = await story.second('POST', `/reports/${ref}/send`, { endpoint: authority }, { 'If-Match': (await story.second('GET', `/reports/${ref}`)).headers.get('etag') });
  assert.ok(sent.status < 300 || sent.status === 409, sent.text);
  // Words for customers and regulators, asked for outright.
  drill = (await server.db.one('select id from incident where ref = $1', [end.ref])).id;
  run = end.run;
  await server.db.query(`select message_send($1, 'update', '{"zh":"更新","en":"Update"}', '{"zh":"给外面的话","en":"words for outside"}', '{}',
    '[{"endpoint":"portal"},{"endpoint":"authority"},{"endpoint":"customers"},{"endpoint":"regulator"},{"endpoint":"chat"},{"endpoint":"duty"}]')`, [drill]);
  await until('the outbox to empty', async () => (await server.db.one(`select count(*)::int n from outbox where state = 'pending'`)).n === 0, 60);
  assert.equal(await page(), before_, 'the status page did not move');
  assert.equal((await server.db.one('select count(*)::int n from status_incident where incident_id = $1', [drill])).n, 0);
});

test('nothing reached customers, regulators or anything that is not meant for drills', async () => {
  for (const name of ['chat', 'portal', 'authority']) assert.equal(sink(name).length, 0, name);
  const safe = new Set((await server.db.query(`select address from endpoint where kind = 'email' and drill_safe`)).map(r => r.address));
  assert.ok(mail.mails.length >= 3 && sink('duty').length >= 1, `${mail.mails.length} mails, ${sink('duty').length} web hooks`);
  for (const m of mail.mails) for (const to of m.to) assert.ok(safe.has(to), `${to} is meant for drills`);
  const rows = await server.db.query('select distinct state, audience, delivery from outbox where incident_id = $1', [drill]);
  assert.ok(rows.some(r => r.state === 'simulated' && r.audience === 'customer') && rows.some(r => r.state === 'simulated' && r.audience === 'regulator'), JSON.stringify(rows));
  assert.ok(rows.every(r => r.audience === 'internal' || r.delivery === 'simulate'));
});

test('every byte that left says that it is a drill', () => {
  for (const m of mail.mails) {
    assert.match(m.parsed.subject, MARK, 'subject');
    assert.match(m.parsed.text.split('\n').find(line => line.trim()), MARK, 'first line');
    assert.match(m.parsed.html, MARK, 'HTML');
    assert.ok([...m.parsed.headers.keys()].some(k => k.startsWith('x-muster') && /drill/i.test(k + String(m.parsed.headers.get(k)))), 'header');
  }
  for (const call of sink('duty')) {
    const event = JSON.parse(call.raw);
    assert.equal(event.drill, true);
    for (const language of ['zh', 'en']) { assert.match(event.data.subject[language], MARK); assert.match(event.data.text[language], MARK); }
  }
});

test('the timeline says what would have been published and sent', async () => {
  const lines = (await timeline(server.db, end.ref)).join('\n');
  assert.match(lines, /status_simulated/);
  assert.match(lines, /"simulated":[1-9]/);
});

test('the database refuses what would let a drill out', async () => {
  const declared = await story.commander('POST', '/incidents', { title: 'A real one', severity: 'IV', playbook: 'none' });
  real = (await server.db.one('select id from incident where ref = $1', [declared.json.ref])).id;
  const e = Object.fromEntries((await server.db.query('select id, slug, address from endpoint where slug is not null')).map(r => [r.slug, r]));
  const insert = values => {
    const all = { kind: 'drill', incident_id: drill, incident_kind: 'drill', channel: 'webhook', endpoint_id: e.duty.id, address: e.duty.address, audience: 'internal', drill_safe: true, delivery: 'send', idem_key: Math.random().toString(36), payload: '{}', not_before: 'now', created_at: 'now', ...values };
    const keys = Object.keys(all);
    return server.db.query(`insert into outbox(${keys.join(', ')}) values (${keys.map((k, i) => `$${i + 1}`).join(', ')})`, Object.values(all));
  };
  const refused = async (what, work, code = /^23/) => {
    await assert.rejects(work, error => { assert.match(error.code, code, `${what}: ${error.code} ${error.message}`); return true; }, what);
  };
  await refused('to a regulator', () => insert({ endpoint_id: e.authority.id, address: e.authority.address, audience: 'regulator', drill_safe: false }));
  await refused('to a regulator called safe', () => insert({ endpoint_id: e.authority.id, address: e.authority.address, audience: 'regulator' }));
  await refused('to a regulator called internal', () => insert({ endpoint_id: e.authority.id, address: e.authority.address }));
  await refused('to a customer', () => insert({ endpoint_id: e.portal.id, address: e.portal.address, audience: 'customer', drill_safe: false }));
  await refused('to an inner endpoint not meant for drills', () => insert({ endpoint_id: e.chat.id, address: e.chat.address, drill_safe: false }));
  await refused('the same, called safe', () => insert({ endpoint_id: e.chat.id, address: e.chat.address }));
  await refused('another address than the endpoint’s', () => insert({ address: e.portal.address }));
  await refused('a drill as an incident', () => insert({ kind: 'incident' }));
  await refused('a drill as an incident, twice', () => insert({ kind: 'incident', incident_kind: 'incident' }));
  await refused('a drill as the house', () => insert({ kind: 'system', incident_kind: null }));
  await refused('a drill’s run as an incident', () => insert({ kind: 'incident', incident_id: real, incident_kind: 'incident', run_id: run, path: 'x', occ: 1 }));
  await refused('a rehearsal that sends', () => insert({ kind: 'rehearsal' }));
  await refused('simulate turned into send', () => server.db.query(`update outbox set delivery = 'send' where incident_id = $1 and audience = 'regulator'`, [drill]));
  await refused('a drill row turned into an incident row', () => server.db.query(`update outbox set kind = 'incident', delivery = 'send' where incident_id = $1`, [drill]));
  await refused('a drill turned into an incident', () => server.db.query(`update incident set kind = 'incident' where id = $1`, [drill]));
  await refused('an incident turned into a drill', () => server.db.query(`update incident set kind = 'drill' where id = $1`, [real]));
  await refused('a drill’s run turned real', () => server.db.query(`update run set kind = 'incident' where id = $1`, [run]));
  await refused('a real run of a drill', () => server.db.query(`insert into run(incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
    select incident_id, 'incident', playbook_id, playbook_version, 'running', 1, last_hash, '{}', now(), now(), now() from run where id = $1`, [run]));
  for (const kind of ['incident', 'drill'])
    await refused(`a drill on the status page as ${kind}`, () => server.db.query(`insert into status_incident(code, incident_id, incident_kind, title, started_at, created_at, updated_at) values ('x', $1, $2, '{}', now(), now(), now())`, [drill, kind]));
  await refused('a drill’s report sent', () => server.db.query(`update report set state = 'sent' where incident_id = $1`, [drill]));
  await refused('a drill’s report filed', () => server.db.query(`update report set state = 'filed' where incident_id = $1`, [drill]));
  await refused('a regulator made safe', () => server.db.query(`update endpoint set drill_safe = true where slug = 'authority'`));
  await refused('a timeline rewritten', () => server.db.query(`update timeline_event set text = 'x' where incident_id = $1`, [drill]), /./);
  await refused('a timeline shortened', () => server.db.query(`delete from timeline_event where incident_id = $1`, [drill]), /./);
  assert.equal((await server.db.one(`select count(*)::int n from outbox where incident_id = $1 and audience <> 'internal' and delivery <> 'simulate'`, [drill])).n, 0);
});

test('an endpoint that stops being meant for drills gets nothing that was already waiting', async () => {
  const calls = sink('duty').length;
  await server.db.query(`insert into outbox(kind, incident_id, incident_kind, channel, endpoint_id, address, audience, drill_safe, delivery, idem_key, payload, not_before, created_at)
    select 'drill', $1, 'drill', 'webhook', id, address, 'internal', true, 'send', 'late', '{"purpose":"update","subject":{"en":"x"},"text":{"en":"x"}}', app_now() + interval '1 hour', app_now() from endpoint where slug = 'duty'`, [drill]);
  await server.db.query(`update endpoint set drill_safe = false where slug = 'duty'`);
  await server.db.query(`update outbox_queue set not_before = app_now() where id = (select id from outbox where idem_key = 'late')`);
  const row = await until('its fate', async () => { const r = await server.db.one(`select state, last_error from outbox where idem_key = 'late'`); return r.state !== 'pending' && r; }, 30);
  assert.equal(row.state, 'dead');
  assert.match(row.last_error, /drill guard/);
  assert.equal(sink('duty').length, calls);
});
