// Runs with a real database, a real receiver and the test clock: called playbooks, calls to systems, injects, a drill's clock, the
// commander's powers and their races, and the way from a drill to a real event.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { bearer, muster, person, until, published } from '../lib/muster.js';
import { Browser } from '../lib/browser.js';
import { hookServer, mailServer } from '../lib/receivers.js';

const SECRET = 'sk-Zebra"Quill-77';
let server, mail, system, answers, commander, second, viewer, responder, admin;

const HEAD = id => `format: muster/1
id: ${id}
title: {zh: 测试 ${id}, en: Test ${id}}
roles:
  commander: {zh: 指挥, en: Commander, min: 1}
  tech_lead: {zh: 技术, en: Tech}
`;

before(async () => {
  mail = await mailServer();
  answers = [];
  system = await hookServer(async (request, response, call) => {
    const answer = answers.shift() || { status: 200, body: { ok: true, name: 'first' } };
    if (answer.hold) { answer.held = true; await answer.hold; }
    response.statusCode = answer.status;
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('X-Trace', 'T-1');
    response.setHeader('Set-Cookie', 'session=not-for-us');
    response.end(JSON.stringify(answer.echo ? { ok: true, name: 'echo', seen: call.headers, raw: call.raw } : answer.body || {}));
    return true;
  });
  server = await muster({ asan: true, demo: true, settings: {
    MUSTER_SMTP_HOST: '127.0.0.1', MUSTER_SMTP_PORT: String(mail.port), MUSTER_SMTP_SECURITY: 'none', MUSTER_SMTP_FROM: 'muster@haidong.example',
    MUSTER_HOOKS_ALLOW: '127.0.0.0/8', MUSTER_HOOKS_HTTP: 'on' } });
  const { db } = server, boss = await db.one(`select id, login from person where login = 'wang.min'`);
  await db.query(`insert into person_role values ($1, 'admin'), ($1, 'commander') on conflict do nothing`, [boss.id]);
  commander = await bearer(server, boss, ['commander', 'admin']);
  admin = commander;
  second = await bearer(server, await person(db, 'sara.second', ['commander', 'approver'], { email: 'sara@haidong.example' }));
  responder = await bearer(server, await person(db, 'rita', ['responder'], { email: 'rita@haidong.example' }));
  viewer = await bearer(server, await person(db, 'vera.viewer', ['viewer']));
  const made = await admin('POST', '/secrets', { name: 'api_key', value: SECRET, note: 'core system' });
  assert.equal(made.status, 201, made.text);
  for (const [slug, base, more] of [['core', system.url.replace('/hook', '/api'), { drill_url: system.url.replace('/hook', '/twin'), headers: 'X-Api-Key: {{api_key}}' }], ['inner', 'http://10.255.0.1', {}]]) {
    const connection = await admin('POST', '/connections', { slug, name: { zh: '核心', en: 'Core' }, base_url: base, methods: ['GET', 'POST'], ...more });
    assert.equal(connection.status, 201, connection.text);
  }
});
after(async () => { await server?.close(); await mail?.close(); await system?.close(); });

