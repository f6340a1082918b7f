// P9–P13, P16: what leaves the house, live pages, memory.
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync, rmSync, mkdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import * as b from './lib.js';
import { turns } from './rows-read.js';

const HOOKS = { MUSTER_HOOKS_HTTP: 'on', MUSTER_HOOKS_ALLOW: '127.0.0.0/8' };

// A database of its own with nobody to tell but whom the row adds.
async function quiet(name) {
  b.base();
  b.clone(name, 'bench_base');
  const db = await b.connect(name);
  await db.query('update endpoint set disabled_at = clock_timestamp()');
  await db.query(`select outbox_cancel(array_agg(id)) from outbox_queue`);
  await db.query(`update run set status = 'aborted', finished_at = clock_timestamp() where finished_at is null`);
  await db.query(`update timer set state = 'cancelled' where state = 'armed'`);
  return db;
}

const empty = db => b.until('an empty outbox', async () => (await db.one(`select not exists (select from outbox_queue) and not exists (select from outbox_batch) as e`)).e, 300, 10);

// Messages and rows as message_send() makes them, a hundred endpoints each; told in one transaction with the hint a request would give.
async function fill(db, channel, count) {
  await db.query('begin');
  await db.query(`with i as (select * from incident where kind = 'incident' order by ref limit 1),
    e as (select *, row_number() over (order by id) - 1 as k, count(*) over () as all from endpoint where kind = $1 and disabled_at is null),
    m as (insert into message(incident_id, purpose, subject, text, data, created_at, event, about)
      select i.id, 'severity', jsonb_build_object('zh', '级别变更为 II 级：手机银行无法登录', 'en', 'Now II: mobile banking sign-in fails'),
        jsonb_build_object('zh', E'级别由 III 级变更为 II 级\\n原因：支付错误率再次上升\\n事件：手机银行无法登录\\n发生时间：2026-11-24 10:40', 'en', E'Severity changed from III to II\\nReason: the error rate of payments rose again\\nIncident: mobile banking sign-in fails\\nBegan: 2026-11-24 10:40 (UTC+8)'),
        jsonb_build_object('from', 'III', 'to', 'II'), app_now(), 'incident.severity',
        jsonb_build_object('id', i.id, 'ref', i.ref, 'kind', i.kind, 'title', i.title, 'severity', i.severity, 'state', i.state)
      from i, generate_series(1, (select ($2 + max(e.all) - 1) / max(e.all) from e)) returning id)
    insert into outbox(kind, incident_id, incident_kind, message_id, channel, endpoint_id, person_id, address, language, audience, drill_safe, delivery, idem_key, not_before, created_at)
    select 'incident', i.id, 'incident', m.id, e.kind, e.id, e.person_id, e.address, 'zh', e.audience, e.drill_safe, 'send', m.id || '|' || e.id, app_now(), app_now()
    from (select id, row_number() over () - 1 as n from m) m cross join e cross join i where m.n * e.all + e.k < $2 order by m.n, e.k`, [channel, count]);
  await db.query(`select pg_notify('muster', 'home *')`);
  await db.query('commit');
  return performance.now();
}

// Signed web hooks: the secret of one that was made the ordinary way, at a hundred addresses.
async function hooksTo(db, server, url, count) {
  const made = await b.call(server, 'POST', '/api/v1/endpoints', { slug: 'bench', kind: 'webhook', name: 'Duty chat', address: url + '/0', audience: 'internal' });
  if (!/whsec_/.test(made.text)) throw new Error('no secret');
  await db.query(`insert into endpoint(kind, slug, name, address, audience, drill_safe, secret_sealed)
    select 'webhook', 'bench-' || n, name, $1 || '/' || n, 'internal', false, secret_sealed from endpoint, generate_series(1, $2) n where slug = 'bench'`, [url, count - 1]);
}

async function mailboxes(db, count) {
  await db.query(`with p as (insert into person(name, language) select jsonb_build_object('zh', '值班 ' || n, 'en', 'Duty ' || n), 'zh' from generate_series(1, $1::int) n returning id)
    insert into endpoint(kind, person_id, address, language, drill_safe) select 'email', id, 'duty-' || id || '@haidong.example', 'zh', true from p`, [count]);
}

// One of our events as bytes, for a reference that posts as much.
const BODY_BYTES = 1100;

async function drain(db, channel, count) {
  await db.query('checkpoint');
  const begin = await fill(db, channel, count);
  await empty(db);
  return (performance.now() - begin) / 1000;
}

const allSent = async (db, channel, from) => { const bad = await db.one(`select count(*)::int n, min(last_error) why from outbox where id > $1 and channel = $2 and state <> 'done'`, [from, channel]); if (bad.n) throw new Error(`${bad.n} were not sent: ${bad.why}`); };
const topOf = async db => (await db.one('select coalesce(max(id), 0) as top from outbox')).top;

