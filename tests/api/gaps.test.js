// What one part of the product must tell another: a grading in the playbook, reports as files, forms that outlive a session, counters.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { Browser, request } from '../lib/browser.js';
import { mailServer } from '../lib/receivers.js';
import { channels } from '../lib/story.js';
import { bearer, freePort, muster, person, until, published } from '../lib/muster.js';

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

// The report as a file, made by the work process; the same content gives the same file.
async function file(ref, format) {
  const ordered = await commander('POST', `/reports/${ref}/documents`, { format });
  assert.equal(ordered.status, 202, ordered.text);
  return until(`the ${format}`, async () => {
    const answer = await fetch(`${server.url}/api/v1/reports/${ref}/documents/${format}`, { headers: { Authorization: `Bearer ${commander.token}` } });
    if (answer.status === 202) { await answer.arrayBuffer(); return null; }
    return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
  }, 60);
}
const draft = async kind => {
  const { ref } = await declare({ kind, severity: 'II', playbook: 'none' });
  const made = await commander('POST', `/incidents/${ref}/reports`, { profile: 'nfra-it-incident' });
  assert.ok(made.status < 300, made.text);
  return (await server.db.one(`select r.ref from report r join incident i on i.id = r.incident_id where i.ref = $1`, [ref])).ref;
};
// Members of an archive, by its list at the end.
function unzip(bytes) {
  const out = {}, end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = bytes.readUInt32LE(end + 16);
  for (let n = bytes.readUInt16LE(end + 10); n > 0; n--) {
    const [method, size, nameSize, extra, note, from] = [bytes.readUInt16LE(at + 10), bytes.readUInt32LE(at + 20), bytes.readUInt16LE(at + 28), bytes.readUInt16LE(at + 30), bytes.readUInt16LE(at + 32), bytes.readUInt32LE(at + 42)];
    const name = bytes.toString('utf8', at + 46, at + 46 + nameSize), data = from + 30 + bytes.readUInt16LE(from + 26) + bytes.readUInt16LE(from + 28);
    const raw = bytes.subarray(data, data + size);
    out[name] = (method === 8 ? inflateRawSync(raw) : raw).toString('utf8');
    at += 46 + nameSize + extra + note;
  }
  return out;
}

for (const kind of ['incident', 'drill'])
  test(`a report of a ${kind} as one self-contained page`, async () => {
    const ref = await draft(kind), got = await file(ref, 'html'), text = got.bytes.toString('utf8');
    assert.equal(got.status, 200);
    assert.match(got.headers.get('content-type'), /^text\/html/);
    assert.match(got.headers.get('content-disposition'), new RegExp(`^attachment.*${kind === 'drill' ? 'DRILL-' : '"?'}${ref}\\.html`));
    assert.match(text, /<style>[^<]*@page[^<]*size: A4/, 'the style sheet is inside');
    assert.ok(!/<(link|script|img|iframe)/i.test(text) && !/url\(/.test(text), 'nothing is fetched');
    assert.ok(text.includes(ref));
    assert.equal(/【演练】|\[DRILL\]/.test(text.replace(/<style>[\s\S]*?<\/style>/, '')), kind === 'drill');
    const again = await file(ref, 'html');
    assert.deepEqual(again.bytes, got.bytes);
    const page = await new Browser(server).become(boss).then(b => b.get(`/reports/${ref}`));
    assert.match(page.text, /name="format" value="html"/);
    assert.match(page.text, new RegExp(`/reports/${ref}/documents/html"`));
  });

for (const kind of ['incident', 'drill'])
  test(`the Word file of a ${kind} has our paper, fonts, header and footer`, async () => {
    const ref = await draft(kind), got = await file(ref, 'docx'), parts = unzip(got.bytes);
    assert.match(parts['word/document.xml'], /<w:pgSz[^>]*w:w="11906"[^>]*w:h="16838"|<w:pgSz[^>]*w:h="16838"[^>]*w:w="11906"/);
    const headers = Object.keys(parts).filter(n => /word\/header\d*\.xml/.test(n)), footers = Object.keys(parts).filter(n => /word\/footer\d*\.xml/.test(n));
    assert.ok(headers.length && footers.length, Object.keys(parts).join());
    assert.ok(parts[headers[0]].includes(ref), 'the number is in the header');
    assert.equal(parts[headers[0]].includes('【演练】[DRILL]'), kind === 'drill');
    assert.match(parts[footers[0]], /PAGE/);
    assert.match(parts['word/styles.xml'], /w:eastAsia="仿宋_GB2312"/);
    assert.match(parts['word/styles.xml'], /w:eastAsia="zh-CN"/);
    for (const name of [...headers, ...footers]) assert.ok(parts['[Content_Types].xml'].includes('/' + name), `${name} has a type`);
    assert.match(parts['word/document.xml'], /<w:headerReference/);
  });

const unescape = text => text.replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n)).replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&');
const field = (html, name) => { const found = new RegExp(`<input[^>]*name="${name}"[^>]*value="([^"]*)"`).exec(html); return found && unescape(found[1]); };

