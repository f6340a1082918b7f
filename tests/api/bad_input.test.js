// What people and broken programs type into forms: refused beside its field in their language, with everything typed still there.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser, multipart, request } from '../lib/browser.js';

let server, en, zh, api, ref;
before(async () => {
  server = await muster({ asan: true, demo: true, work: false });
  const who = await person(server.db, 'bea.bad', ['commander', 'risk', 'admin'], { email: 'bea@haidong.example' });
  en = await new Browser(server).become(who);
  zh = new Browser(server, { cookie: en.cookie, language: 'zh' });
  zh.csrf = en.csrf;
  api = await bearer(server, who);
  const made = await api('POST', '/incidents', { title: 'Something', services: ['mobile-banking'], playbook: 'none' });
  assert.equal(made.status, 201, made.text);
  ref = made.json.ref;
});
after(() => server?.close());

const incidents = async () => (await server.db.one('select count(*)::int n from incident')).n;
const raw = (target, body, headers = {}) => request(server, 'POST', target, { headers: en.headers({ Origin: server.url, 'Content-Type': 'application/x-www-form-urlencoded', ...headers }), body });

for (const [what, value] of [['a line break', 'Mail\r\nBcc: x@example.com'], ['a bell', 'a\u0007b'], ['an override of direction', 'abc\u202Ecba'], ['nothing', ''], ['only blanks', '   '], ['too much', 'x'.repeat(201)]])
  test(`a title with ${what}: refused beside the field, in both languages, and nothing typed is lost`, async () => {
    const before_ = await incidents();
    const fields = { title: value, kind: 'drill', severity: 'II', services: ['mobile-banking', 'card-payment'], summary: 'What we know <b>so far</b> & more', impact: 'partial', playbook: 'none' };
    const answers = [];
    for (const browser of [en, zh]) {
      const answer = await browser.post('/incidents', fields);
      assert.equal(answer.status, 422, answer.text.slice(0, 300));
      const { text } = answer;
      assert.match(text, /id="e-title"/, 'beside its field');
      assert.match(text, /aria-describedby="[^"]*e-title/, 'and tied to it');
      assert.match(text, /data-testid="errors"/, 'and at the top');
      assert.ok(text.includes('What we know &lt;b&gt;so far&lt;/b&gt; &amp; more'), 'the summary is still there');
      for (const service of ['mobile-banking', 'card-payment']) assert.match(text, new RegExp(`value="${service}"[^>]*checked`), service);
      assert.match(text, /value="II"[^>]*(checked|selected)/);
      assert.match(text, /value="drill"[^>]*(checked|selected)/);
      assert.ok(!text.includes('error.field') && !text.includes('error.required'), 'words, not keys');
      answers.push(/id="e-title">([^<]*)</.exec(text)[1]);
    }
    assert.match(answers[1], /[\u4e00-\u9fff]/);
    assert.doesNotMatch(answers[0], /[\u4e00-\u9fff]/);
    assert.equal(await incidents(), before_);
  });

test('invalid UTF-8, %00 and broken escapes in a form are refused as a whole', async () => {
  const before_ = await incidents();
  for (const body of ['title=%ff%fe', 'title=a%00b', 'title=%zz', 'title=%c0%af', 'title=%ed%a0%80', 'title=%f5%80%80%80', '%ff=x', 'title=\xff']) {
    const answer = await raw('/incidents', Buffer.from(`_csrf=${en.csrf}&${body}`, 'latin1'));
    assert.ok([400, 403, 422].includes(answer.status), `${body}: ${answer.status}`);
  }
  for (const target of ['/incidents?q=%ff', '/incidents?q=%00', '/search?q=%zz']) assert.ok([400, 422].includes((await en.get(target)).status), target);
  assert.equal(await incidents(), before_);
});

test('texts of every script come back as they were typed', async () => {
  const title = '手机银行 Müller Имя עברית ١٢٣ 𠮷野家 e\u0301 “q” \' " < > &', name = { zh: '李 Müller-Имя', en: 'Łukasz O’Neil 🙂' };
  const made = await api('POST', '/incidents', { title, kind: 'drill', playbook: 'none' });
  assert.equal(made.status, 201, made.text);
  assert.equal((await api('GET', `/incidents/${made.json.ref}`)).json.title, title);
  const page = await en.get(`/incidents/${made.json.ref}`);
  assert.ok(page.text.includes('𠮷野家') && page.text.includes('&lt; &gt; &amp;'));
  const someone = await api('POST', '/people', { name });
  assert.equal(someone.status, 201, someone.text);
  assert.deepEqual((await api('GET', '/people/' + someone.headers.get('location').split('/').pop())).json.name, name);
});

