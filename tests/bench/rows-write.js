// P4, P5, P14: what is written.
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import * as b from './lib.js';
import { turns } from './rows-read.js';

// A copy of the archive in which exactly five web hooks hear of every change.
async function five() {
  b.archive('bench_mid', 1e5, 1e5);
  b.clone('bench_write', 'bench_mid');
  const db = await b.connect('bench_write');
  await db.query('delete from endpoint e where not exists (select from outbox o where o.endpoint_id = e.id)');
  await db.query('update endpoint set disabled_at = clock_timestamp()');
  await db.query(`insert into endpoint(kind, slug, name, address, audience, drill_safe)
    select 'webhook', 'bench-' || n, '{"zh":"值班群","en":"Duty chat"}', 'https://hooks.haidong.example/' || n, 'internal', true from generate_series(1, 5) n`);
  await db.query('vacuum analyze');
  return db;
}

async function severities(add, clients, now) {
  const db = await five(), server = await b.muster('bench_write'), tests = { done: 0 };
  const file = path.join(b.work, 'severity.sql');
  writeFileSync(file, readFileSync(path.join(b.here, 'severity.sql'), 'utf8').replace(':token', `'${server.tokenHash}'`));
  const fresh = async () => { await db.query(`update incident set severity = 'none', version = 1 where state = 'open' and ref like 'INC-2025-%'`); await db.query('checkpoint'); };
  try {
    const told = async from => (await db.one(`select round(count(*)::numeric / greatest(1, count(distinct message_id)), 2)::float n from outbox where id > $1`, [from])).n;
    const { top } = await db.one('select coalesce(max(id), 0) as top from outbox');
    await turns(add(`a timeline event with 5 notifications, committed, ${clients} clients`, 'pgbench, the same SQL, 8 clients', now),
      async () => { await fresh(); return b.pgbench('bench_write', file, { clients: 8, defines: { n: 0 } }).rate; },
      async () => { await fresh(); return b.wrk(server.url, { clients, headers: [server.bearer], script: path.join(b.here, 'severity.lua') }); });
    if (await told(top) !== 5) throw new Error(`a message went to ${await told(top)} receivers, not five`);
  } finally { await server.stop(); await db.end(); }
}

export const P4 = add => severities(add, 64, 0.6);
export const P5 = add => severities(add, 8, 0.4);

// The statements of one completed step, as the database was given them, from its own log.
function statements(log, from) {
  const list = [];
  let wanted = false;                // the parameters of an execution follow it; those of a bind are the same ones
  for (const entry of readFileSync(log, 'utf8').slice(from).split(/\n(?=\d{4}-\d\d-\d\d )/)) {
    const sql = /LOG: {2}duration: [\d.]+ ms {2}execute [^:]*: ([\s\S]*?)(?:\n\d{4}-|\n*$)/.exec(entry);
    const detail = /DETAIL: {2}parameters: ([\s\S]*)$/.exec(entry);
    if (sql) { list.push({ sql: sql[1].replace(/\n\t/g, '\n').trim(), values: [] }); wanted = true; }
    else if (detail && wanted) {
      wanted = false;
      const values = [];
      for (const m of detail[1].replace(/\n\t/g, '\n').matchAll(/\$\d+ = (?:'((?:[^']|'')*)'|NULL)/g)) values.push(m[1] === undefined ? null : m[1].replaceAll("''", "'"));
      list.at(-1).values = values;
    }
  }
  return list;
}

