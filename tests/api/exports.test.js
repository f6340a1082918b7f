// What leaves the system as a file: complete, provable, harmless in a spreadsheet, marked when it is a drill's.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { muster, person, bearer, results, until } from '../lib/muster.js';
import { Browser, multipart, request } from '../lib/browser.js';

let server, commander, auditor, browser, ref, drill;
const file = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 255, 254]);
before(async () => {
  server = await muster({ asan: true, demo: true, work: false });
  const who = await person(server.db, 'ed', ['commander'], { zh: '艾德', en: 'Ed' });
  commander = await bearer(server, who);
  browser = await new Browser(server).become(who);
  auditor = await bearer(server, await person(server.db, 'audrey', ['auditor']));
  for (const kind of ['incident', 'drill']) {
    const made = await commander('POST', '/incidents', { title: 'Export of a ' + kind, kind, severity: 'III', services: ['mobile-banking'], playbook: 'none' });
    assert.equal(made.status, 201, made.text);
    if (kind === 'drill') drill = made.json.ref; else ref = made.json.ref;
  }
  for (const text of ['=HYPERLINK("http://evil.example")', '+1', '-1', '@SUM(1)', 'with "quotes", commas\nand lines', '中文'])
    assert.equal((await commander('POST', `/incidents/${ref}/notes`, { text })).status < 300, true, text);
  const part = multipart({ _csrf: browser.csrf, file: { name: '截图 1.png', bytes: file, type: 'image/png' } });
  const sent = await request(server, 'POST', `/incidents/${ref}/attachments`, { headers: browser.headers({ Origin: server.url, 'Content-Type': part.type }), body: part.body });
  assert.equal(sent.status, 303, sent.text);
});
after(() => server?.close());

// RFC 8785 for what an export holds: strings, whole numbers, booleans, null.
function canonical(x) {
  if (Array.isArray(x)) return '[' + x.map(canonical).join(',') + ']';
  if (x && typeof x === 'object') return '{' + Object.keys(x).sort().map(k => JSON.stringify(k) + ':' + canonical(x[k])).join(',') + '}';
  return JSON.stringify(x);
}
// A CSV reader of a few lines: RFC 4180.
function csv(text) {
  const rows = [[]]; let cell = '', quoted = false;
  for (let i = text.charCodeAt(0) === 0xfeff ? 1 : 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) { if (c === '"' && text[i + 1] === '"') { cell += '"'; i++; } else if (c === '"') quoted = false; else cell += c; }
    else if (c === '"') quoted = true;
    else if (c === ',') { rows.at(-1).push(cell); cell = ''; }
    else if (c === '\r' && text[i + 1] === '\n') { rows.at(-1).push(cell); cell = ''; rows.push([]); i++; }
    else cell += c;
  }
  rows.pop();
  return rows;
}

test('the chain of an export can be recomputed from the file alone, by somebody else’s few lines', async () => {
  const answer = await commander('GET', `/incidents/${ref}/export.json`), doc = answer.json;
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-disposition'), new RegExp(`attachment; filename="?${ref}\\.json`));
  assert.equal(doc.count, doc.timeline.length);
  let previous = '0'.repeat(64);
  doc.timeline.forEach((event, i) => {
    const { prev_hash, hash, ...rest } = event;
    assert.equal(rest.seq, i + 1);
    assert.equal(prev_hash, previous);
    assert.equal(hash, createHash('sha256').update(prev_hash + canonical(rest)).digest('hex'), `event ${i + 1}`);
    previous = hash;
  });
  assert.equal(doc.last_hash, previous);
});

test('the command agrees, and finds a changed, a missing, a moved and an added event', async () => {
  const { json: doc } = await commander('GET', `/incidents/${ref}/export.json`), at = path.join(results, 'chain.json');
  const verify = changed => { writeFileSync(at, JSON.stringify(changed)); return server.cli(['audit', 'verify', at]); };
  assert.doesNotThrow(() => verify(doc));
  for (const [what, change] of [
    ['a changed text', d => { d.timeline[2].text += '.'; }], ['a changed time', d => { d.timeline[1].at = d.timeline[1].at.replace(/\.\d{3}Z/, '.999Z'); }],
    ['a missing event', d => { d.timeline.splice(2, 1); }], ['two that changed places', d => { d.timeline.splice(1, 2, d.timeline[2], d.timeline[1]); }],
    ['a cut end', d => { d.timeline.pop(); }], ['an added end', d => { d.timeline.push({ ...d.timeline.at(-1), seq: d.timeline.length + 1 }); }],
    ['another actor', d => { d.timeline[2].actor_name = 'Somebody'; }],
  ]) {
    const copy = structuredClone(doc);
    change(copy);
    assert.throws(() => verify(copy), what);
  }
  assert.throws(() => { writeFileSync(at, '{'); server.cli(['audit', 'verify', at]); });
});

