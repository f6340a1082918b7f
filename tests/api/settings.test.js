// Settings: checked, versioned, secrets sealed, told to everything that uses them, and back to the configuration when taken away.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { muster, person, bearer, until, published } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';
import { mailServer } from '../lib/receivers.js';

let server, mail, admin, browser;
before(async () => {
  mail = await mailServer();
  server = await muster({ asan: true, settings: { MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: '1', MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'conf@haidong.example' } });
  const who = await person(server.db, 'amy.admin', ['admin'], { language: 'en', email: 'amy@haidong.example' });
  admin = await bearer(server, who);
  browser = await new Browser(server).become(who);
});
after(async () => { await server?.close(); await mail?.close(); });

const get = async () => { const answer = await admin('GET', '/settings'); assert.equal(answer.status, 200, answer.text); return { ...answer.json, etag: answer.headers.get('etag') }; };
const put = async body => admin('PUT', '/settings', body, { 'If-Match': (await get()).etag });

test('only the version one saw is replaced', async () => {
  const { etag } = await get();
  assert.equal((await admin('PUT', '/settings', { two_person: true })).status, 428);
  assert.ok((await admin('PUT', '/settings', { two_person: true, site_name: { zh: '甲银行', en: 'Bank A' } }, { 'If-Match': etag })).status < 300);
  const stale = await admin('PUT', '/settings', { two_person: true, site_name: 'Bank B' }, { 'If-Match': etag });
  assert.equal(stale.status, 412);
  assert.equal((await get()).site_name.en, 'Bank A');
});

test('the name is on the pages and the public page; without it the configuration’s is', async () => {
  assert.match((await browser.get('/')).text, /Bank A/);
  await until('the public page to have it', async () => (await request(server, 'GET', '/api/v2/summary.json')).text.includes('甲银行') || (await request(server, 'GET', '/status?lang=zh')).text.includes('甲银行'));
  assert.ok((await put({ two_person: true })).status < 300);
  await until('it to be gone', async () => !(await request(server, 'GET', '/status?lang=zh')).text.includes('甲银行'));
});

for (const [body, pointer] of [[{ smtp_host: 'mail.example' }, '/smtp_from'], [{ time_zone: 'Mars/Olympus' }, '/time_zone'], [{ public_url: 'javascript:alert(1)' }, '/public_url'], [{ smtp_port: 70000 }, '/smtp_port'],
  [{ smtp_host: 'a', smtp_from: 'nobody' }, '/smtp_from'], [{ update_minutes_I: 0 }, '/update_minutes_I'], [{ escalation_minutes: 'soon' }, '/escalation_minutes'], [{ smtp_security: 'maybe' }, '/smtp_security'],
  [{ site_name: 'a\r\nb' }, '/site_name'], [{ smtp_host: 'a b', smtp_from: 'a@b.example' }, '/smtp_host'], [{ smtp_user: 'x\u0000y' }, '/smtp_user']])
  test(`refused by its name: ${JSON.stringify(body)}`, async () => {
    const before_ = await get(), answer = await put(body);
    assert.ok([400, 422].includes(answer.status), answer.text);
    if (answer.status === 422) assert.ok(answer.json.errors.some(e => e.pointer === pointer), answer.text);
    assert.equal((await get()).etag, before_.etag, 'nothing changed');
  });

test('the mail password is sealed, never shown, kept when left out, forgotten when asked', async () => {
  const password = 'Correct-Horse-Battery', mailing = { smtp_host: '127.0.0.1', smtp_port: mail.port, smtp_security: 'none', smtp_from: 'web@haidong.example', two_person: true };
  assert.ok((await put({ ...mailing, smtp_user: 'u', smtp_password: password })).status < 300);
  const kept = (await server.db.one(`select value from setting where key = 'smtp'`)).value;
  assert.ok(kept.password_sealed && !JSON.stringify(kept).includes(password));
  for (const text of [(await admin('GET', '/settings')).text, (await browser.get('/settings')).text, JSON.stringify(await server.db.query('select * from audit_event')), readFileSync(server.log, 'utf8')])
    assert.ok(!text.includes(password) && !text.includes(kept.password_sealed));
  assert.equal((await get()).smtp_password_set, true);
  assert.ok((await put({ ...mailing, smtp_user: 'u' })).status < 300);
  assert.equal((await server.db.one(`select value from setting where key = 'smtp'`)).value.password_sealed, kept.password_sealed);
  assert.ok((await put({ ...mailing, smtp_password_clear: true })).status < 300);
  assert.equal((await get()).smtp_password_set, false);
});

test('a test mail goes by the server on the page, at once, in one’s language', async () => {
  const page = await browser.get('/settings');
  assert.match(page.text, /action="\/settings\/mail-test"/);
  const answer = await browser.post('/settings/mail-test');
  assert.equal(answer.status, 303);
  const got = await until('the mail', () => mail.mails.find(m => m.to[0] === 'amy@haidong.example'), 30);
  assert.equal(got.from, 'web@haidong.example');
  assert.match(got.parsed.subject, /Test mail/);
  await until('the page to say so', async () => (await get()).mail_tests.some(t => t.good));
  const none = await bearer(server, await person(server.db, 'no.mail', ['admin']));
  assert.equal((await none('POST', '/settings/mail-test')).status, 409);
});

test('what was changed, by whom, before and after, is in the audit log', async () => {
  const entry = await server.db.one(`select * from audit_event where action = 'settings.changed' and data ? 'site_name' order by seq limit 1`);
  assert.equal(entry.actor_name, 'amy.admin');
  assert.equal(entry.data.site_name.after.en, 'Bank A');
});

test('intervals of updates rule what is promised', async () => {
  assert.ok((await put({ update_minutes_I: 7, two_person: true })).status < 300);
  const made = await admin('POST', '/incidents', { title: 'Every seven minutes', severity: 'I', playbook: 'none' });
  assert.equal(made.status, 201, made.text);
  const clock = await server.db.one(`select c.due_at - c.started_at as span, extract(epoch from c.due_at - c.started_at)::int as seconds from incident_clock c join incident i on i.id = c.incident_id where i.ref = $1 and c.kind = 'next_update'`, [made.json.ref]);
  assert.equal(clock.seconds, 420);
});

test('without the second person one may publish one’s own playbook; with it, not', async () => {
  const text = id => `format: muster/1\nid: ${id}\ntitle: {zh: 测试, en: Test}\nroles:\n  a: {zh: 甲, en: A}\nsteps:\n  - {task: t, role: a}\n`;
  await admin('POST', '/playbooks', { text: text('two') });
  await server.db.query(`insert into role_holder(role, person_id) select 'a', id from person limit 1 on conflict do nothing`);   // nobody in a role stops a publication
  assert.equal((await published(admin, admin, 'two')).status, 403);
  assert.ok((await put({ two_person: false })).status < 300);
  assert.equal((await admin('POST', '/playbooks/two/versions/1/publish', { let_pass: 'titles come with the next version' })).status, 201);
});
