// Who somebody is: signing in, passwords, sessions, tokens. Everything through the pages and the interface, as people and programs do.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { muster, person, bearer } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';

const PASSWORD = 'Drei-Kraniche-ueber-See-7';
let server, admin, adminApi;

before(async () => {
  server = await muster({ asan: true, work: false });
  admin = await person(server.db, 'root', ['admin']);
  adminApi = await bearer(server, admin);
});
after(() => server?.close());

// A person with a one-time password, made by the command line as an operator does.
function made(login, ...roles) {
  const out = server.cli(['user', 'create', login, ...roles.flatMap(role => ['--role', role])]);
  const word = out.trim().split(/\s+/).pop();
  assert.ok(word.length >= 12, out);
  return word;
}
async function signIn(browser, login, password, more = {}) {
  const answer = await browser.post('/signin', { login, password, _csrf: null, ...more });
  const set = (answer.headers['set-cookie'] || []).find(line => line.startsWith('muster='));
  if (set) { browser.cookie = set.split(';')[0]; browser.set = set; }
  return answer;
}
async function ready(login, ...roles) {
  const browser = new Browser(server);
  assert.equal((await signIn(browser, login, made(login, ...roles))).status, 303);
  return browser;
}
async function changed(login, ...roles) {
  const once = made(login, ...roles), browser = new Browser(server);
  await signIn(browser, login, once);
  await browser.get('/password');
  const answer = await browser.post('/password', { current: once, password: PASSWORD, again: PASSWORD });
  assert.equal(answer.status, 303, answer.text);
  return browser;
}
const hash = text => createHash('sha256').update(text).digest('hex');

test('a one-time password opens nothing but the form that changes it', async () => {
  const browser = await ready('wu.first', 'viewer');
  for (const target of ['/', '/incidents', '/people', '/me']) {
    const answer = await browser.get(target);
    assert.equal(answer.status, 303, target);
    assert.equal(answer.headers.location, '/password');
  }
  const json = await request(server, 'GET', '/api/v1/incidents', { headers: browser.headers() });
  assert.equal(json.status, 403);
  assert.equal((await browser.get('/password')).status, 200);
});

