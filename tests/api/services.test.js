// The register of services, and tables going in and out of it: checked whole, reported by row, stored whole or not at all.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { muster, person, bearer } from '../lib/muster.js';
import { Browser, multipart, request } from '../lib/browser.js';

let server, risk, browser, who;
before(async () => {
  server = await muster({ asan: true, work: false, settings: { MUSTER_HTTP_DEADLINE: '120s' } });
  who = await person(server.db, 'rita.risk', ['risk']);
  await person(server.db, 'otto.owner', ['responder']);
  risk = await bearer(server, who);
  browser = await new Browser(server).become(who);
});
after(() => server?.close());

const count = async () => (await server.db.one('select count(*)::int n from service')).n;
const check = (bytes, name = 'table.csv') => {
  const part = multipart({ _csrf: browser.csrf, table: { name, bytes, type: 'text/csv' } });
  return request(server, 'POST', '/services/import', { headers: browser.headers({ Origin: server.url, 'Content-Type': part.type }), body: part.body });
};
const checkText = text => risk('POST', '/services/import', { text });
const confirm = id => risk('POST', `/service-imports/${id}`);

test('a service is made, read, replaced and retired', async () => {
  const made = await risk('POST', '/services', { slug: 'cards', kind: 'business', name: { zh: '银行卡', en: 'Cards' }, rto: '4h', owner: 'otto.owner', importance: 'vital' });
  assert.equal(made.status, 201, made.text);
  const read = await risk('GET', '/services/cards');
  assert.deepEqual(read.json.name, { zh: '银行卡', en: 'Cards' });
  assert.equal(read.json.rto_seconds ?? read.json.rto, read.json.rto_seconds ? 14400 : '4h');
  const etag = read.headers.get('etag');
  assert.equal((await risk('PUT', '/services/cards', { kind: 'business', name: 'Cards 2' })).status, 428);
  const put = await risk('PUT', '/services/cards', { kind: 'business', name: 'Cards 2' }, { 'If-Match': etag });
  assert.ok(put.status < 300, put.text);
  const stale = await risk('PUT', '/services/cards', { kind: 'business', name: 'Cards 3' }, { 'If-Match': etag });
  assert.equal(stale.status, 412);
  assert.equal((await risk('POST', '/services', { slug: 'cards', kind: 'business', name: 'again' })).status, 409);
  assert.ok((await risk('POST', '/services/cards/retired', { retired: true })).status < 300);
  assert.ok(!(await risk('GET', '/services')).text.includes('"cards"'));
  assert.ok((await risk('POST', '/services/cards/retired', { retired: false })).status < 300);
});

test('every bad field of a service is named at once', async () => {
  const answer = await risk('POST', '/services', { slug: 'Bad Slug', kind: 'planet', name: '', rto: 'soon', colour: 1 });
  assert.equal(answer.status, 422);
  assert.deepEqual(answer.json.errors.map(e => e.pointer).sort(), ['/colour', '/kind', '/name', '/rto', '/slug']);
  const unknown = await risk('POST', '/services', { slug: 'x1', kind: 'business', name: 'x', owner: 'nobody.here' });
  assert.equal(unknown.status, 422);
  assert.equal(unknown.json.errors[0].pointer, '/owner');
});

test('a table with a byte order mark, quotes, Chinese headings and values is understood; nothing is stored before the yes', async () => {
  const before_ = await count();
  const table = '\ufeff编号,类型,名称,英文名称,说明,重要性,恢复时间目标,负责人\r\n' +
    'e-banking,业务,"网上银行, 含""快捷""支付",Online banking,"第一行\n第二行",关键,30m,otto.owner\r\nvault,系统,金库,Vault,,一般,,\r\n';
  const answer = await check(table);
  assert.equal(answer.status, 303, answer.text);
  assert.equal(await count(), before_, 'checked, not stored');
  const page = await browser.get(answer.headers.location);
  assert.match(page.text, /data-testid="import-ok"/);
  const id = answer.headers.location.split('/').pop();
  assert.ok((await confirm(id)).status < 300);
  assert.equal(await count(), before_ + 2);
  const kept = await server.db.one(`select s.*, p.login from service s left join person p on p.id = s.owner_id where slug = 'e-banking'`);
  assert.equal(kept.name.zh, '网上银行, 含"快捷"支付');
  assert.equal(kept.description.zh, '第一行\n第二行');
  assert.deepEqual([kept.kind, kept.importance, kept.rto_seconds, kept.login], ['business', 'vital', 1800, 'otto.owner']);
  assert.ok((await confirm(id)).status < 300, 'a second yes changes nothing');
  assert.equal(await count(), before_ + 2);
});

