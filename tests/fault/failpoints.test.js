// The program ends, as if the power had gone, at every point where it takes a step that can be half done; the first two times it comes there
// (four in the long mode; a point that is passed less often is then passed alive).
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { database, muster, until, published } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';
import { cast, channels, lapse, patient, play, sound, timeline } from '../lib/story.js';

const source = path.resolve(import.meta.dirname, '../../server');
const points = [...new Set(execFileSync('grep', ['-rhoE', String.raw`^\s*MU_FP\([a-z_]+\);`, source], { encoding: 'utf8' }).trim().split('\n').map(line => /\((\w+)\)/.exec(line)[1]))].sort();
const skip = process.env.MUSTER_ASAN ? false : 'no build with failure points (MUSTER_ASAN)';

// A small playbook with everything that can be cut in two: tasks, notices, waits, a call to a system and a called playbook.
const playbook = `format: muster/1
id: short-story
title: {zh: 短预案, en: Short story}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
steps:
  - {task: first, title: {zh: 第一步, en: First}, role: commander}
  - notify: tell
    title: {zh: 通知, en: Tell}
    to: [role.commander]
    via: [email, webhook.duty]
    text: {zh: 请知悉, en: Please note}
  - http: ask
    title: {zh: 询问, en: Ask}
    request: {method: POST, url: '{{conn.core}}/orders', body: x, timeout: 10s}
    effect: idempotent
    expect: {status: 200}
    retry: {max: 3, backoff: 1s}
    drill: {simulate: {status: 200}}
  - {call: part, playbook: short-part, title: {zh: 调用, en: Part}}
  - http: ask_more
    title: {zh: 询问, en: Ask}
    request: {method: POST, url: '{{conn.core}}/orders', body: x, timeout: 10s}
    effect: idempotent
    expect: {status: 200}
    retry: {max: 3, backoff: 1s}
    drill: {simulate: {status: 200}}
  - {call: part_more, playbook: short-part, title: {zh: 调用, en: Part}}
  - {wait: watch, title: {zh: 观察, en: Watch}, for: 1m}
  - {task: middle, title: {zh: 中间, en: Middle}, role: commander}
  - {wait: again, title: {zh: 再观察, en: Watch again}, for: 1m}
  - {task: last, title: {zh: 最后一步, en: Last}, role: commander}
  - {end: closed, outcome: completed, title: {zh: 结束, en: Closed}}
`;

const part = `format: muster/1
id: short-part
title: {zh: 子预案, en: Part}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
vars: {n: {type: int, default: 1}}
steps:
  - {set: count, values: {n: n + 1}}
  - {end: closed, outcome: completed, title: {zh: 结束, en: Closed}}
`;
const once = `format: muster/1
id: once-story
title: {zh: 只发一次, en: Once}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
steps:
  - http: tell
    title: {zh: 上报, en: Tell}
    request: {method: POST, url: '{{conn.core}}/once', body: x, timeout: 10s}
    effect: once
    expect: {status: 200}
    drill: {simulate: {status: 200}}
`;

let mail, hook, system, template, people, expected, keys;
const settings = () => ({ ...channels(mail), MUSTER_WORK_CHILD: 'off' });

before(async () => {
  if (skip) return;
  mail = await mailServer();
  hook = await hookServer();
  system = await hookServer((request, response) => { response.end('{}'); return true; });
  template = await database('muster_demo');
  const server = await muster({ db: template, settings: settings() });
  people = await cast(server, hook);
  const authority = await people.commander('POST', '/endpoints', { slug: 'regulator', kind: 'webhook', name: 'Authority', address: hook.url.replace('/hook', '/regulator'), audience: 'regulator' });
  assert.ok(authority.status < 300, authority.text);
  const connection = await people.commander('POST', '/connections', { slug: 'core', name: 'Core', base_url: system.url.replace('/hook', ''), methods: ['POST'] });
  assert.ok(connection.status < 300, connection.text);
  for (const text of [part, playbook, once]) {
    const made = await people.commander('POST', '/playbooks', { text });
    assert.ok(made.status < 300, made.text);
    const done = await published(people.commander, people.second, /^id: (.*)$/m.exec(text)[1]);
    assert.ok(done.status < 300, done.text);
  }
  await server.stop();
  keys = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'keys-'));
  cpSync(server.data, keys, { recursive: true });               // the key that seals the secrets of web hooks
  await server.close();
  await template.pool.end();
});
after(async () => { await template?.drop(); if (keys) rmSync(keys, { recursive: true, force: true }); await mail?.close(); await hook?.close(); await system?.close(); });