test('the table can be read back, and no cell is a formula', async () => {
  const answer = await commander('GET', `/incidents/${ref}/export.csv`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^text\/csv; charset=utf-8/);
  const raw = await request(server, 'GET', `/api/v1/incidents/${ref}/export.csv`, { headers: { Authorization: 'Bearer ' + commander.token } });
  assert.equal(raw.body.subarray(0, 3).toString('hex'), 'efbbbf', 'a byte order mark, for the spreadsheets that need it');
  const rows = csv(raw.text), width = rows[0].length;
  assert.ok(rows.length >= 8 && rows.every(row => row.length === width), JSON.stringify(rows.map(r => r.length)));
  for (const cell of rows.slice(1).flat()) assert.doesNotMatch(cell, /^[=+@\t\r]|^-(?!\d{4}-)/, cell);
  assert.ok(rows.some(row => row.includes('with "quotes", commas\nand lines')));
  assert.ok(rows.some(row => row.includes("'=HYPERLINK(\"http://evil.example\")")));
  assert.ok((await (await fetch(`${server.url}/api/v1/incidents/${ref}/export.csv?lang=zh`, { headers: { Authorization: 'Bearer ' + commander.token } })).text()).includes('发生时间'));
});

test('an attachment comes back byte for byte, under its name, never shown by the browser', async () => {
  const { json } = await commander('GET', `/incidents/${ref}/export.json`), kept = json.attachments[0];
  assert.equal(kept.sha256, createHash('sha256').update(file).digest('hex'));
  const answer = await request(server, 'GET', `/attachments/${kept.id}`, { headers: browser.headers() });
  assert.ok(answer.body.equals(file));
  assert.match(answer.headers['content-disposition'], /^attachment;.*filename\*=UTF-8''%E6%88%AA/);
  assert.match(answer.headers['content-security-policy'], /sandbox/);
});

test('a drill’s files say so in their name and content', async () => {
  for (const ending of ['json', 'csv']) {
    const answer = await commander('GET', `/incidents/${drill}/export.${ending}`);
    assert.match(answer.headers.get('content-disposition'), new RegExp(`DRILL-${drill}\\.${ending}`));
  }
  assert.equal((await commander('GET', `/incidents/${drill}/export.json`)).json.incident.kind, 'drill');
  for (const language of ['en', 'zh']) {
    const page = await new Browser(server, { cookie: browser.cookie, language }).get(`/incidents/${drill}/print`);
    assert.equal(page.status, 200);
    assert.match(page.text, language === 'en' ? /drill/i : /演练/);
  }
});

test('the audit log’s export proves itself, also in pieces', async () => {
  for (let i = 0; i < 6; i++) assert.equal((await commander('POST', '/tokens', { name: 'token ' + i, scopes: ['viewer'] })).status, 201);
  const answer = await auditor('GET', '/audit/export.json'), at = path.join(results, 'audit.json');
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  writeFileSync(at, answer.text);
  assert.doesNotThrow(() => server.cli(['audit', 'verify', at]));
  const piece = await auditor('GET', '/audit/export.json?after=2&limit=3');
  writeFileSync(at, piece.text);
  assert.doesNotThrow(() => server.cli(['audit', 'verify', at]));
  const doc = JSON.parse(answer.text), events = doc.events ?? doc.entries ?? doc.audit ?? Object.values(doc).find(Array.isArray);
  assert.ok(events.length >= 6, Object.keys(doc).join());
  assert.equal(JSON.parse(piece.text)[Object.keys(doc).find(k => doc[k] === events)].length, 3);
  events[1].action = 'nothing';
  writeFileSync(at, JSON.stringify(doc));
  assert.throws(() => server.cli(['audit', 'verify', at]));
  assert.equal((await commander('GET', '/audit/export.json')).status, 403);
});

test('the status page is written as plain files that stand alone', async () => {
  const folder = path.join(server.data, 'public');
  await until('the page', async () => (await request(server, 'GET', '/status')).status === 200);
  server.cli(['status', 'export', folder]);
  for (const name of ['status/index.html', 'api/v2/summary.json', 'history.atom', 'history.rss']) {
    const found = [name, name.replace('/index.html', '/index.zh.html'), name.replace('/index.html', '.html')].find(n => existsSync(path.join(folder, n)));
    assert.ok(found, name);
  }
  assert.ok(JSON.parse(readFileSync(path.join(folder, 'api/v2/summary.json'), 'utf8')).status.indicator);
});