export async function P9(add) {
  const db = await quiet('bench_hooks'), receiver = await b.nginx('hooks', 'location / { return 204; }');
  const server = await b.muster('bench_hooks', { withWork: true, settings: HOOKS });
  try {
    await hooksTo(db, server, receiver.url, 100);
    const top = await topOf(db);
    await turns(add('10,000 signed webhooks through the outbox', 'bare libcurl-multi loop, 64 at once', 0.30, '1/s'),
      () => 10000 / Number(execFileSync(b.load, ['hooks', receiver.url, '10000', '64', String(BODY_BYTES)], { encoding: 'utf8' }).split(' ')[0]),
      async () => 10000 / await drain(db, 'webhook', 10000));
    await allSent(db, 'webhook', top);
  } finally { await server.stop(); await receiver.stop(); await db.end(); }
}

function alertmanagerConfig(title, receivers, url) {
  const folder = path.join(b.work, title);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const limits = "group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h";
  const names = Array.from({ length: receivers }, (_, n) => n);
  writeFileSync(path.join(folder, 'a.yml'), `route: { receiver: r0, ${limits}, routes: [${receivers > 1 ? names.map(n => `{ receiver: r${n}, continue: true }`).join(', ') : ''}] }
receivers:
${names.map(n => `- { name: r${n}, webhook_configs: [ { url: '${url}/${n}', send_resolved: false } ] }`).join('\n')}\n`);
  return folder;
}

async function alertmanager(folder) {
  const port = await b.freePort();
  rmSync(path.join(folder, 'data'), { recursive: true, force: true });
  const child = b.start(['prometheus-alertmanager', `--config.file=${folder}/a.yml`, `--storage.path=${folder}/data`, '--cluster.listen-address=', `--web.listen-address=127.0.0.1:${port}`, '--log.level=error'], { log: 'alertmanager.log' });
  await b.until('alertmanager', async () => { try { return (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok; } catch { return false; } }, 30);
  return { port, url: `http://127.0.0.1:${port}`, child, stop: () => b.stop(child),
    alert: async id => { const answer = await fetch(`http://127.0.0.1:${port}/api/v2/alerts`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify([{ labels: { alertname: 'Incident', id }, annotations: { summary: 'Mobile banking sign-in fails' } }]) }); if (!answer.ok) throw new Error(await answer.text()); } };
}

export async function P10(add) {
  const db = await quiet('bench_thousand'), receiver = await b.hookReceiver('thousand');
  const server = await b.muster('bench_thousand', { withWork: true, settings: HOOKS });
  const config = alertmanagerConfig('am-thousand', 1000, receiver.url);
  const last = async (what, begin) => { const times = await b.until(`1,000 calls of ${what}`, () => { const t = receiver.times(); return t.length >= 1000 && t; }, 60, 20); return times.at(-1) * 1000 - begin; };
  let number = 0;
  try {
    await hooksTo(db, server, receiver.url, 1000);
    await turns(add('one declaration told to 1,000 webhooks, time to the last', 'alertmanager, one alert to 1,000 receivers', 0.6, 'ms', 'less'),
      async () => { const am = await alertmanager(config); try { receiver.forget(); const begin = Date.now(); await am.alert(String(number++)); return await last('alertmanager', begin); } finally { await am.stop(); } },
      async () => { await db.query('checkpoint'); receiver.forget(); const begin = Date.now(); await b.call(server, 'POST', '/api/v1/incidents', { title: `Sign-in fails ${number++}`, severity: 'II', playbook: 'none' }); const time = await last('ours', begin); await empty(db); return time; });
  } finally { await server.stop(); await receiver.stop(); await db.end(); }
}

// A mail server that notes when each message was accepted, and how large it was.
function mailReceiver() {
  const mails = [], waiting = [];
  const server = net.createServer(socket => {
    let text = '', data = false, size = 0;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.write('220 bench ESMTP\r\n');
    socket.on('data', chunk => {
      text += chunk.toString('latin1');
      for (;;) {
        if (data) {
          const end = text.indexOf('\r\n.\r\n');
          if (end < 0) { if (text.length > 8) { size += text.length - 8; text = text.slice(-8); } return; }
          mails.push({ at: performance.now(), size: size + end });
          text = text.slice(end + 5); data = false; size = 0;
          socket.write('250 accepted\r\n');
          for (const wake of waiting.splice(0)) wake();
          continue;
        }
        const end = text.indexOf('\r\n');
        if (end < 0) return;
        const verb = text.slice(0, 4).toUpperCase();
        text = text.slice(end + 2);
        if (verb === 'DATA') { data = true; socket.write('354 go on\r\n'); }
        else if (verb === 'QUIT') { socket.end('221 bye\r\n'); return; }
        else if (verb === 'EHLO') socket.write('250-bench\r\n250-PIPELINING\r\n250 8BITMIME\r\n');
        else socket.write('250 ok\r\n');
      }
    });
  });
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve({ mails, port: server.address().port, next: () => new Promise(wake => waiting.push(wake)), close: () => server.close() })));
}