export async function P14(add) {
  b.archive('bench_big', 1e6, 1e6);
  const perRound = 20, count = b.options.rounds * perRound * 2 + 1, name = 'bench_big';
  const db = await b.connect(name);
  const server = await b.muster(name);
  const runs = [];
  for (let n = 0; n < count; n++) {
    const { ref } = JSON.parse((await b.call(server, 'POST', '/api/v1/incidents', { title: `P14 ${n}`, severity: 'II', services: ['mobile-banking'], playbook: 'mobile-banking-outage' })).text);
    runs.push(await db.one(`select r.id as run, i.id as incident, i.ref from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref]));
  }
  const step = await db.one(`select path, occ, kind, detail from run_step where run_id = $1 and status = 'active' and kind in ('task','checklist') order by kind = 'task' desc, position limit 1`, [runs[0].run]);
  const item = step.kind === 'checklist' ? step.detail.items.find(i => !i.form?.length) : null;
  const body = { path: step.path, occ: step.occ, ...(item ? { act: 'item', item: item.id, state: 'done' } : { act: 'done', note: 'done', values: Object.fromEntries((step.detail.form || []).map(f => [f.id || f.var, f.type === 'bool' ? true : f.type === 'int' ? 3 : f.values ? f.values[0] : 'x'])) }) };
  const act = (to, one) => b.call(to, 'POST', `/api/v1/runs/${one.run}/steps`, body);
  // one step with every statement logged
  const logged = await b.muster(name, { settings: { PGOPTIONS: '-c log_min_duration_statement=0 -c log_parameter_max_length=-1 -c log_duration=off' } });
  const log = path.join(b.work, 'pg/log'), from = readFileSync(log, 'utf8').length, first = runs.pop();
  await act(logged, first);
  await logged.stop();
  const own = /^(begin|commit|rollback|set|listen|deallocate)/i;
  const all = statements(log, from), at = all.findIndex(s => /run_load/.test(s.sql));
  let open = at; while (open > 0 && !/session_open/.test(all[open].sql)) open--;
  let close = at; while (close < all.length && !/^commit/i.test(all[close].sql)) close++;
  const chosen = all.slice(open, close).filter(s => !own.test(s.sql) && !/run_playbook|playbook_version where/.test(s.sql));   // the playbook is kept by the program after its first use
  if (at < 0 || chosen.length < 4) throw new Error(`the log shows ${chosen.length} statements`);
  await db.query('drop table if exists bench_step; create table bench_step(n int, s int, p text[], primary key(n, s))');
  const script = ['\\set n :n + 1', 'begin;'];
  chosen.forEach((s, k) => script.push(s.sql.replace(/;$/, '').replace(/\$(\d+)/g, (_, i) => `(select p[${i}] from bench_step where n = :n and s = ${k})`).replace(/\n/g, ' ') + ';'));
  script.push('commit;');
  const file = path.join(b.work, 'step.sql');
  writeFileSync(file, script.join('\n') + '\n');
  const reference = runs.slice(0, runs.length / 2), ours = runs.slice(runs.length / 2);
  for (let n = 0; n < reference.length; n++)
    for (let k = 0; k < chosen.length; k++) {
      const to = reference[n];
      const values = chosen[k].values.map(v => v && v.replaceAll(first.run, to.run).replaceAll(first.incident, to.incident).replaceAll(first.ref, to.ref));
      if (/idem_/.test(chosen[k].sql)) values[1] += '-' + n;      // the key of a request is used once
      await db.query('insert into bench_step values ($1, $2, $3)', [n + 1, k, values]);
    }
  await db.query('analyze bench_step');
  let refAt = 0, ourAt = 0;
  try {
    await turns(add('completing a playbook step, 10⁶ events in the archive', `its ${chosen.length} statements alone in pgbench`, 2, 'ms', 'less'),
      () => { const { latency } = b.pgbench(name, file, { clients: 1, defines: { n: refAt }, transactions: perRound }); refAt += perRound; return latency * 1000; },
      async () => { const begin = performance.now(); for (let n = 0; n < perRound; n++) await act(server, ours[ourAt++]); return (performance.now() - begin) / perRound; });
    const ended = (await db.one(`select count(distinct status || ':' || seq)::int n from run where id = any($1)`, [runs.map(r => r.run)])).n;
    if (ended !== 1) throw new Error('the runs of pgbench and ours did not end alike');
  } finally { await server.stop(); await db.query('drop table bench_step'); await db.query(`update incident set declared_at = declared_at - interval '6 years' where title like 'P14 %'`); await db.end(); }   // out of the way of P7
}
