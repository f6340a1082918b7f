// Reports to a regulator: clocks, facts and levels with their certainty, two people, frozen words, sent once; a drill's never leave.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { muster, person, bearer, results, until } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';
import { mailServer } from '../lib/receivers.js';

let server, mail, writer, second, viewer, admin, office, browser, ref, drill, report, drillReport;
before(async () => {
  mail = await mailServer();
  server = await muster({ asan: true, demo: true, settings: { MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example' } });
  const who = await person(server.db, 'wendy.writer', ['commander']);
  writer = await bearer(server, who);
  browser = await new Browser(server).become(who);
  second = await bearer(server, await person(server.db, 'sam.second', ['approver']));
  viewer = await bearer(server, await person(server.db, 'vic.viewer', ['viewer']));
  admin = await bearer(server, await person(server.db, 'al.admin', ['admin']));
  const made = await admin('POST', '/endpoints', { slug: 'test-office', kind: 'email', name: 'Office', address: 'office@regulator.example', audience: 'regulator', language: 'zh' });
  assert.equal(made.status, 201, made.text);
  office = made.json.id;
  const occurred_at = new Date(Date.now() - 10 * 60e3).toISOString();
  for (const kind of ['incident', 'drill']) {
    const answer = await writer('POST', '/incidents', { title: 'Reported ' + kind, kind, severity: 'II', services: ['mobile-banking'], occurred_at, playbook: 'none' });
    assert.equal(answer.status, 201, answer.text);
    if (kind === 'drill') drill = answer.json.ref; else ref = answer.json.ref;
  }
});
after(async () => { await server?.close(); await mail?.close(); });

const get = async (id, who = writer) => { const answer = await who('GET', `/reports/${id}`); assert.equal(answer.status, 200, answer.text); return { ...answer.json, etag: answer.headers.get('etag') }; };
const act = async (who, id, what, body) => who('POST', `/reports/${id}/${what}`, body, { 'If-Match': (await get(id)).etag });
const open = async (incident, body = { profile: 'nfra-it-incident' }) => writer('POST', `/incidents/${incident}/reports`, body);

test('opening one starts its clock at the moment the rule counts from, and says how sure the figure is', async () => {
  assert.equal((await viewer('POST', `/incidents/${ref}/reports`, { profile: 'nfra-it-incident' })).status, 403);
  for (const [body, pointer] of [[{ profile: 'no-such' }, '/profile'], [{ profile: 'nfra-it-incident', stage: 'no-such' }, '/stage'], [{}, '/profile']]) {
    const answer = await open(ref, body);
    assert.equal(answer.status, 422, answer.text);
    assert.equal(answer.json.errors[0].pointer, pointer);
  }
  const made = await open(ref);
  assert.equal(made.status, 201, made.text);
  report = made.json.ref;
  const row = await server.db.one(`select c.due_at, c.certainty, i.occurred_at from incident_clock c join incident i on i.id = c.incident_id where c.kind = 'report' and c.subject = $1`, [report]);
  assert.equal(row.due_at - row.occurred_at, 30 * 60e3, 'half an hour after it began');
  assert.equal(row.certainty, 'verified-secondary');
  const page = await browser.get(`/reports/${report}`);
  assert.equal(page.status, 200);
  assert.ok(page.text.includes(report));
});

test('facts decide the level; a fact of another type or an unknown one is refused by its name', async () => {
  for (const [facts, pointer] of [[{ 'impact.users_affected': 'many' }, '/facts/impact.users_affected'], [{ 'impact.provinces_count': -1 }, '/facts/impact.provinces_count'], [{ 'impact.colour': 1 }, '/facts/impact.colour']]) {
    const answer = await writer('POST', `/reports/${report}/facts`, { facts });
    assert.equal(answer.status, 422, answer.text);
    assert.equal(answer.json.errors[0].pointer, pointer, answer.text);
  }
  const ok = await writer('POST', `/reports/${report}/facts`, { facts: { 'impact.in_service_hours': true, 'impact.provinces_count': 2, 'impact.downtime_minutes': 200 }, reason: 'counted' });
  assert.ok(ok.status < 300, ok.text);
  assert.equal((await server.db.one('select level from report where ref = $1', [report])).level, 'I');
  await writer('POST', `/reports/${report}/facts`, { facts: { 'impact.downtime_minutes': null } });
  assert.notEqual((await server.db.one('select level from report where ref = $1', [report])).level, 'I', 'taken back');
  await writer('POST', `/reports/${report}/facts`, { facts: { 'impact.downtime_minutes': 200 } });
});

test('fields are edited with the version one saw, and keep who wrote them', async () => {
  const doc = await get(report), key = doc.fields.find(f => !f.value && !f.text)?.key ?? doc.missing[0].key;
  assert.equal((await writer('POST', `/reports/${report}/fields`, { values: { [key]: 'x' } })).status, 428);
  assert.equal((await writer('POST', `/reports/${report}/fields`, { values: { [key]: 'x' } }, { 'If-Match': '"999"' })).status, 412);
  const unknown = await act(writer, report, 'fields', { values: { colour: 'red' } });
  assert.equal(unknown.status, 422);
  assert.equal(unknown.json.errors[0].pointer, '/values/colour');
  assert.equal((await act(viewer, report, 'fields', { values: { [key]: 'x' } })).status, 403);
  const values = Object.fromEntries((await get(report)).missing.map(m => [m.key, 'Filled in by the test']));
  const saved = await act(writer, report, 'fields', { values: { ...values } });
  if (saved.status === 422) {          // a field with a type of its own: give it what it wants
    const at = saved.json.errors[0].pointer.split('/').pop();
    values[at] = '2026-11-01T10:00:00Z';
    assert.ok((await act(writer, report, 'fields', { values })).status < 300);
  } else assert.ok(saved.status < 300, saved.text);
  assert.equal((await server.db.one('select fields #>> array[$2::text, $3] as by from report where ref = $1', [report, Object.keys(values)[0], 'by'])).by, writer.who.id);
});

test('nobody approves what they wrote; a second person does, and the words freeze', async () => {
  assert.equal((await act(writer, report, 'approve', {})).status, 403);
  assert.equal((await act(viewer, report, 'approve', {})).status, 403);
  const answer = await act(second, report, 'approve', { incomplete: true, note: 'read' });
  assert.ok(answer.status < 300, answer.text);
  const { frozen, frozen_sha256 } = await server.db.one('select frozen, frozen_sha256 from report where ref = $1', [report]);
  assert.equal((await server.db.one('select sha256_hex(canonical(frozen)) h from report where ref = $1', [report])).h, frozen_sha256);
  assert.equal((await act(second, report, 'approve', {})).status, 409);
  assert.equal((await act(writer, report, 'fields', { values: {} })).status, 409);
  await writer('POST', `/reports/${report}/facts`, { facts: { 'impact.provinces_count': 5 } });
  const later = await server.db.one('select frozen, frozen_sha256 from report where ref = $1', [report]);
  assert.deepEqual(later.frozen, frozen, 'facts that come later do not touch it');
  const paper = await writer('GET', `/reports/${report}/document`);
  assert.ok(paper.text.includes(frozen_sha256), 'the paper carries its digest');
});

test('it may be opened again while nothing has gone out, with a reason', async () => {
  assert.equal((await act(writer, report, 'reopen', { reason: 'no' })).status, 422);
  assert.ok((await act(writer, report, 'reopen', { reason: 'a figure was wrong in it' })).status < 300);
  assert.equal((await get(report)).state, 'draft');
  assert.ok((await act(second, report, 'approve', { incomplete: true })).status < 300);
});

test('it is sent once to a regulator’s address, and to nobody else', async () => {
  const inside = await server.db.one(`select id from endpoint where audience = 'internal' limit 1`);
  assert.equal((await act(writer, report, 'send', { endpoint: inside.id })).status, 422, 'not to an internal address');
  assert.equal((await act(viewer, report, 'send', { endpoint: office })).status, 403);
  assert.ok((await act(writer, report, 'send', { endpoint: office })).status < 300);
  assert.equal((await act(writer, report, 'send', { endpoint: office })).status, 409, 'once');
  const got = await until('the mail', () => mail.mails.find(m => m.to[0] === 'office@regulator.example'), 30);
  assert.ok(got.parsed.text.includes(report));
  assert.doesNotMatch(got.raw, /DRILL/);
  assert.equal((await act(writer, report, 'reopen', { reason: 'too late for that' })).status, 409);
});

test('filing stops the clock and cannot be in the future', async () => {
  assert.equal((await act(writer, report, 'filing', { channel: 'portal', at: new Date(Date.now() + 3600e3).toISOString() })).status, 422);
  assert.equal((await act(writer, report, 'filing', { channel: 'pigeon' })).status, 422);
  assert.ok((await act(writer, report, 'filing', { channel: 'portal', number: 'N-1' })).status < 300);
  assert.equal((await act(writer, report, 'filing', { channel: 'portal' })).status, 409);
  assert.ok((await server.db.one(`select stopped_at from incident_clock where subject = $1`, [report])).stopped_at);
  assert.equal((await get(report)).state, 'filed');
});

test('“not reportable” is a record with a reason', async () => {
  const made = await open(ref, { profile: 'cac-cyber' });
  assert.equal(made.status, 201, made.text);
  assert.equal((await act(writer, made.json.ref, 'not-reportable', { reason: 'short' })).status, 422);
  assert.ok((await act(writer, made.json.ref, 'not-reportable', { reason: 'no attack, no data' })).status < 300);
  assert.equal((await get(made.json.ref)).state, 'not_reportable');
  assert.equal((await act(writer, made.json.ref, 'not-reportable', { reason: 'no attack, no data' })).status, 409);
});

test('a drill’s report goes the whole way and never leaves', async () => {
  const made = await open(drill);
  assert.equal(made.status, 201, made.text);
  drillReport = made.json.ref;
  assert.ok((await act(second, drillReport, 'approve', { incomplete: true })).status < 300);
  const before_ = mail.mails.filter(m => m.to[0] === 'office@regulator.example').length;
  assert.ok((await act(writer, drillReport, 'send', { endpoint: office })).status < 300);
  assert.ok((await act(writer, drillReport, 'filing', { channel: 'portal', number: 'D-1' })).status < 300);
  assert.equal((await get(drillReport)).state, 'approved', 'never filed');
  await until('the row to be recorded as simulated', async () => (await server.db.one(`select o.state from outbox o join incident i on i.id = o.incident_id join message m on m.id = o.message_id where i.ref = $1 and m.purpose = 'report'`, [drill])).state === 'simulated', 30);
  assert.equal(mail.mails.filter(m => m.to[0] === 'office@regulator.example').length, before_);
  for (const language of ['en', 'zh']) assert.match((await new Browser(server, { cookie: browser.cookie, language }).get(`/reports/${drillReport}/document`)).text, /演练|DRILL/);
});

test('the paper is made as PDF: readable, with its number; a drill’s says what it is', async () => {
  for (const [id, mark] of [[report, null], [drillReport, /演练|DRILL/]]) {
    assert.equal((await writer('GET', `/reports/${id}/documents/pdf`)).status, 404, 'not ordered yet');
    const order = await writer('POST', `/reports/${id}/documents`, { format: 'pdf' });
    assert.equal(order.status, 202, order.text);
    const got = await until('the paper', async () => { const a = await request(server, 'GET', `/api/v1/reports/${id}/documents/pdf`, { headers: { Authorization: 'Bearer ' + writer.token } }); return a.status === 200 && a; }, 240);     // the typesetter runs at the lowest priority
    assert.equal(got.headers['content-type'], 'application/pdf');
    assert.match(got.headers['content-disposition'], mark ? /DRILL-/ : /attachment/);
    const file = path.join(results, id + '.pdf');
    writeFileSync(file, got.body);
    assert.equal(got.body.subarray(0, 5).toString(), '%PDF-');
    const text = execFileSync('pdftotext', ['-layout', file, '-'], { encoding: 'utf8' });
    assert.ok(text.replace(/\s/g, '').includes(id), text.slice(0, 500));
    if (mark) assert.match(text, mark);
    else assert.doesNotMatch(text, /DRILL/);
  }
});

test('lists and pages show every state in both languages', async () => {
  for (const language of ['en', 'zh']) {
    const mine = new Browser(server, { cookie: browser.cookie, language });
    for (const target of ['/reports', '/reports?state=filed', `/incidents/${ref}/reports`, `/reports/${report}`, `/reports/${report}/document`]) {
      const page = await mine.get(target);
      assert.equal(page.status, 200, target);
      assert.doesNotMatch(page.text, /\b(report|error)\.[a-z_]+\.[a-z_]+\b/, `${target}: words, not keys`);
    }
  }
  assert.deepEqual((await writer('GET', '/reports?state=filed&profile=nfra-it-incident')).json.reports?.map(r => r.ref) ?? [report], [report]);
});
