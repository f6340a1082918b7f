// The mobile-banking outage as a script: the same actions in the same order, whatever happens to the program meanwhile. Every write
// carries an Idempotency-Key and is repeated with the same key until an answer comes; what was acknowledged is kept for the end.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { bearer, until } from './muster.js';

// A call that goes on until it is answered: a lost connection and a 503 are tried again, nothing else.
export function patient(api, log = {}) {
  const call = async (method, target, body, headers = {}) => {
    const key = { 'Idempotency-Key': `"${randomUUID()}"` };
    return until(`${method} ${target}`, async () => {
      let answer;
      try { answer = await api(method, target, body, { ...(method === 'POST' ? key : {}), ...headers }); } catch { log.lost = (log.lost || 0) + 1; return null; }
      if (answer.status === 503 || (answer.status === 409 && answer.json?.code === 'busy')) { log.busy = (log.busy || 0) + 1; return null; }
      return answer;
    }, 60);
  };
  return Object.assign(call, { who: api.who });
}

// Two people of the sample bank who may do everything the story needs, and a web hook for the staff.
export async function cast(server, hook) {
  const { db } = server;
  const boss = await db.one(`select id, login from person where login = 'wang.min'`), other = await db.one(`select id, login from person where login = 'gao.feng'`);
  await db.query(`insert into person_role values ($1, 'admin'), ($2, 'admin') on conflict do nothing`, [boss.id, other.id]);
  const story = { commander: await bearer(server, boss, ['commander', 'admin']), second: await bearer(server, other, ['approver', 'admin']), log: {} };
  if (hook) {
    const made = await story.commander('POST', '/endpoints', { slug: 'duty', kind: 'webhook', name: 'Duty chat', address: hook.url, audience: 'internal' });
    assert.ok(made.status < 300, made.text);
    story.secret = /whsec_[A-Za-z0-9+/=]+/.exec(made.text)[0];
  }
  return story;
}

const answerOf = field => field.type === 'bool' ? field.id !== 'healthy' : field.type === 'int' ? 3 : field.values ? field.values[0] : 'x';
const formOf = list => Object.fromEntries((list || []).map(f => [f.id || f.var, answerOf(f)]));

