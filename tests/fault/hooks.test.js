// Receivers of web hooks with every bad manner: they hang, drip, redirect, refuse, lie about who they are. News for the others does not wait.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { bearer, muster, person, until } from '../lib/muster.js';
import { hookServer } from '../lib/receivers.js';
import { lapse } from '../lib/story.js';

let server, admin, workers;
const hooks = [];
const receiver = async answer => { const one = await hookServer(answer); hooks.push(one); return one; };

before(async () => {
  server = await muster({ settings: { MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on', MUSTER_HOOKS_TIMEOUT: '2s', MUSTER_WORK_CHILD: 'off' } });
  workers = server.launch('work');
  admin = await bearer(server, await person(server.db, 'hooks', ['admin']));
});
after(async () => { try { process.kill(-workers.pid, 'SIGKILL'); } catch {} await server?.close(); for (const one of hooks) await one.close(); });
async function rework(settings = {}) {
  process.kill(-workers.pid, 'SIGKILL');
  await workers.ended;
  await lapse(server.db);
  workers = server.launch('work', settings);
}

async function endpoint(slug, address) {
  const made = await admin('POST', '/endpoints', { slug, kind: 'webhook', name: slug, address, audience: 'internal', events: 'test.ping' });
  assert.ok(made.status < 300, made.text);
  return /whsec_[A-Za-z0-9+/=]+/.exec(made.text)[0];
}
// One test message; gives the id of its row.
async function send(slug) {
  const answer = await admin('POST', `/endpoints/${slug}/test`);
  assert.ok(answer.status < 300, answer.text);
  return (await server.db.one(`select o.id from outbox o join endpoint e on e.id = o.endpoint_id where e.slug = $1 order by o.id desc limit 1`, [slug])).id;
}
const row = id => server.db.one(`select state, attempt, last_error, extract(epoch from not_before - app_now())::float8 as wait, (select count(*)::int from delivery d where d.outbox_id = o.id) as logged from outbox o where id = $1`, [id]);
const settled = (id, attempt) => until(`try ${attempt} of ${id}`, async () => { const r = await row(id); return r.attempt >= attempt && r; }, 30);

test('a good receiver: once, with a signature the standard verifies', async () => {
  const good = await receiver();
  const secret = await endpoint('good', good.url);
  const id = await send('good');
  assert.equal((await settled(id, 1)).state, 'done');
  assert.equal(good.calls.length, 1);
  const [call] = good.calls;
  new Webhook(secret).verify(call.raw, call.headers);
  assert.throws(() => new Webhook(secret).verify(call.raw.replace('test', 'tset'), call.headers));
  assert.throws(() => new Webhook('whsec_' + Buffer.alloc(32, 7).toString('base64')).verify(call.raw, call.headers));
  assert.equal(JSON.parse(call.raw).id, call.headers['webhook-id']);
  assert.match(call.headers['content-type'], /^application\/cloudevents\+json/);
});

test('one that hangs and one that drips are cut at the deadline and tried again later', async () => {
  const hang = await receiver(() => true);
  const drip = await receiver((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    const timer = setInterval(() => response.write('x'), 100);
    response.on('close', () => clearInterval(timer));
    return true;
  });
  await endpoint('hang', hang.url);
  await endpoint('drip', drip.url);
  for (const slug of ['hang', 'drip']) {
    const got = await settled(await send(slug), 1);
    assert.equal(got.state, 'pending', slug);
    assert.ok(got.wait > 0 && got.wait < 10, `${slug} waits ${got.wait} s`);
  }
});

test('a redirect is never followed', async () => {
  const target = await receiver();
  const from = await receiver((request, response) => { response.writeHead(307, { Location: target.url }); response.end(); return true; });
  await endpoint('redirect', from.url);
  const got = await settled(await send('redirect'), 1);
  assert.equal(got.state, 'pending');
  assert.match(got.last_error, /redirect/);
  assert.equal(target.calls.length, 0);
});

test('410 ends it: the row is dead, the endpoint is disabled, nothing more is sent', async () => {
  const gone = await receiver((request, response) => { response.statusCode = 410; response.end(); return true; });
  await endpoint('gone', gone.url);
  assert.equal((await settled(await send('gone'), 1)).state, 'dead');
  const doc = await admin('GET', '/endpoints/gone');
  assert.equal(doc.json.disabled, true);
  assert.equal(doc.json.disabled_why, 'gone');
  const again = await admin('POST', '/endpoints/gone/test');
  if (again.status < 300) await settled((await server.db.one(`select max(o.id) as id from outbox o join endpoint e on e.id = o.endpoint_id where e.slug = 'gone'`)).id, 1);
  else assert.ok([409, 422].includes(again.status), again.text);
  assert.equal(gone.calls.length, 1);
});

test('429 with Retry-After is honoured', async () => {
  let busy = true;
  const one = await receiver((request, response) => { if (!busy) return false; response.writeHead(429, { 'Retry-After': '1800' }); response.end(); return true; });
  await endpoint('busy', one.url);
  const id = await send('busy'), got = await settled(id, 1);
  assert.equal(got.state, 'pending');
  assert.ok(got.wait > 1700 && got.wait <= 1800, `waits ${got.wait} s`);
  busy = false;
  await server.clock(1900);
  assert.equal((await settled(id, 2)).state, 'done');
  assert.equal(one.calls.length, 2);
});

test('500 is tried again under the same id with the same bytes, until it works', async () => {
  let left = 3;
  const one = await receiver((request, response) => { if (left-- <= 0) return false; response.writeHead(500); response.end('not today'); return true; });
  const secret = await endpoint('flaky', one.url);
  const id = await send('flaky');
  for (let attempt = 1; attempt <= 3; attempt++) {
    const got = await settled(id, attempt);
    assert.equal(got.state, 'pending');
    assert.match(got.last_error, /500 not today/);
    await server.clock(400);
  }
  assert.equal((await settled(id, 4)).state, 'done');
  assert.equal(one.calls.length, 4);
  assert.equal(new Set(one.calls.map(c => c.headers['webhook-id'])).size, 1);
  assert.equal(new Set(one.calls.map(c => c.raw)).size, 1);
  for (const call of one.calls) new Webhook(secret).verify(call.raw, call.headers);
  assert.equal((await row(id)).logged, 4);
});

test('retries of a broken receiver do not keep news from the others', async () => {
  const stuck = await receiver(() => true);
  await endpoint('stuck', stuck.url);
  const first = await send('stuck');
  await settled(first, 1);
  await server.db.query(`insert into outbox(kind, message_id, channel, endpoint_id, address, language, audience, drill_safe, delivery, effect, idem_key, payload, priority, not_before, attempt, created_at)
    select kind, message_id, channel, endpoint_id, address, language, audience, drill_safe, delivery, effect, idem_key || '/' || n, payload, 1, app_now(), 1, created_at from outbox, generate_series(1, 300) n where id = $1`, [first]);
  const id = await send('good');
  assert.equal((await settled(id, 1)).state, 'done');
  const waiting = (await server.db.one(`select count(*)::int n from outbox o join endpoint e on e.id = o.endpoint_id where e.slug = 'stuck' and o.state = 'pending' and o.attempt = 1`)).n;
  assert.ok(waiting > 50, `${waiting} retries were still waiting when the news was through`);
  await server.db.query(`update outbox set state = 'cancelled', done_at = app_now() where state = 'pending' and endpoint_id = (select id from endpoint where slug = 'stuck')`);
});

test('a sender that dies after the receiver has it sends it again under the same id', async () => {
  let hold = true;
  const one = await receiver(() => hold);
  const secret = await endpoint('twice', one.url);
  const id = await send('twice');
  await until('the first call', () => one.calls.length === 1);
  await rework();
  hold = false;
  assert.equal((await settled(id, 2)).state, 'done');
  assert.equal(one.calls.length, 2);
  assert.equal(new Set(one.calls.map(c => c.headers['webhook-id'])).size, 1);
  for (const call of one.calls) new Webhook(secret).verify(call.raw, call.headers);
});

test('a certificate nobody vouches for is refused before a byte of content leaves; with its CA it is accepted', async () => {
  const key = path.join(server.data, 'key.pem'), cert = path.join(server.data, 'cert.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  let calls = 0;
  const tls = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => { calls++; request.resume(); response.statusCode = 204; response.end(); });
  tls.on('tlsClientError', () => {});
  await new Promise(resolve => tls.listen(0, '127.0.0.1', resolve));
  try {
    await endpoint('signed', `https://localhost:${tls.address().port}/hook`);
    const id = await send('signed'), got = await settled(id, 1);
    assert.equal(got.state, 'pending');
    assert.match(got.last_error, /certificate|SSL/i);
    assert.equal(calls, 0);
    await rework({ MUSTER_HOOKS_CA_FILE: cert });
    await server.clock(60);
    const then = await settled(id, 2);
    assert.equal(then.state, 'done', then.last_error);
    assert.equal(calls, 1);
  } finally { tls.closeAllConnections(); tls.close(); }
});

test('an address inside the house is refused, by number and by name, when nobody allowed it', async () => {
  const inner = await receiver();
  await rework({ MUSTER_HOOKS_ALLOW: '' });
  await endpoint('inner', inner.url);
  await endpoint('named', inner.url.replace('127.0.0.1', 'localhost'));
  await endpoint('mapped', inner.url.replace('127.0.0.1', '[::ffff:127.0.0.1]')).catch(() => {});
  for (const slug of ['inner', 'named']) {
    const got = await settled(await send(slug), 1);
    assert.equal(got.state, 'dead', slug);
    assert.match(got.last_error, /error\.url\./);
  }
  if (await server.db.one(`select 1 from endpoint where slug = 'mapped'`)) assert.equal((await settled(await send('mapped'), 1)).state, 'dead');
  assert.equal(inner.calls.length, 0);
});
