// A PostgreSQL of a test's own: to be stopped, filled up or thrown away without disturbing the others.
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';

const env = process.env, root = process.getuid() === 0;
const ids = root ? { uid: Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' })), gid: Number(execFileSync('id', ['-g', 'postgres'], { encoding: 'utf8' })) } : {};
const clean = { PATH: env.PATH, LANG: 'C.UTF-8', HOME: '/tmp' };

// `folder`: where the data live (made when absent); the socket is elsewhere, so that a full disk keeps nobody from connecting.
export async function cluster({ folder, settings = [] } = {}) {
  const base = mkdtempSync(path.join(env.MUSTER_TEST_WORK, 'cluster-'));
  const data = path.join(folder || base, 'pg'), sockets = path.join(base, 's');
  for (const one of [data, sockets]) { mkdirSync(one); chmodSync(one, one === data ? 0o700 : 0o755); if (root) chownSync(one, ids.uid, ids.gid); }
  chmodSync(base, 0o755);
  const tool = (name, args, quiet = true) => execFileSync(path.join(env.MUSTER_TEST_PG_BIN, name), args, { ...ids, cwd: '/', env: clean, stdio: ['ignore', 'ignore', quiet ? 'ignore' : 'pipe'] });
  tool('initdb', ['-D', data, '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8', '--auth=trust', '--wal-segsize=1', '--no-sync'], false);
  appendFileSync(path.join(data, 'postgresql.conf'), ["listen_addresses=''", `unix_socket_directories='${sockets}'`, 'max_connections=60', 'min_wal_size=2MB', 'max_wal_size=4MB', ...settings, ''].join('\n'));
  const self = {
    data, sockets, base,
    runs: () => { try { tool('pg_ctl', ['-D', data, 'status']); return true; } catch { return false; } },
    start: () => self.runs() || tool('pg_ctl', ['-w', '-D', data, '-l', path.join(base, 's', 'log'), 'start']),
    stop: mode => self.runs() && tool('pg_ctl', ['-w', '-D', data, '-m', mode || 'immediate', 'stop']),
    close() { try { self.stop('immediate'); } catch {} rmSync(base, { recursive: true, force: true }); },
  };
  self.start();
  return self;
}

// A database in it with everything the program needs. Looks like what database() gives.
export async function seeded(where, { demo = true } = {}) {
  const url = `host=${where.sockets} user=postgres dbname=muster`, data = path.join(where.base, 'seed');
  const admin = new pg.Client({ host: where.sockets, user: 'postgres', database: 'postgres' });
  await admin.connect();
  await admin.query('create database muster');
  await admin.end();
  const run = (...args) => execFileSync(env.MUSTER, args, { env: { ...clean, MUSTER_CONF: '/dev/null', MUSTER_DATABASE_URL: url, MUSTER_DATA_DIR: data }, stdio: ['ignore', 'ignore', 'pipe'] });
  run('migrate');
  run('seed', ...(demo ? ['--demo'] : []));
  const pool = new pg.Pool({ host: where.sockets, user: 'postgres', database: 'muster', max: 4 });
  pool.on('error', () => {});
  return {
    name: 'muster', pool, url,
    query: async (text, values) => (await pool.query(text, values)).rows,
    one: async (text, values) => (await pool.query(text, values)).rows[0],
    drop: async () => { await pool.end().catch(() => {}); },
  };
}
