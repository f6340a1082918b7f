// The life of a playbook version: edited as text and as a form, reviewed, waived, published, compared, drawn, kept in git.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { muster, person, bearer, until, published } from '../lib/muster.js';
import { Browser, multipart, request } from '../lib/browser.js';

let server, author, second, third, viewer, browser, people;
before(async () => {
  server = await muster({ asan: true, work: false });
  people = { author: await person(server.db, 'anna.author', ['commander']), second: await person(server.db, 'paul.publisher', ['approver']), third: await person(server.db, 'rita.risk', ['risk']), viewer: await person(server.db, 'vera.viewer', ['viewer']) };
  author = await bearer(server, people.author);
  second = await bearer(server, people.second);
  third = await bearer(server, people.third);
  viewer = await bearer(server, people.viewer);
  browser = await new Browser(server).become(people.author);
  await server.db.query(`insert into role_holder(role, person_id) values ('a', $1), ('b', $1)`, [people.second.id]);
});
after(() => server?.close());

const book = (id, steps, more = '') => `format: muster/1\nid: ${id}\ntitle: {zh: 测试, en: Test}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 1}\n  b: {zh: 乙, en: B, min: 1, max: 1}\n${more}steps:\n${steps}`;
const STEPS = `  - task: first
    title: {zh: 做第一步, en: Do the first}
    role: a
  - checklist: look
    title: {zh: 看一看, en: Look around}
    role: b
    items:
      - {id: one, critical: true, zh: 看一, en: Look at one}
      - {id: two, zh: 看二, en: Look at two}
`;
const good = answer => { assert.ok(answer.status < 300, `${answer.status} ${answer.text}`); return answer; };
const code = answer => answer.json?.errors?.[0]?.code;
const publish = async (id, version) => good(await published(author, second, id, version));
const draft = async id => { const answer = good(await author('GET', `/playbooks/${id}/draft`)); return { ...answer.json, etag: `"${answer.json.etag}"` }; };
const save = (who, id, text, etag) => who('PUT', `/playbooks/${id}/draft`, { text }, { 'If-Match': etag });
const change = async (id, what) => author('POST', `/playbooks/${id}/draft/changes`, what, { 'If-Match': (await draft(id)).etag });
const text = async (id, version) => (await author('GET', `/playbooks/${id}/draft`)).json.source;

test('draft, in review, back, in review, published, next version, retired: who, what and why are shown', async () => {
  good(await author('POST', '/playbooks', { text: book('life', STEPS) }));
  const at = '/playbooks/life/versions/1';
  assert.equal((await viewer('POST', `${at}/submit`, {})).status, 403);
  good(await author('POST', `${at}/submit`, { note: 'please look at the roles' }));
  assert.equal((await author('POST', `${at}/submit`, {})).status, 409, 'once');
  assert.equal(code(await save(author, 'life', book('life', STEPS) + '\n', (await draft('life')).etag)), 'error.playbook.in_review', 'nobody edits what is read');
  assert.equal((await author('POST', `${at}/return`, { reason: 'short' })).status, 422);
  assert.equal((await viewer('POST', `${at}/return`, { reason: 'the second step is missing' })).status, 403);
  good(await second('POST', `${at}/return`, { reason: 'the second step is missing' }));
  good(await author('POST', `${at}/submit`, {}));
  good(await author('POST', `${at}/withdraw`));
  assert.equal(code(await author('POST', `${at}/withdraw`)), 'error.playbook.not_in_review');
  good(await author('POST', `${at}/submit`, {}));
  assert.equal(code(await author('POST', `${at}/publish`, {})), 'error.playbook.own');
  good(await second('POST', `${at}/publish`, {}));
  assert.equal(code(await author('POST', `${at}/withdraw`)), 'error.playbook.not_in_review', 'what is published stays');
  const { json } = await viewer('GET', at);
  assert.deepEqual(json.acts.map(a => [a.act, a.by?.login]).reverse(), [['created', 'anna.author'], ['submitted', 'anna.author'], ['returned', 'paul.publisher'], ['submitted', 'anna.author'],
    ['withdrawn', 'anna.author'], ['submitted', 'anna.author'], ['published', 'paul.publisher']]);
  assert.equal(json.acts.find(a => a.act === 'returned').note, 'the second step is missing');
  const page = await browser.get(at);
  assert.match(page.text, /the second step is missing/);
  assert.match(page.text, new RegExp(json.sha256));
  await assert.rejects(server.db.query(`update playbook_act set note = 'x'`), 'the record cannot be changed');
});