test('GB 18030, semicolons and tabs are understood as well', async () => {
  const gb = execFileSync('iconv', ['-f', 'UTF-8', '-t', 'GB18030'], { input: '编号,类型,名称\nlegacy,系统,旧系统\n' });
  const answer = await check(gb);
  assert.equal(answer.status, 303, answer.text);
  assert.match((await browser.get(answer.headers.location)).text, /旧系统/);
  for (const sign of [';', '\t']) {
    const text = await checkText(['slug', 'kind', 'name_en'].join(sign) + '\n' + ['semi', 'system', 'Semi'].join(sign) + '\n');
    assert.equal(text.status, 201, text.text);
    assert.equal(text.json.new, 1);
  }
});

for (const [what, table, pattern] of [
  ['an unknown column', 'slug,kind,name_en,colour\na,system,A,red\n', /colour/],
  ['a doubled column', 'slug,kind,name_en,slug\na,system,A,b\n', /slug/],
  ['a doubled column under two names', '编号,slug,kind,name_en\na,b,system,A\n', /slug/],
  ['no slug column', 'kind,name_en\nsystem,A\n', /slug|编号/],
  ['no rows', 'slug,kind,name_en\n', /row/],
  ['nothing', '', /table|file/i],
  ['an unclosed quote', 'slug,kind,name_en\na,system,"A\nb,system,B\n', /./],
  ['a NUL', 'slug,kind,name_en\na,system,A\u0000B\n', /./],
])
  test(`a table with ${what} is refused as a whole, with a reason`, async () => {
    const before_ = await count(), answer = await checkText(table);
    assert.ok([400, 422].includes(answer.status), `${answer.status} ${answer.text}`);
    assert.match(answer.json.detail, pattern);
    assert.ok(answer.json.errors.length >= 1 && answer.json.errors[0].detail, answer.text);
    assert.equal(await count(), before_);
    if (!table.includes('\u0000') && table) {
      const page = await check(table);
      assert.equal(page.status, answer.status, page.text.slice(0, 400));
      assert.match(page.text, /id="e-table"/, 'beside the field');
    }
  });

test('bad rows are reported by line and column, and then none is stored', async () => {
  const before_ = await count();
  const table = ['slug,kind,name_en,importance,rto,owner,important_system,app_platforms',
    'good-one,system,Good,,,,,',               // 2
    'Bad Slug,system,A,,,,,',                  // 3
    'unknown-kind,planet,B,,,,,',              // 4
    'no-name,system,,,,,,',                    // 5
    'bad-weight,system,C,huge,,,,',            // 6
    'bad-rto,system,D,,soon,,,',               // 7
    'bad-owner,system,E,,,nobody,,',           // 8
    'bad-flag,system,F,,,,maybe,',             // 9
    'twice,system,G,,,,,', 'twice,system,H,,,,,',  // 10, 11
    'not-app,system,I,,,,,ios',                // 12
    'bad-platform,app,J,,,,,toaster',          // 13
    'new,system,K,,,,,',                       // 14: the name of a page
  ].join('\n');
  const answer = await checkText(table);
  assert.equal(answer.status, 201, answer.text);
  const got = answer.json.faults_shown.map(f => `${f.line} ${f.column}`).sort();
  assert.deepEqual(got, ['10 slug', '11 slug', '12 app_kind', '13 app_platforms', '14 slug', '3 slug', '4 kind', '5 name_zh', '6 importance', '7 rto', '8 owner', '9 important_system'].sort());
  assert.equal(answer.json.wrong, true);
  const yes = await confirm(answer.json.id);
  assert.equal(yes.status, 409, yes.text);
  assert.equal(await count(), before_);
  const page = await browser.get(`/service-imports/${answer.json.id}`);
  assert.match(page.text, /data-testid="import-faults"/);
  assert.doesNotMatch(page.text, /error\.(field|import)\./, 'words, not keys');
});