test('a form sent after the session ended is kept through the sign-in, and nothing is sent by itself', async () => {
  const { ref } = await declare({ severity: 'III', playbook: 'none' });
  const password = /\S+\s*$/.exec(server.cli(['user', 'password', boss.login]))[0].trim();
  await server.db.query('update account set must_change = false where person_id = $1', [boss.id]);
  const typed = 'half an hour of writing <b> & "more" 中文';
  for (const how of ['ended', 'lost']) {
    const browser = await new Browser(server).become(boss);
    await browser.get(`/incidents/${ref}`);
    if (how === 'ended') await server.db.query('delete from session where person_id = $1', [boss.id]); else browser.cookie = null;
    const refused = await browser.post(`/incidents/${ref}/notes`, { text: typed });
    assert.equal(refused.status, 401, refused.text.slice(0, 300));
    assert.match(refused.text, /data-testid="kept"/);
    const kept = field(refused.text, 'kept');
    assert.ok(kept && !kept.includes('writing'), 'sealed');
    browser.cookie = null;
    const wrong = await browser.post('/signin', { login: boss.login, password: 'not the password', kept, next: field(refused.text, 'next'), _csrf: null });
    assert.equal(field(wrong.text, 'kept'), kept, 'a slip at the password loses nothing');
    const answer = await browser.post('/signin', { login: boss.login, password, kept, next: field(refused.text, 'next'), _csrf: null });
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    assert.match(answer.text, /data-testid="kept"/);
    assert.equal(unescape(/<textarea[^>]*name="text"[^>]*>([^<]*)</.exec(answer.text)[1]), typed);
    assert.equal((await server.db.one(`select count(*)::int as n from timeline_event where text = $1`, [typed])).n, how === 'ended' ? 0 : 1);
    browser.cookie = /muster=[^;]+/.exec(String(answer.headers['set-cookie']))[0];
    const sent = await browser.post(`/incidents/${ref}/notes`, { text: typed, _csrf: field(answer.text, '_csrf'), _key: field(answer.text, '_key') });
    assert.equal(sent.status, 303, sent.text.slice(0, 300));
  }
});

test('a kept form carries no secret, comes from no other site, and cannot be made up', async () => {
  const browser = await new Browser(server).become(boss);
  browser.cookie = null;
  const secret = await browser.post('/password', { current: 'hunter2hunter2', password: 'x', again: 'x' });
  assert.ok(!secret.text.includes('name="kept"'), 'nothing but secrets: nothing to keep');
  const foreign = await browser.post('/incidents', { title: 'from elsewhere' }, { Origin: 'https://evil.example' });
  assert.equal(foreign.status, 303);
  const large = await browser.post('/incidents', { title: 'x'.repeat(70000) });
  assert.equal(large.status, 303, 'more than is kept');
  const password = /\S+\s*$/.exec(server.cli(['user', 'password', boss.login]))[0].trim();
  await server.db.query('update account set must_change = false where person_id = $1', [boss.id]);
  const made = await browser.post('/signin', { login: boss.login, password, kept: 's1:AAAA', next: '/incidents', _csrf: null });
  assert.equal(made.status, 303);
  assert.equal(made.headers.location, '/incidents');
});