test('whoever wrote into a draft may not publish it, even when somebody else began it', async () => {
  good(await third('POST', '/playbooks', { text: book('shared', STEPS) }));
  good(await save(author, 'shared', book('shared', STEPS.replace('Do the first', 'Do it')), (await draft('shared')).etag));
  assert.equal(code(await second('POST', '/playbooks/shared/versions/1/publish', {})), 'error.playbook.not_submitted', 'nobody publishes what was not handed in');
  assert.doesNotMatch((await new Browser(server).become(people.second).then(page => page.get('/playbooks/shared/versions/1'))).text, /data-testid="publish-form"/, 'nor is it offered');
  good(await third('POST', '/playbooks/shared/versions/1/submit', {}));
  assert.equal(code(await author('POST', '/playbooks/shared/versions/1/publish', {})), 'error.playbook.own');
  good(await second('POST', '/playbooks/shared/versions/1/publish', {}));
});

test('a draft keeps its text with errors, and when it cannot be read at all; nothing of it can be published', async () => {
  good(await author('POST', '/playbooks', { text: book('rough', STEPS) }));
  const wrong = good(await save(author, 'rough', book('rough', '  - {task: t}\n'), (await draft('rough')).etag));
  assert.ok(wrong.json.findings.some(f => f.id === 'V16' && f.text), wrong.text);
  assert.equal(code(await author('POST', '/playbooks/rough/versions/1/submit', {})), 'error.playbook.findings');
  const broken = 'format: muster/1\nid: rough\nsteps: [\n';
  const answer = good(await save(author, 'rough', broken, wrong.headers.get('etag')));
  assert.equal(answer.json.readable, false);
  assert.equal((await draft('rough')).source, broken.trim());
  assert.equal(code(await second('POST', '/playbooks/rough/versions/1/publish', {})), 'error.playbook.not_submitted');
  assert.equal(code(await author('POST', '/playbooks/rough/versions/1/submit', {})), 'error.playbook.findings');
  const page = await browser.get('/playbooks/rough/versions/1');
  assert.match(page.text, /data-testid="unreadable"/);
  assert.match(page.text, /<span class="mono muted">t<\/span>/, 'what could be read last is still shown');
  const other = await save(author, 'rough', book('another', STEPS), (await draft('rough')).etag);
  assert.equal(other.status, 422);
  assert.equal(code(other), 'error.playbook.other_id');
});