// Plays the story. `around(action)` runs each write; a fault test kills things while it is under way. Gives {ref, run, done}, done
// being one line for each write that was acknowledged.
export async function play(server, people, { around = action => action(), title = '手机银行无法登录 / Sign-in fails', kind = 'incident', playbook = 'mobile-banking-outage', notes = 10, most = 1000, wait: pause = 3600 } = {}) {
  const { db } = server, done = [];
  const commander = patient(people.commander, people.log), second = patient(people.second, people.log);
  const write = async (who, target, body, what, headers) => {
    const answer = await around(() => who('POST', target, body, headers));
    assert.ok(answer.status < 300, `${what}: ${answer.status} ${answer.text}`);
    done.push(what);
    return answer;
  };
  const first = await write(commander, '/incidents', { title, kind, severity: 'II', services: ['mobile-banking'], playbook }, 'declare');
  const ref = first.json.ref;
  for (let n = 1; n <= notes; n++) await write(commander, `/incidents/${ref}/notes`, { text: `note ${n} of the story` }, `note ${n}`);
  if (playbook === 'none') return { ref, run: null, done };
  const run = (await until('the run', () => db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref]))).id;
  const act = (who, body, what) => write(who, `/runs/${run}/steps`, body, what);
  const look = step => db.one('select status, detail from run_step where run_id = $1 and path = $2 and occ = $3', [run, step.path, step.occ]);

  const one = async step => {
    const base = { path: step.path, occ: step.occ }, what = `${step.path}#${step.occ}`;
    switch (step.kind) {
      case 'task': await act(commander, { ...base, act: 'done', note: `done ${step.path}`, link: 'https://wiki.haidong.example/evidence', values: formOf(step.detail.form) }, `${what} done`); break;
      case 'checklist': {
        const item = (step.detail.items || []).find(i => !i.state || i.state === 'open');
        if (item) await act(commander, { ...base, act: 'item', item: item.id, state: 'done', values: formOf(item.form) }, `${what} item ${item.id}`);
        else await act(commander, { ...base, act: 'done' }, `${what} done`);
        break;
      }
      case 'decide': await act(commander, { ...base, act: 'decide', value: step.path.endsWith('cyber') ? 'false' : 'II' }, `${what} decide`); break;
      case 'approve': await act(step.path.includes('permit') ? commander : second, { ...base, act: 'approve', note: `approved ${step.path}` }, `${what} approve`); break;
      case 'report': await report(step); break;
      default: throw new Error('nobody knows what to do with ' + step.kind);
    }
  };
  // Writes that are guarded by an ETag instead of a key: after a lost answer, the new state says whether it was done.
  const guarded = async (who, target, act_, body, isDone, what) => {
    await around(async () => {
      let said = '';
      for (let tries = 0; tries < 20; tries++) {
        const page = await who('GET', target);
        if (await isDone()) return;
        const answer = await who('POST', `${target}/${act_}`, body, { 'If-Match': page.headers.get('etag') });
        assert.ok(answer.status < 300 || answer.status === 412 || answer.status === 409, `${what}: ${answer.status} ${answer.text}`);
        if (answer.status < 300) return;
        said = answer.text;
      }
      throw new Error(`${what}: never done: ${said}`);
    });
    done.push(what);
  };
  const report = async step => {
    const row = await until('the draft', () => db.one(`select r.ref, r.state from report r join incident i on i.id = r.incident_id where i.ref = $1 and r.state in ('draft','approved') and r.filed_at is null order by r.ref limit 1`, [ref]));
    const state = () => db.one('select state, filed_at from report where ref = $1', [row.ref]);
    await guarded(second, `/reports/${row.ref}`, 'approve', { incomplete: true }, async () => (await state()).state !== 'draft', 'report approved');
    await guarded(commander, `/reports/${row.ref}`, 'filing', { channel: 'portal', number: 'NFRA-2026-1' }, async () => (await state()).filed_at !== null, 'report filed');
    await until('the report step to end', async () => !['active', 'waiting', 'ready'].includes((await look(step)).status), 60);
  };

  for (let round = 0; round < most; round++) {
    const state = await db.one('select status from run where id = $1', [run]);
    if (!['running', 'waiting'].includes(state.status)) return { ref, run, done, status: state.status };
    const open = await db.query(`select path, occ, kind, status, detail from run_step where run_id = $1 and status in ('active','waiting','ready') and kind not in ('parallel','if','call') order by position, path`, [run]);
    const mine = open.find(s => ['task', 'checklist', 'decide', 'approve', 'report'].includes(s.kind));
    if (mine) { await one(mine); continue; }
    const wait = open.find(s => s.kind === 'wait');
    if (wait && open.length === 1) await server.clock(pause);
    // Only the program itself can go on from here: notices on their way, waits that are over.
    const before = open.map(s => `${s.path}#${s.occ}`).join();
    await until('the run to go on', async () => {
      const now = await db.query(`select path, occ, kind from run_step where run_id = $1 and status in ('active','waiting','ready') and kind not in ('parallel','if','call') order by position, path`, [run]);
      return now.map(s => `${s.path}#${s.occ}`).join() !== before || !['running', 'waiting'].includes((await db.one('select status from run where id = $1', [run])).status);
    }, 60);
  }
  return { ref, run, done, status: 'cut' };
}

// The timeline without what differs between two runs of one story: times, ids, references, hashes.
export async function timeline(db, ref) {
  const rows = await db.query(`select e.kind, e.text, e.actor_name, e.data from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 order by e.seq`, [ref]);
  const plain = value => Array.isArray(value) ? value.map(plain) : value && typeof value === 'object'
    ? Object.fromEntries(Object.entries(value).filter(([k]) => !['run', 'id', 'at', 'ref', 'report', 'message', 'delivery', 'due', 'due_at', 'code', 'url', 'hash', 'key', 'seq', 'started_at', 'etag', 'sha256', 'digest'].includes(k)).map(([k, v]) => [k, plain(v)]).sort(([a], [b]) => a < b ? -1 : 1))
    : typeof value === 'string' ? value.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, 'ID').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME').replace(/\b(INC|DRL|RPT)-\d{4}-\d+/g, 'REF') : value;
  return rows.map(r => JSON.stringify([r.kind, plain(r.text), r.actor_name, plain(r.data)])).sort();
}

