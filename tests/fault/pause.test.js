// A sender that the machine stopped in the middle of a call (a full host, a moved guest) wakes up after its lease: what it has to say
// counts no more. Another one has taken the notice meanwhile, and only that one's answer is kept.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { bearer, muster, person, until } from '../lib/muster.js';
import { hookServer } from '../lib/receivers.js';

let server, admin, slow, quick;
const workers = [], held = [];
const settings = { MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on', MUSTER_HOOKS_TIMEOUT: '60s', MUSTER_WORK_CHILD: 'off' };

before(async () => {
  slow = await hookServer((request, response) => { held.push(response); return true; });
  quick = await hookServer();
  server = await muster({ settings });
  admin = await bearer(server, await person(server.db, 'pause', ['admin']));
  for (const [slug, one] of [['slow', slow], ['quick', quick]]) {
    const made = await admin('POST', '/endpoints', { slug, kind: 'webhook', name: slug, address: one.url, audience: 'internal', events: 'test.ping' });
    assert.ok(made.status < 300, made.text);
  }
});
after(async () => {
  for (const one of workers) { try { process.kill(-one.pid, 'SIGKILL'); } catch {} }
  await server?.close();
  await slow?.close();
  await quick?.close();
});
const signal = (worker, name) => process.kill(-worker.pid, name);
async function send(slug) {
  const made = await admin('POST', `/endpoints/${slug}/test`);
  assert.ok(made.status < 300, made.text);
  return (await server.db.one(`select o.id from outbox o join endpoint e on e.id = o.endpoint_id where e.slug = $1 order by o.id desc limit 1`, [slug])).id;
}
const row = id => server.db.one('select state, attempt, code, last_error from outbox where id = $1', [id]);

test('stopped past its lease and woken again, a sender changes nothing with its late answer', async () => {
  workers.push(server.launch('work'));
  const id = await send('slow');
  await until('the first sender to call', () => held.length === 1, 60);
  signal(workers[0], 'SIGSTOP');
  await server.db.query(`update outbox_batch set lease_until = clock_timestamp() - interval '1 second' where $1 = any(ids)`, [id]);
  workers.push(server.launch('work'));
  await until('another sender to call', () => held.length === 2, 60);
  // The second sender is at work on it: its claim is good, its answer has not come.
  signal(workers[1], 'SIGSTOP');
  held[0].statusCode = 410;                       // would give the notice up and close the endpoint, if it counted
  held[0].end();
  signal(workers[0], 'SIGCONT');
  const other = await send('quick');              // only the first sender is awake: when this has left, its late answer is behind it
  await until('the first sender to be at work again', async () => (await row(other)).state === 'done', 60);
  assert.deepEqual(await row(id), { state: 'pending', attempt: 1, code: null, last_error: 'sender lost' }, 'the notice is the second sender\'s');
  assert.equal((await server.db.one(`select disabled_at from endpoint where slug = 'slow'`)).disabled_at, null);
  held[1].statusCode = 204;
  held[1].end();
  signal(workers[1], 'SIGCONT');
  await until('the second sender to record its answer', async () => (await row(id)).state === 'done', 60);
  assert.equal((await row(id)).code, 204);
  const tries = await server.db.query('select outcome, detail from outbox_try where outbox_id = $1 order by attempt', [id]);
  assert.deepEqual(tries, [{ outcome: 'retry', detail: 'sender lost' }], 'the first answer is nowhere');
  assert.equal(new Set(slow.calls.map(c => c.headers['webhook-id'])).size, 1, 'both copies carry the same id');
  assert.equal(slow.calls.length, 2);
});