test('a stale save shows both texts, and loses neither', async () => {
  good(await author('POST', '/playbooks', { text: book('stale', STEPS) }));
  const before_ = await draft('stale');
  good(await save(third, 'stale', book('stale', STEPS.replace('Do the first', 'Theirs')), before_.etag));
  const refused = await save(author, 'stale', book('stale', STEPS.replace('Do the first', 'Mine')), before_.etag);
  assert.equal(refused.status, 412);
  assert.equal(refused.headers.get('etag'), (await draft('stale')).etag);
  assert.equal((await author('PUT', '/playbooks/stale/draft', { text: 'x' })).status, 428);
  await browser.get('/playbooks/stale/draft');
  const part = multipart({ _csrf: browser.csrf, _method: 'PUT', _etag: before_.etag.slice(1, -1), base: before_.etag.slice(1, -1), text: book('stale', STEPS.replace('Do the first', 'Mine')) });
  const page = await request(server, 'POST', '/playbooks/stale/draft', { headers: browser.headers({ Origin: server.url, 'Content-Type': part.type }), body: part.body });
  assert.equal(page.status, 412, page.text.slice(0, 400));
  assert.match(page.text, /<textarea[^>]*>[^<]*Mine/);
  assert.match(page.text.slice(page.text.indexOf('data-testid="theirs"')), /Theirs/);
  assert.match(page.text, new RegExp(`name="_etag" value="${(await draft('stale')).etag.slice(1, -1)}"`), 'the next save is meant');
  // Checking does not make a stale text a fresh one.
  const checked = multipart({ _csrf: browser.csrf, base: before_.etag.slice(1, -1), text: book('stale', STEPS) });
  const again = await request(server, 'POST', '/playbooks/stale/draft/check', { headers: browser.headers({ Origin: server.url, 'Content-Type': checked.type }), body: checked.body });
  assert.equal(again.status, 200);
  assert.match(again.text, new RegExp(`name="_etag" value="${before_.etag.slice(1, -1)}"`));
});

test('checking says what is wrong in the reader\'s words and keeps nothing', async () => {
  const n = (await server.db.one('select count(*)::int n from playbook_version')).n;
  for (const target of ['/playbooks/check', '/playbooks/life/draft/check']) {
    const answer = good(await author('POST', target, { text: book('life', '  - {task: t, role: nobody}\n') }));
    const found = answer.json.findings.find(f => f.id === 'V12');
    assert.equal(found.line, 8);
    assert.ok(found.text && !found.text.startsWith('finding.'), answer.text);
    const zh = (await author('POST', target, { text: 'a: [' }, { 'Accept-Language': 'zh' })).json;
    assert.equal(zh.readable, false);
    assert.match(zh.findings[0].text, /\p{Script=Han}/u);
    assert.equal((await viewer('POST', target, { text: 'a: 1' })).status, 403);
  }
  assert.equal((await server.db.one('select count(*)::int n from playbook_version')).n, n);
});

test('V32 passes when two people waive it, each with a reason; a warning when one does; what must be mended never', async () => {
  const risky = book('risky', `  - approve: ok
    title: {zh: 批准, en: Approve}
    by: {role: a, count: 1, not: [b]}
    deadline: {after: 5m, escalate: [b], then: proceed}
  - status: tell
    component: web
    state: major_outage
    title: {zh: 告知, en: Tell}
    text: {zh: 中断, en: Down}
`);
  await server.db.query(`insert into component(slug, name, start_date) values ('web', '{"zh":"网站","en":"Web"}', current_date)`);
  const made = good(await author('POST', '/playbooks', { text: risky }));
  const at = '/playbooks/risky/versions/1', findings = async () => (await author('GET', at)).json.findings;
  const v32 = (await findings()).find(f => f.id === 'V32');
  assert.ok(v32, made.text);
  assert.deepEqual((await findings()).filter(f => f.level === 'error').map(f => f.id), ['V32'], JSON.stringify(await findings()));
  good(await author('POST', `${at}/submit`, {}));
  assert.equal(code(await second('POST', `${at}/publish`, { let_pass: 'a reason does not make an error pass' })), 'error.playbook.findings');
  const key = (await findings()).find(f => f.id === 'V32').key;
  assert.equal((await author('POST', `${at}/waivers`, { finding: key, reason: 'short' })).status, 422);
  assert.equal((await viewer('POST', `${at}/waivers`, { finding: key, reason: 'a reason that is long' })).status, 403);
  good(await author('POST', `${at}/waivers`, { finding: key, reason: 'the page would wait otherwise' }));
  assert.equal(code(await author('POST', `${at}/waivers`, { finding: key, reason: 'the page would wait otherwise' })), 'error.playbook.waived', 'one person is one');
  assert.equal(code(await second('POST', `${at}/publish`, {})), 'error.playbook.findings', 'two are needed');
  good(await third('POST', `${at}/waivers`, { finding: key, reason: 'agreed after the last drill' }));
  assert.equal(code(await author('POST', `${at}/waivers`, { finding: 'no-such', reason: 'a reason that is long' })), 'error.playbook.finding');
  good(await second('POST', `${at}/publish`, {}));
  const kept = (await findings()).find(f => f.id === 'V32');
  assert.deepEqual(kept.waived.map(w => [w.by.login, w.reason]), [['anna.author', 'the page would wait otherwise'], ['rita.risk', 'agreed after the last drill']]);
  good(await author('POST', '/playbooks', { text: book('plainly-wrong', '  - {task: t}\n') }));
  const wrong = (await author('GET', '/playbooks/plainly-wrong/versions/1')).json.findings.find(f => f.id === 'V16');
  assert.equal(code(await author('POST', '/playbooks/plainly-wrong/versions/1/waivers', { finding: wrong.key, reason: 'a reason that is long' })), 'error.playbook.not_waivable');
});

