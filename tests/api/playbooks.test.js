// Playbooks through the interface and the pages: imported with findings at their place, published by a second person, never changed.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { muster, person, bearer, published } from '../lib/muster.js';
import { Browser, multipart, request } from '../lib/browser.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
let server, author, second, viewer, browser;
before(async () => {
  server = await muster({ asan: true, work: false });
  const who = await person(server.db, 'anna.author', ['commander']);
  author = await bearer(server, who);
  browser = await new Browser(server).become(who);
  const publisher = await person(server.db, 'paul.publisher', ['approver']);
  second = await bearer(server, publisher);
  await server.db.query(`insert into role_holder(role, person_id) values ('a', $1)`, [publisher.id]);   // nobody in a role stops a publication
  viewer = await bearer(server, await person(server.db, 'vera.viewer', ['viewer']));
});
after(() => server?.close());

const HEAD = 'format: muster/1\nid: ID\ntitle: {zh: 测试, en: Test}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 1}\nvars:\n  n: {type: int, default: 1}\n';   // 7 lines
const good = id => HEAD.replace('ID', id) + 'steps:\n  - {task: t, role: a, title: {zh: 做, en: Do}, deadline: {after: 5m, escalate: [a]}}\n'.replace(', deadline: {after: 5m, escalate: [a]}', '');
const store = text => author('POST', '/playbooks', { text });

// One of each class the checker knows, where it stands. `kept`: it has a name, so it becomes a draft with findings.
for (const [what, steps, level, rule, line, column] of [
  ['an unknown field', 'steps:\n  - {task: t, role: a, ro: b}\n', 'error', 'V01', 9, 28],
  ['a wrong type', 'steps:\n  - {task: t, role: [a]}\n', 'error', 'V01', 9, 21],
  ['no kind of step', 'steps:\n  - {role: a}\n', 'error', 'V01', 9, 5],
  ['a broken expression', 'steps:\n  - {task: t, role: a, when: (n == 1}\n', 'error', 'V01', 9, 30],
  ['two steps of one name', 'steps:\n  - {task: t, role: a}\n  - {task: t, role: a}\n', 'error', 'V02', 10, 12],
  ['a step that can never run', 'steps:\n  - {end: e}\n  - {task: t, role: a}\n', 'error', 'V03', 10, 5],
  ['an undefined name', 'steps:\n  - {task: t, role: a, when: nobody == 1}\n', 'error', 'V07', 9, 30],
  ['a wrong type in an expression', "steps:\n  - {task: t, role: a, when: n == 'x'}\n", 'error', 'V09', 9, 30],
  ['an unknown role', 'steps:\n  - {task: t, role: nobody}\n', 'error', 'V12', 9, 21],
  ['an unknown channel', 'steps:\n  - {notify: x, to: [role.a], via: [pigeon]}\n', 'error', 'V12', 9, 37],
  ['too few approvers', 'steps:\n  - {approve: p, by: {role: a, count: 2}}\n', 'error', 'V13', 9, 39],
  ['one branch only', 'steps:\n  - {parallel: p, branches: {x: [{task: t, role: a}]}}\n', 'error', 'V15', 9, 29],
  ['nobody to do it', 'steps:\n  - {task: t}\n', 'error', 'V16', 9, 5],
  ['an escalation to the same', 'steps:\n  - {task: t, role: a, deadline: {after: 5m, escalate: [a]}}\n', 'error', 'V17', 9, 57],
  ['a report without a rule', 'steps:\n  - {report: r, role: a, deadline: {after: 5m}}\n', 'error', 'V19', 9, 5],
  ['a secret', "steps:\n  - {task: t, role: a, note: 'password: hunter2'}\n", 'error', 'V25', 9, 30],
  ['one language only', 'steps:\n  - {task: t, role: a, title: do}\n', 'warning', 'V29', null, null],
])
  test(`${what}: a finding with line and column, in words, on both faces`, async () => {
    const id = 'bad-' + what.replace(/[^a-z]+/g, '-'), answer = await store(HEAD.replace('ID', id) + steps);
    assert.equal(answer.status, 201, answer.text);
    const found = answer.json.findings.find(f => f.level === level && f.id === rule);
    assert.ok(found, answer.text);
    if (line) assert.deepEqual([found.line, found.column], [line, column], answer.text);
    const page = await browser.get(`/playbooks/${id}/versions/1`);
    assert.equal(page.status, 200);
    assert.match(page.text, new RegExp(`href="#line-${found.line}"`));
    assert.match(page.text, new RegExp(`id="line-${found.line}"`), 'the line is there to go to');
    assert.doesNotMatch(page.text, /finding\.V\d\d|error\.expression/, 'words, not keys');
    const zh = await new Browser(server, { cookie: browser.cookie, language: 'zh' }).get(`/playbooks/${id}/versions/1`);
    assert.doesNotMatch(zh.text, /finding\.V\d\d|error\.expression/);
    const publish = await published(author, second, id);
    assert.equal(publish.status, level === 'error' ? 409 : 201, publish.text);
  });

