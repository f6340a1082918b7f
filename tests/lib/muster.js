// Starts the real program on a database of its own, and gives tests hands and eyes: requests, sessions, the test clock.
import { spawn, execFileSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, openSync, rmSync, mkdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import pg from 'pg';

const env = process.env;
export const socketDir = env.PGHOST;
export const results = env.MUSTER_TEST_RESULTS;

export async function until(what, check, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try { const value = await check(); if (value) return value; } catch (error) { last = error; }
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}${last ? ': ' + last.message : ''}`);
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

// A database cloned from the migrated and seeded template.
export async function database(template = 'muster_template') {
  const name = 't_' + randomBytes(6).toString('hex');
  const admin = new pg.Client({ host: socketDir, user: 'postgres', database: 'postgres' });
  await admin.connect();
  await admin.query(`create database ${name} template ${template}`);
  await admin.end();
  const pool = new pg.Pool({ host: socketDir, user: 'postgres', database: name, max: 4 });
  pool.on('error', () => {});                       // fault tests stop the server under us
  return {
    name, pool, url: `host=${socketDir} user=postgres dbname=${name}`,
    query: async (text, values) => (await pool.query(text, values)).rows,
    one: async (text, values) => (await pool.query(text, values)).rows[0],
    async drop() {
      await pool.end().catch(() => {});
      const again = new pg.Client({ host: socketDir, user: 'postgres', database: 'postgres' });
      await again.connect();
      await again.query(`drop database if exists ${name} with (force)`);
      await again.end();
    },
  };
}

const running = new Set();
process.on('exit', () => { for (const child of running) { try { process.kill(-child.pid, 'SIGKILL'); } catch {} } });

// Options: db (made when absent), settings {MUSTER_…}, asan, args, work (false: serve alone).
export async function muster(options = {}) {
  const db = options.db || await database(options.demo ? 'muster_demo' : 'muster_template');
  const data = options.data || mkdtempSync(path.join(env.MUSTER_TEST_WORK, 'data-'));
  const port = options.port || await freePort();
  const log = path.join(results, `muster-${path.basename(data)}.log`);
  const url = `http://127.0.0.1:${port}`;
  const binary = options.asan && env.MUSTER_ASAN ? env.MUSTER_ASAN : env.MUSTER;
  const environment = {
    PATH: env.PATH, LANG: 'C.UTF-8', HOME: data, MUSTER_CONF: '/dev/null',
    MUSTER_DATABASE_URL: db.url, MUSTER_DATA_DIR: data, MUSTER_HTTP_PORT: String(port), MUSTER_HTTP_PUBLIC_URL: url,
    MUSTER_TEST_CLOCK: 'on', MUSTER_LOG_LEVEL: 'info', MUSTER_WORK_CHILD: options.work === false ? 'off' : 'on',
    ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=1', UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    ...options.settings,
  };
  const self = { db, data, port, url, log, environment, child: null };

  const launch = (command, extra = {}) => {
    const out = openSync(log, 'a');
    const child = spawn(binary, [command, ...(options.args || [])], { env: { ...environment, ...extra }, stdio: ['ignore', out, out], detached: true });
    running.add(child);
    child.ended = new Promise(resolve => child.once('exit', (code, signal) => { running.delete(child); resolve({ code, signal }); }));
    return child;
  };
  self.launch = launch;
  self.start = async () => {
    self.child = launch('serve');
    let ended = false;
    self.child.ended.then(() => { ended = true; });
    await until('muster to answer', async () => {
      if (ended) throw new Error('muster ended; see ' + log);
      return (await fetch(url + '/healthz')).ok;
    }, 30);
    return self;
  };
  self.kill = async (signal = 'SIGKILL') => { try { process.kill(-self.child.pid, signal); } catch {} return self.child.ended; };
  self.stop = async () => {
    const child = self.child;
    try { child.kill('SIGTERM'); } catch {}
    const result = await Promise.race([child.ended, new Promise(resolve => setTimeout(() => resolve(null), 15000))]);
    if (!result) { await self.kill(); throw new Error('muster did not stop within 15 s; see ' + log); }
    try { process.kill(-child.pid, 'SIGKILL'); } catch {}
    return result;
  };
  self.close = async () => { if (self.child && running.has(self.child)) await self.stop().catch(() => self.kill()); if (!options.db) await db.drop(); rmSync(data, { recursive: true, force: true }); };
  self.cli = (args, input) => execFileSync(binary, args, { env: environment, input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  self.clock = async seconds => { await db.query(`update test_clock set shift = shift + make_interval(secs => $1)`, [seconds]); };
  if (options.start !== false) await self.start();
  return self;
}

// A person with roles, made directly: sign-in itself has tests of its own.
export async function person(db, login, roles = [], { zh = login, en = login, language = 'zh', email } = {}) {
  const { id } = await db.one(`insert into person(login, name, language) values ($1, jsonb_build_object('zh', $2::text, 'en', $3::text), $4) returning id`, [login, zh, en, language]);
  for (const role of roles) await db.query('insert into person_role(person_id, role) values ($1, $2)', [id, role]);
  if (email) await db.query(`insert into endpoint(kind, person_id, address, language, drill_safe) values ('email', $1, $2, $3, true)`, [id, email, language]);
  return { id, login };
}

// An API token and the fetch that carries it.
export async function bearer(server, who, scopes) {
  const token = 'mus_' + randomBytes(32).toString('base64url');
  const roles = scopes || (await server.db.query('select role from person_role where person_id = $1', [who.id])).map(r => r.role);
  await server.db.query(`insert into api_token(person_id, name, token_hash, last_four, scopes, created_at) values ($1, 'test', $2, $3, $4, clock_timestamp())`,
    [who.id, createHash('sha256').update(token).digest('hex'), token.slice(-4), roles]);
  const api = async (method, target, body, headers = {}) => {
    const response = await fetch(server.url + '/api/v1' + target, {
      method, redirect: 'manual',
      headers: { Authorization: `Bearer ${token}`, 'Accept-Language': 'en', ...(body !== undefined ? { 'Content-Type': 'application/json' } : {}),
        ...(method === 'POST' ? { 'Idempotency-Key': `"${randomUUID()}"` } : {}), ...headers },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let json = null;
    try { json = JSON.parse(text); } catch {}
    return { status: response.status, headers: response.headers, text, json };
  };
  return Object.assign(api, { token, who });
}

// A signed-in browser session (cookie) without the sign-in form.
export async function session(server, who) {
  const token = 'ses_' + randomBytes(32).toString('base64url');
  await server.db.query(`insert into session(token_hash, person_id, created_at, seen_at, expires_at) values ($1, $2, clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '7 days')`,
    [createHash('sha256').update(token).digest('hex'), who.id]);
  return { name: 'muster', value: token, header: `muster=${token}` };
}

// A draft becomes what runs use: its author hands it in, somebody else publishes it and answers for the warnings.
export async function published(author, other, slug, version = 1) {
  const handed = await author('POST', `/playbooks/${slug}/versions/${version}/submit`, {});
  return handed.status >= 300 ? handed : other('POST', `/playbooks/${slug}/versions/${version}/publish`, { let_pass: 'nothing that matters to this test' });
}
