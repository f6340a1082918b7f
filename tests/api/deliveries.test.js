// What did not arrive: visible, with its reason, told to people another way, and sent again by a person who decides so.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';
import { hookServer, mailServer } from '../lib/receivers.js';

let server, mail, hook, gone = true, admin, commander, viewer, browser, ref, dead;
before(async () => {
  mail = await mailServer();
  hook = await hookServer((incoming, answer) => { if (!gone) return false; answer.statusCode = 404; answer.end('no such hook'); return true; });
  server = await muster({ asan: true, settings: { MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example',
    MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on' } });
  admin = await bearer(server, await person(server.db, 'adam', ['admin'], { language: 'en', email: 'adam@haidong.example' }));
  const boss = await person(server.db, 'carol', ['commander'], { language: 'en', email: 'carol@haidong.example' });
  commander = await bearer(server, boss);
  browser = await new Browser(server).become(boss);
  viewer = await bearer(server, await person(server.db, 'vic', ['viewer']));
  const made = await admin('POST', '/endpoints', { slug: 'chat', kind: 'webhook', name: 'Chat', address: hook.url, audience: 'internal', events: 'incident.declared' });
  assert.equal(made.status, 201, made.text);
});
after(async () => { await server?.close(); await mail?.close(); await hook?.close(); });

test('a receiver that says no for good makes a dead letter, and the commander is told by mail', async () => {
  const made = await commander('POST', '/incidents', { title: 'Nobody hears', severity: 'II', playbook: 'none' });
  assert.equal(made.status, 201, made.text);
  ref = made.json.ref;
  await until('the hook to be tried', () => hook.calls.length >= 1, 30);
  // a hook that answers with an error is tried for long; the test clock makes that short
  dead = await until('the dead letter', async () => {
    await server.db.query(`update test_clock set shift = shift + interval '6 hours' where exists (select 1 from outbox where channel = 'webhook' and state = 'pending' and attempt > 0)`);
    return server.db.one(`select o.id, o.attempt, o.last_error from outbox o join incident i on i.id = o.incident_id where i.ref = $1 and o.channel = 'webhook' and o.state = 'dead'`, [ref]);
  }, 60);
  assert.match(dead.last_error, /404/);
  const alarm = await until('the alarm', () => mail.mails.find(m => m.to[0] === 'carol@haidong.example' && /did not arrive/.test(m.parsed.subject)), 30);
  assert.ok(alarm.parsed.text.includes('127.0.0.1'), alarm.parsed.text);
  assert.ok(await server.db.one(`select 1 from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'delivery_failed'`, [ref]));
});

test('an alarm is told once', async () => {
  const count = async () => (await server.db.one(`select count(*)::int n from message where purpose = 'alarm'`)).n;
  const before_ = await count(), seen = (await server.db.one(`select count(*)::int n from outbox where alarmed_at is not null`)).n;
  assert.ok(seen >= 1);
  for (let i = 0; i < 2; i++) assert.deepEqual(await server.db.query(`select outbox_alarm('300 seconds')`), [], 'the workers’ next round finds nothing new');
  assert.equal(await count(), before_);
});

test('the dead letter is on the lists, the page of its incident and its own page, with every try and its reason', async () => {
  const list = await viewer('GET', '/deliveries');
  const row = list.json.rows.find(r => String(r.id) === String(dead.id));
  assert.ok(row && row.bad && row.error.includes('404'), list.text);
  assert.equal(row.may_replay ?? false, false, 'a viewer sees it and cannot send it');
  const one = await viewer('GET', `/deliveries/${dead.id}`);
  assert.equal(one.json.attempts.length, dead.attempt);
  assert.equal(one.json.attempts[0].code, 404);
  await browser.become(commander.who);     // the clock went on for longer than a session lasts
  for (const target of ['/deliveries', `/deliveries/${dead.id}`, `/incidents/${ref}/deliveries?state=bad`]) {
    const page = await browser.get(target);
    assert.equal(page.status, 200, target);
    assert.ok(page.text.includes('404'), target);
  }
  assert.match((await request(server, 'GET', '/metrics')).text, /^muster_outbox_dead(\{[^}]*\})? [1-9]/m);
  assert.deepEqual((await viewer('GET', `/incidents/${ref}/deliveries?state=bad`)).json.rows.map(r => String(r.id)), [String(dead.id)]);
});

test('a replay is a commander’s, sends the same thing under the same id, and is on the record', async () => {
  assert.equal((await viewer('POST', `/deliveries/${dead.id}/replay`)).status, 403);
  assert.equal((await commander('POST', '/deliveries/999999/replay')).status, 404);
  const first = hook.calls[0];
  gone = false;
  const before_ = hook.calls.length;
  const page = await browser.get(`/deliveries/${dead.id}`);
  assert.match(page.text, new RegExp(`action="/deliveries/${dead.id}/replay"`));
  assert.equal((await browser.post(`/deliveries/${dead.id}/replay`)).status, 303);
  await until('it to arrive', () => hook.calls.length > before_, 30);
  const again = hook.calls.at(-1);
  assert.equal(again.headers['webhook-id'], first.headers['webhook-id']);
  assert.equal(again.raw, first.raw);
  await until('it to be done', async () => (await viewer('GET', `/deliveries/${dead.id}`)).json.state === 'done');
  assert.ok(await server.db.one(`select 1 from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'replay'`, [ref]));
  assert.equal((await commander('POST', `/deliveries/${dead.id}/replay`)).status, 409, 'what was sent is not sent again');
});

test('an acknowledgement is asked for, given once, and the link of a stranger is none', async () => {
  const link = mail.mails.map(m => /\/ack\/[\w.-]+/.exec(m.parsed.text || '')).find(Boolean);
  if (link) {
    const page = await new Browser(server).get(link[0]);
    assert.equal(page.status, 200);
    assert.match(page.headers['cache-control'], /no-store/);
    for (let i = 0; i < 2; i++) assert.equal((await new Browser(server).post(link[0], { _csrf: null })).status, 303);
    assert.equal((await server.db.one(`select count(*)::int n from timeline_event where kind = 'ack'`)).n, 1);
  }
  assert.equal((await new Browser(server).get('/ack/' + 'A'.repeat(43))).status, 404);
  assert.equal((await new Browser(server).post('/ack/' + 'A'.repeat(43), { _csrf: null })).status, 404);
});
