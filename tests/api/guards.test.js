// What a hostile or broken client can send at the level of HTTP itself.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import net from 'node:net';
import { muster, person, bearer } from '../lib/muster.js';

let server, api;
before(async () => {
  server = await muster({ asan: true, work: false, settings: { MUSTER_HTTP_DEADLINE: '2s' } });
  api = await bearer(server, await person(server.db, 'guard', ['commander']));
});
after(() => server.close());

// Sends raw bytes and returns everything that comes back until the server closes or `ms` pass.
function raw(bytes, { ms = 3000, drip } = {}) {
  return new Promise(resolve => {
    const socket = net.connect(server.port, '127.0.0.1');
    let text = '', timer, started = Date.now();
    const end = closed => { clearInterval(timer); clearTimeout(limit); socket.destroy(); resolve({ text, closed, ms: Date.now() - started, status: Number((/^HTTP\/1\.[01] (\d+)/.exec(text) || [])[1] || 0) }); };
    const limit = setTimeout(() => end(false), ms);
    socket.on('data', chunk => { text += chunk.toString('latin1'); });
    socket.on('close', () => end(true));
    socket.on('error', () => {});
    if (drip) { let at = 0; timer = setInterval(() => { if (at < bytes.length) socket.write(bytes[at++]); }, drip); }
    else socket.write(bytes);
  });
}
const get = (target, extra = '') => `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${extra}\r\n`;
const post = (headers, body) => `POST /api/v1/incidents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${api.token}\r\nContent-Type: application/json\r\n${headers}\r\n${body}`;