test('addresses that are none, or would be two, are refused', async () => {
  const me = (await api('GET', '/me')).json.id;
  for (const email of ['a@example.com\r\nBcc: b@example.com', 'a@example.com,b@example.com', 'a b@example.com', 'a@', '@example.com', 'a@exa mple.com', '<a@example.com>', 'a@example.com\u0000', 'x'.repeat(250) + '@example.com', 'a\u202E@example.com']) {
    const answer = await api('POST', `/people/${me}/contacts`, { email });
    assert.ok([400, 422].includes(answer.status), `${JSON.stringify(email)}: ${answer.status} ${answer.text}`);
    const page = await en.post(`/people/${me}/contacts`, { email });
    assert.ok([400, 422].includes(page.status), `${JSON.stringify(email)}: ${page.status}`);
    if (page.status === 422) assert.match(page.text, /id="e-email"/);
  }
  for (const address of ['javascript:alert(1)', 'ftp://example.com/', 'https://', 'https://user:pw@example.com/', 'https://example.com/\r\nX: y', '//example.com/']) {
    const answer = await api('POST', '/endpoints', { slug: 'bad-hook', kind: 'webhook', name: 'x', address });
    assert.ok([400, 422].includes(answer.status), `${address}: ${answer.status} ${answer.text}`);
  }
});

test('a name is one line, wherever one is given; running text may have several', async () => {
  for (const name of ['a\nb', 'a\r\nBcc: x@example.com', { zh: '甲', en: 'a\nb' }, { zh: 'a\tb', en: 'x' }])
    for (const [target, body] of [['/people', {}], ['/services', { slug: 'one-line', kind: 'system' }], ['/components', { slug: 'one-line' }], ['/teams', { slug: 'one-line' }], ['/endpoints', { slug: 'one-line', kind: 'webhook', address: 'https://x.example/' }]]) {
      const answer = await api('POST', target, { ...body, name });
      assert.equal(answer.status, 422, `${target} ${JSON.stringify(name)}: ${answer.status} ${answer.text}`);
      assert.match(answer.json.errors[0].pointer, /^\/name/, answer.text);
    }
  assert.equal((await api('POST', '/services', { slug: 'several-lines', kind: 'system', name: 'Lines', description: 'one\r\ntwo' })).status, 201);
  assert.equal((await api('GET', '/services/several-lines')).json.description.en, 'one\ntwo');
});

test('forms of every kind keep what was typed', async () => {
  for (const [target, fields, keep, bad] of [
    ['/services', { slug: 'Not A Slug', kind: 'app', 'name.zh': '保留', 'name.en': 'Kept name', importance: 'vital', rto: 'soon', app_kind: 'native', app_platforms: ['ios', 'harmonyos'] }, ['Not A Slug', '保留', 'Kept name', 'soon'], ['slug', 'rto']],
    ['/people', { login: 'No Login', 'name.zh': '甲', 'name.en': 'Kept', email: 'not-an-address', roles: ['viewer', 'risk'] }, ['No Login', 'Kept', 'not-an-address'], ['email']],
    ['/people', { login: 'No Login', 'name.zh': '甲', 'name.en': 'Kept' }, ['No Login', 'Kept'], ['login']],
    ['/components', { slug: 'x y', 'name.zh': '乙', 'name.en': 'Kept comp' }, ['x y', 'Kept comp'], ['slug']],
    ['/endpoints', { slug: '9', kind: 'webhook', 'name.zh': '丙', address: 'nowhere', events: 'kept.event' }, ['nowhere', 'kept.event'], []],
    ['/teams', { slug: 'A B', 'name.zh': '丁', 'name.en': 'Kept team' }, ['A B', 'Kept team'], ['slug']],
    [`/incidents/${ref}/notes`, { text: 'kept words', at: 'yesterday noon' }, ['kept words', 'yesterday noon'], ['at']],
    [`/incidents/${ref}/services`, { service: 'mobile-banking', impact: 'broken' }, [], []],
    ['/tokens', { name: 'Kept token', scopes: ['viewer'], days: '0' }, ['Kept token'], ['days']],
  ])
    for (const browser of [en, zh]) {
      const answer = await browser.post(target, fields);
      assert.equal(answer.status, 422, `${target}: ${answer.status} ${answer.text.slice(0, 200)}`);
      for (const word of keep) assert.ok(answer.text.includes(word), `${target} keeps ${word}`);
      for (const field of bad) assert.match(answer.text, new RegExp(`id="e-${field}"`), `${target} says it beside ${field}`);
      assert.doesNotMatch(answer.text, /\berror\.[a-z_]+\.?[a-z_]*\b/, `${target}: words, not keys`);
    }
});