test('publishing judges by the house as it is that day: a role nobody fills stops it', async () => {
  const unfilled = book('unfilled', '  - {task: t, role: a, title: {zh: 做, en: Do}}\n').replace('  b: {zh: 乙, en: B, min: 1, max: 1}\n', '  nobody-here: {zh: 无, en: None, min: 1, max: 1}\n');
  good(await author('POST', '/playbooks', { text: unfilled }));
  good(await author('POST', '/playbooks/unfilled/versions/1/submit', {}));
  assert.equal(code(await second('POST', '/playbooks/unfilled/versions/1/publish', {})), 'error.playbook.findings');
  assert.ok((await author('GET', '/playbooks/unfilled/versions/1')).json.findings.some(f => f.id === 'V13' && f.level === 'error'), 'the page says why');
  await server.db.query(`insert into role_holder(role, person_id) values ('nobody-here', $1)`, [people.second.id]);
  good(await second('POST', '/playbooks/unfilled/versions/1/publish', {}));
});

test('a warning is answered for before publication: waived one by one, or all at once with the publisher\'s reason, which is kept', async () => {
  const at = '/playbooks/warned/versions/1';
  good(await author('POST', '/playbooks', { text: book('warned', STEPS.replace('{zh: 做第一步, en: Do the first}', 'only one language').replace('{zh: 看一看, en: Look around}', 'another')) }));
  good(await author('POST', `${at}/submit`, {}));
  const refused = await second('POST', `${at}/publish`, {});
  assert.deepEqual([refused.status, code(refused), refused.json.errors[0].pointer], [409, 'error.playbook.warnings', '/let_pass'], refused.text);
  const reader = await new Browser(server).become(people.second);
  assert.match((await reader.get(at)).text, /name="let_pass"/);
  assert.equal((await second('POST', `${at}/publish`, { let_pass: 'short' })).status, 422);
  const waived = (await author('GET', at)).json.findings.find(f => f.id === 'V29').key;
  good(await author('POST', `${at}/waivers`, { finding: waived, reason: 'translated by the next version' }));
  const page = await reader.post(`${at}/publish`, { let_pass: 'the branch reads Chinese only' });
  assert.equal(page.status, 303, page.text);
  const { json } = await viewer('GET', at);
  assert.equal(json.state, 'published');
  assert.deepEqual(json.findings.map(f => [f.id, f.waived.map(w => w.reason).join()]).sort(), [['V29', 'the branch reads Chinese only'], ['V29', 'translated by the next version']]);
  assert.ok(json.acts.some(a => a.act === 'waived' && a.by.login === 'paul.publisher' && a.data.rule === 'V29'));
  assert.deepEqual((await server.db.query(`select data ->> 'reason' as r from audit_event where action = 'playbook.waived' and object = 'warned/1' order by seq`)).map(r => r.r), ['translated by the next version', 'the branch reads Chinese only']);
});

