// A house without a mail server: it is said at once, nothing waits for it, and what was not sent can be sent later.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser } from '../lib/browser.js';
import { hookServer, mailServer } from '../lib/receivers.js';

let server, mail, hook, admin, boss, browser, ref, run;
const step = path => server.db.one('select status, detail from run_step where run_id = $1 and path = $2', [run, path]);
before(async () => {
  mail = await mailServer();
  hook = await hookServer();
  server = await muster({ asan: true, settings: { MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on' } });
  const who = await person(server.db, 'carol', ['commander', 'admin'], { language: 'en', email: 'carol@haidong.example' });
  boss = await person(server.db, 'dora', ['commander', 'approver'], { language: 'zh', email: 'dora@haidong.example' });
  admin = await bearer(server, who);
  browser = await new Browser(server).become(who);
  assert.equal((await admin('POST', '/endpoints', { slug: 'chat', kind: 'webhook', name: 'Chat', address: hook.url, audience: 'internal', events: 'incident.alarm' })).status, 201);
  await server.db.query(`insert into role_holder(role, person_id) values ('helper', $1) on conflict do nothing`, [boss.id]);
  const text = `format: muster/1
id: tell
title: {zh: 通知, en: Tell}
roles:
  helper: {zh: 协助, en: Helper}
steps:
  - {notify: tell, title: {zh: 通知, en: Tell}, to: [role.helper], via: [email], text: {zh: 请到会议室, en: Come to the room}}
  - {notify: more, title: {zh: 再通知, en: Tell more}, to: [role.helper], via: [email], on_error: continue, text: {zh: 请到会议室, en: Come to the room}}
  - {task: there, role: helper, title: {zh: 到场, en: Be there}}
`;
  const made = await admin('POST', '/playbooks', { text });
  assert.equal(made.status, 201, made.text);
  const handed = await admin('POST', '/playbooks/tell/versions/1/submit', {});
  assert.ok(handed.status < 300, handed.text);
  const published = await (await bearer(server, boss))('POST', '/playbooks/tell/versions/1/publish', { let_pass: 'there is no mail server here, on purpose' });
  assert.equal(published.status, 201, published.text);
});
after(async () => { await server?.close(); await mail?.close(); await hook?.close(); });

test('the mails are given up at once, with the reason, and the commander is told another way', async () => {
  const made = await admin('POST', '/incidents', { title: 'No mail server', severity: 'II', playbook: 'tell' });
  assert.equal(made.status, 201, made.text);
  ref = made.json.ref;
  run = (await server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref])).id;
  await until('every mail to be given up', async () => {
    const of = await server.db.query(`select o.state, o.last_error, o.attempt from outbox o join incident i on i.id = o.incident_id where i.ref = $1 and o.channel = 'email'`, [ref]);
    return of.length >= 2 && of.every(o => o.state === 'dead' && /no mail server/.test(o.last_error) && o.attempt === 1);
  });
  const alarm = await until('the alarm', () => hook.calls.find(c => c.raw.includes('incident.alarm')));
  assert.match(alarm.raw, /no mail server is configured/);
  assert.ok(await server.db.one(`select 1 from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'delivery_failed'`, [ref]));
});

test('the pages say what is missing and where to mend it, in both languages', async () => {
  for (const [language, words] of [['en', 'No mail server is set'], ['zh', '尚未设置邮件服务器']]) {
    const reader = await new Browser(server, { language }).become(admin.who);
    for (const target of [`/incidents/${ref}/receipt`, `/incidents/${ref}`, `/incidents/${ref}/deliveries`]) {
      const page = await reader.get(target);
      assert.ok(page.text.includes('data-testid="no-mail"') && page.text.includes(words), `${language} ${target}`);
      assert.ok(page.text.includes('href="/settings#mail"'), target);
    }
  }
});

test('the step that tells does not hold up its run: it asks, and the commander goes on', async () => {
  const stuck = await until('the step to ask', async () => { const s = await step('tell'); return s && s.status !== 'waiting' && s.status !== 'done' && s; });
  assert.equal(stuck.status, 'failed', JSON.stringify(stuck));
  const skip = await admin('POST', `/runs/${run}/steps`, { path: 'tell', occ: 1, act: 'skip', reason: 'told by telephone, all of them' });
  assert.ok(skip.status < 300, skip.text);
  await until('the step behind one that goes on by itself', async () => (await step('there'))?.status === 'active');
});

test('once a server is named, all of it goes at one word, under the ids it had', async () => {
  const before_ = await server.db.query(`select id, idem_key from outbox where channel = 'email' and state = 'dead' and incident_id is not null order by id`);
  const now = (await admin('GET', '/settings')).headers.get('etag');
  const set = await admin('PUT', '/settings', { smtp_host: '127.0.0.1', smtp_port: mail.port, smtp_security: 'none', smtp_from: 'muster@haidong.example', two_person: true }, { 'If-Match': now });
  assert.ok(set.status < 300, set.text);
  assert.match((await browser.get(`/incidents/${ref}/deliveries`)).text, /data-testid="replay-all"/);
  assert.equal((await browser.post(`/incidents/${ref}/deliveries/replay`)).status, 303);
  await until('the mails', () => mail.mails.length >= before_.length);
  await until('the rows', async () => (await server.db.one(`select count(*)::int as n from outbox where id = any($1) and state = 'done'`, [before_.map(r => r.id)])).n === before_.length);
  assert.ok(!(await browser.get(`/incidents/${ref}`)).text.includes('data-testid="no-mail"'));
  assert.equal((await admin('POST', `/incidents/${ref}/deliveries/replay`)).status, 409, 'nothing is left to send again');
  const viewer = await bearer(server, await person(server.db, 'vic', ['viewer']));
  assert.equal((await viewer('POST', `/incidents/${ref}/deliveries/replay`)).status, 403);
});