// What a fault must never cost: hash chains, replay, deliveries, keys.
// mails, calls: what the receivers got, as lists or as functions that give them once everything has left.
export async function sound(server, { ref, run }, got = {}) {
  const { db } = server;
  await until('the outbox to empty', async () => {
    await db.query(`update outbox_queue set not_before = app_now() where not_before > app_now()`);   // a retry's back-off is not waited for
    const left = await db.query(`select o.id, o.channel, o.attempt, o.last_error, b.node, b.lease_until from outbox o left join outbox_batch b on o.id = any(b.ids) where o.state = 'pending' limit 5`);
    if (left.length) throw new Error(JSON.stringify(left));
    return true;
  }, 90);
  const [mails, calls] = [got.mails, got.calls].map(list => typeof list === 'function' ? list() : list);
  const bad = await db.query(`select id, state, address, last_error from outbox where state in ('dead','unknown') and incident_id = (select id from incident where ref = $1)`, [ref]);
  assert.deepEqual(bad, [], 'every notice reached its receiver');
  if (run) server.cli(['audit', 'verify-run', run]);
  const broken = await db.one(`select count(*)::int n from (select prev_hash, lag(hash, 1, repeat('0', 64)) over (order by seq) as before, seq, row_number() over (order by seq) as n
    from timeline_event where incident_id = (select id from incident where ref = $1)) e where e.prev_hash <> e.before or e.seq <> e.n`, [ref]);
  assert.equal(broken.n, 0, 'the hash chain of the timeline holds');
  const rows = await db.query(`select outbox_event_id(o.idem_key) as id, o.channel, case o.channel when 'email' then o.address else 'hook' end as address, m.purpose, o.path, m.about->>'ref' = $1 as mine from outbox o join message m on m.id = o.message_id where o.state = 'done' order by o.id`, [ref]);
  if (mails) {
    const seen = mails.map(m => /msg_[0-9a-f]{40}/.exec(m.parsed.messageId)?.[0]);
    const known = rows.filter(r => r.channel === 'email');
    for (const { id } of known.filter(r => r.mine)) assert.ok(seen.includes(id), `mail ${id} arrived`);
    for (const id of seen) assert.ok(known.some(r => r.id === id), `mail ${id} belongs to a notice`);
    for (const id of new Set(seen)) assert.equal(new Set(mails.filter(m => m.parsed.messageId.includes(id)).map(m => m.to.join())).size, 1, 'a repeated mail has the same receiver');
  }
  if (calls) {
    const seen = calls.map(c => c.headers['webhook-id']), known = rows.filter(r => r.channel === 'webhook');
    for (const { id } of known.filter(r => r.mine)) assert.ok(seen.includes(id), `web hook ${id} arrived`);
    for (const id of seen) assert.ok(known.some(r => r.id === id), `web hook ${id} belongs to a notice`);
    for (const id of new Set(seen)) assert.equal(new Set(calls.filter(c => c.headers['webhook-id'] === id).map(c => c.raw)).size, 1, `a repeated web hook has the same bytes: ${JSON.stringify(calls.filter(c => c.headers['webhook-id'] === id).map(c => c.raw))}`);
  }
  return rows.filter(r => r.mine).map(r => `${r.channel} ${r.purpose} ${r.path || '-'} ${r.address}`).sort();
}

// The leases of senders that were killed run out now: a lease measures real time and outlives a minute. The database still does what
// a dead sender had asked for, so its sessions end first; `living` sessions belong to senders that go on.
export const sessions = async db => (await db.one(`select count(*)::int n from pg_stat_activity where datname = current_database() and application_name like 'muster work%'`)).n;
export async function lapse(db, living = 0) {
  await until('the sessions of the dead to end', async () => await sessions(db) <= living);
  await db.query(`update outbox_batch set lease_until = clock_timestamp() - interval '1 second'`);
  await db.query(`update http_call set lease_until = clock_timestamp() - interval '1 second' where state = 'claimed'`);
}

export const channels = (mail, port) => ({
  MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(port || mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example',
  MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on',
});
// A generator of numbers in [0, 1) that a printed seed repeats (mulberry32).
export function seeded(seed) {
  let a = seed >>> 0;
  return () => { a = (a + 0x6d2b79f5) >>> 0; let t = Math.imul(a ^ (a >>> 15), 1 | a); t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t; return ((t ^ (t >>> 14)) >>> 0) / 4294967296; };
}