test('control characters and line breaks do not come in through a table', async () => {
  const answer = await checkText('slug,kind,name_en\ncrlf,system,"A\r\nBcc: x@example.com"\nbell,system,A\u0007B\nbidi,system,A\u202eB\n');
  assert.equal(answer.status, 422, 'pasted text is checked as a field');
  const file = await check('slug,kind,name_en,description_en,department_en\ncrlf,system,"A\r\nBcc: x@example.com",,\nbell,system,A\u0007B,,\nbidi,system,A\u202eB,,\n' +
    'lines,system,Fine,"one\ntwo",\nesc,system,Fine,a\u001bb,\ndep,system,Fine,,"a\nb"\n');
  const seen = await risk('GET', '/service-imports/' + file.headers.location.split('/').pop());
  assert.deepEqual(seen.json.faults_shown.map(f => `${f.slug} ${f.column}`), ['crlf name_en', 'bell name_en', 'bidi name_en', 'esc description_en', 'dep department_en']);
});

test('what would be a change is told apart from what is new and what is the same', async () => {
  await checkText('slug,kind,name_en\nalpha,system,Alpha\nbeta,system,Beta\n').then(a => confirm(a.json.id));
  const answer = await checkText('slug,kind,name_en\nalpha,system,Alpha\nbeta,system,Beta 2\ngamma,system,Gamma\n');
  assert.deepEqual([answer.json.new, answer.json.change, answer.json.same], [1, 1, 1]);
  assert.ok((await confirm(answer.json.id)).status < 300);
  assert.equal((await server.db.one(`select name ->> 'en' n from service where slug = 'beta'`)).n, 'Beta 2');
});

test('a table that went bad between check and yes is refused whole', async () => {
  const answer = await checkText('slug,kind,name_en,owner\ndelta,system,Delta,otto.owner\nepsilon,system,Epsilon,\n');
  await server.db.query(`update person set active = false where login = 'otto.owner'`);
  assert.equal((await confirm(answer.json.id)).status, 409);
  assert.equal((await server.db.one(`select count(*)::int n from service where slug in ('delta','epsilon')`)).n, 0);
  await server.db.query(`update person set active = true where login = 'otto.owner'`);
});

test('somebody else’s checked table is not there', async () => {
  const answer = await checkText('slug,kind,name_en\nzeta,system,Zeta\n');
  const other = await bearer(server, await person(server.db, 'rolf.risk', ['risk']));
  assert.equal((await other('GET', `/service-imports/${answer.json.id}`)).status, 404);
  assert.equal((await other('POST', `/service-imports/${answer.json.id}`)).status, 404);
});

test('what goes out comes in again unchanged, and no cell is a formula', async () => {
  await risk('POST', '/services', { slug: 'formula', kind: 'system', name: '=cmd|x', description: '+1,2 "q"\nline' });
  const out = await risk('GET', '/services/export.csv');
  assert.equal(out.status, 200);
  assert.match(out.headers.get('content-type'), /^text\/csv/);
  assert.match(out.headers.get('content-disposition'), /attachment/);
  const bytes = Buffer.from(out.text);
  assert.doesNotMatch(out.text, /(^|,|\n)"?[=+@]/);
  const back = await check(bytes[0] === 0xef ? bytes : Buffer.concat([Buffer.from('\ufeff'), bytes]));
  assert.equal(back.status, 303, back.text);
  const seen = await risk('GET', '/service-imports/' + back.headers.location.split('/').pop());
  assert.equal(seen.json.bad, 0, JSON.stringify(seen.json.faults_shown));
  assert.equal(seen.json.new, 0);
  assert.ok(seen.json.change <= 1, 'only the formula, if anything');
});

test('a hundred thousand rows are checked and stored in one go', async () => {
  const lines = ['slug,kind,name_zh,name_en,importance,rto'];
  for (let i = 0; i < 100000; i++) lines.push(`bulk-${i},system,系统 ${i},System ${i},normal,4h`);
  const before_ = await count(), table = lines.join('\n') + '\n';
  const answer = await check(table);
  assert.equal(answer.status, 303, answer.text.slice(0, 500));
  const id = answer.headers.location.split('/').pop();
  const seen = await risk('GET', `/service-imports/${id}`);
  assert.equal(seen.json.rows, 100000);
  assert.equal(seen.json.new, 100000);
  assert.ok(seen.text.length < 100000, 'the report is bounded');
  assert.equal(await count(), before_);
  const yes = await confirm(id);
  assert.ok(yes.status < 300, yes.text);
  assert.equal(await count(), before_ + 100000);
  const list = await risk('GET', '/services?limit=50');
  assert.equal(list.status, 200);
  assert.ok(list.text.length < 200000, 'the list is bounded');
});
