// Hands of the bench: programs that end with it, databases, the product, wrk and pgbench.
import { spawn, spawnSync, execFileSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync, openSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const work = process.env.BENCH_WORK;
export const load = path.join(work, 'tools/load');
export const options = { rounds: 5, seconds: 5, save: false, rows: [] };

const children = new Set();
process.on('exit', () => { for (const child of children) { try { process.kill(-child.pid, 'SIGKILL'); } catch {} } });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
export const say = text => process.stderr.write(text + '\n');

export async function until(what, check, seconds = 60, every = 10) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await pause(every);
  }
}

// A program in a process group of its own; `cpu` binds it to one core.
export function start(argv, { env = process.env, cpu, log = 'programs.log', stdio } = {}) {
  const out = openSync(path.join(work, log), 'a');
  const all = cpu === undefined ? argv : ['taskset', '-c', String(cpu), ...argv];
  const child = spawn(all[0], all.slice(1), { env, detached: true, cwd: work, stdio: stdio || ['ignore', out, out] });
  children.add(child);
  child.ended = new Promise(resolve => child.once('exit', code => { children.delete(child); resolve(code); }));
  child.once('error', error => say(`${argv[0]}: ${error.message}`));
  return child;
}

export async function stop(child) {
  if (!child || !children.has(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => { try { process.kill(-child.pid, 'SIGKILL'); } catch {} }, 10000);
  await child.ended;
  clearTimeout(timer);
  try { process.kill(-child.pid, 'SIGKILL'); } catch {}
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

const listens = port => new Promise(resolve => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});
export const isUp = port => until(`port ${port}`, () => listens(port), 30, 2);

// Memory of a program and everything it started, in kB; shared pages counted once.
export function memory(child) {
  const parents = new Map();
  for (const name of readdirSync('/proc').filter(n => /^\d+$/.test(n))) {
    try { parents.set(Number(name), Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))[1])); } catch {}
  }
  const mine = new Set([child.pid]);
  for (let grew = true; grew;) { grew = false; for (const [pid, parent] of parents) if (mine.has(parent) && !mine.has(pid)) { mine.add(pid); grew = true; } }
  let sum = 0;
  for (const pid of mine) { try { sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]); } catch {} }
  return sum;
}

// ---- databases -------------------------------------------------------------------------------------------------

const admin = sql => execFileSync('psql', ['-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-c', sql], { encoding: 'utf8' });
export const exists = name => admin(`select count(*) from pg_database where datname = '${name}'`).trim() === '1';
export const databaseUrl = name => `host=${process.env.PGHOST} user=postgres dbname=${name}`;

export function psql(name, args) { return execFileSync('psql', ['-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', name, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 }); }
export function clone(name, from) {
  admin(`drop database if exists ${name} with (force)`);
  admin(`create database ${name} template ${from}`);
  const data = path.join(work, 'data', from);
  execFileSync('sh', ['-c', `rm -rf '${path.join(work, 'data', name)}' && cp -a '${data}' '${path.join(work, 'data', name)}' 2>/dev/null || true`]);
}

export function environment(name, settings = {}) {
  const data = path.join(work, 'data', name);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  return { PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: data, MUSTER_CONF: '/dev/null', MUSTER_DATABASE_URL: databaseUrl(name), MUSTER_DATA_DIR: data,
    MUSTER_WORK_CHILD: 'off', MUSTER_LOG_LEVEL: 'warn', MUSTER_HTTP_PUBLIC_URL: 'http://127.0.0.1', ...settings };
}

// The database every other one is made of: migrated, seeded, with the sample bank.
export function base() {
  if (exists('bench_base')) return;
  say('  database: schema, playbooks, sample bank');
  admin('create database bench_base');
  const env = environment('bench_base');
  for (const args of [['migrate'], ['seed', '--demo']]) execFileSync(process.env.MUSTER, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  psql('bench_base', ['-c', 'vacuum analyze']);
}

// A copy of it with an archive of so many incidents and timeline events.
export function archive(name, incidents, events) {
  if (exists(name)) return;
  base();
  say(`  database: ${incidents} incidents, ${events} events`);
  clone(name, 'bench_base');
  try { psql(name, ['-v', `incidents=${incidents}`, '-v', `events=${events}`, '-f', path.join(here, 'archive.sql')]); } catch (error) { admin(`drop database ${name}`); throw error; }
}

export async function connect(name) {
  const client = new pg.Client({ host: process.env.PGHOST, user: 'postgres', database: name });
  client.on('error', () => {});
  await client.connect();
  return Object.assign(client, { rows: async (sql, values) => (await client.query(sql, values)).rows, one: async (sql, values) => (await client.query(sql, values)).rows[0] });
}

// ---- the product -------------------------------------------------------------------------------------------------

// serve (and work, when asked for) on that database, and somebody signed in who may do what the rows do.
export async function muster(name, { settings = {}, cpu, withWork = false } = {}) {
  const port = await freePort();
  const env = environment(name, { MUSTER_HTTP_PORT: String(port), MUSTER_WORK_CHILD: withWork ? 'on' : 'off', ...settings });
  execFileSync(process.env.MUSTER, ['migrate'], { env, stdio: ['ignore', 'ignore', 'inherit'] });   // a kept database may be older than the program
  const child = start([process.env.MUSTER, 'serve'], { env, cpu, log: 'muster.log' });
  const self = { name, port, url: `http://127.0.0.1:${port}`, child, env, stop: () => stop(child) };
  await until('muster', async () => { try { return (await fetch(self.url + '/readyz')).ok; } catch { return false; } }, 60);
  Object.assign(self, await somebody(name));
  return self;
}

// A bearer token and a session cookie of one commander and administrator.
export async function somebody(name) {
  const db = await connect(name);
  const hash = text => createHash('sha256').update(text).digest('hex');
  const token = 'mus_' + randomBytes(32).toString('base64url'), cookie = 'ses_' + randomBytes(32).toString('base64url');
  const { id } = await db.one(`insert into person(login, name) values ('bench', '{"zh":"测量","en":"Bench"}') on conflict (login) do update set active = true returning id`);
  await db.query(`insert into person_role select $1, r from unnest('{commander,admin}'::text[]) r on conflict do nothing`, [id]);
  await db.query(`insert into api_token(person_id, name, token_hash, last_four, scopes, created_at) values ($1, 'bench', $2, $3, '{commander,admin}', clock_timestamp())`, [id, hash(token), token.slice(-4)]);
  await db.query(`insert into session(token_hash, person_id, created_at, seen_at, expires_at) values ($1, $2, clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '7 days')`, [hash(cookie), id]);
  await db.end();
  return { person: id, token, tokenHash: hash(token), bearer: `Authorization: Bearer ${token}`, cookie: `Cookie: muster=${cookie}` };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
export function call(server, method, target, body, headers = {}) {
  const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: '127.0.0.1', port: server.port, method, path: target, agent, headers: { Authorization: `Bearer ${server.token}`,
      ...(bytes ? { 'Content-Type': 'application/json', 'Content-Length': bytes.length, 'Idempotency-Key': `"${randomUUID()}"` } : {}), ...headers } }, answer => {
      const chunks = [];
      answer.on('data', chunk => chunks.push(chunk));
      answer.on('end', () => { const text = Buffer.concat(chunks).toString(); answer.statusCode < 400 ? resolve({ status: answer.statusCode, headers: answer.headers, text }) : reject(new Error(`${method} ${target}: ${answer.statusCode} ${text}`)); });
    });
    sent.on('error', reject);
    sent.end(bytes || undefined);
  });
}

