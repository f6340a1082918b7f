// P1–P3, P6–P8, P15, P17: what is read.
import { writeFileSync, mkdirSync, existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import path from 'node:path';
import net from 'node:net';
import * as b from './lib.js';

// Takes turns: [reference, ours] so many times; `ratio` of the two.
export async function turns(ratios, reference, ours, ratio = (r, o) => o / r) {
  for (let round = 0; round < b.options.rounds; round++) {
    const r = await reference(), o = await ours();
    ratios.push({ ratio: ratio(r, o), reference: r, ours: o });
  }
  return ratios;
}

// The status page beside nginx with the same bytes, each on core 0 with wrk on core 1.
async function statusPair() {
  b.base();
  const ours = await b.muster('bench_base', { cpu: 0 });
  const folder = path.join(b.work, 'www');
  mkdirSync(folder, { recursive: true });
  const bytes = async (target, headers = {}) => { const answer = await fetch(ours.url + target, { headers }); if (!answer.ok) throw new Error(target + answer.status); return { body: Buffer.from(await answer.arrayBuffer()) }; };
  await b.until('the status page', async () => (await fetch(ours.url + '/status')).ok);
  const html = await bytes('/status'), json = await bytes('/api/v2/summary.json');
  writeFileSync(path.join(folder, 'status.html'), html.body);
  writeFileSync(path.join(folder, 'status.json'), json.body);
  for (const name of ['status.html', 'status.json']) writeFileSync(path.join(folder, name + '.gz'), gzipSync(name.endsWith('html') ? html.body : json.body, { level: 6 }));
  const theirs = await b.nginx('static', `root ${folder}; gzip_static on; add_header Cache-Control "max-age=5, public";`, { cpu: 0 });
  const stop = async () => { await ours.stop(); await theirs.stop(); };
  return { ours, theirs, html, json, stop };
}

export async function P1(add) {
  const pair = await statusPair();
  try {
    for (const [clients, now] of [[64, 0.75], [256, 0.60]]) {
      await turns(add(`status page HTML (${pair.html.body.length} bytes), ${clients} clients`, 'nginx, the same bytes', now),
        () => b.wrk(pair.theirs.url + '/status.html', { clients, cpu: 1 }), () => b.wrk(pair.ours.url + '/status', { clients, cpu: 1 }));
    }
  } finally { await pair.stop(); }
}

export async function P2(add) {
  const pair = await statusPair(), clients = 64, cpu = 1;
  try {
    await turns(add(`status JSON (${pair.json.body.length} bytes), ${clients} clients`, 'nginx, the same bytes', 0.8),
      () => b.wrk(pair.theirs.url + '/status.json', { clients, cpu }), () => b.wrk(pair.ours.url + '/api/v2/summary.json', { clients, cpu }));
    // The page is made anew now and then, so its tag is asked for before each turn.
    const tagOf = url => /^etag: *(\S+)/im.exec(execFileSync('curl', ['-s', '-o', '/dev/null', '-D', '-', url], { encoding: 'utf8' }))[1];
    const unchanged = async url => {
      const headers = [`If-None-Match: ${tagOf(url)}`];
      const status = execFileSync('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', headers[0], url], { encoding: 'utf8' });
      if (status !== '304') throw new Error(`${status}, not 304, from ${url} with ${headers[0]}`);
      return b.wrk(url, { clients, cpu, headers });
    };
    await turns(add(`304 of the page, ${clients} clients`, 'nginx, likewise', 0.8), () => unchanged(pair.theirs.url + '/status.html'), () => unchanged(pair.ours.url + '/status'));
    const gzip = ['Accept-Encoding: gzip'];
    await turns(add(`page in gzip, ${clients} clients`, 'nginx, gzip_static', 0.8),
      () => b.wrk(pair.theirs.url + '/status.html', { clients, cpu, headers: gzip }), () => b.wrk(pair.ours.url + '/status', { clients, cpu, headers: gzip }));
  } finally { await pair.stop(); }
}

export async function P3(add) {
  const pair = await statusPair();
  try {
    const ratios = add('lowest of 128, 256, 512 clients', 'itself with 100 clients', 0.5);
    const rate = clients => b.wrk(pair.ours.url + '/status', { clients, cpu: 1, seconds: Math.max(2, b.options.seconds / 2) });
    await turns(ratios, () => rate(100), async () => Math.min(await rate(128), await rate(256), await rate(512)));
  } finally { await pair.stop(); }
}

