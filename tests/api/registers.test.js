// People, the roles they fill, teams, web hooks, settings, search and the audit log, as administrators and programs use them.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser } from '../lib/browser.js';
import { hookServer, mailServer } from '../lib/receivers.js';

let server, root, admin, viewer, hook, mail;

before(async () => {
  hook = await hookServer();
  mail = await mailServer();
  server = await muster({ settings: { MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on' } });
  root = await person(server.db, 'root', ['admin'], { zh: '罗特', en: 'Root', email: 'root@bank.example', language: 'en' });
  admin = await bearer(server, root);
  viewer = await bearer(server, await person(server.db, 'vera', ['viewer'], { zh: '维拉', en: 'Vera' }));
});
after(async () => { await server?.close(); await hook?.close(); await mail?.close(); });

const add = async (login, more = {}) => (await admin('POST', '/people', { login, name: { zh: '张' + login, en: 'Zhang ' + login }, roles: ['viewer'], ...more })).json;

test('a person is added, found by two characters, changed with the right version only', async () => {
  const made = await admin('POST', '/people', { login: 'zhang.wei', name: { zh: '张伟', en: 'Zhang Wei' }, title: '值班经理', email: 'zw@bank.example', roles: ['commander', 'risk'] });
  assert.equal(made.status, 201, made.text);
  assert.match(made.headers.get('location'), /^\/api\/v1\/people\/[0-9a-f-]{36}$/);
  assert.deepEqual(made.json.title, { zh: '值班经理', en: '值班经理' });
  assert.equal(made.json.contacts[0].address, 'zw@bank.example');
  assert.deepEqual((await viewer('GET', '/people?q=' + encodeURIComponent('张伟'))).json.items.map(p => p.login), ['zhang.wei']);
  assert.deepEqual((await viewer('GET', '/people?q=zhang%20w')).json.items.map(p => p.login), ['zhang.wei']);
  const target = '/people/' + made.json.id, body = { login: 'zhang.wei', name: 'Zhang W.', roles: ['responder'] };
  assert.equal((await admin('PUT', target, body)).status, 428);
  const stale = await admin('PUT', target, body, { 'If-Match': '"7"' });
  assert.equal(stale.status, 412);
  assert.equal(stale.headers.get('etag'), '"1"');
  const put = await admin('PUT', target, body, { 'If-Match': '"1"' });
  assert.equal(put.status, 200, put.text);
  assert.deepEqual([put.json.name.zh, put.json.roles, put.headers.get('etag')], ['Zhang W.', ['responder'], '"2"']);
  assert.equal(put.json.title, null, 'what is left out is gone: a PUT replaces');
  assert.equal((await admin('PUT', target, body)).status, 428, 'without a version nothing is changed');
  const any = await admin('PUT', target, body, { 'If-Match': '*' });
  assert.ok(any.status < 300, 'any version there is: ' + any.text);
});

test('a login is taken once; bad fields are all named', async () => {
  await add('li.na');
  const twice = await admin('POST', '/people', { login: 'li.na', name: 'Li Na' });
  assert.equal(twice.status, 409);
  assert.deepEqual(twice.json.errors.map(e => e.pointer), ['/login']);
  const bad = await admin('POST', '/people', { login: 'x', email: 'nobody', roles: ['king'], shoe: 42 });
  assert.equal(bad.status, 422);
  assert.deepEqual(bad.json.errors.map(e => e.pointer).sort(), ['/email', '/name', '/roles/0', '/shoe']);
});

test('a login that is no login is refused beside its field, not by a constraint', async () => {
  const bad = await admin('POST', '/people', { login: 'Li Na!', name: 'Li Na' });
  assert.equal(bad.status, 422, bad.text);
  assert.deepEqual(bad.json.errors.map(e => e.pointer), ['/login'], bad.text);
});

test('pages of people follow each other without a gap or a repetition', async () => {
  for (let n = 0; n < 7; n++) await add('page' + n);
  const all = (await viewer('GET', '/people?limit=200')).json.items.map(p => p.id), seen = [];
  for (let target = '/people?limit=3'; target;) {
    const page = await viewer('GET', target);
    seen.push(...page.json.items.map(p => p.id));
    const link = /<\/api\/v1([^>]+)>; rel="next"/.exec(page.headers.get('link') || '');
    target = link && link[1];
  }
  assert.deepEqual(seen, all);
  assert.equal((await viewer('GET', '/people?cursor=AAAA')).status, 400);
});

test('nobody takes the last administrator away, and nobody themselves', async () => {
  const self = await admin('POST', `/people/${root.id}/active`, { active: false });
  assert.equal(self.status, 409);
  const doc = (await admin('GET', '/people/' + root.id)).json;
  const put = await admin('PUT', '/people/' + root.id, { login: 'root', name: doc.name, roles: ['viewer'] }, { 'If-Match': `"${doc.etag}"` });
  assert.equal(put.status, 409);
  assert.deepEqual(put.json.errors.map(e => e.pointer), ['/roles']);
});

test('whoever leaves is out of every role, and comes back without them', async () => {
  const who = await add('leaver');
  await admin('POST', '/roles/duty/holders', { person: who.id, deputy: true });
  assert.equal((await admin('POST', `/people/${who.id}/active`, { active: false })).json.active, false);
  assert.ok(!(await viewer('GET', '/people')).json.items.some(p => p.id === who.id));
  assert.ok((await viewer('GET', '/people?active=off')).json.items.some(p => p.id === who.id));
  const back = await admin('POST', `/people/${who.id}/active`, { active: true });
  assert.deepEqual([back.json.active, back.json.holds], [true, []]);
});

test('one keeps one’s own addresses, and nobody else’s', async () => {
  const own = await bearer(server, await person(server.db, 'otto', ['responder'], { zh: '奥托', en: 'Otto' }));
  const mine = await own('POST', `/people/${own.who.id}/contacts`, { email: 'otto@bank.example', drill_safe: true });
  assert.ok([200, 201].includes(mine.status), mine.text);
  assert.equal((await own('POST', `/people/${root.id}/contacts`, { email: 'x@bank.example' })).status, 403);
  const contact = (await admin('GET', '/people/' + root.id)).json.contacts[0].id;
  assert.equal((await own('DELETE', '/contacts/' + contact)).status, 404);
  assert.equal((await own('DELETE', '/contacts/' + mine.json.contacts[0].id)).status, 204);
});

test('roles and teams are filled and emptied', async () => {
  const who = await add('holder');
  let roles = (await admin('POST', '/roles/test-role/holders', { person: who.id })).json;
  assert.equal(roles.items.find(r => r.role === 'test-role').holders[0].person.login, 'holder');
  assert.equal((await admin('DELETE', `/roles/test-role/holders/${who.id}`)).status, 204);
  assert.equal((await admin('DELETE', `/roles/test-role/holders/${who.id}`)).status, 404);
  assert.equal((await admin('POST', '/teams', { slug: 'night', name: { zh: '夜班', en: 'Night shift' } })).status, 201);
  assert.equal((await admin('POST', '/teams', { slug: 'night', name: 'again' })).status, 409);
  const teams = (await admin('POST', '/teams/night/members', { person: who.id })).json;
  assert.deepEqual(teams.items.find(t => t.slug === 'night').members.map(m => m.login), ['holder']);
  assert.equal((await admin('DELETE', `/teams/night/members/${who.id}`)).status, 204);
  assert.equal((await admin('DELETE', '/teams/night')).status, 204);
  assert.equal((await admin('DELETE', '/teams/night')).status, 404);
});

test('a web hook gets a signed test; its secret is told once; the page of deliveries tells the truth', async () => {
  const made = await admin('POST', '/endpoints', { slug: 'duty', kind: 'webhook', name: { zh: '值班', en: 'Duty' }, address: hook.url });
  assert.equal(made.status, 201, made.text);
  assert.match(made.json.secret, /^whsec_/);
  const again = await admin('GET', '/endpoints/duty');
  assert.equal(again.json.has_secret, true);
  assert.ok(!again.text.includes(made.json.secret) && !again.text.includes('sealed'));
  assert.ok(!(await server.db.one(`select secret_sealed from endpoint where slug = 'duty'`)).secret_sealed.includes(made.json.secret.slice(6)));
  assert.equal((await admin('POST', '/endpoints/duty/test', {})).status, 202);
  const call = await until('the test to arrive', () => hook.calls[0]);
  const event = new Webhook(made.json.secret).verify(call.raw, call.headers);
  assert.equal(event.type.endsWith('test.ping'), true, call.raw);
  const delivery = await until('the record', async () => { const d = (await admin('GET', '/endpoints/duty')).json.deliveries[0]; return d.good && d; });
  assert.deepEqual(delivery.attempts.map(a => [a.outcome, a.code]), [['sent', 204]]);

  const fresh = (await admin('POST', '/endpoints/duty/secret', {})).json.secret;
  assert.notEqual(fresh, made.json.secret);
  await admin('POST', '/endpoints/duty/test', {});
  const next = await until('the second test', () => hook.calls[1]);
  new Webhook(fresh).verify(next.raw, next.headers);
  assert.throws(() => new Webhook(made.json.secret).verify(next.raw, next.headers));

  assert.equal((await admin('POST', '/endpoints/duty/enabled', { enabled: false })).json.disabled, true);
  assert.equal((await admin('POST', '/endpoints/duty/test', {})).status, 409);
});

test('an endpoint outside the house is never open to drills and is never sent a test', async () => {
  const unsafe = await admin('POST', '/endpoints', { slug: 'reg', kind: 'email', name: 'Regulator', address: 'duty@regulator.example', audience: 'regulator', drill_safe: true });
  assert.equal(unsafe.status, 422);
  assert.deepEqual(unsafe.json.errors.map(e => e.pointer), ['/drill_safe']);
  assert.equal((await admin('POST', '/endpoints', { slug: 'reg', kind: 'email', name: 'Regulator', address: 'duty@regulator.example', audience: 'regulator' })).status, 201);
  assert.equal((await admin('POST', '/endpoints/reg/test', {})).status, 409);
  const bad = await admin('POST', '/endpoints', { slug: 'ftp', kind: 'webhook', name: 'x', address: 'ftp://x.example/' });
  assert.deepEqual([bad.status, bad.json.errors[0].pointer], [422, '/address']);
});

test('a mail server named on the settings page is used at once, and its password is never shown', async () => {
  const before_ = (await admin('GET', '/settings')).json;
  const body = { site_name: { zh: '海东银行', en: 'Haidong Bank' }, smtp_host: '127.0.0.1', smtp_port: mail.port, smtp_security: 'none', smtp_from: 'muster@bank.example',
    smtp_password: 'Geheim-7-Kraniche', update_minutes_I: 15, two_person: true };
  const put = await admin('PUT', '/settings', body, { 'If-Match': `"${before_.etag}"` });
  assert.equal(put.status, 200, put.text);
  assert.deepEqual([put.json.smtp_host, put.json.update_minutes_I, put.json.smtp_password_set], ['127.0.0.1', 15, true]);
  for (const text of [put.text, (await admin('GET', '/settings')).text, (await admin('GET', '/audit?limit=200')).text, JSON.stringify(await server.db.query('select value from setting'))])
    assert.ok(!text.includes('Geheim'), text);
  assert.equal((await admin('PUT', '/settings', body, { 'If-Match': `"${before_.etag}"` })).status, 412);
  const clear = await admin('PUT', '/settings', { ...body, smtp_password: undefined, smtp_password_clear: true }, { 'If-Match': put.headers.get('etag') });
  assert.equal(clear.json.smtp_password_set, false);

  assert.equal((await admin('POST', '/settings/mail-test', {})).status, 202);
  const letter = await until('the test mail', () => mail.mails.find(m => m.to.includes('root@bank.example')), 30);
  assert.match(letter.parsed.from.text, /muster@bank\.example/);
  const record = await until('the record', async () => { const t = (await admin('GET', '/settings')).json.mail_tests[0]; return t.good && t; });
  assert.equal(record.attempts[0].outcome, 'sent');
  assert.match((await new Browser(server).get('/signin')).text, /Haidong Bank/, 'the name is on every page');
});

test('settings that cannot be are refused beside their field, and nothing changes', async () => {
  const now = (await admin('GET', '/settings')).json, tag = { 'If-Match': `"${now.etag}"` };
  const zone = await admin('PUT', '/settings', { time_zone: 'Mars/Olympus' }, tag);
  assert.deepEqual([zone.status, zone.json.errors[0].pointer], [422, '/time_zone']);
  const from = await admin('PUT', '/settings', { smtp_host: 'mail.example' }, tag);
  assert.deepEqual([from.status, from.json.errors[0].pointer], [422, '/smtp_from']);
  assert.equal((await admin('GET', '/settings')).json.etag, now.etag);
});

test('search finds each kind by two characters and by pieces, and treats % and _ as they are', async () => {
  await admin('POST', '/services', { slug: 'quick-pay', kind: 'business', name: { zh: '快捷支付', en: 'Quick payments' } });
  for (const q of ['捷支', '支付', 'quick', 'PAYM', 'pay']) assert.deepEqual((await viewer('GET', '/search?q=' + encodeURIComponent(q))).json.services.map(s => s.slug), ['quick-pay'], q);
  assert.deepEqual((await viewer('GET', '/search?q=' + encodeURIComponent('维拉'))).json.people.map(p => p.name.en), ['Vera']);
  for (const q of ['%', '_', '%%', "' or 1=1", 'zz"']) assert.equal((await viewer('GET', '/search?q=' + encodeURIComponent(q))).json.services.length, 0, q);
  assert.equal((await viewer('GET', '/search')).json.asked, false);
});

test('the audit log names who did what, and its export can be checked without a database', async () => {
  const list = await admin('GET', '/audit?verify=on&limit=200');
  assert.deepEqual([list.json.verified.good, list.json.verified.bad], [true, null]);
  assert.ok(list.json.items.some(e => e.action === 'person.created' && e.object === 'zhang.wei' && e.actor_name === '罗特'));
  const file = path.join(server.data, 'audit.json'), text = (await admin('GET', '/audit/export.json')).text;
  writeFileSync(file, text);
  assert.match(server.cli(['audit', 'verify', file]), /good|完整/);
  writeFileSync(file, text.replace('zhang.wei', 'zhang.wej'));
  assert.throws(() => server.cli(['audit', 'verify', file]), error => error.status === 1 && /BROKEN|断/.test(String(error.stdout) + String(error.stderr)));
  assert.equal((await viewer('GET', '/audit')).status, 403);
});