test('the session cookie cannot be read by scripts nor sent from elsewhere, and ends with the browser', async () => {
  const browser = await ready('wu.cookie');
  assert.match(browser.set, /; HttpOnly/);
  assert.match(browser.set, /; SameSite=Lax/);
  assert.match(browser.set, /; Path=\//);
  assert.doesNotMatch(browser.set, /Max-Age|Expires|Domain/i);
});

test('weak passwords are refused, each with its reason beside its field', async () => {
  const once = made('wu.weak', 'viewer'), browser = new Browser(server);
  await signIn(browser, 'wu.weak', once);
  await browser.get('/password');
  for (const [what, fields, at] of [
    ['too short', { password: 'Kurz-7!aB', again: 'Kurz-7!aB' }, 'e-password'],
    ['common', { password: 'password123456', again: 'password123456' }, 'e-password'],
    ['one letter', { password: 'aaaaaaaaaaaaaa', again: 'aaaaaaaaaaaaaa' }, 'e-password'],
    ['only digits', { password: '20261124202611', again: '20261124202611' }, 'e-password'],
    ['the login', { password: 'xx-wu.weak-2026', again: 'xx-wu.weak-2026' }, 'e-password'],
    ['the same again', { password: once, again: once }, 'e-password'],
    ['two that differ', { password: PASSWORD, again: PASSWORD + 'x' }, 'e-again'],
    ['a wrong current one', { current: 'wrong-wrong-wrong', password: PASSWORD, again: PASSWORD }, 'e-current'],
  ]) {
    const answer = await browser.post('/password', { current: once, ...fields });
    assert.equal(answer.status, 422, what);
    assert.match(answer.text, new RegExp(`id="${at}"`), what);
    assert.ok(!answer.text.includes(fields.password), `${what}: a password is not shown again`);
  }
  const good = await browser.post('/password', { current: once, password: PASSWORD, again: PASSWORD });
  assert.equal(good.status, 303, good.text);
  assert.equal((await browser.get('/incidents')).status, 200);
  const kept = await server.db.one(`select password_hash from account a join person p on p.id = a.person_id where p.login = 'wu.weak'`);
  assert.match(kept.password_hash, /^\$argon2id\$/);
});

test('a wrong password, an unknown login and an inactive person get the same answer', async () => {
  await changed('wu.known', 'viewer');
  await changed('wu.gone', 'viewer');
  await server.db.query(`update person set active = false where login = 'wu.gone'`);
  const answers = [];
  for (const [login, password] of [['wu.known', 'not-the-password'], ['wu.nobody', 'not-the-password'], ['wu.gone', PASSWORD]])
    answers.push(await signIn(new Browser(server), login, password));
  const plain = answers.map(a => a.text.replace(/wu\.\w+/g, 'LOGIN').replace(/name="_(key|csrf)" value="[^"]*"/g, '').replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+/g, 'ID').replace(/<time datetime[^]*?<\/time>/g, 'NOW'));
  for (const answer of answers) { assert.equal(answer.status, 422); assert.equal(answer.headers['set-cookie'], undefined); }
  assert.equal(plain[1], plain[0]);
  assert.equal(plain[2], plain[0]);
  assert.match(answers[0].text, /value="wu\.known"/, 'the login that was typed is shown again');
});

test('after five failures one waits: 429 with Retry-After, longer each time, even with the right password', async () => {
  await changed('wu.slow', 'viewer');
  const browser = new Browser(server);
  for (let i = 0; i < 5; i++) assert.equal((await signIn(browser, 'wu.slow', 'wrong-password-' + i)).status, 422);
  const refused = await signIn(browser, 'wu.slow', PASSWORD);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers['retry-after']) >= 1, refused.headers['retry-after']);
  assert.equal(refused.headers['ratelimit-policy'], '"signin";q=5;w=900');
  assert.equal(refused.headers.ratelimit, `"signin";r=0;t=${refused.headers['retry-after']}`);
  await server.clock(3);
  assert.equal((await signIn(browser, 'wu.slow', 'wrong-again-wrong')).status, 422);
  const longer = await signIn(browser, 'wu.slow', PASSWORD);
  assert.equal(longer.status, 429);
  assert.ok(Number(longer.headers['retry-after']) >= Number(refused.headers['retry-after']));
  await server.clock(901);
  assert.equal((await signIn(browser, 'wu.slow', PASSWORD)).status, 303);
});

test('sign-in goes back to where one came from, but only on this site', async () => {
  await changed('wu.next', 'viewer');
  for (const [next, want] of [['/incidents?state=open', '/incidents?state=open'], ['https://evil.example/', '/'], ['//evil.example/', '/'], ['/\\evil.example', '/'],
    ['javascript:alert(1)', '/'], ['/\tevil', '/'], ['', '/'], ['incidents', '/']]) {
    const answer = await signIn(new Browser(server), 'wu.next', PASSWORD, { next });
    if (answer.status === 422) continue;      // refused as a field: as good
    assert.equal(answer.status, 303, next);
    assert.equal(answer.headers.location, want, JSON.stringify(next));
  }
  const page = await new Browser(server).get('/incidents?state=open');
  assert.equal(page.headers.location, '/signin?next=' + encodeURIComponent('/incidents?state=open'));
  const shown = await new Browser(server).get(page.headers.location);
  assert.match(shown.text, /name="next" value="\/incidents\?state=open"/);
});

test('sign-in from a foreign page is refused', async () => {
  const answer = await new Browser(server).post('/signin', { login: 'wu.next', password: PASSWORD, _csrf: null }, { Origin: 'https://evil.example' });
  assert.equal(answer.status, 403);
});