test('limits of regulators come from their profiles: change the profile and the playbook follows', async () => {
  const start = async () => {
    const { run } = await declare({ severity: 'II' });
    return (await server.db.one(`select body #> '{data,profile}' as f, body #> '{data,vars}' as v from run_event where run_id = $1 and kind = 'run_created'`, [run])).f;
  };
  const first = await start(), hours = text => Number(/^(?:(\d+)h)?(?:(\d+)m)?$/.exec(text)[1] || 0) * 60 + Number(/^(?:(\d+)h)?(?:(\d+)m)?$/.exec(text)[2] || 0);
  const { body } = await server.db.one(`select body from report_profile where id = 'cac-cyber' order by version desc limit 1`);
  const offset = id => /PT(\d+)H/.exec(body.stages.find(s => s.id === id).deadline.offset)[1] * 60;
  assert.equal(hours(first['cac-cyber.initial']), offset('initial'));
  assert.equal(hours(first['cac-cyber.first_report_due']), offset('initial_cii'), 'not known whether it is a CII operator: the strictest');
  await server.db.query(`insert into setting(key, value) values ('org_facts', '{"org.is_cii": false, "org.is_central_organ": false}') on conflict (key) do update set value = excluded.value`);
  assert.equal(hours((await start())['cac-cyber.first_report_due']), offset('initial'));
  await server.db.query(`update report_profile set body = jsonb_set(body, '{stages}', replace((body -> 'stages')::text, 'PT4H', 'PT3H')::jsonb) where id = 'cac-cyber'`);
  const { ref, run } = await declare({ severity: 'II' });
  const vars = (await server.db.one('select state -> $2 as v from run where id = $1', [run, 'vars'])).v;
  assert.equal(vars.cac_due.value, '3h');
  assert.ok(ref);
});

test('with a certificate it serves TLS by itself: cookie, HSTS, no old protocol', async () => {
  const folder = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'tls-')), port = await freePort();
  const make = args => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  make(['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']);
  const other = await muster({ db: server.db, port, start: false, settings: { MUSTER_HTTP_CERTIFICATE: path.join(folder, 'cert.pem'), MUSTER_HTTP_KEY: path.join(folder, 'key.pem'), MUSTER_HTTP_PUBLIC_URL: '', MUSTER_WORK_CHILD: 'off' } });
  const child = other.launch('serve'), curl = (...args) => execFileSync('curl', ['-sS', '--max-time', '10', '--cacert', path.join(folder, 'cert.pem'), ...args], { encoding: 'utf8', stdio: 'pipe' });
  try {
    const at = `https://localhost:${port}`;
    await until('TLS', () => curl(`${at}/healthz`).length > 0, 20);
    const head = curl('-i', `${at}/signin`);
    assert.match(head, /^HTTP\/1\.1 200/);
    assert.match(head, /^strict-transport-security: max-age=\d{7,}/im);
    const password = /\S+\s*$/.exec(server.cli(['user', 'password', boss.login]))[0].trim();
    await server.db.query('update account set must_change = false where person_id = $1', [boss.id]);
    const signed = curl('-i', '-H', `Origin: ${at}`, '--data-urlencode', `login=${boss.login}`, '--data-urlencode', `password=${password}`, `${at}/signin`);
    const cookie = /^set-cookie: (__Host-muster=[^;]+)(; .*)$/im.exec(signed);
    assert.ok(cookie, signed);
    assert.match(cookie[2], /; Path=\//); assert.match(cookie[2], /; Secure/); assert.match(cookie[2], /; HttpOnly/);
    assert.match(curl('-b', cookie[1], `${at}/me`), /wang\.min|Wang Min|王敏/);
    assert.throws(() => curl('--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', `${at}/healthz`), 'nothing older than TLS 1.2');
    assert.throws(() => execFileSync('curl', ['-sS', '--max-time', '5', `${at}/healthz`], { stdio: 'pipe' }), 'an unknown certificate is refused by the client');
    const big = curl('-H', `Authorization: Bearer ${commander.token}`, `${at}/openapi.json`);
    assert.ok(JSON.parse(big).openapi, 'a long answer comes whole');
    assert.match((await server.db.one(`select value ->> 'public_url' as url from setting where key = 'conf'`)).url, /^https:/);
  } finally { child.kill('SIGTERM'); const end = await child.ended; assert.equal(end.code, 0); rmSync(folder, { recursive: true }); }
});