test('Content-Length together with Transfer-Encoding is refused and the connection closed', async () => {
  const answer = await raw(post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
  assert.equal(answer.status, 400);
  assert.equal(answer.text.match(/HTTP\/1\.1/g).length, 1, 'the smuggled request was not answered');
  assert.ok(answer.closed);
});
test('two Content-Length headers are refused', async () => {
  const answer = await raw(post('Content-Length: 2\r\nContent-Length: 40\r\n', '{}'));
  assert.equal(answer.status, 400);
  assert.ok(answer.closed);
});
test('a transfer coding other than chunked is refused', async () => {
  assert.equal((await raw(post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'))).status, 400);
});
for (const target of ['/%00a', '/incidents%2fINC-2026-0001', '/incidents/../healthz', '/incidents/./x', '/incidents/%2e%2e/healthz', '/incidents/%ff', '/incidents/%zz'])
  test(`the path ${target} is refused`, async () => { assert.ok([400, 404].includes((await raw(get(target))).status)); });
test('%00 and %2f are 400, not cut or decoded', async () => {
  assert.equal((await raw(get('/healthz%00x'))).status, 400);
  assert.equal((await raw(get('/healthz%2f'))).status, 400);
});
test('a request without Host is refused', async () => { assert.equal((await raw('GET /healthz HTTP/1.1\r\n\r\n')).status, 400); });
test('an unknown method is answered, not crashed on', async () => {
  assert.ok([400, 405, 501].includes((await raw(get('/healthz').replace('GET', 'BREW'))).status));
  assert.ok((await fetch(server.url + '/healthz')).ok);
});
test('405 names what is allowed', async () => {
  const answer = await fetch(server.url + '/healthz', { method: 'DELETE' });
  assert.equal(answer.status, 405);
  assert.match(answer.headers.get('allow'), /GET/);
});
test('HEAD answers wherever GET does, without a body', async () => {
  const answer = await fetch(server.url + '/healthz', { method: 'HEAD' });
  assert.equal(answer.status, 200);
  assert.equal(await answer.text(), '');
});
test('six kilobytes of header lines are read, twice as many refused', async () => {
  const lines = bytes => Array.from({ length: 20 }, (_, n) => `X-Line-${n}: ${'a'.repeat(bytes / 20)}\r\n`).join('');
  assert.equal((await raw(get('/healthz', lines(6000)))).status, 200);
  assert.equal((await raw(get('/healthz', lines(12000)))).status, 431);
});
test('a trace of the caller is given back as it came, a broken one is not', async () => {
  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  assert.match((await raw(get('/healthz', `traceparent: ${trace}\r\n`))).text, new RegExp(`traceparent: ${trace}\r\n`, 'i'));
  for (const bad of [trace.toUpperCase(), trace.slice(1), 'ff' + trace.slice(2), trace.replace(/4bf9\w+/, '0'.repeat(32)), trace + '-x'])
    assert.doesNotMatch((await raw(get('/healthz', `traceparent: ${bad}\r\n`))).text, /traceparent/i, bad);
});
test('slow headers are cut at the deadline', async () => {
  const answer = await raw(get('/healthz', 'X-Slow: ' + 'a'.repeat(200) + '\r\n'), { drip: 100, ms: 8000 });
  assert.ok(answer.closed && answer.ms < 6000, `closed after ${answer.ms} ms`);
});
test('a slow body is cut at the deadline', async () => {
  const answer = await raw(post('Content-Length: 500\r\n', '{' + ' '.repeat(499)), { drip: 50, ms: 9000 });
  assert.ok(answer.closed && answer.ms < 7000, `closed after ${answer.ms} ms`);
});
test('a body announced as too large is refused at once', async () => {
  const answer = await raw(post('Content-Length: 99999999\r\n', ''));
  assert.equal(answer.status, 413);
});
test('a chunked body that grows too large is refused at its end', async () => {
  const chunk = '10000\r\n' + 'a'.repeat(65536) + '\r\n';
  const answer = await raw(post('Transfer-Encoding: chunked\r\nConnection: close\r\n', chunk.repeat(20) + '0\r\n\r\n'), { ms: 6000 });
  assert.equal(answer.status, 413);
});
const bodies = {
  'malformed': ['{"title":', 400], 'a byte order mark': ['\ufeff{"title":"x"}', 400], 'a duplicate key': ['{"title":"a","title":"b"}', 400],
  'a bare array': ['[]', [400, 422]], 'deep nesting': ['{"title":' + '['.repeat(100000) + ']'.repeat(100000) + '}', 400],
  'a wrong type': ['{"title":7}', 422], 'an unknown field': ['{"title":"x","colour":"red"}', 422], 'a missing title': ['{}', 422],
  'a control character': ['{"title":"a\\u0007b"}', 422], 'a NUL': ['{"title":"a\\u0000b"}', [400, 422]], 'CR LF in a title': ['{"title":"a\\r\\nBcc: x@example.com"}', 422],
  'a lone surrogate': ['{"title":"\\ud800"}', 400], 'a huge number': ['{"title":"x","severity":1e999}', [400, 422]],
};
for (const [what, [body, want]] of Object.entries(bodies))
  test(`JSON with ${what} is a clear problem, and nothing is stored`, async () => {
    const before_ = (await server.db.one('select count(*)::int n from incident')).n;
    const answer = await api('POST', '/incidents', body);
    assert.ok([].concat(want).includes(answer.status), `${answer.status} ${answer.text}`);
    assert.match(answer.headers.get('content-type'), /application\/problem\+json/);
    assert.ok(answer.json.code && answer.json.title && answer.json.instance, answer.text);
    if (answer.status === 422) assert.ok(answer.json.errors.length >= 1 && answer.json.errors.every(e => typeof e.pointer === 'string' && e.detail), answer.text);
    assert.equal((await server.db.one('select count(*)::int n from incident')).n, before_);
  });
test('every bad field is reported at once, by pointer', async () => {
  const answer = await api('POST', '/incidents', { title: '', severity: 'X', colour: 1 });
  const pointers = answer.json.errors.map(e => e.pointer).sort();
  assert.deepEqual(pointers, ['/colour', '/severity', '/title']);
});
test('the problem speaks the caller’s language and keeps its code', async () => {
  const zh = await api('POST', '/incidents', {}, { 'Accept-Language': 'zh-CN' }), en = await api('POST', '/incidents', {});
  assert.equal(zh.json.code, en.json.code);
  assert.match(zh.json.errors[0].detail, /[一-鿿]/);
  assert.doesNotMatch(en.json.errors[0].detail, /[一-鿿]/);
  assert.equal(zh.headers.get('content-language').slice(0, 2), 'zh');
});
test('a body of another media type is 415', async () => {
  assert.equal((await api('POST', '/incidents', 'title=x', { 'Content-Type': 'application/x-www-form-urlencoded' })).status, 415);
});
test('still well after all that', async () => { assert.ok((await fetch(server.url + '/healthz')).ok); });
