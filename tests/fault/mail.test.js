// Mail servers that are away, busy, unwilling or not who they say they are. "Sent" is said only of mail a server took.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bearer, freePort, muster, person, until } from '../lib/muster.js';
import { mailServer } from '../lib/receivers.js';

let server, admin, boss, port;
const open = [];
before(async () => {
  port = await freePort();
  server = await muster({ settings: { MUSTER_SMTP_HOST: 'localhost', MUSTER_SMTP_PORT: String(port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example', MUSTER_SMTP_TIMEOUT: '10s' } });
  boss = await person(server.db, 'boss', ['admin', 'commander'], { language: 'en', email: 'boss@haidong.example' });
  admin = await bearer(server, boss);
});
after(async () => { await server?.close(); for (const one of open) await one.close(); });

async function listen(options = {}) { for (const left of open.splice(0)) await left.close(); const one = await mailServer({ port, ...options }); open.push(one); return one; }
async function hush(one) { open.splice(open.indexOf(one), 1); await one.close(); }
async function settings(change) { await server.stop(); Object.assign(server.environment, change); await server.start(); }
// One test mail to the boss; gives its row.
async function send() {
  const answer = await admin('POST', '/settings/mail-test');
  assert.ok(answer.status < 300, answer.text);
  return (await server.db.one(`select max(id) as id from outbox where channel = 'email'`)).id;
}
const row = id => server.db.one(`select state, attempt, last_error, extract(epoch from not_before - app_now())::float8 as wait from outbox where id = $1`, [id]);
const settled = (id, attempt) => until(`try ${attempt} of mail ${id}`, async () => { const r = await row(id); return r.attempt >= attempt && r; }, 40);
const log = async id => (await server.db.query('select outcome, code from delivery where outbox_id = $1 order by attempt', [id])).map(d => `${d.outcome}${d.code ? ' ' + d.code : ''}`);

test('a mail server that is down for an hour costs nobody a mail', async () => {
  const id = await send();
  let attempt = 1;
  for (let passed = 0; passed < 3600; attempt++) {
    const got = await settled(id, attempt);
    assert.equal(got.attempt, attempt, 'no try before its time');
    assert.equal(got.state, 'pending');
    assert.ok(got.wait > 0, 'the next try is later');
    if (passed + got.wait > 3600) { await server.clock(3600 - passed); break; }
    passed += got.wait + 1;
    await server.clock(got.wait + 1);
  }
  assert.ok(attempt >= 5, `${attempt} tries in an hour`);
  const mail = await listen();
  await server.clock((await row(id)).wait + 1);
  assert.equal((await settled(id, attempt + 1)).state, 'done');
  assert.equal(mail.mails.filter(m => m.to[0] === 'boss@haidong.example' && /msg_/.test(m.parsed.messageId)).length >= 1, true);
  assert.equal(mail.mails.filter(m => m.parsed.subject === mail.mails[0].parsed.subject).length, 1, 'once');
  const outcomes = await log(id);
  assert.equal(outcomes.pop(), 'sent 250');
  assert.ok(outcomes.every(o => o.startsWith('retry')), outcomes.join());
  await hush(mail);
});

test('451 first, then 250', async () => {
  let times = 0;
  const mail = await listen({ refuse: () => times++ === 0 && Object.assign(new Error('greylisted, come back'), { responseCode: 451 }) });
  const id = await send(), got = await settled(id, 1);
  assert.equal(got.state, 'pending');
  assert.match(got.last_error, /^451 .*greylisted/);
  await server.clock(10);
  assert.equal((await settled(id, 2)).state, 'done');
  assert.deepEqual(await log(id), ['retry 451', 'sent 250']);
  await hush(mail);
});

test('550 is final: a dead letter at once, and the commander is told another way', async () => {
  const mail = await listen({ refuse: address => address.startsWith('wrong') && Object.assign(new Error('no such mailbox'), { responseCode: 550 }) });
  const wrong = await person(server.db, 'wrong', ['responder'], { email: 'wrong@haidong.example' });
  const declared = await admin('POST', '/incidents', { title: 'Mail story', severity: 'II', playbook: 'none' });
  assert.equal(declared.status, 201, declared.text);
  const { ref } = declared.json;
  const role = await admin('POST', `/incidents/${ref}/roles`, { role: 'comms', person: wrong.login });
  assert.ok(role.status < 300, role.text);
  const incident = (await server.db.one('select id from incident where ref = $1', [ref])).id;
  await server.db.query(`select message_send($1, 'update', '{"zh":"更新","en":"An update"}', '{"zh":"文本","en":"words"}', '{}', jsonb_build_array(jsonb_build_object('person', $2::text)))`, [incident, wrong.id]);
  const dead = await until('the dead letter', () => server.db.one(`select id, attempt, last_error from outbox where state = 'dead' and address = 'wrong@haidong.example'`), 30);
  assert.equal(dead.attempt, 1);
  assert.match(dead.last_error, /^550 .*no such mailbox/);
  const alarm = await until('the alarm', () => mail.mails.find(m => m.to[0] === 'boss@haidong.example' && m.raw.includes(ref) && m.parsed.text.includes('wrong@haidong.example')), 30);
  assert.match(alarm.parsed.subject, /did not arrive/);
  assert.ok(await server.db.one(`select 1 from timeline_event where incident_id = $1 and kind = 'delivery_failed'`, [incident]));
  const list = await admin('GET', '/deliveries');
  assert.ok(list.json.rows.some(r => r.id === dead.id || String(r.id) === String(dead.id)), 'it is on the list of dead letters');
  await hush(mail);
});

test('no line end gets into the envelope or the header', async () => {
  const bad = await admin('POST', '/endpoints', { slug: 'crlf', kind: 'email', name: 'Outside', address: 'a@b.example\r\nBcc: evil@b.example', audience: 'regulator' });
  assert.equal(bad.status, 422, bad.text);
  assert.ok(bad.json.errors.some(e => e.pointer === '/address'), bad.text);
  assert.equal((await admin('POST', '/incidents', { title: 'a\r\nBcc: evil@b.example' })).status, 422);
  // What got past every check, by hand into the table, is stopped by the sender.
  const mail = await listen();
  const insert = (key, address, subject) => server.db.one(`insert into outbox(kind, channel, address, language, audience, drill_safe, delivery, idem_key, payload, not_before, created_at)
    values ('system', 'email', $2, 'en', 'internal', false, 'send', $1, jsonb_build_object('purpose', 'test', 'subject', jsonb_build_object('en', $3::text), 'text', '{"en":"words"}'::jsonb), app_now(), app_now()) returning id`, [key, address, subject]);
  const { id: first } = await insert('crlf/1', 'a@b.example\r\nRCPT TO:<evil@b.example>', 'x').catch(error => ({ id: null, error }));
  if (first) assert.equal((await settled(first, 1)).state, 'dead');
  const { id: second } = await insert('crlf/2', 'plain@b.example', 'harmless\r\nBcc: evil@b.example\r\n\r\nbody');
  assert.equal((await settled(second, 1)).state, 'done');
  const got = mail.mails.filter(m => !m.to.includes('boss@haidong.example'));
  assert.deepEqual(got.map(m => m.to), [['plain@b.example']]);
  assert.equal(got[0].parsed.bcc, undefined);
  assert.ok(!/^Bcc:/mi.test(got[0].raw.split('\r\n\r\n')[0]), 'no such header');
  assert.match(got[0].parsed.subject, /harmless Bcc: evil@b\.example|harmless {1,4}Bcc/);
  await hush(mail);
});

test('STARTTLS and implicit TLS, with our own CA: only the right name is trusted', async t => {
  const at = name => path.join(server.data, name), ssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: server.data });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  ssl('req', '-x509', ...ec, '-days', '2', '-subj', '/CN=Test CA', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const [name, host] of [['good', 'localhost'], ['wrong', 'mail.other.example']]) {
    ssl('req', ...ec, '-subj', `/CN=${host}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    writeFileSync(at(`${name}.ext`), `subjectAltName=DNS:${host}\n`);
    ssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  }
  const pair = (name, secure) => ({ tls: { secure, key: readFileSync(at(`${name}.key`)), cert: readFileSync(at(`${name}.pem`)) } });
  for (const [security, secure] of [['starttls', false], ['tls', true]]) {
    await settings({ MUSTER_SMTP_SECURITY: security, MUSTER_SMTP_CA_FILE: at('ca.pem') });
    await t.test(`${security}: another host's certificate is refused, nothing is called sent`, async () => {
      const mail = await listen(pair('wrong', secure));
      const id = await send(), got = await settled(id, 1);
      assert.equal(got.state, 'pending', got.last_error);
      assert.equal(mail.mails.length, 0);
      assert.ok((await log(id)).every(o => o.startsWith('retry')));
      await hush(mail);
    });
    await t.test(`${security}: the right one is accepted, and the mail travels encrypted`, async () => {
      const mail = await listen(pair('good', secure));
      const id = await send(), got = await settled(id, 1);
      assert.equal(got.state, 'done', got.last_error);
      assert.ok(mail.mails.length >= 1 && mail.mails.every(m => m.secure), 'over TLS');
      await hush(mail);
    });
    await t.test(`${security}: a CA we do not know is refused`, async () => {
      await settings({ MUSTER_SMTP_CA_FILE: '' });
      const mail = await listen(pair('good', secure));
      const id = await send(), got = await settled(id, 1);
      assert.equal(got.state, 'pending', got.last_error);
      assert.equal(mail.mails.length, 0);
      await hush(mail);
    });
  }
  await t.test('a server without STARTTLS gets nothing when STARTTLS is asked for', async () => {
    await settings({ MUSTER_SMTP_SECURITY: 'starttls' });
    const mail = await listen();
    const id = await send(), got = await settled(id, 1);
    assert.equal(got.state, 'pending');
    assert.equal(mail.mails.length, 0);
    await hush(mail);
  });
});