// ---- wrk, pgbench, nginx -----------------------------------------------------------------------------------------

// Requests a second; an answer that is not 2xx or 3xx ends the bench.
export function wrk(url, { clients, headers = [], script, args = [], cpu, seconds = options.seconds, errorsAllowed = false, threads = 1 }) {
  const argv = ['wrk', `-t${threads}`, `-c${clients}`, `-d${seconds}s`, '--timeout', '10s', ...headers.flatMap(h => ['-H', h]), ...(script ? ['-s', script] : []), url, ...args.length ? ['--', ...args] : []];
  const all = cpu === undefined ? argv : ['taskset', '-c', String(cpu), ...argv];
  return new Promise((resolve, reject) => {
    const child = start(all, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', chunk => { text += chunk; });
    child.stderr.on('data', chunk => { text += chunk; });
    child.once('close', () => {
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
      if (!(rate > 0) || (!errorsAllowed && /Non-2xx/.test(text))) reject(new Error(`${url}: ${text}`)); else resolve(rate);
    });
  });
}

// Transactions a second and the mean latency in seconds.
export function pgbench(name, file, { clients, defines = {}, seconds = options.seconds, transactions }) {
  const result = spawnSync(path.join(process.env.BENCH_PG_BIN, 'pgbench'), ['-n', '-M', 'prepared', '-c', String(clients), '-j', String(Math.min(2, clients)),
    ...(transactions ? ['-t', String(transactions)] : ['-T', String(seconds)]), ...Object.entries(defines).flatMap(([key, value]) => ['-D', `${key}=${value}`]), '-f', file, name], { encoding: 'utf8', env: { ...process.env, PGOPTIONS: '-c jit=off' } });   // as on our own connections
  const rate = Number(/tps = ([\d.]+)/.exec(result.stdout)?.[1]), latency = Number(/latency average = ([\d.]+) ms/.exec(result.stdout)?.[1]) / 1000;
  if (!(rate > 0) || /aborted|ERROR/.test(result.stderr)) throw new Error(`pgbench ${file}: ${result.stderr || result.stdout}`);
  return { rate, latency };
}

// nginx with one worker; `server` is the inside of its server block.
export async function nginx(title, server, { cpu, modules = [] } = {}) {
  const port = await freePort(), folder = path.join(work, `nginx-${title}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'n.conf'), `${modules.map(m => `load_module /usr/lib/nginx/modules/${m}.so;\n`).join('')}worker_processes 1; daemon off; master_process off;
pid ${folder}/pid; error_log ${folder}/error.log; ${process.getuid() === 0 ? 'user root;' : ''} worker_rlimit_nofile 30000; events { worker_connections 16000; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100; log_format at '$msec $request_uri';
  types { text/html html; application/json json; }
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port} backlog=4096; ${server.replaceAll('FOLDER', folder)} } }\n`);
  const child = start(['nginx', '-c', path.join(folder, 'n.conf'), '-p', folder], { cpu, log: 'nginx.log' });
  await isUp(port);
  return { port, folder, child, url: `http://127.0.0.1:${port}`, stop: () => stop(child) };
}

// A receiver of web hooks that answers 204 and writes down when; `times()` gives seconds, sorted.
export async function hookReceiver(title) {
  const server = await nginx(title, 'location / { access_log FOLDER/at.log at; return 204; }');
  const log = path.join(server.folder, 'at.log');
  return Object.assign(server, {
    times: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean).map(line => Number(line.split(' ')[0])).sort((a, b) => a - b) : []),
    forget: () => writeFileSync(log, ''),
  });
}

export const median = list => { const s = [...list].sort((a, b) => a - b), m = s.length >> 1; return s.length % 2 ? s[m] : (s[m - 1] + s[m]) / 2; };