const listUrl = server => server.url + '/api/v1/incidents?limit=50';
const json = server => b.wrk(listUrl(server), { clients: 32, headers: [server.bearer, 'Accept: application/json'] });

export async function P6(add) {
  b.archive('bench_mid', 1e5, 1e5);
  const server = await b.muster('bench_mid');
  try {
    await turns(add('list of 50 incidents as JSON, 10⁵ stored, 32 clients', 'pgbench, the same rows, 8 clients', 0.30),
      async () => b.pgbench('bench_mid', path.join(b.here, 'list.sql'), { clients: 8 }).rate, () => json(server));
  } finally { await server.stop(); }
}

export async function P7(add) {
  b.archive('bench_mid', 1e5, 1e5);
  b.archive('bench_big', 1e6, 1e6);
  const mid = await b.muster('bench_mid'), big = await b.muster('bench_big');
  try { await turns(add('the same with 10⁶ stored', 'itself with 10⁵', 0.9), () => json(mid), () => json(big)); } finally { await mid.stop(); await big.stop(); }
}

export async function P8(add) {
  b.archive('bench_mid', 1e5, 1e5);
  const server = await b.muster('bench_mid');
  try {
    await turns(add('the same list as an HTML page', 'itself as JSON', 0.5),
      () => json(server), () => b.wrk(server.url + '/incidents?limit=50', { clients: 32, headers: [server.cookie, 'Accept: text/html'] }));
  } finally { await server.stop(); }
}

// The slow queries wait for a lock that somebody else holds: they keep a handler and its connection, not a core.
export async function P15(add) {
  b.archive('bench_mid', 1e5, 1e5);
  const server = await b.muster('bench_mid'), holder = await b.connect('bench_mid');
  const page = () => b.wrk(server.url + '/incidents?limit=50', { clients: 8, headers: [server.cookie, 'Accept: text/html'] });
  const slow = async () => {
    await holder.query('begin');
    await holder.query(`select 1 from incident where ref = 'INC-2025-00001' for update`);
    const blocked = b.wrk(server.url + '/api/v1/incidents/INC-2025-00001/notes', { clients: 4, headers: [server.bearer], script: path.join(b.here, 'note.lua'), seconds: b.options.seconds + 2, errorsAllowed: true }).catch(() => 0);
    await b.until('four that wait', async () => (await holder.one(`select count(*)::int n from pg_stat_activity where datname = 'bench_mid' and wait_event_type = 'Lock'`)).n >= 3, 20);
    const rate = await page();
    await holder.query('rollback');
    await blocked;
    return rate;
  };
  try { await turns(add('signed-in page while 4 clients wait in slow queries', 'the same without them', 0.8), page, slow); } finally { await holder.end(); await server.stop(); }
}

// From the start of the program to the first answered request.
function firstAnswer(port, target, begin) {
  return new Promise((resolve, reject) => {
    const end = Date.now() + 30000;
    const once = () => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
      let text = '';
      socket.on('data', chunk => { text += chunk; });
      socket.on('error', () => {});
      socket.on('close', () => (/^HTTP\/1.1 200/.test(text) ? resolve(performance.now() - begin) : Date.now() > end ? reject(new Error('no answer')) : setImmediate(once)));
    };
    once();
  });
}

export async function P17(add) {
  b.base();
  if (!existsSync(path.join(b.work, 'www/status.html'))) { mkdirSync(path.join(b.work, 'www'), { recursive: true }); writeFileSync(path.join(b.work, 'www/status.html'), 'x'.repeat(20000)); }
  const theirs = await b.nginx('start', `root ${path.join(b.work, 'www')};`), port = await b.freePort();
  await theirs.stop();
  const env = b.environment('bench_base', { MUSTER_HTTP_PORT: String(port) });
  const time = async (argv, at, target, more) => {
    const begin = performance.now(), child = b.start(argv, more);
    try { return await firstAnswer(at, target, begin); } finally { await b.stop(child); }
  };
  await turns(add('start to the first answer, database up', 'nginx', 10, 'ms', 'less'),
    () => time(['nginx', '-c', path.join(theirs.folder, 'n.conf'), '-p', theirs.folder], theirs.port, '/status.html', { log: 'nginx.log' }),
    () => time([process.env.MUSTER, 'serve'], port, '/status', { env, log: 'muster.log' }));
}