for (const kind of ['incident', 'drill'])
  test(`what came due during an outage is told to each person of the ${kind} in one message`, async () => {
    const mail = await mailServer();
    const own = await muster({ start: false, settings: channels(mail) });
    try {
      await own.start();
      const chief = await person(own.db, 'chief', ['commander', 'admin', 'approver'], { en: 'Chief', email: 'chief@haidong.example', language: 'en' });
      const duty = await person(own.db, 'duty', ['responder'], { en: 'Duty', email: 'duty@haidong.example', language: 'en' });
      const api = await bearer(own, chief);
      const step = id => `  - task: ${id}\n    title: {zh: 步骤 ${id}, en: Step ${id}}\n    role: worker\n    deadline: {after: 10m, warn: 2m, escalate: [commander, duty]}\n`;
      const text = `format: muster/1\nid: many\ntitle: {zh: 多项, en: Many}\nroles:\n  commander: {zh: 指挥, en: Commander}\n  duty: {zh: 值班, en: Duty}\n  worker: {zh: 人员, en: Worker}\nsteps:\n  - parallel: all\n    title: {zh: 并行, en: All}\n    branches:\n`
        + ['a', 'b', 'c'].map(id => `      ${id}:\n` + step(id).replace(/^/gm, '      ').trimEnd() + '\n').join('') + '  - {end: done, outcome: completed}\n';
      const saved = await api('POST', '/playbooks', { text });
      assert.ok(saved.status < 300, saved.text);
      const declared = await api('POST', '/incidents', { title: 'Many at once', kind, severity: 'III', playbook: 'none' });
      const ref = declared.json.ref;
      for (const [role, who] of [['duty', duty], ['worker', duty]]) assert.ok((await api('POST', `/incidents/${ref}/roles`, { role, person: who.login })).status < 300);
      const other = await bearer(own, await person(own.db, 'second', ['approver', 'commander', 'risk']));
      for (const role of ['commander', 'duty', 'worker']) await own.db.query(`insert into role_holder(role, person_id) select $1, id from person where login = 'duty' on conflict do nothing`, [role]);   // nobody in a role stops a publication
      const done = await published(api, other, 'many');
      assert.ok(done.status < 300, done.text);
      const started = await api('POST', `/incidents/${ref}/run`, { playbook: 'many' });
      assert.ok(started.status < 300, started.text);
      await until('the first mails', async () => (await own.db.one(`select count(*)::int as n from outbox where state = 'pending'`)).n === 0);
      await own.stop();                                                   // the outage
      mail.mails.length = 0;
      await own.clock(3600);
      await own.start();
      await until('what was missed', async () => (await own.db.one(`select count(*)::int as n from timer where state = 'armed' and due_real <= app_now()`)).n === 0, 30);
      await until('the mails', async () => (await own.db.one(`select count(*)::int as n from outbox where state = 'pending'`)).n === 0, 30);
      const warnings = mail.mails.filter(m => /reminders and overdue|Due soon|Overdue|overdue steps/.test(m.parsed.subject) && !/update/i.test(m.parsed.subject));
      for (const who of ['chief', 'duty']) {
        const got = warnings.filter(m => m.to[0] === `${who}@haidong.example`);
        assert.equal(got.length, 1, `${who}: ` + got.map(m => m.parsed.subject).join(' | '));
        for (const id of ['a', 'b', 'c']) assert.ok(got[0].parsed.text.includes(`Step ${id}`), got[0].parsed.text);
        assert.equal(/\[DRILL\]|【演练】/.test(got[0].parsed.subject), kind === 'drill');
      }
      const link = /https?:\/\/\S*\/ack\/[\w-]+/.exec(warnings.find(m => m.to[0].startsWith('chief')).parsed.text)[0];
      const acked = await fetch(own.url + new URL(link).pathname, { method: 'POST', redirect: 'manual', headers: { Origin: own.url, 'Content-Type': 'application/x-www-form-urlencoded' }, body: '' });
      assert.ok(acked.status < 400, await acked.text());
      const open = await own.db.query(`select step_id, detail #>> '{escalation,acknowledged,name}' as by from run_step where kind = 'task' and ended_at is null order by 1`);
      assert.deepEqual(open.map(s => [s.step_id, Boolean(s.by)]), [['a', true], ['b', true], ['c', true]]);
    } finally { await own.close(); await mail.close(); }
  });