for (const [what, text] of [['no YAML at all', 'steps: [\n'], ['no name', 'format: muster/1\ntitle: x\n'], ['a name that is none', HEAD.replace('ID', 'Not A Slug') + 'steps:\n  - {task: t, role: a}\n'],
  ['aliases of aliases', 'a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c]\n'],
  ['two documents', 'a: 1\n---\nb: 2\n'], ['a tag', 'id: !!python/object:os.system x\n'], ['nothing but depth', '['.repeat(5000)], ['nothing', ' ']])
  test(`${what}: refused beside the field, with the place, and nothing is kept`, async () => {
    const before_ = (await server.db.one('select count(*)::int n from playbook')).n, answer = await store(text);
    assert.equal(answer.status, 422, answer.text);
    assert.ok(answer.json.errors.every(e => e.pointer === '/text' && e.detail), answer.text);
    assert.doesNotMatch(answer.text, /\{\w+\}/, 'no placeholder is left open');
    const page = await browser.post('/playbooks', { text });
    assert.equal(page.status, 422);
    assert.match(page.text, /id="e-text"/);
    assert.equal((await server.db.one('select count(*)::int n from playbook')).n, before_);
  });

test('what was imported is published by a second person, not by its author nor by anybody', async () => {
  const made = await store(good('ours'));
  assert.equal(made.status, 201, made.text);
  assert.deepEqual(made.json.findings.filter(f => f.level === 'error'), []);
  const early = await second('POST', '/playbooks/ours/versions/1/publish');
  assert.deepEqual([early.status, early.json.errors[0].code], [409, 'error.playbook.not_submitted'], 'nobody publishes what was not handed in');
  assert.ok((await author('POST', '/playbooks/ours/versions/1/submit', {})).status < 300);
  const own = await author('POST', '/playbooks/ours/versions/1/publish');
  assert.equal(own.status, 403, own.text);
  assert.equal(own.json.errors[0].code, 'error.playbook.own');
  assert.equal((await viewer('POST', '/playbooks/ours/versions/1/publish')).status, 403);
  assert.equal((await viewer('POST', '/playbooks', { text: good('theirs') })).status, 403);
  assert.equal((await second('POST', '/playbooks/ours/versions/1/publish')).status, 201);
  assert.equal((await second('POST', '/playbooks/ours/versions/1/publish')).status, 409, 'once');
  assert.equal((await viewer('GET', '/playbooks/ours')).json.state, 'published');
  const by = await server.db.one(`select v.*, p.login from playbook_version v join playbook b on b.id = v.playbook_id join person p on p.id = v.published_by where b.slug = 'ours'`);
  assert.equal(by.login, 'paul.publisher');
});