test('sessions are listed, ended one by one and all at once, and never by a stranger', async () => {
  const first = await changed('wu.many', 'viewer'), second = new Browser(server), third = new Browser(server), stranger = await changed('wu.stranger', 'viewer');
  for (const one of [second, third]) { assert.equal((await signIn(one, 'wu.many', PASSWORD)).status, 303); await one.get('/me'); }
  const me = JSON.parse((await request(server, 'GET', '/api/v1/me', { headers: first.headers() })).text);
  assert.equal(me.sessions.length, 3);
  assert.equal(me.sessions.filter(s => s.this).length, 1);
  const other = (await server.db.one('select id from session where token_hash = $1', [hash(second.cookie.slice(7))])).id;
  await stranger.get('/me');
  assert.equal((await stranger.post(`/sessions/${other}`, { _method: 'DELETE' })).status, 404);
  assert.equal((await second.get('/incidents')).status, 200);
  await first.get('/me');
  assert.equal((await first.post(`/sessions/${other}`, { _method: 'DELETE' })).status, 303);
  assert.equal((await second.get('/incidents')).status, 303);
  assert.equal((await first.post('/me/sessions/end')).status, 303);
  assert.equal((await third.get('/incidents')).status, 303);
  assert.equal((await first.get('/incidents')).status, 200);
});

test('a new password ends every other session; signing out ends one’s own', async () => {
  const first = await changed('wu.new', 'viewer'), second = new Browser(server);
  await signIn(second, 'wu.new', PASSWORD);
  await first.get('/password');
  assert.equal((await first.post('/password', { current: PASSWORD, password: PASSWORD + '-neu', again: PASSWORD + '-neu' })).status, 303);
  assert.equal((await second.get('/incidents')).status, 303);
  const old = first.cookie;
  const out = await first.post('/signout');
  assert.equal(out.status, 303);
  assert.match(out.headers['clear-site-data'], /cache/);
  assert.match((out.headers['set-cookie'] || []).join(), /muster=;.*Max-Age=0/);
  assert.equal((await request(server, 'GET', '/incidents', { headers: { Cookie: old } })).status, 303);
});

test('a session ends after twelve hours without use and after seven days in any case', async () => {
  const who = await person(server.db, 'wu.idle', ['viewer']);
  const idle = await new Browser(server).become(who);
  await server.clock(12 * 3600 + 61);
  assert.equal((await idle.get('/incidents')).status, 303);
  const busy = await new Browser(server).become(who);
  for (let i = 0; i < 16; i++) { await server.clock(10 * 3600); assert.equal((await busy.get('/incidents')).status, 200, `after ${(i + 1) * 10} hours`); }
  await server.clock(9 * 3600);
  assert.equal((await busy.get('/incidents')).status, 303, 'after 169 hours');
});

test('invented, foreign and malformed cookies are nobody', async () => {
  for (const cookie of ['muster=x', 'muster=', 'muster=' + 'a'.repeat(600), 'muster="x', 'a="b', '__Host-muster=abc', `muster=${hash('x')}`]) {
    const answer = await request(server, 'GET', '/incidents', { headers: { Cookie: cookie } });
    assert.equal(answer.status, 303, cookie.slice(0, 40));
    assert.equal((await request(server, 'GET', '/status', { headers: { Cookie: cookie } })).status, 200);
  }
});

test('a token is told once, kept as a hash, and does no more than its scopes', async () => {
  const browser = await changed('wu.token', 'responder', 'auditor');
  await browser.get('/tokens');
  const answer = await browser.post('/tokens', { name: 'Monitoring', scopes: ['responder'], days: '30' });
  assert.ok(answer.status < 300, answer.text);
  const token = /mus_[A-Za-z0-9_-]{20,}/.exec(answer.text)[0];
  assert.match(answer.headers['cache-control'], /no-store/);
  assert.ok(!(await browser.get('/tokens')).text.includes(token), 'it is shown once only');
  const kept = await server.db.one('select token_hash, last_four, scopes from api_token where name = $1', ['Monitoring']);
  assert.equal(kept.token_hash, hash(token));
  assert.equal(kept.last_four, token.slice(-4));
  assert.equal((await server.db.one(`select count(*)::int n from audit_event where data::text like '%' || $1 || '%'`, [token])).n, 0);
  const call = target => request(server, 'GET', '/api/v1' + target, { headers: { Authorization: 'Bearer ' + token } });
  assert.equal((await call('/incidents')).status, 200);
  assert.equal((await call('/audit')).status, 403, 'its person may, the token may not');
  assert.equal((await request(server, 'GET', '/api/v1/audit', { headers: browser.headers() })).status, 200);
  assert.equal((await request(server, 'GET', '/incidents', { headers: { Cookie: 'muster=' + token } })).status, 303, 'a token is no cookie');
  const more = await browser.post('/tokens', { name: 'More', scopes: ['admin'] });
  assert.equal(more.status, 422, 'a token is never more than its person');
  assert.match(more.text, /value="More"/);
  await server.clock(31 * 86400);
  assert.equal((await call('/incidents')).status, 401, 'after its last day');
});