test('the form edits title, plan, roles, steps and items, and writes the same order of keys', async () => {
  good(await author('POST', '/playbooks', { text: book('formed', STEPS) }));
  good(await change('formed', { part: 'playbook', title: { zh: '新名', en: 'New name' } }));
  good(await change('formed', { part: 'plan', rto: '2h', category: 'availability', important_system: true, scope: { zh: '全行', en: 'The bank' } }));
  good(await change('formed', { part: 'role', act: 'add', id: 'c', title: { zh: '丙', en: 'C' }, min: '1', deputy: 'a' }));
  good(await change('formed', { part: 'step', at: '/steps/0', title: { zh: '先做', en: 'Do before' }, after: '15m', escalate: 'b', critical: true }));
  good(await change('formed', { part: 'step', act: 'add', at: '/steps/0', id: 'between', kind: 'task', role: 'c', title: { zh: '其间', en: 'Between' } }));
  good(await change('formed', { part: 'item', act: 'add', at: '/steps/2', text: { zh: '看三', en: 'Look at three' }, critical: true }));
  good(await change('formed', { part: 'item', act: 'up', at: '/steps/2/items/2' }));
  good(await change('formed', { part: 'item', act: 'remove', at: '/steps/2/items/0' }));
  good(await change('formed', { part: 'step', act: 'down', at: '/steps/0' }));
  assert.equal(await text('formed'), `format: muster/1
id: formed
title: {zh: 新名, en: New name}
plan: {category: availability, important_system: true, rto: 2h, scope: {zh: 全行, en: The bank}}
roles:
  a: {zh: 甲, en: A, min: 1, max: 1}
  b: {zh: 乙, en: B, min: 1, max: 1}
  c: {zh: 丙, en: C, min: 1, deputy: a}
steps:
  - {task: between, title: {zh: 其间, en: Between}, role: c}
  - {task: first, title: {zh: 先做, en: Do before}, critical: true, role: a, deadline: {after: 15m, escalate: [b]}}
  - checklist: look
    title: {zh: 看一看, en: Look around}
    role: b
    items:
      - {id: item3, critical: true, zh: 看三, en: Look at three}
      - {id: two, zh: 看二, en: Look at two}
`);
  for (const [what, expected] of [[{ part: 'step', at: '/steps/99' }, 'error.playbook.at'], [{ part: 'step', at: '/roles/a' }, 'error.playbook.at'], [{ part: 'item', at: '/steps/0/items/0' }, 'error.playbook.at'],
    [{ part: 'step', act: 'add', id: 'first' }, 'error.playbook.id_taken'], [{ part: 'role', act: 'add', id: 'Not A Slug' }, 'error.field.slug'], [{ part: 'role', at: '/roles/a', min: 'x' }, 'error.field.type']])
    assert.equal(code(await change('formed', what)), expected, JSON.stringify(what));
  const kept = await text('formed');
  good(await change('formed', { part: 'step', at: '/steps/1', whole: true, title: { zh: '先做', en: 'Do before' }, role: 'a' }));
  assert.ok(!(await text('formed')).includes('deadline'), 'a form that holds everything takes out what is empty');
  assert.notEqual(await text('formed'), kept);
});

