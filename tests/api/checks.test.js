// muster playbook check: for people and for machines, several files together, against the house, and on files made to hurt.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { muster, person } from '../lib/muster.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'checks-'));
let server;
before(async () => { server = await muster({ start: false }); });
after(() => server?.close());

const head = id => `format: muster/1\nid: ${id}\ntitle: {zh: 测试, en: Test}\n`;
const role = 'roles:\n  a: {zh: 甲, en: A}\n';
const good = role + 'steps:\n  - {task: t, role: a}\n';
const warned = role + 'steps:\n  - {task: t, role: a, critical: true}\n';
function file(name, text) {
  const at = path.join(folder, name);
  mkdirSync(path.dirname(at), { recursive: true });
  writeFileSync(at, text);
  return at;
}
function check(...args) {
  const done = spawnSync(process.env.MUSTER, ['playbook', 'check', ...args], { env: server.environment, encoding: 'utf8' });
  return { status: done.status, out: done.stdout, err: done.stderr };
}
// In a process of at most 700 MB and ten seconds of CPU.
function bounded(name, text) {
  const at = file(name, text), started = process.hrtime.bigint();
  const done = spawnSync('bash', ['-c', 'ulimit -v 700000 -t 10; exec "$0" playbook check --json "$1"', process.env.MUSTER, at], { env: server.environment, encoding: 'utf8', maxBuffer: 1 << 26 });
  assert.equal(done.signal, null, `${name}: ${done.stderr}`);
  assert.ok([0, 1].includes(done.status), `${name}: status ${done.status} ${done.stderr}`);
  return { status: done.status, found: JSON.parse(done.stdout).files[0].findings, ms: Number((process.hrtime.bigint() - started) / 1000000n) };
}

test('the status says it: 0 good, 1 errors, 2 unreadable or wrongly used; warnings count with --strict', () => {
  const bad = file('bad.yaml', head('bad') + 'steps:\n  - {task: t}\n'), warns = file('warns.yaml', head('warns') + warned), fine = file('fine.yaml', head('fine') + good);
  assert.deepEqual([check(fine).status, check(warns).status, check('--strict', warns).status, check('--strict', fine).status, check(bad).status, check(fine, bad).status], [0, 0, 1, 0, 1, 1]);
  assert.equal(check(fine).out, `${fine}: ok\n`);
  assert.equal(check().status, 2);
  assert.equal(check('--frobnicate', fine).status, 2);
  const none = check(path.join(folder, 'none.yaml'));
  assert.equal(none.status, 2);
  assert.match(none.err, /none\.yaml/);
});

test('a person reads place, level, rule, message, step and remedy', () => {
  const bad = file('read.yaml', head('read') + 'steps:\n  - {task: t}\n');
  assert.match(check(bad).out, /^\S+read\.yaml:5:5: error V16: \S.* \[t\]\n {4}\S/);
});

test('a machine reads the same, in both languages', () => {
  const all = JSON.parse(check('--json', file('json.yaml', head('json') + warned + '  - {task: u}\n')).out);
  assert.equal(all.ok, false);
  assert.deepEqual([all.errors, all.warnings], [1, 1]);
  const [warning, error] = all.files[0].findings;
  assert.deepEqual([error.id, error.level, error.path, error.pointer, error.line, error.column, error.waive], ['V16', 'error', 'u', '/steps/1', 8, 5, 0]);
  assert.deepEqual([warning.id, warning.level, warning.waive], ['V16', 'warning', 1]);
  for (const text of [error.text, error.hint_text]) {
    assert.match(text.en, /[a-z]/);
    assert.match(text.zh, /[一-鿿]/);
  }
});

test('what two people may let pass says so', () => {
  const guarded = role + 'steps:\n  - {approve: p, by: {role: a}, deadline: {after: 5m, then: proceed}}\n  - {status: s, component: app, state: operational}\n';
  const [finding] = JSON.parse(check('--json', file('two.yaml', head('two') + guarded)).out).files[0].findings;
  assert.deepEqual([finding.id, finding.level, finding.waive], ['V32', 'error', 2]);
});

test('files given together know of each other', () => {
  const caller = file('together/caller.yaml', head('caller') + 'steps:\n  - {call: c, playbook: called}\n');
  assert.equal(check(caller).out, `${caller}: ok\n`, 'alone, nothing is known of the one called');
  file('together/called.yaml', head('called') + 'params:\n  m: {type: int}\n' + good);
  file('together/notes.txt', 'not a playbook');
  const both = check(path.join(folder, 'together'));
  assert.equal(both.status, 1);
  assert.match(both.out, /caller\.yaml:5:25: error V11: .*m/);
  assert.match(both.out, /called\.yaml: ok/);
  assert.match(check(caller, '--around', file('around.json', '{"closed":true,"playbooks":{}}')).out, /error V12/);
});