// Both processes carry the failure point; whichever passes it dies and comes back without it. `during` plays; gives what it gave and the deaths.
async function withPoint(point, during) {
  const db = await database(template.name);
  const data = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'data-'));
  cpSync(keys, data, { recursive: true });
  const server = await muster({ db, data, asan: true, start: false, settings: settings() });
  const deaths = [], children = {};
  let over = false;
  const armed = { serve: point, work: point };
  const live = async name => {
    for (let life = 0; !over; life++) {
      children[name] = server.launch(name, armed[name] ? { MUSTER_FAIL: armed[name] } : {});
      armed[name] = null;
      if (name === 'serve') server.child = children[name];
      const end = await children[name].ended;
      if (!over) { deaths.push(name); assert.equal(end.signal, 'SIGKILL', `${name} ended by itself; see ${server.log}`); assert.ok(life < 5, `${name} does not come up`); }
      if (!over && name === 'work') await lapse(db);
    }
  };
  const lives = Promise.all(['serve', 'work'].map(live));
  lives.catch(() => {});
  try {
    await until('muster to be ready', async () => (await fetch(server.url + '/readyz')).ok, 40);
    const story = { log: {} };
    for (const who of ['commander', 'second']) {
      const api = people[who];
      story[who] = Object.assign(async (method, target, body, headers = {}) => {
        const response = await fetch(server.url + '/api/v1' + target, { method, headers: { Authorization: `Bearer ${api.token}`, 'Accept-Language': 'en', 'Content-Type': 'application/json', ...headers }, body: body === undefined ? undefined : JSON.stringify(body) });
        const text = await response.text();
        let json = null;
        try { json = JSON.parse(text); } catch {}
        return { status: response.status, headers: response.headers, text, json };
      }, { token: api.token, who: api.who });
    }
    const given = await during(server, story, { rearm: wanted => { armed.work = wanted; process.kill(-children.work.pid, 'SIGKILL'); }, deaths });
    return { ...given, deaths: deaths.slice() };
  } finally {
    over = true;
    for (const child of Object.values(children)) { try { process.kill(-child.pid, 'SIGKILL'); } catch {} }
    await lives.catch(() => {});
    await server.close();
    await db.drop();
  }
}

const short = point => withPoint(point, async (server, story) => {
  const mails = mail.mails.length, calls = hook.calls.length, asked = system.calls.length;
  const end = await play(server, story, { notes: 1, playbook: 'short-story', title: 'Short story', wait: 61 });
  assert.equal(end.status, 'succeeded');
  const told = await sound(server, end, { mails: () => mail.mails.slice(mails), calls: () => hook.calls.slice(calls) });
  const keys = new Set(system.calls.slice(asked).map(c => c.headers['idempotency-key']));
  assert.deepEqual([...keys].map(k => k.replace(end.run, 'RUN')), ['RUN/ask/1/http', 'RUN/ask_more/1/http'], 'two calls to the system, however often each was made');
  const part = await server.db.query(`select id, status from run where parent_run = $1`, [end.run]);
  assert.deepEqual(part.map(r => r.status), ['succeeded', 'succeeded'], 'two called runs');
  for (const { id } of part) server.cli(['audit', 'verify-run', id]);
  return { told, done: end.done, lines: await timeline(server.db, end.ref) };
});

test('the short story undisturbed', { skip }, async () => {
  assert.ok(points.length >= 10, points.join());
  expected = await short(null);
  assert.deepEqual(expected.deaths, []);
});

for (const point of points.filter(name => !['outbox_started', 'call_started'].includes(name))) for (let hit = 1; hit <= (process.env.MUSTER_LONG ? 4 : 2); hit++)
  test(`killed at ${point}, time ${hit}`, { skip }, async () => {
    const got = await short(`${point}:${hit}`);
    if (hit <= 2) assert.ok(got.deaths.length >= 1, 'somebody passed there');
    assert.deepEqual(got.done, expected.done, 'the same actions were acknowledged');
    assert.deepEqual(got.told, expected.told, 'the same notices');
    assert.deepEqual(got.lines, expected.lines, 'the same timeline');
  });

