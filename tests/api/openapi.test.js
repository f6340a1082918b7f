// The description of the interface, and what machines ask of a web server: health, metrics, headers, well-known files.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { muster, person, bearer, results } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';

const here = path.dirname(fileURLToPath(import.meta.url));
let server, api, browser, document;
before(async () => {
  server = await muster({ asan: true, demo: true, work: false, settings: { MUSTER_SITE_SECURITY_CONTACT: 'security@haidong.example' } });
  const who = await person(server.db, 'olga', ['admin']);
  api = await bearer(server, who);
  browser = await new Browser(server).become(who);
  document = JSON.parse((await request(server, 'GET', '/openapi.json')).text);
});
after(() => server?.close());

test('the description is OpenAPI 3.1.0 and passes the recommended rules', () => {
  assert.equal(document.openapi, '3.1.0');
  const file = path.join(results, 'openapi.json');
  writeFileSync(file, JSON.stringify(document, null, 1));
  const run = spawnSync(process.execPath, [path.join(here, '../node_modules/@redocly/cli/bin/cli.js'), 'lint', '--extends', 'recommended', '--format', 'stylish', file],
    { encoding: 'utf8', env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' } });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.doesNotMatch(run.stdout, /^\s+\d+:\d+\s+warning/m, run.stdout);
});

test('every row of the interface is described, and nothing else', () => {
  const rows = JSON.parse(server.cli(['routes', '--json'])).filter(r => !r.flags.includes('PAGE_ONLY'));
  const described = Object.entries(document.paths).flatMap(([at, verbs]) => Object.entries(verbs).filter(([verb]) => /^(get|post|put|patch|delete)$/.test(verb)).map(([verb, op]) => `${verb.toUpperCase()} ${at} ${op.operationId}`));
  assert.deepEqual(described.sort(), rows.map(r => `${r.method} ${r.path.replace(/:\w+\}/g, '}')} ${r.name}`).sort());
});

test('every reference resolves and every body is a closed schema', () => {
  (function walk(x) {
    if (Array.isArray(x)) return x.forEach(walk);
    if (!x || typeof x !== 'object') return;
    if (typeof x.$ref === 'string') assert.ok(x.$ref.slice(2).split('/').reduce((at, key) => at?.[key.replace(/~1/g, '/').replace(/~0/g, '~')], document), x.$ref);
    Object.values(x).forEach(walk);
  })(document);
  for (const [name, schema] of Object.entries(document.components.schemas)) if (name !== 'Problem') assert.equal(schema.additionalProperties, false, name);
});

test('the documents of every readable row are JSON, with the type, language and validator they should have', async () => {
  for (const [at, verbs] of Object.entries(document.paths)) {
    if (!verbs.get || at.includes('{') || !verbs.get.responses['200'].content['application/json']) continue;
    const answer = await api('GET', at);
    assert.equal(answer.status, 200, `${at}: ${answer.text}`);
    assert.match(answer.headers.get('content-type'), /^application\/json/, at);
    assert.ok(answer.json !== null, at);
    assert.match(answer.headers.get('cache-control') || '', /private|no-store|no-cache/, `${at} is nobody else’s`);
  }
});

test('promtool accepts the metrics', async () => {
  const answer = await request(server, 'GET', '/metrics');
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const out = spawnSync('promtool', ['check', 'metrics'], { input: answer.text, encoding: 'utf8' });
  assert.equal(out.status, 0, out.stdout + out.stderr);
  for (const name of ['muster_http_requests_total', 'muster_incidents_open', 'muster_outbox_pending', 'muster_outbox_dead']) assert.ok(answer.text.includes(name), name);
  const far = await request(server, 'GET', '/metrics', { headers: { 'X-Forwarded-For': '203.0.113.9' } });
  assert.equal(far.status, 403, 'not for strangers behind a proxy');
});

test('health, readiness and version', async () => {
  assert.deepEqual(JSON.parse((await request(server, 'GET', '/healthz')).text), { status: 'ok' });
  assert.deepEqual(JSON.parse((await request(server, 'GET', '/readyz')).text), { status: 'ready', database: true, schema: true });
  const version = JSON.parse((await request(server, 'GET', '/version')).text);
  assert.equal(version.name, 'muster');
  assert.ok(server.cli(['version']).includes(version.version));
});

test('robots, security.txt and change-password are where they are looked for', async () => {
  const robots = await request(server, 'GET', '/robots.txt');
  assert.match(robots.text, /Disallow: \/\n/);
  assert.match(robots.text, /Allow: \/status/);
  const security = await request(server, 'GET', '/.well-known/security.txt');
  assert.equal(security.status, 200, security.text);
  assert.match(security.headers['content-type'], /^text\/plain; charset=utf-8/);
  assert.match(security.text, /^Contact: mailto:security@haidong\.example$/m);
  const expires = /^Expires: (.+)$/m.exec(security.text)[1];
  assert.ok(Date.parse(expires) > Date.now() && Date.parse(expires) < Date.now() + 366 * 86400e3);
  const password = await request(server, 'GET', '/.well-known/change-password');
  assert.ok([302, 303, 307].includes(password.status));
  assert.equal(password.headers.location, '/password');
  const kind = await request(server, 'GET', '/problems/stale');
  assert.equal(kind.status, 200);
});

test('pages carry the headers that keep them to themselves', async () => {
  for (const [target, who] of [['/', browser], ['/incidents', browser], ['/declare', browser], ['/settings', browser], ['/signin', new Browser(server)], ['/status', new Browser(server)], ['/no-such-page', browser]]) {
    const { headers } = await who.get(target), csp = headers['content-security-policy'];
    assert.match(csp, /default-src 'none'/, target);
    assert.doesNotMatch(csp, /unsafe-eval|\*|script-src[^;]*unsafe-inline/, target);
    for (const name of ['base-uri', 'form-action', 'frame-ancestors']) assert.match(csp, new RegExp(name), `${target} ${name}`);
    assert.equal(headers['x-content-type-options'], 'nosniff', target);
    assert.ok(headers['referrer-policy'], target);
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin', target);
    assert.match(headers['permissions-policy'], /camera=\(\)/, target);
    assert.equal(headers.server, undefined, target);
    if (target !== '/status') assert.ok(headers['x-request-id'], target);   // the public page is made once for all who ask
  }
  assert.match((await browser.get('/incidents')).headers['cache-control'], /private|no-store/);
  const api_ = await request(server, 'GET', '/api/v1/incidents', { headers: { Authorization: 'Bearer ' + api.token } });
  assert.match(api_.headers['content-security-policy'], /default-src 'none'/);
  assert.equal(api_.headers['x-content-type-options'], 'nosniff');
});

test('no page asks for anything from another host, and no script stands in a page', async () => {
  for (const target of ['/', '/incidents', '/services', '/people', '/reports', '/playbooks', '/settings', '/status']) {
    const { text } = await browser.get(target);
    assert.doesNotMatch(text, /<script(?![^>]*\bsrc=)/, target);
    assert.doesNotMatch(text, /\son[a-z]+=/, target);
    for (const [, address] of text.matchAll(/\b(?:src|href|action)="([^"]*)"/g))
      assert.ok(/^(\/(?!\/)|#|mailto:|data:|\?|$)/.test(address) || address.startsWith(server.url + '/'), `${target}: ${address}`);
  }
});

test('files of the site are cached for good under names that change with them', async () => {
  const page = await new Browser(server).get('/signin');
  const css = /href="(\/static\/[^"]+\.css)"/.exec(page.text)[1];
  const answer = await request(server, 'GET', css, { headers: { 'Accept-Encoding': 'gzip' } });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['cache-control'], /immutable/);
  assert.equal(answer.headers['content-encoding'], 'gzip');
  assert.match(answer.headers.vary, /Accept-Encoding/);
  const old = await request(server, 'GET', css.replace(/\.[0-9a-f]{12}\./, '.000000000000.'));
  assert.equal(old.status, 200, 'a page kept open over an upgrade still finds its style');
  assert.equal(old.headers['cache-control'], 'no-cache', 'but nothing is kept under a name it has not');
  assert.equal((await request(server, 'GET', '/static/nothing.000000000000.css')).status, 404);
});

test('a page that has not changed is 304, in the same language for the same person', async () => {
  const first = await browser.get('/services'), etag = first.headers.etag;
  assert.ok(etag);
  assert.equal((await browser.get('/services', { 'If-None-Match': etag })).status, 304);
  const zh = new Browser(server, { cookie: browser.cookie, language: 'zh-CN' });
  assert.equal((await zh.get('/services', { 'If-None-Match': etag })).status, 200);
  assert.match(first.headers.vary, /Accept-Language/);
  const json = await api('GET', '/services');
  if (json.headers.get('etag')) assert.equal((await api('GET', '/services', undefined, { 'If-None-Match': json.headers.get('etag') })).status, 304);
});

test('languages: what is asked for, else Chinese; the word in the address wins', async () => {
  const plain = new Browser(server);
  for (const [header, want] of [['en', 'en'], ['zh-CN', 'zh'], ['de, en;q=0.5', 'en'], ['fr', 'zh'], ['en;q=0, zh', 'zh'], ['', 'zh'], ['*', 'zh']]) {
    plain.language = header;
    assert.match((await plain.get('/signin')).headers['content-language'], new RegExp('^' + want), header);
  }
  plain.language = 'en';
  assert.match((await plain.get('/signin?lang=zh')).headers['content-language'], /^zh/);
});

test('the command that prints the manual prints every option', () => {
  const manual = server.cli(['manual']);
  const options = server.cli(['check', 'config']).split('\n').map(line => /^([a-z_]+) =/.exec(line)?.[1]).filter(Boolean);
  assert.ok(options.length > 20, options.join());
  for (const word of options) assert.ok(manual.replace(/\\/g, '').includes(word), word);
  assert.match(execFileSync(process.env.MUSTER, ['help'], { encoding: 'utf8' }), /routes/);
});