test('playbooks that call each other in a circle, found from each of them', () => {
  for (const [from, to] of [['one', 'two'], ['two', 'three'], ['three', 'one']])
    file(`circle/${from}.yaml`, head(from) + `steps:\n  - {call: c, playbook: ${to}}\n`);
  const done = check(path.join(folder, 'circle'));
  assert.equal(done.status, 1);
  assert.equal(done.out.match(/error V04: /g).length, 3);
  assert.match(done.out, /one → two → three → one/);
});

test('report profiles among the files are the profiles there are', () => {
  file('profiles/due.yaml', head('due') + role + 'vars:\n  due: {type: duration, from: profile.first_report_due}\nsteps:\n  - {report: r, role: a, profile: cac, deadline: {after: due}}\n');
  assert.equal(check(path.join(folder, 'profiles')).status, 0);
  writeFileSync(path.join(folder, 'profiles/nfra.json'), '{"format":"report-profile/1","id":"nfra","stages":[{"id":"initial"}]}');
  assert.match(check(path.join(folder, 'profiles')).out, /error V12: .*cac/);
});

test('what comes with the program has no error, and names only what comes with it', () => {
  const done = check(path.join(root, 'playbooks'));
  assert.doesNotMatch(done.out, /error V/);
  assert.equal(done.status, 0);
});

test('against the house: its people, groups, channels, profiles and playbooks', async () => {
  const ask = async slug => JSON.parse((await server.db.one(`select playbook_around($1, false)::text as around`, [slug])).around);
  const wanted = file('house.yaml', head('house') + role + 'steps:\n  - {notify: n, to: [role.a, group.nobody], via: [email]}\n  - {call: c, playbook: no-such}\n  - {call: d, playbook: payment-outage@99}\n');
  const found = check('--database', wanted);
  assert.equal(found.status, 1);
  for (const words of [/V12: .*nobody/, /V12: .*no-such/, /V12: .*payment-outage.*99/, /warning V13: /]) assert.match(found.out, words);
  const person1 = await person(server.db, 'h.holder', ['responder']);
  await server.db.query(`insert into role_holder(role, person_id) values ('a', $1)`, [person1.id ?? person1]);
  assert.doesNotMatch(check('--database', wanted).out, /V13/);
  const around = await ask('payment-outage');
  assert.equal(around.closed, true);
  assert.equal(around.roles.a, 1);
  assert.ok(Object.keys(around.profiles).includes('nfra-it-incident'));
  assert.ok(around.profiles['nfra-it-incident'].includes('initial'));
  assert.equal(around.kinds.locate, 'checklist');
  assert.equal(around.drilled.at, null, 'published and never drilled');
});

test('the database tells callers the same of a playbook as the program does', async () => {
  const text = head('summed') + role + 'params:\n  m: {type: int}\nvars:\n  v: {type: bool, default: true}\nsteps:\n  - {call: c, playbook: other@3}\n  - {if: i, cond: v, then: [{call: d, playbook: another}]}\n  - {notify: n, to: [contact.press], via: [email]}\n';
  const document = { format: 'muster/1', id: 'summed', params: { m: { type: 'int' } }, vars: { v: { type: 'bool', default: true } },
    steps: [{ call: 'c', playbook: 'other@3' }, { if: 'i', cond: 'v', then: [{ call: 'd', playbook: 'another' }] }, { notify: 'n', to: ['contact.press'], via: ['email'] }] };
  const { summary } = await server.db.one('select playbook_summary($1::jsonb) as summary', [JSON.stringify(document)]);
  assert.deepEqual({ ...summary, calls: [...summary.calls].sort() }, { params: document.params, vars: document.vars, calls: ['another', 'other@3'], outside: true });
  const { summary: inside } = await server.db.one('select playbook_summary($1::jsonb) as summary', [JSON.stringify({ steps: [{ task: 't' }] })]);
  assert.deepEqual(inside, { calls: [], outside: false });
  // the program: a caller that gives nothing misses m, and its approval guards what is called
  file('same/summed.yaml', text);
  file('same/user.yaml', head('user') + role + 'steps:\n  - {approve: p, by: {role: a}, deadline: {after: 5m, then: proceed}}\n  - {call: c, playbook: summed}\n');
  const out = check(path.join(folder, 'same')).out;
  assert.match(out, /user\.yaml:\S+ error V11: .*m/);
  assert.match(out, /user\.yaml:\S+ error V32: /);
});