test('somebody else was faster: 412, with the words of both', async () => {
  const page = await en.get('/services/atm/edit');
  const etag = /name="_etag" value="([^"]*)"/.exec(page.text)[1].replace(/&quot;/g, '"');
  const fields = { kind: 'system', 'name.zh': '自助设备', 'name.en': 'ATM mine', _method: 'PUT' };
  assert.equal((await en.post('/services/atm', { ...fields, _etag: etag, 'name.en': 'ATM theirs' })).status, 303);
  const stale = await en.post('/services/atm', { ...fields, _etag: etag });
  assert.equal(stale.status, 412);
  assert.ok(stale.text.includes('ATM mine'), 'what was typed is still there');
  const now = /name="_etag" value="([^"]*)"/.exec(stale.text)[1];
  assert.notEqual(now, etag, 'and can be sent again, knowingly');
  assert.equal((await en.post('/services/atm', { ...fields, _etag: now })).status, 303);
  assert.equal((await en.post('/services/atm', fields)).status, 428);
  const json = await api('PUT', '/services/atm', { kind: 'system', name: 'x' }, { 'If-Match': '"0"' });
  assert.equal(json.status, 412);
  assert.equal(json.headers.get('content-type'), 'application/problem+json');
});

test('the same form sent twice is one incident; the same key with other words is refused', async () => {
  const page = await en.get('/declare'), key = /name="_key" value="([^"]+)"/.exec(page.text)[1], before_ = await incidents();
  const fields = { title: 'Sent twice', kind: 'drill', playbook: 'none', _key: key };
  const [first, second] = await Promise.all([en.post('/incidents', fields), en.post('/incidents', fields)]);
  assert.deepEqual([first.status, second.status], [303, 303], first.text.slice(0, 200) + second.text.slice(0, 200));
  assert.equal(first.headers.location, second.headers.location);
  assert.equal(await incidents(), before_ + 1);
  const other = await en.post('/incidents', { ...fields, title: 'Other words' });
  assert.equal(other.status, 422);
  assert.ok(other.text.includes('Other words'), 'still there');
  const stranger = await bearer(server, await person(server.db, 'stan', ['commander']));
  const own = `"${randomUUID()}"`;
  assert.equal((await api('POST', '/incidents', { title: 'k1', kind: 'drill', playbook: 'none' }, { 'Idempotency-Key': own })).status, 201);
  const foreign = await stranger('POST', '/incidents', { title: 'k2', kind: 'drill', playbook: 'none' }, { 'Idempotency-Key': own });
  assert.equal(foreign.status, 201, 'a key belongs to its caller');
  const where = await api('POST', `/incidents/${ref}/notes`, { text: 'n' }, { 'Idempotency-Key': own });
  assert.equal(where.status, 422, 'and to its address');
  assert.equal((await api('POST', '/incidents', { title: 'x', kind: 'drill' }, { 'Idempotency-Key': 'x'.repeat(300) })).status, 400);
});

test('bad words in an address: numbers, cursors, choices', async () => {
  for (const [target, want] of [['/incidents?limit=0', [422]], ['/incidents?limit=abc', [422]], ['/incidents?limit=99999999999999999999', [422]], ['/incidents?cursor=nonsense', [400]], ['/incidents?state=gone', [422]],
    ['/incidents?severity=V', [422]], ['/services?kind=planet', [422]], ['/people?role=king', [422]], ['/audit?limit=201', [422]], ['/deliveries?cursor=AAAA', [400]], ['/incidents?q=' + 'x'.repeat(101), [422]]]) {
    const answer = await api('GET', target);
    assert.ok(want.includes(answer.status), `${target}: ${answer.status} ${answer.text}`);
    assert.ok(answer.json.errors[0].pointer.length > 1 && answer.json.errors[0].detail, answer.text);
    const page = await en.get(target);
    assert.ok(want.includes(page.status), `${target}: ${page.status}`);
  }
  const first = await api('GET', '/incidents?limit=1');
  const next = /<[^>]*[?&]cursor=([^>&]+)[^>]*>; rel="next"/.exec(first.headers.get('link') || '')?.[1] ?? first.json.next;
  if (next) {
    assert.equal((await api('GET', `/incidents?limit=1&cursor=${next}`)).status, 200);
    assert.equal((await api('GET', `/people?limit=1&cursor=${next}`)).status, 400, 'a cursor belongs to its list');
    assert.equal((await api('GET', `/incidents?limit=1&cursor=${next.slice(0, -2)}xx`)).status, 400, 'and cannot be made up');
  }
  assert.equal((await en.get('/incidents?utm_source=mail&fbclid=1')).status, 200, 'pages forgive what portals append');
  assert.equal((await api('GET', '/incidents?colour=red')).status, 422, 'the interface does not');
});