const MAIL = port => ({ MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example', MUSTER_SMTP_SESSIONS: '8' });

async function sizeOfOne(db) {
  const sink = await mailReceiver(), server = await b.muster('bench_mail', { withWork: true, settings: MAIL(sink.port) });
  await fill(db, 'email', 1);
  await empty(db);
  await server.stop();
  sink.close();
  return sink.mails[0].size;
}

async function smtpSink() {
  const port = await b.freePort();
  const child = b.start(['smtp-sink', ...(process.getuid() === 0 ? ['-u', 'nobody'] : []), `127.0.0.1:${port}`, '1000'], { log: 'smtp-sink.log' });
  await b.isUp(port);
  return { port, stop: () => b.stop(child) };
}

export async function P11(add) {
  const db = await quiet('bench_mail');
  await mailboxes(db, 100);
  const size = await sizeOfOne(db), sink = await smtpSink();
  const server = await b.muster('bench_mail', { withWork: true, settings: MAIL(sink.port) });
  try {
    const top = await topOf(db);
    await turns(add(`10,000 mails of ${size} bytes through the outbox, 8 sessions`, 'smtp-source, 8 sessions kept', 0.4, '1/s'),
      () => { const begin = performance.now(), done = spawnSync('smtp-source', ['-d', '-s', '8', '-m', '10000', '-l', String(size), `127.0.0.1:${sink.port}`]); if (done.status !== 0) throw new Error(String(done.stderr)); return 1e7 / (performance.now() - begin); },
      async () => 10000 / await drain(db, 'email', 10000));
    await allSent(db, 'email', top);
  } finally { await server.stop(); await sink.stop(); await db.end(); }
}

// One commit and one mail by hand: connection, envelope, message.
function mailByHand(port, bytes) {
  const steps = ['EHLO bench\r\n', 'MAIL FROM:<a@haidong.example>\r\n', 'RCPT TO:<b@haidong.example>\r\n', 'DATA\r\n', 'x'.repeat(bytes).replace(/(.{70})/g, '$1\r\n') + '\r\n.\r\n', 'QUIT\r\n'];
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    socket.setNoDelay(true);
    socket.on('error', reject);
    socket.on('close', resolve);
    socket.on('data', chunk => { text += chunk; if (/^\d{3} .*\r\n/m.test(text)) { text = ''; const next = steps.shift(); if (next) socket.write(next); } });
  });
}

const p99 = list => [...list].sort((x, y) => x - y)[Math.ceil(list.length * 0.99) - 1];

export async function P12(add) {
  const sink = await mailReceiver(), db = await quiet('bench_mail'), each = 60;
  await db.query(`update endpoint set disabled_at = null where kind = 'email' and person_id = (select id from person where login = 'wang.min')`);
  await db.query('create table bench_commit(n int)');
  const server = await b.muster('bench_mail', { withWork: true, settings: MAIL(sink.port) });
  const sample = async act => { const begin = performance.now(), got = sink.next(); await act(); await got; return sink.mails.at(-1).at - begin; };
  const many = async act => { const list = []; for (let n = 0; n < each; n++) { list.push(await sample(act)); await empty(db); } return p99(list); };
  let number = 0;
  try {
    await turns(add('declare → first mail accepted, p99 of 60, idle', 'one commit and one SMTP transaction, p99', 5, 'ms', 'less'),
      () => many(async () => { await db.query('insert into bench_commit values (1)'); await mailByHand(sink.port, 6000); }),
      () => many(() => b.call(server, 'POST', '/api/v1/incidents', { title: `Sign-in fails ${number++}`, severity: 'II', playbook: 'none' })));
  } finally { await server.stop(); sink.close(); await db.end(); }
}