test('every bad playbook is found from the command, too', () => {
  const bad = path.join(root, 'tests/playbooks/bad');
  for (const name of readdirSync(bad).filter(name => !readFileSync(path.join(bad, name), 'utf8').includes('\n# around'))) {
    const done = check('--strict', path.join(bad, name));
    assert.equal(done.status, 1, name);
    assert.match(done.out, new RegExp(` ${name.slice(0, 3)}: `), name);
  }
});

const many = (n, each) => Array.from({ length: n }, (_, i) => each(i)).join('');
const vars = 'vars:\n' + many(250, i => `  v${i}: {type: int, default: 1}\n`);
for (const [what, rule, text] of [
  ['an alias bomb', 'V01', 'a: &a [x, x, x]\n' + many(20, i => `b${i}: &b${i} [*${i ? 'b' + (i - 1) : 'a'}, *${i ? 'b' + (i - 1) : 'a'}]\n`)],
  ['a tag', 'V01', head('x') + 'note: !!python/object:os.system {}\n' + good],
  ['ten thousand nested lists', 'V30', 'steps: ' + '['.repeat(10000) + ']'.repeat(10000)],
  ['ten thousand nested mappings of JSON', 'V30', '{"steps":'.repeat(10000) + '1' + '}'.repeat(10000)],
  ['nested blocks as deep as a megabyte goes', 'V30', 'steps:\n' + many(500, i => ' '.repeat(2 * i) + `- if: i${i}\n` + ' '.repeat(2 * i) + '  then:\n')],
  ['a line of a megabyte', '', head('x') + 'note: ' + 'a'.repeat(1000000) + '\n' + good],
  ['more than a megabyte', 'V30', head('x') + 'note: ' + 'a'.repeat(1100000) + '\n' + good],
  ['half a million values', 'V30', head('x') + 'note: [' + '0,'.repeat(500000) + ']\n' + good],
  ['half a million open placeholders', 'V01', head('x') + role + 'steps:\n  - {task: t, role: a, title: {zh: x, en: "' + '{{'.repeat(480000) + '"}}\n'],
  ['one block of many placeholders, called two thousand times', 'V30', head('x') + role + vars + 'steps:\n' + many(1990, i => `  - {call: c${i}, block: b}\n`)
    + 'blocks:\n  b:\n    - {task: t, role: a, title: {zh: x, en: "' + '{{v249}}'.repeat(60000) + '"}}\n'],
  ['one block of long expressions, called two thousand times', 'V30', head('x') + vars + 'steps:\n' + many(1990, i => `  - {call: c${i}, block: b}\n`)
    + 'blocks:\n  b:\n    - {set: s, values: {' + many(250, i => `v${i}: "${'1+'.repeat(500)}1", `) + '}}\n'],
  ['blocks that double eight times', 'V30', head('x') + role + 'steps: [{call: c, block: b0}]\nblocks:\n' + many(7, i => `  b${i}: [${many(100, j => `{call: c${i}x${j}, block: b${i + 1}}, `)}]\n`) + '  b7: [{task: t, role: a}]\n'],
  ['two thousand steps with five mistakes each', 'V01', head('x') + role + 'steps:\n' + many(1999, i => `  - {task: t${i}, role: nobody, when: x${i} == 1, bad${i}: 1, title: {zh: TODO}}\n`)],
  ['two thousand parallel writers', 'V10', head('x') + vars + 'steps:\n' + many(9, k => `  - {parallel: p${k}, branches: {${many(200, j => `x${j}: [{set: s${k}x${j}, values: {v1: 1}}], `)}}}\n`)],
  ['a placeholder in the host', 'V26', head('x') + vars + 'steps:\n  - {http: h, request: {method: GET, url: "https://{{v1}}.example.com/", timeout: 5s}, expect: {status: 200}, drill: {simulate: {status: 200}}}\n'],
  ['a placeholder in the name of a header', 'V26', head('x') + vars + 'steps:\n  - {http: h, request: {method: GET, url: "{{conn.c}}/", headers: {"X-{{v1}}": a}, timeout: 5s}, expect: {status: 200}, drill: {simulate: {status: 200}}}\n'],
  ['a secret as a literal', 'V25', head('x') + 'steps:\n  - {http: h, request: {method: GET, url: "{{conn.c}}/", headers: {Authorization: "Bearer abcdefghijklmnopqrst1234"}, timeout: 5s}, expect: {status: 200}, drill: {simulate: {status: 200}}}\n'],
]) test(`made to hurt: ${what}`, () => {
  const { found, ms } = bounded('evil.' + (text.startsWith('{') ? 'json' : 'yaml'), text);
  if (rule) assert.ok(found.some(f => f.id === rule && f.line > 0), JSON.stringify(found.slice(0, 3)));
  else assert.deepEqual(found.filter(f => f.level === 'error'), []);
  assert.ok(found.length <= 200);
  assert.ok(ms < 30000);
});