test('a version never changes: the same text makes no new one, another text the next one, and the old one stays', async () => {
  assert.equal((await store(good('ours'))).json.version, '1');
  const next = await store(good('ours').replace('en: Do', 'en: Do it well'));
  assert.equal(next.json.version, '2');
  assert.equal((await viewer('GET', '/playbooks/ours')).json.version, 1, 'the published one is shown');
  assert.equal((await published(author, second, 'ours', 2)).status, 201);
  assert.equal((await viewer('GET', '/playbooks/ours')).json.version, 2);
  const old = await viewer('GET', '/playbooks/ours/versions/1');
  assert.equal(old.json.state, 'retired');
  assert.ok(!old.text.includes('Do it well'));
  for (const change of [`set body = body || '{"title":"x"}'`, `set body_sha256 = repeat('0', 64)`])
    await assert.rejects(server.db.query(`update playbook_version ${change} where version = 2 and playbook_id = (select id from playbook where slug = 'ours')`), 'the database refuses');
  await assert.rejects(server.db.query(`delete from playbook_version where playbook_id = (select id from playbook where slug = 'ours')`));
});

test('retiring takes a playbook out of use and keeps it', async () => {
  const reason = { reason: 'replaced by another one' };
  assert.equal((await viewer('POST', '/playbooks/ours/versions/2/retire', reason)).status, 403);
  assert.equal((await author('POST', '/playbooks/ours/versions/2/retire', {})).status, 422, 'a reason is asked for');
  assert.ok((await author('POST', '/playbooks/ours/versions/2/retire', reason)).status < 300);
  assert.equal((await author('POST', '/playbooks/ours/versions/2/retire', reason)).status, 409);
  assert.equal((await viewer('GET', '/playbooks/ours/versions/2')).status, 200);
  assert.equal((await viewer('GET', '/playbooks/ours/versions/99')).status, 404);
  assert.equal((await viewer('GET', '/playbooks/no-such')).status, 404);
});

test('a file does as well as a text, JSON as well as YAML', async () => {
  const part = multipart({ _csrf: browser.csrf, file: { name: 'p.yaml', bytes: good('by-file'), type: 'application/yaml' } });
  const answer = await request(server, 'POST', '/playbooks', { headers: browser.headers({ Origin: server.url, 'Content-Type': part.type }), body: part.body });
  assert.equal(answer.status, 303, answer.text);
  assert.equal(answer.headers.location, '/playbooks/by-file/versions/1');
  const file = (name, text) => ({ name, type: 'application/yaml', size: text.length, base64: Buffer.from(text).toString('base64') });
  const several = await author('POST', '/playbooks', { file: [file('a.yaml', good('several-a')), file('b.yaml', good('several-b'))] });
  assert.deepEqual(several.json.playbooks.map(p => [p.slug, p.version]), [['several-a', '1'], ['several-b', '1']], several.text);
  const half = await author('POST', '/playbooks', { file: [file('c.yaml', good('several-c')), file('d.yaml', 'a: [')] });
  assert.equal(half.status, 422);
  assert.match(half.text, /d\.yaml/);
  assert.equal((await author('GET', '/playbooks/several-c')).status, 404, 'all or nothing');
  const json = await store(JSON.stringify({ format: 'muster/1', id: 'by-json', title: { zh: '测', en: 'T' }, roles: { a: { zh: '甲', en: 'A' } }, steps: [{ task: 't', role: 'a' }] }));
  assert.equal(json.status, 201, json.text);
});

test('what comes with the program has no finding, and the command finds what the page finds', () => {
  const files = ['blocks', 'drill', 'incident'].flatMap(folder => readdirSync(path.join(root, 'playbooks', folder)).map(name => path.join(root, 'playbooks', folder, name)));
  assert.ok(files.length >= 28, 'twenty playbooks and eight blocks');
  assert.deepEqual(server.cli(['playbook', 'check', ...files]).split('\n').filter(line => line && !line.endsWith(': ok')), []);
  assert.ok(readFileSync(path.join(root, 'playbooks/incident/payment-outage.yaml'), 'utf8').includes('muster/1'));
  assert.throws(() => server.cli(['playbook', 'check', '-'], HEAD.replace('ID', 'x') + 'steps:\n  - {task: t}\n'), error => /^-:9:5: error V16: /m.test(error.stdout));
});
