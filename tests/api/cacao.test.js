// CACAO 2.0 at the command line: in as a draft with findings, out again as it came; other formats; markings; secrets.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { database } from '../lib/muster.js';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const sample = name => path.join(root, 'tests/cacao', name);
let db, env;
before(async () => {
  db = await database();
  const data = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'cacao-'));
  env = { PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: data, MUSTER_CONF: '/dev/null', MUSTER_DATABASE_URL: db.url, MUSTER_DATA_DIR: data };
});
after(() => db?.drop());
const run = (...args) => spawnSync(process.env.MUSTER, args, { env, encoding: 'utf8' });
const out = (...args) => execFileSync(process.env.MUSTER, args, { env, encoding: 'utf8' });

test('a file comes in as a draft with its findings and goes out byte for byte', async () => {
  const said = run('playbook', 'import', sample('every-step-type.json'));
  assert.equal(said.status, 0, said.stdout + said.stderr);
  assert.match(said.stdout, /warning C033: /);
  assert.doesNotMatch(said.stdout, /finding\./, 'words, not keys');
  assert.match(said.stdout, /every-step-type@1$/m);
  const row = await db.one("select v.state, v.source_format, v.source_text, v.findings from playbook p join playbook_version v on v.playbook_id = p.id where p.slug = 'every-step-type'");
  assert.equal(row.state, 'draft');
  assert.equal(row.source_format, 'cacao-2.0');
  assert.equal(row.source_text, readFileSync(sample('every-step-type.json'), 'utf8'));
  assert.ok(row.findings.some(f => f.id === 'C033') && row.findings.some(f => f.id.startsWith('V')));
  assert.equal(out('playbook', 'export', 'every-step-type', '--format', 'cacao'), row.source_text);
});

test('the draft as YAML, which the program reads again', () => {
  const text = out('playbook', 'export', 'every-step-type@1', '--format', 'yaml');
  assert.match(text, /^format: muster\/1\nid: every-step-type\n/);
  const doc = JSON.parse(out('playbook', 'export', 'every-step-type', '--format', 'json'));
  assert.equal(doc.format, 'muster/1');
  writeFileSync(path.join(env.HOME, 'again.yaml'), text);
  assert.match(run('playbook', 'import', path.join(env.HOME, 'again.yaml')).stdout, /every-step-type@1 =$/m, 'the same document makes no new version');
});

test('strict takes no warning', () => {
  const said = run('playbook', 'import', '--strict', sample('every-step-type.json'));
  assert.equal(said.status, 1);
  assert.match(said.stdout, /error I07: /);
});

test('a playbook of our own goes out and comes back as the same version', () => {
  const file = path.join(env.HOME, 'own.json'), text = out('playbook', 'export', 'mobile-banking-outage', '--format', 'cacao');
  writeFileSync(file, text);
  assert.equal(out('playbook', 'export', 'mobile-banking-outage', '--format', 'cacao'), text, 'reproducible');
  assert.match(run('playbook', 'check', file).stdout, /ok/);
  const said = run('playbook', 'import', '--strict', file);
  assert.match(said.stdout, /mobile-banking-outage@1 =$/m, said.stdout);
});

test('secrets are cut out, the source is sealed, and the marking limits the readers', async () => {
  const said = run('playbook', 'import', sample('trouble.json'));
  assert.equal(said.status, 0, said.stdout);
  assert.match(said.stdout, /error I14: /);
  const row = await db.one("select v.body::text as body, v.source_text from playbook p join playbook_version v on v.playbook_id = p.id where p.slug = 'trouble-in-many-places'");
  assert.doesNotMatch(row.body, /letmein99/);
  assert.match(row.source_text, /^s1:/);
  const refused = run('playbook', 'export', 'trouble-in-many-places', '--format', 'cacao');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /TLP:RED/);
  assert.equal(out('playbook', 'export', 'trouble-in-many-places', '--format', 'cacao', '--audience', 'recipients'), readFileSync(sample('trouble.json'), 'utf8'));
});

test('what is not there, and what cannot be read, is said', () => {
  assert.equal(run('playbook', 'export', 'nobody').status, 1);
  assert.equal(run('playbook', 'export', 'every-step-type@9').status, 1);
  assert.equal(run('playbook', 'export', 'every-step-type', '--format', 'pdf').status, 2);
  writeFileSync(path.join(env.HOME, 'bad.json'), '{"spec_version": "cacao-2.0",}');
  const bad = run('playbook', 'import', path.join(env.HOME, 'bad.json'));
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /error C001: /);
});
