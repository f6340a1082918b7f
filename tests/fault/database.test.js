// PostgreSQL goes away and comes back, as a whole and one connection at a time.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { muster, until } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';
import { cluster, seeded } from '../lib/cluster.js';
import { cast, channels, patient, play, sound } from '../lib/story.js';

let where, db, server, mail, hook, story, ref;
before(async () => {
  mail = await mailServer();
  hook = await hookServer();
  where = await cluster();
  db = await seeded(where);
  server = await muster({ db, settings: { ...channels(mail) } });
  story = await cast(server, hook);
});
after(async () => { await server?.close(); await db?.drop(); where?.close(); await mail?.close(); await hook?.close(); });

test('every back end is terminated again and again during the story, and nothing is lost', async () => {
  let cut = 0;
  const end = await play(server, story, { around: async run => {
    const pending = run();
    pending.catch(() => {});
    const gone = await db.one(`select count(pg_terminate_backend(pid))::int n from pg_stat_activity where datname = 'muster' and pid <> pg_backend_pid() and application_name like 'muster%'`);
    cut += gone.n;
    return pending;
  } });
  assert.equal(end.status, 'succeeded');
  assert.ok(cut > 50, `${cut} back ends were terminated`);
  const told = await sound(server, end, { mails: mail.mails, calls: hook.calls });
  assert.ok(told.length > 5);
  const notes = await db.one(`select count(*)::int n, count(distinct text)::int d from timeline_event where kind = 'note' and incident_id = (select id from incident where ref = $1)`, [end.ref]);
  assert.deepEqual(notes, { n: 10, d: 10 });
});

test('while PostgreSQL is stopped: 503 with Retry-After, the status page stays, and afterwards all is well', async () => {
  const declared = await story.commander('POST', '/incidents', { title: 'In the dark', severity: 'III', playbook: 'none' });
  assert.equal(declared.status, 201, declared.text);
  ref = declared.json.ref;
  await until('the status page', async () => (await fetch(server.url + '/status?lang=en')).ok);
  where.stop('immediate');
  const keys = [];
  for (let n = 0; n < 3; n++) {
    const key = `"${randomUUID()}"`;
    keys.push(key);
    const answer = await story.commander('POST', `/incidents/${ref}/notes`, { text: `written in the dark ${n}` }, { 'Idempotency-Key': key });
    assert.equal(answer.status, 503, answer.text);
    assert.ok(Number(answer.headers.get('retry-after')) > 0, 'Retry-After');
    assert.match(answer.headers.get('content-type'), /problem\+json/);
  }
  const page = await fetch(server.url + `/incidents/${ref}`, { headers: { Accept: 'text/html', Cookie: 'muster=ses_x' } });
  assert.equal(page.status, 503);
  assert.ok(page.headers.get('retry-after'));
  assert.equal((await fetch(server.url + '/healthz')).status, 200, 'alive');
  assert.equal((await fetch(server.url + '/readyz')).status, 503, 'but not ready');
  const shown = await fetch(server.url + '/status?lang=en');
  assert.equal(shown.status, 200);
  assert.match(await shown.text(), /<time[^>]*datetime="\d{4}-\d\d-\d\dT/);
  assert.equal((await fetch(server.url + '/api/v2/summary.json')).status, 200);

  where.start();
  await until('readiness', async () => (await fetch(server.url + '/readyz')).ok, 30);
  const calm = patient(story.commander);
  for (const [n, key] of keys.entries()) for (let twice = 0; twice < 2; twice++)
    assert.ok((await calm('POST', `/incidents/${ref}/notes`, { text: `written in the dark ${n}` }, { 'Idempotency-Key': key })).status < 300);
  const kept = await db.one(`select count(*)::int n from timeline_event where text like 'written in the dark%'`);
  assert.equal(kept.n, 3);
});

test('restarted without PostgreSQL, the status page says how old it is; with PostgreSQL again, it is fresh', async () => {
  await server.stop();
  where.stop('immediate');
  await server.start();
  const page = await until('the kept page', async () => { const answer = await fetch(server.url + '/status?lang=en'); return answer.status === 200 && answer.text(); });
  assert.match(page, /data-testid="stale"/, 'the age is stated');
  const zh = await (await fetch(server.url + '/status?lang=zh')).text();
  assert.match(zh, /data-testid="stale"/);
  assert.match(zh, /[一-鿿]/);
  assert.equal((await story.commander('GET', `/incidents/${ref}`)).status, 503);
  where.start();
  await until('readiness', async () => (await fetch(server.url + '/readyz')).ok, 30);
  await until('a fresh status page', async () => !/data-testid="stale"/.test(await (await fetch(server.url + '/status?lang=en')).text()), 40);
  assert.equal((await story.commander('GET', `/incidents/${ref}`)).status, 200);
});

test('a stop in the middle of a story loses nothing that was acknowledged', async () => {
  let action = 0;
  const end = await play(server, story, { title: 'Second outage', notes: 4, around: async run => {
    const pending = run();
    pending.catch(() => {});
    if (++action % 9 === 0) { where.stop('immediate'); where.start(); }
    return pending;
  } });
  assert.equal(end.status, 'succeeded');
  await sound(server, end, { mails: mail.mails, calls: hook.calls });
  assert.equal((await db.one(`select count(*)::int n from timeline_event where kind = 'note' and incident_id = (select id from incident where ref = $1)`, [end.ref])).n, 4);
});