test('unknown names in a body are named', async () => {
  const answer = await api('POST', `/incidents/${ref}/notes`, { text: 'x', colour: 1, __proto__x: {} });
  assert.equal(answer.status, 422);
  assert.deepEqual(answer.json.errors.map(e => e.pointer).sort(), ['/__proto__x', '/colour']);
  const pairs = await raw(`/incidents/${ref}/notes`, `_csrf=${en.csrf}&text=a&text=b`);
  assert.ok([303, 422].includes(pairs.status), String(pairs.status));
});

test('files: broken parts, wrong kinds and too many bytes are clear refusals', async () => {
  const part = multipart({ _csrf: en.csrf, file: { name: 'a.txt', bytes: 'hello', type: 'text/plain' } }), target = `/incidents/${ref}/attachments`;
  const send = (type, body) => request(server, 'POST', target, { headers: en.headers({ Origin: server.url, 'Content-Type': type }), body });
  assert.equal((await send(part.type, part.body)).status, 303);
  for (const [type, body] of [['multipart/form-data', part.body], [part.type, part.body.subarray(0, part.body.length - 20)], ['multipart/form-data; boundary=other', part.body], ['text/plain', 'x'], ['application/json', '{}']]) {
    const answer = await send(type, body);
    assert.ok([400, 403, 415, 422].includes(answer.status), `${type}: ${answer.status}`);
  }
  const evil = multipart({ _csrf: en.csrf, file: { name: '../../etc/pass"wd\u0007.html', bytes: '<script>alert(1)</script>', type: 'text/html' } });
  const answer = await send(evil.type, evil.body);
  assert.ok([303, 400, 422].includes(answer.status), String(answer.status));
  const kept = await server.db.query(`select a.id, a.name, a.media from attachment a join incident i on i.id = a.incident_id where i.ref = $1`, [ref]);
  for (const file of kept) {
    assert.doesNotMatch(file.name, /[/\\\u0000-\u001f]/);
    const got = await en.get(`/attachments/${file.id}`);
    assert.equal(got.status, 200);
    assert.match(got.headers['content-disposition'], /^attachment/);
    assert.equal(got.headers['x-content-type-options'], 'nosniff');
    assert.match(got.headers['content-security-policy'], /sandbox/);
  }
});

test('refusals that are no field: the state of things is said, not a code', async () => {
  const etag = async () => (await api('GET', `/incidents/${ref}`)).headers.get('etag');
  const closed = await api('POST', `/incidents/${ref}/state`, { state: 'closed' }, { 'If-Match': await etag() });
  assert.ok([409, 422].includes(closed.status), closed.text);
  assert.ok(closed.json.detail.length > 10 && !closed.json.detail.includes('error.'), closed.text);
  for (const body of [{ role: 'comms', person: 'no.such' }, { role: 'comms', person: randomUUID() }]) {
    const answer = await api('POST', `/incidents/${ref}/roles`, body);
    assert.equal(answer.status, 422, answer.text);
    assert.equal(answer.json.errors[0].pointer, '/person');
  }
  const service = await api('POST', `/incidents/${ref}/services`, { service: 'no-such' });
  assert.equal(service.status, 422, service.text);
  assert.equal(service.json.errors[0].pointer, '/service');
  const future = await api('POST', `/incidents/${ref}/notes`, { text: 'x', at: new Date(Date.now() + 86400e3).toISOString() });
  assert.equal(future.status, 422, future.text);
  assert.equal(future.json.errors[0].pointer, '/at');
});

test('nothing of all this was a server error', async () => {
  const metrics = (await request(server, 'GET', '/metrics')).text;
  for (const [, count] of metrics.matchAll(/^muster_http_requests_total\{[^}]*="5(?:xx|\d\d)"[^}]*\} (\d+)/gm)) assert.equal(Number(count), 0);
  await until('the server to be well', async () => (await request(server, 'GET', '/readyz')).status === 200);
});
