// The program as operators use it: commands, what they say about mistakes, and serve with everything around it failing.
import { test, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { database, muster, until } from '../lib/muster.js';

const binary = process.env.MUSTER;
const servers = [];
after(async () => { for (const server of servers) await server.close(); });

async function make(options) {
  const server = await muster(options);
  servers.push(server);
  return server;
}
// Exit status and texts of a command.
function run(server, ...args) {
  const done = spawnSync(binary, args, { env: server.environment, encoding: 'utf8' });
  return { status: done.status, out: done.stdout, err: done.stderr };
}
function childOf(pid, word) {
  const list = execFileSync('ps', ['-e', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n').map(line => line.trim().split(/\s+/));
  const hit = list.find(([, parent, ...args]) => Number(parent) === pid && args.includes(word));
  return hit ? Number(hit[0]) : 0;
}

test('commands', async t => {
  const server = await make({ start: false });

  await t.test('help lists every command, unknown ones are refused', () => {
    assert.match(run(server, 'help').out, /playbook check .*FILE/);
    assert.equal(run(server, 'frobnicate').status, 2);
    assert.equal(run(server, 'user', 'create').status, 2);
    assert.match(run(server, 'version').out, /^muster \d+\.\d+\.\d+/);
    assert.match(run(server, 'manual', '--commands').out, /\.SH COMMANDS/);
  });

  await t.test('a wrong option is named with the nearest right one', () => {
    const wrong = run(server, 'version', '--http.prot=1');
    assert.equal(wrong.status, 1);
    assert.match(wrong.err, /http\.prot/);
    assert.match(wrong.err, /http\.port/);
    assert.match(run(server, 'version', '--http.port=70000').err, /65535/);
    const secret = spawnSync(binary, ['check', 'config'], { env: { ...server.environment, MUSTER_SMTP_PASSWORD: 'hunter2hunter2' }, encoding: 'utf8' });
    assert.equal(secret.status, 0);
    assert.ok(!secret.stdout.includes('hunter2'), 'a secret is never printed');
    const checked = (lease, smtp) => spawnSync(binary, ['check', 'config'], { env: { ...server.environment, MUSTER_WORK_LEASE: lease, MUSTER_SMTP_TIMEOUT: smtp, MUSTER_HOOKS_TIMEOUT: '10s' }, encoding: 'utf8' });
    assert.match(checked('80s', '60s').stderr, /work\.lease.*90/, 'a lease shorter than what is done under it');
    assert.equal(checked('90s', '60s').stderr, '');
  });

  await t.test('migrate has nothing to do twice', () => {
    assert.equal(run(server, 'migrate', '--dry-run').out, '');
    assert.equal(run(server, 'migrate').status, 0);
  });

  await t.test('every file of functions can be run again over itself, as an upgrade does', async () => {
    const { n } = await server.db.one(`with changed as (update schema_change set sha256 = 'of the last release' where name like 'functions/%' returning 1) select count(*)::int as n from changed`);
    assert.ok(n > 20);
    const again = run(server, 'migrate');
    assert.equal(again.status, 0, again.err);
    assert.equal((await server.db.one(`select count(*)::int as n from schema_change where sha256 = 'of the last release'`)).n, 0);
  });

  await t.test('seed changes nothing the second time', async () => {
    const count = async () => (await server.db.one('select (select count(*) from playbook_version) + (select count(*) from report_profile) as n')).n;
    const before = await count();
    assert.equal(run(server, 'seed').status, 0);
    assert.equal(await count(), before);
  });

  await t.test('people get one-time passwords, bad ones a clear answer', async () => {
    const made = run(server, 'user', 'create', 'operator', '--role', 'admin', '--name', '运维');
    assert.equal(made.status, 0, made.err);
    assert.match(made.out, /^[a-z0-9]{5}(-[a-z0-9]{5}){2}\n$/);
    const account = await server.db.one(`select a.must_change, a.password_hash, p.name->>'zh' as name from account a join person p on p.id = a.person_id where login = 'operator'`);
    assert.equal(account.must_change, true);
    assert.equal(account.name, '运维');
    assert.match(account.password_hash, /^\$argon2id\$/);
    assert.notEqual(run(server, 'user', 'password', 'operator').out, made.out);
    const nobody = run(server, 'user', 'password', 'nobody');
    assert.equal(nobody.status, 1);
    assert.match(nobody.err, /login/);
    const role = run(server, 'user', 'create', 'second', '--role', 'emperor');
    assert.equal(role.status, 1);
    assert.match(role.err, /emperor is no role.*viewer, responder, commander/);
    assert.equal((await server.db.one(`select count(*)::int as n from person where login = 'second'`)).n, 0);
    const state = () => server.db.one(`select a.password_hash, array(select role from person_role r where r.person_id = p.id) as roles from person p left join account a on a.person_id = p.id where p.login = $1`, ['operator']);
    const before = await state(), twice = run(server, 'user', 'create', 'operator', '--role', 'viewer');
    assert.equal(twice.status, 1);
    assert.equal(twice.out, '');
    assert.match(twice.err, /operator.*nothing was changed.*muster user password operator/);
    assert.deepEqual(await state(), before);
    await server.db.query(`insert into person(login, name, language) values ('known', '{"zh":"甲","en":"A"}', 'zh')`);
    assert.equal(run(server, 'user', 'create', 'known', '--role', 'admin').status, 1, 'nor one who has no password yet');
    assert.equal((await server.db.one(`select count(*)::int as n from person p left join account a on a.person_id = p.id left join person_role r on r.person_id = p.id where p.login = 'known' and (a.person_id is not null or r.role is not null)`)).n, 0);
    assert.equal(run(server, 'user', 'password', 'known').status, 0);
  });

  await t.test('playbook check names line and column', () => {
    const folder = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'playbook-'));
    const file = path.join(folder, 'bad.yaml');
    writeFileSync(file, 'format: muster/1\nid: bad\nsteps:\n  - kind: nonsense\n    id: one\n');
    const bad = run(server, 'playbook', 'check', file);
    assert.equal(bad.status, 1);
    assert.match(bad.out, /bad\.yaml:\d+:\d+: error V\d\d: \S/);
    assert.match(run(server, 'playbook', 'check', path.join(folder, 'none.yaml')).err, /none\.yaml/);
  });

  await t.test('audit verify refuses what is no export', () => {
    const odd = run(server, 'audit', 'verify', '/dev/null');
    assert.equal(odd.status, 1);
    assert.notEqual(odd.err, '');
  });
});

test('a token made on the command line opens the interface', async () => {
  const server = await make({ work: false });
  assert.equal(run(server, 'user', 'create', 'robot', '--role', 'viewer').status, 0);
  const token = run(server, 'token', 'create', 'robot', 'monitoring', '--scope', 'viewer', '--days', '1').out.trim();
  assert.match(token, /^mus_/);
  const answer = await fetch(server.url + '/api/v1/incidents', { headers: { Authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200);
  assert.equal((await fetch(server.url + '/api/v1/incidents', { headers: { Authorization: `Bearer ${token}x` } })).status, 401);
});

test('serve refuses a database that is newer', async () => {
  const server = await make({ start: false });
  await server.db.query(`insert into schema_change(name, number, sha256, program) values ('migrations/9999_future.sql', 9999, 'x', 'later')`);
  const refused = run(server, 'serve');
  assert.equal(refused.status, 1);
  assert.match(refused.err, /9999_future/);
});

test('serve keeps its workers running and ends them', async () => {
  const server = await make();
  const pid = server.child.pid;
  const first = await until('the workers', () => childOf(pid, 'work'));
  process.kill(first, 'SIGKILL');
  const second = await until('new workers', () => { const now = childOf(pid, 'work'); return now && now !== first ? now : 0; });
  const { code } = await server.stop();
  assert.equal(code, 0);
  assert.throws(() => process.kill(second, 0), 'the workers ended, too');
  assert.match(readFileSync(server.log, 'utf8'), /serve\.stopped/);
});

test('killed without warning, serve leaves no workers behind', async () => {
  const server = await make();
  const worker = await until('the workers', () => childOf(server.child.pid, 'work'));
  process.kill(server.child.pid, 'SIGKILL');
  await until('the workers to end', () => { try { process.kill(worker, 0); return readFileSync(`/proc/${worker}/stat`, 'utf8').includes(') Z'); } catch { return true; } });
});

test('serve starts without a database, shows the kept status page, and finds the database later', async () => {
  const db = await database();
  const first = await make({ db, work: false });
  await until('the status page on disk', () => existsSync(path.join(first.data, 'status', 'snapshot.json')));
  await first.stop();
  // A name nobody has yet stands for a server that is away: the client refuses it the same way.
  const moved = `${db.name}_away`;
  await db.pool.end();
  execFileSync(`${process.env.MUSTER_TEST_PG_BIN}/psql`, ['-qX', '-d', 'postgres', '-c', `alter database ${db.name} rename to ${moved}`], { env: process.env });
  const second = await make({ db, data: first.data });
  assert.equal((await fetch(second.url + '/status')).status, 200);
  assert.equal((await fetch(second.url + '/readyz')).status, 503);
  assert.equal(childOf(second.child.pid, 'work'), 0);
  execFileSync(`${process.env.MUSTER_TEST_PG_BIN}/psql`, ['-qX', '-d', 'postgres', '-c', `alter database ${moved} rename to ${db.name}`], { env: process.env });
  await until('readiness', async () => (await fetch(second.url + '/readyz')).ok);
  await until('the workers', () => childOf(second.child.pid, 'work'));
  const { code } = await second.stop();
  assert.equal(code, 0);
});

test('two commands at once migrate once', async () => {
  const db = await database();
  const name = `${db.name}_two`;
  const psql = (...args) => execFileSync(`${process.env.MUSTER_TEST_PG_BIN}/psql`, ['-qXAt', ...args], { env: process.env, encoding: 'utf8' });
  psql('-d', 'postgres', '-c', `create database ${name}`);
  const env = { PATH: process.env.PATH, MUSTER_CONF: '/dev/null', MUSTER_DATABASE_URL: `host=${process.env.PGHOST} user=postgres dbname=${name}` };
  const all = await Promise.all([1, 2, 3].map(() => new Promise(resolve => {
    const child = spawn(binary, ['migrate'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let err = '';
    child.stderr.on('data', part => { err += part; });
    child.on('exit', code => resolve({ code, err }));
  })));
  for (const one of all) assert.equal(one.code, 0, one.err);
  assert.equal(all.map(one => (one.err.match(/0001_/g) || []).length).reduce((a, b) => a + b), 1);
  psql('-d', 'postgres', '-c', `drop database ${name}`);
  await db.drop();
});

test('a node whose key is not that of the others says so, and goes on', async () => {
  const first = await make({ work: false }), text = server => readFileSync(server.log, 'utf8');
  const other = await make({ db: first.db, work: false }), same = await make({ db: first.db, data: first.data, work: false });
  assert.doesNotMatch(text(first), /key\.differs/);
  assert.match(text(other), /level=error event=key\.differs .*copy the key of the other nodes/);
  assert.doesNotMatch(text(same), /key\.differs/);
  assert.equal((await fetch(other.url + '/readyz')).status, 200);
});