test('every kind of problem has a page in both languages', async () => {
  const codes = [...readFileSync(new URL('../../server/base/errors.def', import.meta.url), 'utf8').matchAll(/^E\(\w+,\s*(\d+),\s*"(\w+)"/gm)].filter(m => m[2] !== 'ok');
  assert.ok(codes.length > 10);
  for (const [, status, code] of codes)
    for (const lang of ['en', 'zh']) {
      const answer = await request(server, 'GET', `/problems/${code}`, { headers: { 'Accept-Language': lang } });
      assert.equal(answer.status, 200, code);
      assert.match(answer.headers['content-type'], /^text\/html/);
      assert.match(answer.text, new RegExp(`<html lang="${lang === 'zh' ? 'zh-CN' : 'en'}"`));
      assert.ok(answer.text.includes(code) && answer.text.includes(status) && !answer.text.includes('⟦'), answer.text);
      const about = /<p>([^<]*)<\/p>\n<section/.exec(answer.text)[1];
      assert.ok(about.length > 8 && /[\u4e00-\u9fff]/.test(about) === (lang === 'zh'), about);
    }
  assert.equal((await request(server, 'GET', '/problems/nothing')).status, 404);
});

test('a caller that takes no JSON hears so before anything is done', async () => {
  const ask = (accept, method = 'GET', target = '/incidents', body) => request(server, method, '/api/v1' + target, { headers: { Authorization: `Bearer ${commander.token}`, ...(accept === null ? {} : { Accept: accept }), ...(body ? { 'Content-Type': 'application/json' } : {}) }, body });
  for (const accept of [null, '', '*/*', 'application/*', 'application/json', 'application/problem+json', 'text/html, application/json;q=0.1', 'text/html;q=0.9, */*;q=0.1', 'Application/JSON; charset=utf-8', 'application/json;q=1, text/*;q=0', '*/*;q=0, application/json', 'application/json, */*;q=0'])
    assert.equal((await ask(accept)).status, 200, String(accept));
  for (const accept of ['text/html', 'application/xml, text/*', 'application/json;q=0, application/problem+json;q=0', '*/*;q=0', 'application/*;q=0.0', '*/*, application/json;q=0', 'application/json;q=0, application/*, */*'])
    assert.equal((await ask(accept)).status, 406, accept);
  const refused = await ask('text/html', 'POST', '/incidents', JSON.stringify({ title: 'never declared', severity: 'IV', services: ['mobile-banking'] }));
  assert.equal(refused.status, 406);
  assert.match(refused.headers['content-type'], /problem\+json/);
  assert.equal(JSON.parse(refused.text).code, 'not_acceptable');
  assert.equal((await server.db.one(`select count(*)::int as n from incident where title = 'never declared'`)).n, 0);
  assert.equal((await ask('text/csv', 'GET', '/services/export.csv')).status, 200, 'a file is what it is');
});

test('/metrics of the server counts what the workers did, and keeps counting over restarts', async () => {
  const mail = await mailServer(), own = await muster({ start: false, settings: channels(mail) });
  const read = async () => Object.fromEntries([...(await (await fetch(own.url + '/metrics')).text()).matchAll(/^(muster_(?:deliveries|timers)\S+) (\d+)$/gm)].map(m => [m[1], Number(m[2])]));
  const truth = async () => {
    const rows = await own.db.query('select outcome, count(*)::int as n from delivery group by 1');
    const of = (...names) => rows.filter(r => names.includes(r.outcome)).reduce((n, r) => n + r.n, 0);
    return { 'muster_deliveries_total{outcome="sent"}': of('sent'), 'muster_deliveries_total{outcome="retry"}': of('retry'), 'muster_deliveries_total{outcome="dead"}': of('dead', 'unknown'),
      'muster_deliveries_total{outcome="simulated"}': of('simulated'), muster_timers_fired_total: (await own.db.one(`select count(*)::int as n from timer where state = 'fired'`)).n };
  };
  try {
    await own.start();
    const chief = await person(own.db, 'chief', ['commander', 'admin'], { email: 'chief@haidong.example' }), api = await bearer(own, chief);
    const round = async kind => {
      const made = await api('POST', '/incidents', { title: 'Counted', kind, severity: 'II', playbook: 'mobile-banking-outage' });
      assert.equal(made.status, 201, made.text);
      await own.clock(240);                                                // the first step warns
      await until('a timer', async () => (await own.db.one(`select count(*)::int as n from timer where state = 'fired'`)).n > 0);
      await until('the outbox', async () => (await own.db.one(`select count(*)::int as n from outbox where state = 'pending'`)).n === 0, 30);
    };
    await round('incident');
    await until('the server to know', async () => { const [a, b] = [await read(), await truth()]; return b['muster_deliveries_total{outcome="sent"}'] > 0 && b.muster_timers_fired_total > 0 && JSON.stringify(a) === JSON.stringify(b); }, 25);
    await own.stop();
    await own.start();
    assert.deepEqual(await read(), await truth(), 'nothing was forgotten');
    await round('drill');
    await own.stop();                                                      // what was not told yet is told at the end
    await own.start();
    assert.deepEqual(await read(), await truth());
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: await (await fetch(own.url + '/metrics')).text(), encoding: 'utf8' });
    if (!checked.error) assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  } finally { await own.close(); await mail.close(); }
});