// 5,000 event streams to that port; `event()` makes one happen and gives the milliseconds until the last had it.
async function livePages(port, request, count, child) {
  const file = path.join(b.work, 'live-request');
  writeFileSync(file, request);
  const before = b.memory(child), pages = b.start([b.load, 'live', String(port), String(count), file], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  pages.stdout.on('data', chunk => { text += chunk; });
  let ended = false;
  pages.ended.then(() => { ended = true; });
  const line = what => b.until(what, () => { if (ended) throw new Error('the live pages ended'); const at = text.indexOf('\n'); if (at < 0) return null; const one = text.slice(0, at); text = text.slice(at + 1); return one || ' '; }, 60, 2);
  await line('open pages');
  const kb = (b.memory(child) - before) / count;
  return { kb, stop: () => b.stop(pages), event: async make => { pages.stdin.write('go\n'); await b.pause(5); const begin = (performance.timeOrigin + performance.now()) * 1000; await make(); return (Number(await line('the last page')) - begin) / 1000; } };
}

export async function P13(add) {
  const count = 5000, db = await quiet('bench_live');
  const server = await b.muster('bench_live', { settings: { MUSTER_HTTP_CONNECTIONS: '13000' } });
  const { ref } = await db.one(`select ref from incident where kind = 'incident' order by ref desc limit 1`);
  const nchan = await b.nginx('nchan', `location = /sub { nchan_subscriber eventsource; nchan_channel_id one; nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0; }
    location = /pub { nchan_publisher; nchan_channel_id one; nchan_message_buffer_length 1; }`, { modules: ['ngx_nchan_module'] });
  const kb = [];
  // a stream whose page has left is found out at its next beat
  const gone = () => b.until('closed streams', async () => Number(/^muster_http_streams\S* (\d+)/m.exec(await (await fetch(server.url + '/metrics')).text())?.[1]) === 0, 45, 200);
  const data = JSON.stringify({ topic: 'incident:' + ref, parts: ['*'], seq: null });
  try {
    await turns(add('one event to 5,000 live pages, the last one', 'nginx + nchan', 1.2, 'ms', 'less'),
      async () => {
        const pages = await livePages(nchan.port, 'GET /sub HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n', count, nchan.child);
        try { return b.median([await pages.event(() => fetch(nchan.url + '/pub', { method: 'POST', body: data })), await pages.event(() => fetch(nchan.url + '/pub', { method: 'POST', body: data })), await pages.event(() => fetch(nchan.url + '/pub', { method: 'POST', body: data }))]); } finally { await pages.stop(); }
      },
      async () => {
        const pages = await livePages(server.port, `GET /api/v1/stream?topic=incident:${ref} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${server.cookie}\r\nSec-Fetch-Site: same-origin\r\nAccept: text/event-stream\r\n\r\n`, count, server.child);
        kb.push(pages.kb);
        const note = () => b.call(server, 'POST', `/api/v1/incidents/${ref}/notes`, { text: 'Half of the customers are back' });
        try { return b.median([await pages.event(note), await pages.event(note), await pages.event(note)]); } finally { await pages.stop(); await gone(); }
      });
    // the first round pays for what is kept afterwards
    for (const one of kb.slice(0, 1)) add('memory of serve for each of them, kB (first round)', '12 kB', 1, 'kB', 'less').push({ ratio: one / 12, ours: one, reference: 12 });
  } finally { await server.stop(); await nchan.stop(); await db.end(); }
}

export async function P16(add) {
  const db = await quiet('bench_memory'), receiver = await b.nginx('memory', 'location / { return 204; }'), sink = await smtpSink();
  const config = alertmanagerConfig('am-memory', 1, receiver.url);
  const idle = [], loaded = [];
  try {
    await mailboxes(db, 100);
    for (let round = 0; round < Math.min(3, b.options.rounds); round++) {
      const am = await alertmanager(config);
      await b.pause(1000);
      const amIdle = b.memory(am.child);
      await b.wrk(am.url + '/api/v2/alerts', { clients: 8, script: path.join(b.here, 'alert.lua'), seconds: 5 });
      const amLoaded = b.memory(am.child);
      await am.stop();
      const server = await b.muster('bench_memory', { withWork: true, settings: { ...HOOKS, ...MAIL(sink.port) } });
      await b.pause(1000);
      idle.push({ reference: amIdle / 1024, ours: b.memory(server.child) / 1024 });
      if (round === 0) await hooksTo(db, server, receiver.url, 1000);
      await drain(db, 'webhook', 10000);
      await b.call(server, 'POST', '/api/v1/incidents', { title: 'Sign-in fails', severity: 'II', playbook: 'none' });
      await drain(db, 'email', 10000);
      loaded.push({ reference: amLoaded / 1024, ours: b.memory(server.child) / 1024 });
      await server.stop();
    }
    const of = list => list.map(r => ({ ...r, ratio: r.ours / r.reference }));
    add('memory of serve and work, idle', 'alertmanager, idle', 1.0, 'MB', 'less').push(...of(idle));
    add('the same after the loads of P9 to P11', 'alertmanager after 5 s of alerts', 0.2, 'MB', 'less').push(...of(loaded));
  } finally { await receiver.stop(); await sink.stop(); await db.end(); }
}