// A report to a regulator leaves once. Whoever dies right before or after cannot know; then a person says whether to send again.
for (const [point, copies] of [['outbox_started:1', 0], ['outbox_sent:1', 1]])
  test(`a report killed at ${point} is of unknown fate and never sent by itself again`, { skip }, async () => {
    const before = hook.calls.length;
    const reports = () => hook.calls.slice(before).filter(c => c.path === '/regulator');
    await withPoint(null, async (server, story, hands) => {
      const commander = patient(story.commander), second = patient(story.second);
      const { id: endpoint } = await server.db.one(`select id from endpoint where slug = 'regulator'`);
      const declared = await commander('POST', '/incidents', { title: 'Report story', severity: 'II', services: ['mobile-banking'], playbook: 'none' });
      assert.equal(declared.status, 201, declared.text);
      const opened = await commander('POST', `/incidents/${declared.json.ref}/reports`, { profile: 'nfra-it-incident' });
      assert.ok(opened.status < 300, opened.text);
      const { ref } = await server.db.one('select ref from report where incident_id = (select id from incident where ref = $1)', [declared.json.ref]);
      const etag = async () => (await commander('GET', `/reports/${ref}`)).headers.get('etag');
      const approved = await second('POST', `/reports/${ref}/approve`, { incomplete: true }, { 'If-Match': await etag() });
      assert.ok(approved.status < 300, approved.text);
      await until('the other notices to leave', async () => (await server.db.one(`select count(*)::int n from outbox where state = 'pending'`)).n === 0, 60);
      hands.rearm(point);
      await until('the sender to be killed', () => hands.deaths.length === 1);
      const sent = await commander('POST', `/reports/${ref}/send`, { endpoint }, { 'If-Match': await etag() });
      assert.ok(sent.status < 300, sent.text);
      await until('the sender to die at the point', () => hands.deaths.length === 2, 30);
      const row = await until('the fate to be unknown', () => server.db.one(`select id, state, address from outbox where effect = 'once' and state = 'unknown'`), 40);
      assert.equal(reports().length, copies);
      const replayed = await commander('POST', `/deliveries/${row.id}/replay`);
      assert.ok(replayed.status < 300, replayed.text);
      await until('the replay to arrive', async () => (await server.db.one('select state from outbox where id = $1', [row.id])).state === 'done', 30);
      assert.equal(reports().length, copies + 1);
      assert.equal(new Set(reports().map(c => c.headers['webhook-id'])).size, 1, 'a copy is known by its id');
    });
  });

// A call that must not happen twice: whoever dies once it may have left cannot know, and a person is asked.
for (const [point, copies] of [['call_started:1', 0], ['call_sent:1', 1]])
  test(`a call killed at ${point} is of unknown fate and never made by itself again`, { skip }, async () => {
    const before = system.calls.length;
    await withPoint(null, async (server, story, hands) => {
      hands.rearm(point);
      await until('the sender to be killed', () => hands.deaths.length === 1);
      const declared = await patient(story.commander)('POST', '/incidents', { title: 'Once story', severity: 'III', playbook: 'once-story' });
      assert.equal(declared.status, 201, declared.text);
      await until('the sender to die at the point', () => hands.deaths.length === 2, 30);
      const step = await until('the fate to be unknown', () => server.db.one(`select run_id, detail from run_step where path = 'tell' and status = 'unknown'`), 40);
      assert.equal(step.detail.asks, true);
      assert.equal(system.calls.length, before + copies);
      const again = await patient(story.commander)('POST', `/runs/${step.run_id}/steps`, { path: 'tell', act: 'retry', reason: 'they say it never came' });
      assert.ok(again.status < 300, again.text);
      await until('the step to end', async () => (await server.db.one(`select status from run_step where path = 'tell' and run_id = $1`, [step.run_id])).status === 'done', 30);
      assert.equal(system.calls.length, before + copies + 1);
      assert.equal(new Set(system.calls.slice(before).map(c => c.headers['idempotency-key'])).size, 1, 'a copy is known by its key');
      server.cli(['audit', 'verify-run', step.run_id]);
    });
  });
