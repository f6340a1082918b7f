// The main job, end to end: a mobile-banking outage from the alarm to the regulator's draft, with real mail and real web hooks.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { bearer, muster, person, results, until } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';

let server, mail, hook, secret, commander, second, third, ref, run;

before(async () => {
  mail = await mailServer();
  hook = await hookServer();
  server = await muster({ asan: true, demo: true, settings: {
    MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example',
    MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on' } });
  const who = async role => server.db.one(`select p.id, p.login from person p join person_role r on r.person_id = p.id where r.role = $1 and p.login is not null order by p.login limit 1`, [role]);
  const boss = await who('commander');
  const other = await server.db.one(`select p.id, p.login from person p join person_role r on r.person_id = p.id where r.role in ('commander','approver') and p.id <> $1 order by p.login limit 1`, [boss.id]);
  commander = await bearer(server, boss, ['commander', 'admin']);
  await server.db.query(`insert into person_role values ($1, 'admin') on conflict do nothing`, [boss.id]);
  second = await bearer(server, other);
  third = await bearer(server, await person(server.db, 'third.approver', ['approver', 'commander']));
  const made = await commander('POST', '/endpoints', { slug: 'duty_test', kind: 'webhook', name: 'Duty chat', address: hook.url, audience: 'internal' });
  assert.ok(made.status < 300, made.text);
  secret = /whsec_[A-Za-z0-9+/=]+/.exec(made.text)[0];
});
after(async () => { await server?.close(); await mail?.close(); await hook?.close(); });

test('declare: 201, a reference, a receipt that counts who is told', async () => {
  const key = `"${randomUUID()}"`, body = { title: '手机银行无法登录 / Mobile banking sign-in fails', severity: 'II', services: ['mobile-banking'] };
  const first = await commander('POST', '/incidents', body, { 'Idempotency-Key': key });
  assert.equal(first.status, 201, first.text);
  ref = first.json.ref;
  assert.match(ref, /^INC-\d{4}-\d{4}$/);
  assert.ok(first.headers.get('location').includes(ref));
  const again = await commander('POST', '/incidents', body, { 'Idempotency-Key': key });
  assert.equal(again.json.ref, ref, 'the same key gives the first answer');
  const other = await commander('POST', '/incidents', { ...body, title: 'other' }, { 'Idempotency-Key': key });
  assert.equal(other.status, 422, 'the same key with another body is refused');
  assert.equal((await server.db.one('select count(*)::int n from incident where title = $1', [body.title])).n, 1);
  const joined = await commander('POST', `/incidents/${ref}/roles`, { role: 'executive', person: third.who.login });
  assert.ok(joined.status < 300, joined.text);
  const receipt = await commander('GET', `/incidents/${ref}/receipt`);
  assert.equal(receipt.status, 200, receipt.text);
});

test('the playbook that fits runs, and its clocks count', async () => {
  const page = await commander('GET', `/incidents/${ref}`);
  assert.equal(page.status, 200);
  assert.ok(page.headers.get('etag'));
  run = await server.db.one(`select r.id, p.slug from run r join playbook p on p.id = r.playbook_id join incident i on i.id = r.incident_id where i.ref = $1`, [ref]);
  assert.equal(run.slug, 'mobile-banking-outage');
  const kinds = (await server.db.query(`select distinct c.kind from incident_clock c join incident i on i.id = c.incident_id where i.ref = $1`, [ref])).map(r => r.kind);
  assert.ok(kinds.includes('next_update') && kinds.includes('rto'), kinds.join());
});

test('mail reaches each person alone, threaded, encoded, with a link whose GET changes nothing', async () => {
  const got = await until('the first mails', () => mail.mails.filter(m => m.raw.includes(ref)).length >= 2 && mail.mails.filter(m => m.raw.includes(ref)), 30);
  for (const m of got) assert.equal(m.to.length, 1, 'one recipient per message');
  const one = got[0];
  assert.match(one.parsed.subject, new RegExp(`^\\[${ref}\\]`));
  assert.ok(one.parsed.text && one.parsed.html);
  assert.match(one.raw, /^Auto-Submitted: auto-generated/m);
  assert.match(one.raw, /^X-Muster-Incident: /m);
  for (const line of one.raw.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 998);
  assert.ok(!/^Subject:.*[^\x00-\x7f]/m.test(one.raw), 'the subject is encoded');
  const roots = new Set(got.map(m => [].concat(m.parsed.references || [])[0] || m.parsed.inReplyTo));
  assert.equal(roots.size, 1, 'one thread per incident');
  const link = got.map(m => /https?:\/\/\S*\/ack\/[\w-]+/.exec(m.parsed.text)).find(Boolean);
  assert.ok(link, 'there is an acknowledge link');
  const target = server.url + new URL(link[0]).pathname;
  assert.equal((await fetch(target)).status, 200);
  assert.equal((await server.db.one(`select count(*)::int n from outbox o join incident i on i.id = o.incident_id where i.ref = $1 and acked_at is not null`, [ref])).n, 0, 'GET changes nothing');
  const posted = await fetch(target, { method: 'POST', redirect: 'manual', headers: { Origin: server.url, 'Content-Type': 'application/x-www-form-urlencoded' }, body: '' });
  assert.ok([200, 303].includes(posted.status), String(posted.status) + await posted.text());
  assert.equal((await server.db.one(`select count(*)::int n from outbox o join incident i on i.id = o.incident_id where i.ref = $1 and acked_at is not null`, [ref])).n, 1);
});

test('web hooks carry a signature that the standard’s own verifier accepts, over a CloudEvent', async () => {
  const call = await until('a web hook', () => hook.calls.find(c => c.raw.includes(ref)), 30);
  new Webhook(secret).verify(call.raw, call.headers);
  assert.throws(() => new Webhook(secret).verify(call.raw + ' ', call.headers));
  const event = JSON.parse(call.raw);
  assert.equal(event.specversion, '1.0');
  assert.equal(event.id, call.headers['webhook-id']);
  assert.match(event.type, /incident\./);
});

async function steps() { return (await commander('GET', `/runs/${run.id}`)).json; }
function open(doc) { const all = []; (function walk(x) { if (Array.isArray(x)) x.forEach(walk); else if (x && typeof x === 'object') { if (x.path && x.status && x.kind) all.push(x); Object.values(x).forEach(walk); } })(doc); return all; }
const act = (who, body) => who('POST', `/runs/${run.id}/steps`, body);

test('every open step can be done through the API until the playbook ends', async () => {
  const seen = new Set();
  for (let round = 0; round < 200; round++) {
    const state = await server.db.one('select status from run where id = $1', [run.id]);
    if (!['running', 'waiting', 'paused'].includes(state.status)) break;
    const rows = await server.db.query(`select path, occ, kind, status, detail from run_step where run_id = $1 and status in ('active','waiting','ready') and kind not in ('parallel','if','call') order by position`, [run.id]);
    let did = false;
    for (const step of rows) {
      const base = { path: step.path, occ: step.occ };
      let answer;
      seen.add(step.kind);
      if (step.kind === 'task') answer = await act(commander, { ...base, act: 'done', note: 'done in the test', link: 'https://wiki.haidong.example/evidence', values: Object.fromEntries((step.detail.form || []).map(f => [f.id || f.var, f.type === 'bool' ? true : f.type === 'int' ? 3 : f.values ? f.values[0] : 'x'])) });
      else if (step.kind === 'checklist') {
        for (const item of step.detail.items || []) if (!item.state || item.state === 'open') answer = await act(commander, { ...base, act: 'item', item: item.id, state: 'done', values: Object.fromEntries((item.form || []).map(f => [f.id || f.var, '1'])) });
        const left = await server.db.one('select status from run_step where run_id = $1 and path = $2 and occ = $3', [run.id, step.path, step.occ]);
        if (left.status === 'active') answer = await act(commander, { ...base, act: 'done' });
      }
      else if (step.kind === 'decide') answer = await act(commander, { ...base, act: 'decide', value: String(step.detail.options ? (step.detail.options.find(o => ['II', true, 'true', 'yes'].includes(o.value ?? o)) ?? step.detail.options[0]).value ?? 'II' : 'II') });
      else if (step.kind === 'approve') { answer = await act(commander, { ...base, act: 'approve', note: 'announced' }); if (answer.status >= 400 || (await server.db.one('select status from run_step where run_id=$1 and path=$2 and occ=$3', [run.id, step.path, step.occ])).status === 'active') answer = await act(second, { ...base, act: 'approve', note: 'announced' }); }
      else if (step.kind === 'wait') { await server.clock(3600); answer = null; await until('the wait to end', async () => (await server.db.one('select status from run_step where run_id=$1 and path=$2 and occ=$3', [run.id, step.path, step.occ])).status !== 'waiting', 20); did = true; continue; }
      else if (step.kind === 'report') { await report(step); did = true; continue; }
      else { await until(step.kind + ' to finish', async () => !['active', 'waiting'].includes((await server.db.one('select status from run_step where run_id=$1 and path=$2 and occ=$3', [run.id, step.path, step.occ])).status), 30); did = true; continue; }
      if (answer) { assert.ok(answer.status < 300, `${step.kind} ${step.path}: ${answer.status} ${answer.text}`); did = true; }
    }
    assert.ok(did || rows.length === 0, 'something can be done: ' + JSON.stringify(rows));
  }
  const end = await server.db.one('select status from run where id = $1', [run.id]);
  assert.equal(end.status, 'succeeded', JSON.stringify(await server.db.query(`select path, kind, status from run_step where run_id = $1 and ended_at is null`, [run.id])));
  for (const kind of ['task', 'checklist', 'decide', 'approve', 'report']) assert.ok(seen.has(kind), 'the story has a ' + kind);
});

// The draft of a report step: facts, fields, approval by the second person, filing.
async function report() {
  const rows = await server.db.query(`select r.ref, r.state from report r join incident i on i.id = r.incident_id where i.ref = $1 and r.state in ('draft','approved') order by r.ref`, [ref]);
  for (const row of rows) {
    const facts = await commander('POST', `/reports/${row.ref}/facts`, { facts: { 'impact.in_service_hours': true, 'impact.provinces_count': 2, 'impact.downtime_minutes': 45, 'impact.users_affected': 1200000 }, reason: 'measured' });
    assert.ok(facts.status < 300 || facts.status === 422, facts.text);
    let page = await commander('GET', `/reports/${row.ref}`);
    assert.equal(page.status, 200, page.text);
    const missing = {};
    (function walk(x) { if (Array.isArray(x)) x.forEach(walk); else if (x && typeof x === 'object') { if (x.key && x.missing === true && x.options !== undefined) missing[x.key] = x.options ? x.options[0].value : /_at$|time/.test(x.key) ? new Date().toISOString() : 'filled by the test'; Object.values(x).forEach(walk); } })(page.json);
    if (Object.keys(missing).length) { const saved = await commander('POST', `/reports/${row.ref}/fields`, { values: missing }, { 'If-Match': page.headers.get('etag') }); assert.ok(saved.status < 300, saved.text); }
    page = await commander('GET', `/reports/${row.ref}`);
    const own = await commander('POST', `/reports/${row.ref}/approve`, { incomplete: true }, { 'If-Match': page.headers.get('etag') });
    assert.ok(own.status >= 400, 'nobody approves their own draft: ' + own.status);
    page = await third('GET', `/reports/${row.ref}`);
    const approved = await third('POST', `/reports/${row.ref}/approve`, { incomplete: true }, { 'If-Match': page.headers.get('etag') });
    assert.ok(approved.status < 300, approved.text);
    page = await commander('GET', `/reports/${row.ref}`);
    const filed = await commander('POST', `/reports/${row.ref}/filing`, { channel: 'portal', number: 'NFRA-2026-1' }, { 'If-Match': page.headers.get('etag') });
    assert.ok(filed.status < 300, filed.text);
  }
}

test('an unverified figure is marked in the draft', async () => {
  const { json } = await commander('GET', `/incidents/${ref}/reports`);
  assert.match(JSON.stringify(json), /unverified|verified-secondary/);
});

test('notes keep both times; severity, hand-over and states need what they need', async () => {
  const at = new Date(Date.now() - 1800e3).toISOString();
  const note = await commander('POST', `/incidents/${ref}/notes`, { text: 'The load balancer was already failing', at });
  assert.ok(note.status < 300, note.text);
  const row = await server.db.one(`select e.at, e.recorded_at from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'note' order by e.seq desc limit 1`, [ref]);
  assert.ok(row.recorded_at - row.at > 1700e3);
  assert.equal((await commander('POST', `/incidents/${ref}/severity`, { severity: 'III', reason: 'half is back' })).status, 428, 'If-Match is needed');
  assert.equal((await commander('POST', `/incidents/${ref}/severity`, { severity: 'III', reason: 'half is back' }, { 'If-Match': '"0-0"' })).status, 412);
  const etag = async () => (await commander('GET', `/incidents/${ref}`)).headers.get('etag');
  const ok = await commander('POST', `/incidents/${ref}/severity`, { severity: 'III', reason: 'half is back' }, { 'If-Match': await etag() });
  assert.ok(ok.status < 300, ok.text);
  const hand = await commander('POST', `/incidents/${ref}/handover`, { to: second.who.login, reason: 'end of shift' }, { 'If-Match': await etag() });
  assert.ok(hand.status < 300, hand.text);
  for (const state of ['mitigated', 'resolved', 'closed']) {
    const answer = await commander('POST', `/incidents/${ref}/state`, { state, reason: 'rolled back to the version before' }, { 'If-Match': await etag() });
    assert.ok(answer.status < 300, `${state}: ${answer.text}`);
  }
});

test('the public page says what the public may know', async () => {
  const html = await until('the status page to know', async () => { const text = await (await fetch(server.url + '/status?lang=en')).text(); return text.includes('<html') && text; });
  assert.ok(!/<script/i.test(html));
  assert.ok(Buffer.byteLength(html) < 40960);
  const summary = await (await fetch(server.url + '/api/v2/summary.json')).json();
  assert.ok(summary.page && summary.components.length && summary.status.indicator);
});

test('the export’s hash chain holds, and one changed byte is found without a database', async () => {
  const answer = await commander('GET', `/incidents/${ref}/export.json`);
  assert.equal(answer.status, 200);
  const file = path.join(results, `${ref}.json`);
  writeFileSync(file, answer.text);
  assert.doesNotThrow(() => server.cli(['audit', 'verify', file]));
  const at = answer.text.indexOf('The load balancer');
  writeFileSync(file, answer.text.slice(0, at) + 'the' + answer.text.slice(at + 3));
  assert.throws(() => server.cli(['audit', 'verify', file]), 'a changed byte is found');
  const csv = await commander('GET', `/incidents/${ref}/export.csv`);
  assert.equal(csv.status, 200);
  assert.ok(csv.text.includes('load balancer'));
});

test('replaying the run’s events gives its state', () => { assert.doesNotThrow(() => server.cli(['audit', 'verify-run', run.id])); });

test('nothing is left undelivered', async () => {
  await until('the outbox to empty', async () => (await server.db.one(`select count(*)::int n from outbox where state = 'pending'`)).n === 0, 30);
  assert.equal((await server.db.one(`select count(*)::int n from outbox where state = 'dead'`)).n, 0, JSON.stringify(await server.db.query(`select address, last_error from outbox where state = 'dead'`)));
});