async function publish(id, rest, { head = HEAD(id) } = {}) {
  const made = await commander('POST', '/playbooks', { text: head + rest });
  assert.ok(made.status < 300, made.text);
  const version = made.json.version;
  const done = await published(commander, second, id, version);
  assert.ok(done.status < 300, `${id}: ${done.text} ${JSON.stringify(made.json.findings)}`);
  return id;
}
async function start(playbook, { kind = 'incident', ...more } = {}) {
  const made = await commander('POST', '/incidents', { title: `Story of ${playbook}`, kind, severity: 'III', playbook, ...more });
  assert.equal(made.status, 201, made.text);
  const run = await server.db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1 and r.parent_run is null`, [made.json.ref]);
  return { ref: made.json.ref, run: run.id };
}
const step = (run, path, occ) => server.db.one(`select * from run_step where run_id = $1 and path = $2 and ($3::int is null or occ = $3) order by occ desc limit 1`, [run, path, occ ?? null]);
const status = async run => (await server.db.one('select status from run where id = $1', [run])).status;
const vars = async run => Object.fromEntries(Object.entries((await server.db.one('select state from run where id = $1', [run])).state.vars).map(([k, v]) => [k, v.value]));
const act = (who, run, body) => who('POST', `/runs/${run}/steps`, body);
const good = answer => { assert.ok(answer.status < 300, answer.text); return answer; };
const events = async (run, kind) => (await server.db.query('select body from run_event where run_id = $1 and ($2::text is null or kind = $2) order by seq', [run, kind ?? null])).map(r => r.body);
const same = run => server.cli(['audit', 'verify-run', run]);
const WHY = 'because the test says so';

// ---- called playbooks ----

const CHILD = `params: {system: {type: string}}
vars: {found: {type: string, default: nothing}}
steps:
  - {task: look, role: tech_lead, title: {zh: 查看 {{system}}, en: 'Look at {{system}}'}, form: [{id: what, zh: 结果, en: Result, type: string, var: found, required: true}]}
`.replace('查看 {{system}}', "'查看 {{system}}'");

test('a called playbook runs in the same incident, hands its variables back, and both replay', async () => {
  await publish('child-look', CHILD);
  await publish('parent-look', `vars: {got: {type: string, default: none}}
steps:
  - {call: other, playbook: child-look, title: {zh: 调用, en: Call}, with: {system: "'core'"}, save: {got: found}}
  - {task: last, role: commander, title: {zh: 最后, en: Last}}
`);
  const { ref, run } = await start('parent-look');
  const child = await server.db.one('select * from run where parent_run = $1', [run]);
  assert.equal(child.depth, 1);
  assert.equal(child.kind, 'incident');
  assert.equal((await step(child.id, 'look')).title.en, 'Look at core');
  const page = (await viewer('GET', `/runs/${run}`)).json;
  assert.equal(page.children[0].id, child.id);
  assert.equal((await viewer('GET', `/runs/${child.id}`)).json.parent.id, run);
  const browser = await new Browser(server).become(commander.who);
  assert.match((await browser.get(`/runs/${run}`)).text, new RegExp(`/runs/${child.id}`));
  assert.equal((await browser.get(`/runs/${child.id}`)).status, 200);
  good(await act(commander, child.id, { path: 'look', act: 'done', values: { what: 'a broken disk' } }));
  assert.equal(await status(child.id), 'succeeded');
  assert.equal((await vars(run)).got, 'a broken disk', 'in the same transaction');
  assert.equal((await step(run, 'other')).status, 'done');
  good(await act(commander, run, { path: 'last', act: 'done' }));
  assert.equal(await status(run), 'succeeded');
  same(run); same(child.id);
  assert.equal((await server.db.query(`select 1 from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'run_started'`, [ref])).length, 2);
});

test('skipping the calling step aborts what it called; a child that ends by itself is awaited no more', async () => {
  const { run } = await start('parent-look');
  const child = await server.db.one('select id from run where parent_run = $1', [run]);
  good(await act(commander, run, { path: 'other', act: 'skip', reason: WHY }));
  assert.equal(await status(child.id), 'aborted');
  assert.equal((await step(run, 'other')).status, 'skipped');
  assert.equal((await act(commander, child.id, { path: 'look', act: 'done', values: { what: 'x' } })).status, 409);
  same(run); same(child.id);
  assert.equal(await status(run), 'running');
});

test('what cannot be called fails its step with a reason, and the commander is asked', async () => {
  await publish('self-call', `steps:
  - {call: again, playbook: self-call, title: {zh: 再来, en: Again}}
`).catch(() => null);
  const exists = await server.db.one(`select 1 as x from playbook p join playbook_version v on v.playbook_id = p.id where p.slug = 'self-call' and v.state = 'published'`);
  if (exists) {
    const { run } = await start('self-call');
    const runs = await server.db.query('select depth from run where incident_id = (select incident_id from run where id = $1) order by depth', [run]);
    assert.equal(runs.at(-1).depth, 8, 'eight levels and no more');
  }
  await publish('leaf-gone', `steps:
  - {task: t, role: commander, title: {zh: 做, en: Do}}
`);
  await publish('calls-gone', `steps:
  - {call: gone, playbook: leaf-gone, title: {zh: 调用, en: Call}}
`);
  const retired = await commander('POST', '/playbooks/leaf-gone/versions/1/retire', { reason: 'no longer used here' });
  assert.ok(retired.status < 400, retired.text);
  const { run } = await start('calls-gone');
  const failed = await step(run, 'gone');
  assert.equal(failed.status, 'failed');
  assert.equal(failed.detail.asks, true);
  const shown = (await viewer('GET', `/runs/${run}`)).json.current.find(s => s.path === 'gone');
  assert.match(JSON.stringify(shown.error), /not published/);
  same(run);
});

test('a failed call is called again: a new run under the same key', async () => {
  await publish('child-fails', `steps:
  - {task: t, role: commander, title: {zh: 做, en: Do}}
`);
  await publish('parent-retry', `steps:
  - {call: c, playbook: child-fails, title: {zh: 调用, en: Call}}
`);
  const { run } = await start('parent-retry');
  const first = await server.db.one('select id from run where parent_run = $1', [run]);
  good(await commander('POST', `/runs/${first.id}/acts`, { act: 'abort', reason: WHY }));
  good(await second('POST', `/runs/${first.id}/acts`, { act: 'abort', reason: WHY }));
  assert.equal((await step(run, 'c')).status, 'failed');
  good(await act(commander, run, { path: 'c', act: 'retry', reason: WHY }));
  const runs = await server.db.query('select id, status from run where parent_run = $1 order by created_at', [run]);
  assert.deepEqual(runs.map(r => r.status), ['aborted', 'running']);
  good(await act(commander, runs[1].id, { path: 't', act: 'done' }));
  assert.equal(await status(run), 'succeeded');
  same(run);
});

// ---- calls to systems ----

const call = (more = '', step_ = '') => `vars:
  n: {type: string, default: 'a "b"'}
  answer: {type: string, default: none}
  api_key: {type: secret}
steps:
  - http: ask
    title: {zh: 询问, en: Ask}
    request: {method: POST, url: '{{conn.core}}/orders/{{n}}', headers: {Content-Type: application/json}, body: '{"n": "{{n}}", "key": "{{api_key}}"}', timeout: 2s}
    effect: idempotent
    expect: {status: 200, json: {ok: true}}
    save: {answer: response.body.name}
    drill: {simulate: {status: 200, body: {ok: true, name: pretended}}}
${more}  - {task: last, role: commander, title: {zh: 最后, en: Last}}
${step_}`;

test('a call carries its key and its secret, and its answer fills a variable; nothing of the secret is kept', async () => {
  await publish('call-good', call());
  answers.push({ status: 200, echo: true });
  const before_ = system.calls.length, { ref, run } = await start('call-good');
  await until('the answer', async () => (await step(run, 'ask')).status === 'done');
  const got = system.calls[before_];
  assert.equal(got.path, '/api/orders/a%20%22b%22');
  assert.equal(got.headers['x-api-key'], SECRET);
  assert.deepEqual(JSON.parse(got.raw), { n: 'a "b"', key: SECRET });
  assert.match(got.headers['idempotency-key'], new RegExp(`^${run}/ask/1/`));
  assert.equal((await vars(run)).answer, 'echo');
  const [done] = await events(run, 'effect_done');
  assert.equal(done.data.result.headers['x-trace'], 'T-1');
  assert.equal(done.data.result.headers['set-cookie'], undefined);
  assert.ok(done.data.jitter >= 0 && done.data.jitter <= 250);
  same(run);
  // wherever it could have been written
  const tables = await server.db.query(`select table_name as t from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`);
  const escaped = JSON.stringify(SECRET).slice(1, -1);
  for (const { t } of tables)
    for (const words of [SECRET, escaped, JSON.stringify(escaped).slice(1, -1)])
      assert.equal((await server.db.one(`select count(*)::int n from "${t}" x where strpos(to_jsonb(x)::text, $1) > 0`, [words])).n, 0, `${t} keeps it`);
  const exported = await viewer('GET', `/incidents/${ref}/export.json`);
  assert.ok(!exported.text.includes(SECRET) && !exported.text.includes(escaped));
  const { readFileSync } = await import('node:fs');
  assert.ok(!readFileSync(server.log, 'utf8').includes('Zebra'));
  for (const path of ['/connections', '/connections/core', '/secrets']) assert.ok(!(await admin('GET', path)).text.includes('Zebra'), path);
});

test('an expectation that is not met is tried again at its time, under the same key', async () => {
  await publish('call-retry', call().replace('    save:', '    retry: {max: 2, backoff: 60s, factor: 2, cap: 5m}\n    save:'));
  answers.push({ status: 200, body: { ok: false } }, { status: 200, body: { ok: true, name: 'second' } });
  const before_ = system.calls.length, { run } = await start('call-retry');
  await until('the first answer', async () => (await events(run, 'retry_planned')).length === 1);
  assert.equal(system.calls.length, before_ + 1);
  const armed = await server.db.one(`select * from timer where run_id = $1 and kind = 'retry' and state = 'armed'`, [run]);
  assert.ok(armed);
  same(run);
  await server.clock(80);
  await until('the second answer', async () => (await step(run, 'ask')).status === 'done');
  assert.equal((await vars(run)).answer, 'second');
  const keys = system.calls.slice(before_).map(c => c.headers['idempotency-key']);
  assert.deepEqual(keys, [keys[0], keys[0]]);
  same(run);
});

test('500 after 500 ends in a question to the commander, who tries anew', async () => {
  await publish('call-500', call().replace('    save:', '    retry: {max: 1, backoff: 10s}\n    save:'));
  answers.push({ status: 500 }, { status: 503 });
  const before_ = system.calls.length, { run } = await start('call-500');
  await until('the first', async () => (await events(run, 'retry_planned')).length === 1);
  await server.clock(60);
  await until('the question', async () => (await step(run, 'ask')).detail.asks === true);
  const shown = (await commander('GET', `/runs/${run}`)).json.current.find(s => s.path === 'ask');
  assert.ok(shown.can.retry && shown.can.anew && shown.can.skip && shown.can.override, JSON.stringify(shown.can));
  good(await act(commander, run, { path: 'ask', act: 'retry', anew: true, reason: WHY }));
  await until('the end', async () => (await step(run, 'ask')).status === 'done');
  const keys = system.calls.slice(before_).map(c => c.headers['idempotency-key']);
  assert.equal(keys[0], keys[1]);
  assert.notEqual(keys[1], keys[2], 'anew is another request to the receiver');
  same(run);
});

test('a system that hangs, and one in a network that may not be called', async () => {
  await publish('call-hang', call().replace('timeout: 2s', 'timeout: 1s').replace('    save:', '    retry: {max: 0}\n    save:'));
  let free; const hold = new Promise(resolve => { free = resolve; });
  answers.push({ status: 200, hold });
  const hanging = await start('call-hang');
  await until('the time-out', async () => (await step(hanging.run, 'ask')).detail.asks === true);
  free();
  same(hanging.run);
  await publish('call-inner', call().replaceAll('conn.core', 'conn.inner').replace('    save:', '    retry: {max: 0}\n    save:'));
  const { run } = await start('call-inner');
  await until('the refusal', async () => (await step(run, 'ask')).detail.asks === true);
  assert.equal((await server.db.one('select last_error from http_call where run_id = $1', [run])).last_error, 'error.url.address');
  same(run);
});

const once = id => publish(id, call().replace('effect: idempotent', 'effect: once').replace('timeout: 2s', 'timeout: 30s'));
const again = id => publish(id, call().replace('timeout: 2s', 'timeout: 30s'));
const killWork = async () => {
  const child = await server.db.one(`select pid from pg_stat_activity where datname = current_database() and application_name like 'muster work%' limit 1`);
  assert.ok(child);
  const { name } = await server.db.one('select name from instance order by seen_at desc limit 1');
  process.kill(Number(name.split(':').at(-1)), 'SIGKILL');
};

for (const [kind, make] of [['idempotent', again], ['once', once]])
  test(`the sender is killed between sending and recording: ${kind}`, async () => {
    await make(`call-kill-${kind}`);
    let free; const answer = { status: 200, body: { ok: true, name: 'lost' }, hold: new Promise(resolve => { free = resolve; }) };
    answers.push(answer);
    const before_ = system.calls.length, { run } = await start(`call-kill-${kind}`);
    await until('the call to arrive', () => answer.held);
    await killWork();
    await until('the sessions of the dead to end and new ones to begin', async () => (await server.db.one(`select count(*)::int n from http_call where run_id = $1 and state = 'claimed'`, [run])).n === 1);
    free();
    await server.db.query(`update http_call set lease_until = clock_timestamp() - interval '1 second' where run_id = $1 and state = 'claimed'`, [run]);
    if (kind === 'idempotent') {
      await until('the second attempt', async () => (await step(run, 'ask')).status === 'done', 40);
      const keys = system.calls.slice(before_).map(c => c.headers['idempotency-key']);
      assert.deepEqual(keys, [keys[0], keys[0]], 'sent again under its key');
    } else {
      const unknown = await until('the question', async () => { const s = await step(run, 'ask'); return s.status === 'unknown' && s; }, 40);
      assert.equal(unknown.detail.asks, true);
      assert.equal(system.calls.length, before_ + 1, 'never by itself a second time');
      good(await act(commander, run, { path: 'ask', act: 'override', reason: 'they say that it arrived' }));
      assert.equal((await step(run, 'ask')).status, 'overridden');
    }
    same(run);
  });

test('a slow sender whose lease ran out is fenced off: the second attempt counts, the first changes nothing', async () => {
  let free; const slow = { status: 200, body: { ok: true, name: 'stale' }, hold: new Promise(resolve => { free = resolve; }) };
  answers.push(slow, { status: 200, body: { ok: true, name: 'fresh' } });
  const before_ = system.calls.length, { run } = await start('call-kill-idempotent');
  await until('the call to arrive', () => slow.held);
  const first = await server.db.one('select id, claim_token from http_call where run_id = $1', [run]);
  await server.db.query(`update http_call set lease_until = clock_timestamp() - interval '1 second' where run_id = $1`, [run]);
  await until('the second attempt', async () => (await step(run, 'ask')).status === 'done', 40);
  assert.equal(system.calls.length, before_ + 2);
  free();
  const late = await server.db.query(`select run from http_settle($1, $2, '{"outcome":"failed","error":"stale","jitter":0,"ms":1}')`, [first.id, first.claim_token]);
  assert.equal(late.length, 0, 'the stale claim settles nothing');
  await server.db.query(`update http_call set state = 'claimed' where id = $1`, [first.id]);
  assert.equal((await server.db.query(`select run from http_settle($1, $2, '{"outcome":"failed","error":"stale","jitter":0,"ms":1}')`, [first.id, first.claim_token])).length, 0, 'nor while another holds it');
  await server.db.query(`update http_call set state = 'done' where id = $1`, [first.id]);
  assert.equal((await vars(run)).answer, 'fresh');
  assert.equal((await events(run, 'effect_done')).length, 1);
  same(run);
});

test('a drill calls nothing by itself; with two signatures it calls the twin', async () => {
  const before_ = system.calls.length, simulated = await start('call-good', { kind: 'drill' });
  assert.equal((await step(simulated.run, 'ask')).status, 'done');
  assert.equal((await vars(simulated.run)).answer, 'pretended');
  assert.equal(system.calls.length, before_);
  same(simulated.run);
  await publish('call-twin', `vars: {answer: {type: string, default: none}}
steps:
  - {task: first, role: commander, title: {zh: 先, en: First}}
  - http: ask
    title: {zh: 询问, en: Ask}
    request: {method: POST, url: '{{conn.core}}/orders', body: x, timeout: 5s}
    effect: idempotent
    save: {answer: response.body.name}
    drill: mark
  - {task: last, role: commander, title: {zh: 最后, en: Last}}
`);
  const none = await start('call-twin', { kind: 'drill' });
  good(await act(commander, none.run, { path: 'first', act: 'done' }));
  const failed = await until('the refusal', async () => { const s = await step(none.run, 'ask'); return s.detail.asks && s; });
  assert.equal(failed.status, 'failed');
  assert.match(JSON.stringify((await viewer('GET', `/runs/${none.run}`)).json.current.find(s => s.path === 'ask').error), /permit signed by two/);
  assert.equal(system.calls.length, before_, 'nothing left');
  const { run } = await start('call-twin', { kind: 'drill' });
  assert.equal((await responder('POST', `/runs/${run}/permits`, { channel: 'http.core', reason: WHY })).status, 403);
  assert.equal((await commander('POST', `/runs/${run}/permits`, { channel: 'http.core', reason: 'short' })).status, 422);
  good(await commander('POST', `/runs/${run}/permits`, { channel: 'http.core', reason: WHY }));
  assert.equal((await commander('POST', `/runs/${run}/permits`, { channel: 'http.core', reason: WHY })).status, 409, 'not twice the same person');
  good(await second('POST', `/runs/${run}/permits`, { channel: 'http.core' }));
  good(await act(commander, run, { path: 'first', act: 'done' }));
  await until('the twin to answer', async () => (await step(run, 'ask')).status === 'done');
  assert.deepEqual(system.calls.slice(before_).map(c => c.path), ['/twin/orders'], 'the twin and nobody else');
  assert.equal(system.calls.at(-1).headers['muster-drill'], 'true', 'marked');
  await assert.rejects(server.db.query(`insert into http_call(kind, run_id, path, occ, connection, idem_key, delivery, effect, request, created_at) values ('drill', $1, 'x', 1, 'core', 'x', 'send', 'once', '{}', now())`, [run]), /drill_guard/);
  same(run); same(none.run);
});

// ---- injects ----

const INJECTS = `injects:
  - inject: rumour
    zh: 网上出现传言
    en: A rumour is going round
    at: run.started_at + 10m
    to: [user.rita]
    from: {zh: 媒体, en: The press}
    via: [email]
    expect: {zh: 上报公关, en: Tell communications, within: 20m, score: 10}
steps:
  - {task: t, role: commander, title: {zh: 做, en: Do}}
`;

test('injects come at their time in a drill, marked, and a controller judges them; a real run has none', async () => {
  await publish('with-injects', INJECTS);
  const { run } = await start('with-injects', { kind: 'drill' });
  const timer = await server.db.one(`select * from timer where run_id = $1 and kind = 'inject' and state = 'armed'`, [run]);
  assert.ok(timer, 'armed');
  const before_ = mail.mails.length;
  good(await commander('POST', `/runs/${run}/clock`, { leap: 601, reason: WHY }));
  const letter = await until('the mail', () => mail.mails.slice(before_).find(m => m.to.includes('rita@haidong.example') && /传言|rumour/.test(m.parsed.subject + m.parsed.text)));
  assert.match(letter.parsed.subject, /演练|DRILL/);
  assert.match(letter.parsed.text, /传言|rumour/);
  const shown = await until('the delivered inject', async () => (await commander('GET', `/runs/${run}`)).json.current.concat((await commander('GET', `/runs/${run}`)).json.ended).find(s => s.path === 'injects/rumour' && s.can.judge));
  assert.ok(shown.inject.delivered_at);
  const no = await act(viewer, run, { path: 'injects/rumour', act: 'inject_judge', verdict: 'met', score: 8 });
  assert.equal(no.status, 403, no.text);
  good(await act(commander, run, { path: 'injects/rumour', act: 'inject_judge', verdict: 'partly', score: 6, note: 'late' }));
  assert.equal((await step(run, 'injects/rumour')).detail.inject.verdict.verdict, 'partly');
  same(run);
  const real = await start('with-injects');
  assert.equal((await server.db.one(`select count(*)::int n from timer where run_id = $1`, [real.run])).n, 0);
  assert.equal(await step(real.run, 'injects/rumour'), undefined);
});

// ---- the clock of a drill ----

test('the clock of a drill runs faster, stands still, leaps, and every armed timer goes with it; a real run has no such clock', async () => {
  await publish('with-wait', `steps:
  - {wait: w, title: {zh: 等, en: Wait}, for: 72h}
  - {task: t, role: commander, title: {zh: 做, en: Do}, deadline: {after: 1h}}
`);
  const real = await start('with-wait');
  assert.equal((await commander('POST', `/runs/${real.run}/clock`, { speed: 10, reason: WHY })).status, 409);
  const { run } = await start('with-wait', { kind: 'drill' });
  const due = async () => server.db.one(`select due_sim, due_real, extract(epoch from due_real - app_now())::float8 as left from timer where run_id = $1 and state = 'armed'`, [run]);
  const first = await due();
  assert.ok(Math.abs(first.left - 72 * 3600) < 60);
  assert.equal((await commander('POST', `/runs/${run}/clock`, { speed: 10, reason: 'short' })).status, 422);
  assert.equal((await commander('POST', `/runs/${run}/clock`, { speed: 1001, reason: WHY })).status, 422);
  assert.equal((await viewer('POST', `/runs/${run}/clock`, { speed: 10, reason: WHY })).status, 403);
  good(await commander('POST', `/runs/${run}/clock`, { speed: 1000, reason: WHY }));
  const fast = await due();
  assert.deepEqual(fast.due_sim, first.due_sim);
  assert.ok(fast.left < 72 * 3.6 + 5, `${fast.left}`);
  good(await commander('POST', `/runs/${run}/clock`, { speed: 0, reason: WHY }));
  assert.equal((await due()).due_real, null);
  await server.clock(3600);
  assert.equal((await step(run, 'w')).status, 'waiting', 'time stands still');
  good(await commander('POST', `/runs/${run}/clock`, { next: true, reason: WHY }));
  assert.equal((await due()).due_real, null, 'a stopped clock fires nothing, wherever it stands');
  const browser = await new Browser(server).become(commander.who), page = await browser.get(`/runs/${run}`);
  assert.match(page.text, new RegExp(`action="/runs/${run}/clock"`));
  const typed = await browser.post(`/runs/${run}/clock`, { speed: '5000', leap: '', reason: WHY });
  assert.equal(typed.status, 422);
  assert.match(typed.text, /value="5000"/);
  const set = await browser.post(`/runs/${run}/clock`, { speed: '1', leap: '', reason: WHY });
  assert.equal(set.status, 303, set.text.slice(0, 500));
  await until('the wait to be over', async () => (await step(run, 'w')).status === 'done');
  const { left } = await server.db.one(`select extract(epoch from due_at - app_now())::float8 as left from run_step where run_id = $1 and path = 't'`, [run]);
  assert.ok(Math.abs(left - 3600) < 60, `an hour from now: ${left}`);
  const ats = (await events(run)).map(e => e.at);
  assert.deepEqual(ats, ats.toSorted(), 'run time never goes back');
  assert.equal((await events(run, 'clock_changed')).length, 4);
  same(run);
});

// ---- powers ----

test('each power: done by the commander with a reason, an event each, refused to others and without a reason', async () => {
  await publish('powers', `vars:
  big: {type: bool, default: false}
  count: {type: int, default: 1}
steps:
  - if: fork
    cond: big
    then: [{task: hard, role: commander, title: {zh: 难, en: Hard}}]
    else: [{task: easy, role: tech_lead, title: {zh: 易, en: Easy}}]
  - parallel: both
    branches:
      a: [{task: left, role: tech_lead, title: {zh: 左, en: Left}}]
      b: [{task: right, role: commander, title: {zh: 右, en: Right}}]
  - {task: last, role: commander, title: {zh: 最后, en: Last}}
`);
  const { run } = await start('powers');
  const power = async (body, check) => {
    assert.equal((await act(responder, run, { ...body, reason: WHY })).status, 403, JSON.stringify(body));
    assert.equal((await act(commander, run, { ...body, reason: 'short' })).status, 422, JSON.stringify(body));
    good(await act(commander, run, { ...body, reason: WHY }));
    await check();
  };
  const page = async () => (await commander('GET', `/runs/${run}`)).json;
  const fork = (await page()).blocks.find(b => b.path === 'fork');
  assert.ok(fork.can.choose);
  assert.deepEqual(fork.branches.map(b => b.value).sort(), ['else', 'then']);
  await power({ path: 'fork', act: 'choose_branch', branch: 'then' }, async () => {
    assert.equal((await step(run, 'fork/then/hard')).status, 'active');
    assert.equal((await step(run, 'fork/else/easy')).status, 'cancelled');
  });
  assert.equal((await act(commander, run, { path: 'fork', act: 'choose_branch', branch: 'nowhere', reason: WHY })).status, 422);
  await power({ path: 'fork/then/hard', act: 'reassign', person: responder.who.login }, async () => {
    assert.equal((await step(run, 'fork/then/hard')).detail.assigned.id, responder.who.id);
  });
  const mine = (await responder('GET', `/runs/${run}`)).json.current.find(s => s.path === 'fork/then/hard');
  assert.ok(mine.mine && mine.may_act);
  assert.equal((await act(commander, run, { path: 'fork/then/hard', act: 'reassign', person: 'nobody.at.all', reason: WHY })).status, 422);
  good(await act(responder, run, { path: 'fork/then/hard', act: 'done' }));
  await power({ act: 'override', var: 'count', value: '7' }, async () => assert.equal((await vars(run)).count, 7));
  await power({ act: 'adhoc', path: 'both', kind: 'task', title: { zh: '补一步', en: 'One more' }, role: 'tech_lead' }, async () => {
    const added = (await page()).current.find(s => s.adhoc);
    assert.equal(added.title.en, 'One more');
    good(await act(commander, run, { path: added.path, act: 'done' }));
  });
  good(await act(commander, run, { act: 'adhoc', kind: 'notify', title: { zh: '告知', en: 'Tell' }, text: { zh: '请知悉', en: 'Note this' }, to: ['user.rita'], reason: WHY }));
  await until('the ad-hoc notice', () => mail.mails.find(m => m.to.includes('rita@haidong.example') && /Note this|请知悉/.test(m.parsed.text)));
  await power({ path: 'both', act: 'skip' }, async () => {
    assert.equal((await step(run, 'both')).status, 'skipped');
    assert.equal((await step(run, 'both/a/left')).status, 'cancelled');
  });
  const kinds = new Set((await events(run)).map(e => e.kind));
  for (const kind of ['choose_branch', 'branch_chosen', 'reassign', 'override', 'adhoc_step', 'skip']) assert.ok(kinds.has(kind), kind);
  for (const kind of ['pause', 'resume']) {
    assert.equal((await responder('POST', `/runs/${run}/acts`, { act: kind, reason: WHY })).status, 403);
    good(await commander('POST', `/runs/${run}/acts`, { act: kind, reason: WHY }));
  }
  good(await act(commander, run, { act: 'hand_over', person: second.who.login, reason: WHY }));
  good(await act(second, run, { act: 'hand_over', person: second.who.login, reason: WHY }));
  assert.equal((await server.db.one('select state from run where id = $1', [run])).state.roles.commander[0].id, second.who.id);
  assert.equal((await act(commander, run, { act: 'done' })).status, 422, 'a step is needed for what is done to a step');
  same(run);
});

// ---- races: one outcome, both recorded ----

test('skip while done arrives: one of them is the outcome', async () => {
  await publish('race', `steps:
  - {task: t, role: commander, title: {zh: 做, en: Do}}
  - {task: last, role: commander, title: {zh: 最后, en: Last}}
`);
  for (let n = 0; n < 5; n++) {
    const { run } = await start('race');
    const [done, skipped] = await Promise.all([act(second, run, { path: 't', act: 'done' }), act(commander, run, { path: 't', act: 'skip', reason: WHY })]);
    const won = [done, skipped].filter(a => a.status < 300);
    assert.equal(won.length, 1, `${done.text} ${skipped.text}`);
    assert.equal([done, skipped].find(a => a.status >= 300).status, 409);
    assert.equal((await step(run, 't')).status, done.status < 300 ? 'done' : 'skipped');
    same(run);
  }
});

test('two commanders abort and resume at once; a real run needs both for the abort', async () => {
  const { run } = await start('race');
  const [one, two] = await Promise.all([commander('POST', `/runs/${run}/acts`, { act: 'abort', reason: WHY }), second('POST', `/runs/${run}/acts`, { act: 'abort', reason: WHY })]);
  good(one); good(two);
  assert.equal(await status(run), 'aborted');
  assert.equal((await events(run, 'second_needed')).length, 1);
  assert.equal((await events(run, 'abort')).length, 2, 'both are recorded');
  same(run);
});

test('approve while the deadline fires: either is the outcome, the other is late or refused', async () => {
  await publish('race-approve', `steps:
  - {approve: a, title: {zh: 批, en: Approve}, by: {role: commander, count: 1}, deadline: {after: 10m, then: skip}}
  - {task: last, role: commander, title: {zh: 最后, en: Last}}
`);
  for (let n = 0; n < 3; n++) {
    const { run } = await start('race-approve');
    const [answer] = await Promise.all([act(commander, run, { path: 'a', act: 'approve' }), server.clock(601)]);
    await until('the step to end', async () => (await step(run, 'a')).ended_at !== null);
    assert.equal((await step(run, 'a')).status, answer.status < 300 ? 'done' : 'skipped', answer.text);
    same(run);
  }
});

test('abort during a send: the claimed call is finished and recorded as late', async () => {
  let free; const answer = { status: 200, body: { ok: true, name: 'too late' }, hold: new Promise(resolve => { free = resolve; }) };
  answers.push(answer);
  const { run } = await start('call-kill-idempotent');
  await until('the call to arrive', () => answer.held);
  good(await commander('POST', `/runs/${run}/acts`, { act: 'abort', reason: WHY }));
  good(await second('POST', `/runs/${run}/acts`, { act: 'abort', reason: WHY }));
  free();
  await until('the answer to be recorded', async () => (await server.db.one('select state from http_call where run_id = $1', [run])).state === 'done');
  assert.equal(await status(run), 'aborted');
  assert.equal((await events(run, 'effect_done')).length, 1);
  assert.equal((await vars(run)).answer, 'none');
  same(run);
});

// ---- this is real ----

test('stop the drill, this is real: anyone with a duty, one act, and nothing of the drill goes over', async () => {
  const { ref, run } = await start('race', { kind: 'drill' });
  assert.equal((await viewer('POST', `/incidents/${ref}/real`, { title: 'Fire in the data centre', playbook: 'none' })).status, 403);
  assert.equal((await responder('POST', `/incidents/${ref}/real`, {})).status, 422);
  const before_ = mail.mails.length;
  const made = await responder('POST', `/incidents/${ref}/real`, { title: 'Fire in the data centre', severity: 'II', playbook: 'race', reason: 'smoke is seen in hall B' });
  assert.equal(made.status, 201, made.text);
  const real = made.json.ref;
  assert.match(real, /^INC-/);
  assert.equal(await status(run), 'paused');
  assert.equal((await viewer('GET', `/incidents/${ref}`)).json.real_event.ref, real);
  assert.equal((await viewer('GET', `/incidents/${real}`)).json.stopped_drill.ref, ref);
  const browser = await new Browser(server).become(responder.who);
  assert.match((await browser.get(`/incidents/${ref}`)).text, new RegExp(`data-testid="real-event"[^]*/incidents/${real}`));
  const row = await server.db.one(`select id, kind from incident where ref = $1`, [real]);
  assert.equal(row.kind, 'incident');
  await until('the declaration to be told', () => mail.mails.slice(before_).some(m => m.raw.includes(real)));
  for (const m of mail.mails.filter(m => m.parsed.subject.includes(real))) assert.ok(!/演练|DRILL/i.test(m.parsed.subject + m.parsed.text), 'told as what it is');
  assert.deepEqual((await server.db.query(`select distinct kind from outbox where incident_id = $1`, [row.id])).map(r => r.kind), ['incident']);
  assert.deepEqual((await server.db.query(`select distinct kind from run where incident_id = $1`, [row.id])).map(r => r.kind), ['incident']);
  assert.equal((await server.db.one(`select count(*)::int n from timeline_event where incident_id = $1 and (text like '%smoke%' or data::text like '%Story of race%')`, [row.id])).n, 0);
  assert.equal((await responder('POST', `/incidents/${real}/real`, { title: 'x' })).status, 409, 'what is real is no drill');
  same(run);
});

// ---- the registers ----

test('connections and sealed values: made, changed with the right version, refused by field, listed in the audit, never shown', async () => {
  for (const [body, pointer] of [[{ base_url: 'ftp://x.example' }, '/base_url'], [{ base_url: 'https://user:pass@x.example' }, '/base_url'], [{ drill_url: 'https://x.example' }, '/drill_url'], [{ methods: ['TRACE'] }, '/methods'],
    [{ headers: 'no header' }, '/headers'], [{ headers: 'Authorization: Bearer abc' }, '/headers'], [{ headers: 'X-Key: {{nobody}}' }, '/headers'], [{ headers: 'Host: y' }, '/headers']]) {
    const answer = await admin('POST', '/connections', { slug: 'bad', name: 'Bad', base_url: 'https://x.example', ...body });
    assert.equal(answer.status, 422, answer.text);
    assert.equal(answer.json.errors[0].pointer, pointer, answer.text);
  }
  good(await admin('POST', '/connections', { slug: 'extra', name: 'Extra', base_url: 'https://x.example/api/', headers: 'Authorization: Bearer {{api_key}}' }));
  assert.equal((await admin('POST', '/connections', { slug: 'extra', name: 'Extra', base_url: 'https://x.example' })).status, 409);
  const one = await admin('GET', '/connections/extra');
  assert.equal(one.json.base_url, 'https://x.example/api');
  assert.equal((await admin('PUT', '/connections/extra', { name: 'Extra', base_url: 'https://y.example' }, { 'If-Match': '"9"' })).status, 412);
  good(await admin('PUT', '/connections/extra', { name: 'Extra', base_url: 'https://y.example', headers: 'Authorization: Bearer {{api_key}}' }, { 'If-Match': one.headers.get('etag') }));
  good(await admin('POST', '/connections/extra/enabled', { enabled: false }));
  assert.equal((await viewer('GET', '/connections')).status, 403);
  good(await admin('POST', '/secrets', { name: 'spare', value: 'Zebra spare' }));
  assert.equal((await admin('POST', '/secrets', { name: 'Not A Name', value: 'x' })).status, 422);
  assert.equal((await admin('POST', '/secrets', { name: 'spare', value: 'x' })).status, 409);
  assert.equal((await admin('PUT', '/secrets/spare', { value: 'Zebra other' }, { 'If-Match': '"7"' })).status, 412);
  good(await admin('PUT', '/secrets/spare', { value: 'Zebra other' }, { 'If-Match': '"1"' }));
  assert.equal((await admin('DELETE', '/secrets/api_key')).status, 409, 'it is used');
  good(await admin('DELETE', '/secrets/spare'));
  const audit = await server.db.query(`select action from audit_event where action ~ '^(connection|secret)[.]'`);
  for (const action of ['connection.created', 'connection.changed', 'connection.disabled', 'secret.created', 'secret.changed', 'secret.removed']) assert.ok(audit.some(a => a.action === action), action);
  const browser = await new Browser(server).become(commander.who);
  for (const path of ['/connections', '/connections/core', '/secrets']) {
    const page = await browser.get(path);
    assert.equal(page.status, 200, path);
    assert.ok(!page.text.includes('Zebra'));
  }
  const typed = await browser.post('/connections', { slug: 'typed', 'name.zh': '甲', 'name.en': 'A', base_url: 'nonsense', headers: 'X-Note: kept' });
  assert.equal(typed.status, 422);
  assert.match(typed.text, /value="nonsense"[^]*X-Note: kept/);
  const bad = await browser.post('/secrets', { name: 'Bad Name', value: 'Zebra typed', note: 'kept note' });
  assert.equal(bad.status, 422);
  assert.ok(bad.text.includes('kept note') && !bad.text.includes('Zebra typed'));
  assert.equal((await browser.post('/secrets', { name: 'page_made', value: 'Zebra page', note: '' })).status, 303);
});