test('a revoked token, and every token of somebody who left, is 401; a role that is taken away is gone at once', async () => {
  const who = await person(server.db, 'wu.leaves', ['commander']);
  const one = await bearer(server, who), two = await bearer(server, who);
  const id = (await server.db.one('select id from api_token where token_hash = $1', [hash(one.token)])).id;
  const stranger = await bearer(server, await person(server.db, 'wu.other', ['responder']));
  assert.equal((await stranger('DELETE', `/tokens/${id}`)).status, 404);
  assert.equal((await one('GET', '/incidents')).status, 200);
  assert.ok((await two('DELETE', `/tokens/${id}`)).status < 300);
  const answer = await one('GET', '/incidents');
  assert.equal(answer.status, 401);
  assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
  assert.equal((await two('POST', '/incidents', {})).status, 422, 'may declare');
  await server.db.query(`delete from person_role where person_id = $1`, [who.id]);
  assert.equal((await two('POST', '/incidents', {})).status, 403);
  assert.ok((await adminApi('POST', `/people/${who.id}/active`, { active: false })).status < 300);
  assert.equal((await two('GET', '/incidents')).status, 401);
});

test('an administrator’s one-time password is told once and replaces the old one', async () => {
  await changed('wu.lost', 'viewer');
  const who = await server.db.one(`select id from person where login = 'wu.lost'`);
  const answer = await adminApi('POST', `/people/${who.id}/password`);
  assert.ok(answer.status < 300, answer.text);
  assert.match(answer.headers.get('cache-control'), /no-store/);
  const once = Object.values(answer.json).find(v => typeof v === 'string' && v.length >= 12 && !v.includes('wu.') && v !== who.id);
  assert.ok(once, answer.text);
  assert.equal((await signIn(new Browser(server), 'wu.lost', PASSWORD)).status, 422);
  const browser = new Browser(server), signed = await signIn(browser, 'wu.lost', once);
  assert.equal(signed.status, 303);
  assert.equal(signed.headers.location, '/password');
});

test('what happened to accounts is in the audit log, without secrets', async () => {
  const seen = (await server.db.query('select distinct action from audit_event')).map(r => r.action);
  for (const action of ['sign_in', 'sign_in.refused', 'sign_out', 'session.revoked', 'password.changed', 'password.reset', 'token.created', 'token.revoked'])
    assert.ok(seen.includes(action), `${action} in ${seen}`);
  assert.equal((await server.db.one(`select count(*)::int n from audit_event where data::text ~ 'argon2|mus_[A-Za-z0-9]' or data::text like '%' || $1 || '%'`, [PASSWORD])).n, 0);
});

test('language and colours are chosen without a session, and go back only to this site', async () => {
  const browser = new Browser(server);
  const answer = await browser.post('/language', { language: 'zh', back: '/status', _csrf: null });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.location, '/status');
  assert.match(answer.headers['set-cookie'].join(), /lang=zh/);
  assert.equal((await browser.post('/theme', { theme: 'dark', back: '//evil.example', _csrf: null })).headers.location, '/');
  assert.equal((await browser.post('/theme', { theme: 'pink', _csrf: null })).status, 422);
});