test('a text with comments is not written anew before somebody says so', async () => {
  good(await author('POST', '/playbooks', { text: book('commented', STEPS).replace('steps:', '# why these steps\nsteps:') }));
  const page = await browser.get('/playbooks/commented/form');
  assert.match(page.text, /data-testid="comments"/);
  assert.equal(code(await change('commented', { part: 'playbook', title: { zh: '甲', en: 'A' } })), 'error.playbook.comments');
  assert.match(await text('commented'), /# why these steps/);
  good(await change('commented', { part: 'playbook', title: { zh: '甲', en: 'A' }, drop_comments: true }));
  assert.doesNotMatch(await text('commented'), /# why/);
  assert.doesNotMatch((await browser.get('/playbooks/formed/form')).text, /data-testid="comments"/);
});

test('versions are compared by step: added, removed, moved, changed, with the fields', async () => {
  const three = id => `  - {task: ${id}, role: a, title: {zh: 做, en: Do ${id}}}\n`;
  good(await author('POST', '/playbooks', { text: book('two', three('x') + three('y') + three('z') + three('w')) }));
  good(await author('POST', '/playbooks', { text: book('two', three('z') + three('x') + three('y').replace('Do y', 'Do y well') + three('v'), 'vars:\n  n: {type: int, default: 1}\n').replace('max: 1}\n  b', 'max: 2}\n  b') }));
  const { json } = good(await viewer('GET', '/playbooks/two/compare?from=1&to=2'));
  const steps = Object.fromEntries(json.steps.map(s => [s.id, s.change]));
  assert.deepEqual(steps, { z: 'moved', x: 'same', y: 'changed', v: 'added', w: 'removed' });
  assert.deepEqual(json.steps.find(s => s.id === 'y').fields.map(f => f.name), ['title']);
  assert.deepEqual(json.roles.map(r => [r.id, r.change, r.fields.map(f => f.name)]), [['a', 'changed', ['max']]]);
  assert.deepEqual(json.vars.map(v => [v.id, v.change]), [['n', 'added']]);
  const page = await browser.get('/playbooks/two/compare');
  assert.equal(page.status, 200);
  assert.match(page.text, /Do y well/);
  assert.equal((await viewer('GET', '/playbooks/two/compare?from=1&to=1')).json.same, true);
  assert.equal((await viewer('GET', '/playbooks/two/compare?from=1&to=9')).status, 404);
});

test('files out and in again make no new version; plan sections are printed; runs are listed', async () => {
  for (const format of ['yaml', 'json']) {
    const file = await request(server, 'GET', `/api/v1/playbooks/formed/versions/1/export?format=${format}`, { headers: { Authorization: `Bearer ${author.token ?? ''}`, Cookie: browser.cookie } });
    assert.equal(file.status, 200, file.text);
    assert.match(file.headers['content-disposition'], new RegExp(`formed-1\\.${format}`));
    assert.equal(good(await author('POST', '/playbooks', { text: file.text })).json.version, '1', format);
  }
  assert.equal((await viewer('GET', '/playbooks/formed/versions/1/export?format=exe')).status, 422);
  const cacao = good(await viewer('GET', '/playbooks/formed/versions/1/export?format=cacao'));
  assert.equal(cacao.json.spec_version, 'cacao-2.0');
  const back = good(await author('POST', '/playbooks', { text: cacao.text }));
  assert.equal(back.json.slug, 'formed');
  const { json } = good(await viewer('GET', '/playbooks/formed/versions/1/plan'));
  const section = name => json.sections.find(s => s.section === name);
  assert.deepEqual(section('organisation').rows.map(r => r.id).sort(), ['a', 'b', 'c']);
  assert.equal(section('process').steps.length, 3);
  assert.deepEqual(section('recovery').facts.map(f => f.name), ['rto']);
  for (const language of ['en', 'zh']) {
    const page = await new Browser(server, { cookie: browser.cookie, language }).get('/playbooks/formed/versions/1/plan');
    assert.equal(page.status, 200);
    assert.doesNotMatch(page.text, /playbook\.(section|plan)\./, 'words, not keys');
  }
  assert.deepEqual(good(await viewer('GET', '/playbooks/formed/runs')).json.runs, []);
});

test('runs of a version are listed by pages, with the hash each used', async () => {
  const incident = good(await author('POST', '/incidents', { title: 'x', severity: 'II', services: [], playbook: 'life' })).json;
  const run = await until('the run', () => server.db.one(`select r.* from run r join incident i on i.id = r.incident_id join playbook p on p.id = r.playbook_id where p.slug = 'life'`));
  const { json } = good(await viewer('GET', '/playbooks/life/runs?version=1'));
  assert.deepEqual(json.runs.map(r => [r.id, r.version, r.incident]), [[run.id, 1, incident.ref]]);
  assert.equal(json.runs[0].sha256, (await viewer('GET', '/playbooks/life/versions/1')).json.sha256);
  good(await author('POST', '/incidents', { title: 'y', severity: 'II', services: [], playbook: 'life' }));
  await until('both', async () => (await server.db.one('select count(*)::int n from run')).n >= 2);
  const first = await viewer('GET', '/playbooks/life/runs?limit=1');
  assert.equal(first.json.runs.length, 1);
  const next = /<\/api\/v1([^>]+)>/.exec(first.headers.get('link'))[1], rest = await viewer('GET', next);
  assert.equal(rest.json.runs.length, 1);
  assert.notEqual(rest.json.runs[0].id, first.json.runs[0].id);
  assert.match((await browser.get('/playbooks/life/runs')).text, new RegExp(json.runs[0].sha256));
});

test('pull and push: nothing changed makes nothing; one edit makes one draft; a file that cannot be read fails', async () => {
  const folder = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK || os.tmpdir(), 'pull-'));
  server.cli(['playbook', 'pull', folder]);
  const files = readdirSync(folder), count = async () => (await server.db.one('select count(*)::int n from playbook_version')).n, n = await count();
  assert.ok(files.includes('life.yaml') && files.includes('formed.yaml'), files.join());
  const push = () => { try { return { out: server.cli(['playbook', 'push', '--as', 'anna.author', folder]), status: 0 }; } catch (error) { return { out: error.stdout, status: error.status }; } };
  // Drafts that have errors, or cannot be read, are said to be so; that they are unchanged makes them no versions.
  let answer = push();
  assert.equal(await count(), n, answer.out);
  assert.match(answer.out, /life 1 unchanged/);
  writeFileSync(path.join(folder, 'life.yaml'), readFileSync(path.join(folder, 'life.yaml'), 'utf8').replace('Do the first', 'Do the first thing'));
  answer = push();
  assert.equal(await count(), n + 1);
  assert.match(answer.out, /life 2 draft/);
  const made = await server.db.one(`select v.*, q.login from playbook_version v join playbook p on p.id = v.playbook_id join person q on q.id = v.created_by where p.slug = 'life' and v.version = 2`);
  assert.deepEqual([made.state, made.login], ['draft', 'anna.author']);
  const alone = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK || os.tmpdir(), 'push-'));
  writeFileSync(path.join(alone, 'x.yaml'), 'steps: [\n');
  assert.throws(() => server.cli(['playbook', 'push', '--as', 'anna.author', alone]), error => error.status === 1 && /x\.yaml:\d+:\d+: error V01/.test(error.stdout));
  writeFileSync(path.join(alone, 'x.yaml'), book('pushed', STEPS));
  assert.match(server.cli(['playbook', 'push', '--as', 'anna.author', alone]), /pushed 1 draft/);
  assert.throws(() => server.cli(['playbook', 'push', '--as', 'vera.viewer', alone]), 'only those who may write');
  server.cli(['playbook', 'pull', folder]);
  const before_ = readFileSync(path.join(folder, 'pushed.yaml'), 'utf8');
  server.cli(['playbook', 'pull', folder]);
  assert.equal(readFileSync(path.join(folder, 'pushed.yaml'), 'utf8'), before_);
});

test('the flow is drawn once per content and language; without the program the page says so', async () => {
  assert.equal((await viewer('GET', '/playbooks/formed/versions/1/picture')).status, 202);
  await server.db.query(`update playbook_picture set state = 'failed', error_key = 'error.picture.missing'`);
  const page = await browser.get('/playbooks/formed/versions/1');
  assert.match(page.text, /data-testid="no-picture"/);
  assert.match(page.text, /Graphviz/);
  assert.equal((await viewer('GET', '/playbooks/formed/versions/1/picture')).status, 404);
});
