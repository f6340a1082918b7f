// Every row of the route table, on both faces, for every role: who is let in follows from the row and from nothing else.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer } from '../lib/muster.js';
import { Browser, form, request } from '../lib/browser.js';

const ROLES = ['viewer', 'responder', 'commander', 'risk', 'approver', 'auditor', 'admin'];
const WRITES = { POST: 1, PUT: 1, PATCH: 1, DELETE: 1 };

// Rows that admit more people than may finish the work: the refusal of somebody let in has another reason than the row's role.
const INNER = /^error\.(report\.|playbook\.|incident\.not_commander|run\.|role\.admin$|contact\.|token\.read_only$)/;

let server, rows, real;
const people = {}, tokens = {}, browsers = {};

before(async () => {
  server = await muster({ asan: true, demo: true, work: false });
  rows = JSON.parse(server.cli(['routes', '--json']));
  for (const role of ROLES) {
    people[role] = await person(server.db, 'm.' + role, [role]);
    tokens[role] = await bearer(server, people[role]);
    browsers[role] = await new Browser(server).become(people[role]);
  }
  people.nobody = await person(server.db, 'm.nobody', []);
  tokens.nobody = await bearer(server, people.nobody, []);
  browsers.nobody = await new Browser(server).become(people.nobody);
  const pick = async (text, ...values) => Object.values((await server.db.one(text, values)) || { none: null })[0];
  const incident = await server.db.one(`select i.ref from incident i left join report r on r.incident_id = i.id order by r.ref nulls last, i.ref limit 1`);
  real = {
    incident: incident.ref, report: await pick('select ref from report order by ref limit 1'), run: await pick('select id from run order by created_at limit 1'),
    service: await pick(`select slug from service order by slug limit 1`), component: await pick(`select slug from component where not is_group order by slug limit 1`),
    playbook: await pick(`select slug from playbook order by slug limit 1`), version: 1, person: (await person(server.db, 'm.object', ['viewer'])).id, endpoint: await pick(`select slug from endpoint where slug is not null order by slug limit 1`),
    team: await pick(`select slug from team order by slug limit 1`), role: await pick(`select role from role_holder order by role limit 1`),
    'id:int': await pick('select min(id) from outbox'), code: await pick(`select code from status_incident order by 1 limit 1`), format: 'pdf',
  };
});
after(() => server?.close());

// What a set of one role amounts to.
function may(role, needed) {
  if (needed === 'public') return true;
  if (role === null) return false;
  if (needed === 'any') return true;
  if (role === 'nobody') return false;
  return role === needed || role === 'admin' || needed === 'viewer' || (needed === 'responder' && role === 'commander');
}

// A read gets objects that exist; a write without a body gets some that do not, so that nothing is changed on the way.
const unknown = { ref: 'INC-1999-9999', uuid: '00000000-0000-4000-8000-000000000000', slug: 'no-such-thing', int: '999999999', word: 'no-such-word' };
const address = row => row.path.replace(/\{(\w+):(\w+)\}/g, (_, name, type) =>
  String((WRITES[row.method] && !row.body ? null : real[`${name}:${type}`] ?? real[name]) ?? (name === 'incident' && type === 'ref' && !WRITES[row.method] ? real.incident : unknown[type])));
const onPage = row => row.method !== 'GET' || row.page !== '' || row.flags.includes('DOWNLOAD');
const onJson = row => !row.flags.includes('PAGE_ONLY') && !row.flags.includes('ROOT');
const problem = text => { try { return JSON.parse(text); } catch { return null; } };

function judge(row, role, answer, code) {
  const who = `${role ?? 'anonymous'} ${row.method} ${row.name} (${row.role}): ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(answer.status < 500, 'a server error: ' + who);
  if (may(role, row.role)) {
    assert.notEqual(answer.status, 401, who);
    if (answer.status === 403) assert.match(code ?? '', INNER, 'refused though admitted: ' + who);
    if (row.method === 'GET' && code === null) assert.ok([200, 202, 303, 304, 404].includes(answer.status), who);
  } else if (role === null) return false;
  else {
    assert.equal(answer.status, 403, 'let in: ' + who);
    if (code !== null) assert.equal(code, `error.role.${row.role}`, who);
  }
  return true;
}

async function overJson(row, role, headers) {
  const answer = await request(server, row.method, '/api/v1' + address(row), {
    headers: { 'Accept-Language': 'en', ...(row.body ? { 'Content-Type': 'application/json' } : {}), ...(row.flags.includes('IF_MATCH') ? { 'If-Match': '"0"' } : {}), ...headers },
    body: row.body ? '{}' : undefined });
  const code = answer.status >= 400 ? problem(answer.text)?.errors?.[0]?.code ?? problem(answer.text)?.code ?? '' : null;
  if (answer.status >= 400) {
    assert.equal(answer.headers['content-type'], 'application/problem+json', row.name);
    assert.equal(problem(answer.text)?.status, answer.status, answer.text);
  }
  return { answer, code };
}

for (const role of [null, 'nobody', ...ROLES])
  test(`the interface, ${role ?? 'anonymous'}: each row admits exactly whom it says`, async () => {
    let count = 0;
    for (const row of rows.filter(onJson)) {
      const { answer, code } = await overJson(row, role, role ? { Authorization: `Bearer ${tokens[role].token}` } : {});
      if (!judge(row, role, answer, code)) {
        assert.equal(answer.status, 401, `${row.name}: ${answer.text}`);
        assert.match(answer.headers['www-authenticate'], /^Bearer/, row.name);
      }
      count++;
    }
    assert.ok(count > 100, `${count} rows`);
  });

// On pages a word of the page says whether a role was missing; the interface above has looked at the reason.
for (const role of [null, 'nobody', ...ROLES])
  test(`the pages, ${role ?? 'anonymous'}: each row admits exactly whom it says`, async () => {
    let count = 0;
    for (const row of rows.filter(onPage)) {
      if (role && ['sign_out', 'sessions_revoke_others', 'session_revoke', 'password_change'].includes(row.name)) await browsers[role].become(people[role]);
      const browser = role ? browsers[role] : new Browser(server);
      const target = address(row);
      const answer = row.method === 'GET' ? await browser.get(target)
        : await browser.post(target, { ...(row.method !== 'POST' ? { _method: row.method } : {}), ...(row.flags.includes('IF_MATCH') ? { _etag: '0' } : {}) });
      const who = `${role ?? 'anonymous'} ${row.method} ${row.name} (${row.role}): ${answer.status} ${answer.text.slice(0, 300)}`;
      assert.ok(answer.status < 500, 'a server error: ' + who);
      if (role === null && row.role !== 'public') {
        assert.equal(answer.status, 303, who);
        const next = row.method === 'GET' && target !== '/' ? `/signin?next=${encodeURIComponent(target)}` : '/signin';
        assert.equal(decodeURIComponent(answer.headers.location), decodeURIComponent(next), who);
      } else if (role === null) assert.notEqual(answer.status, 403, who);
      else if (!may(role, row.role)) assert.equal(answer.status, 403, 'let in: ' + who);
      else {
        assert.ok(!(answer.status === 303 && /^\/signin(\?next|$)/.test(answer.headers.location)), who);
        if (answer.status === 403) assert.ok(['viewer', 'any'].includes(row.role) || /^incident_(state|severity|handover)$/.test(row.name), 'refused though admitted: ' + who);
      }
      if (row.name === 'sign_out' && role) await browsers[role].become(people[role]);
      count++;
    }
    assert.ok(count > 100, `${count} rows`);
  });

test('a form without proof of its origin changes nothing', async () => {
  const browser = browsers.admin;
  await browser.become(people.admin);
  const before_ = await server.db.one(`select (select count(*) from audit_event)::int a, (select count(*) from timeline_event)::int t, (select count(*) from session where revoked_at is not null)::int s`);
  for (const row of rows.filter(r => WRITES[r.method] && r.role !== 'public')) {
    const fields = { _csrf: browser.csrf, ...(row.method !== 'POST' ? { _method: row.method } : {}), ...(row.flags.includes('IF_MATCH') ? { _etag: '0' } : {}) };
    const send = (headers, more = {}) => request(server, 'POST', address(row), { headers: browser.headers({ 'Content-Type': 'application/x-www-form-urlencoded', ...headers }), body: form({ ...fields, ...more }) });
    for (const [what, headers, more] of [
      ['no origin', {}], ['a foreign origin', { Origin: 'https://evil.example' }], ['a null origin', { Origin: 'null' }],
      ['a cross-site request', { Origin: server.url, 'Sec-Fetch-Site': 'cross-site' }], ['a same-site request', { 'Sec-Fetch-Site': 'same-site' }],
      ['a wrong form token', { Origin: server.url }, { _csrf: 'A'.repeat(browser.csrf.length) }], ['an empty form token', { Origin: server.url }, { _csrf: '' }],
    ]) {
      const answer = await send(headers, more);
      assert.equal(answer.status, 403, `${row.name}, ${what}: ${answer.status}`);
    }
    if (!onJson(row)) continue;
    for (const headers of [{}, { Origin: 'https://evil.example' }]) {
      const { answer } = await overJson(row, 'admin', { Cookie: browser.cookie, ...headers });
      assert.equal(answer.status, 403, `${row.name} by cookie, ${JSON.stringify(headers)}: ${answer.status}`);
    }
  }
  assert.deepEqual(await server.db.one(`select (select count(*) from audit_event)::int a, (select count(*) from timeline_event)::int t, (select count(*) from session where revoked_at is not null)::int s`), before_);
});

test('rows of pages only have no twin, and the other way round', async () => {
  for (const row of rows.filter(r => r.flags.includes('PAGE_ONLY'))) {
    const others = rows.some(r => r !== row && onJson(r) && r.path.replace(/\{\w+:\w+\}/g, '{}') === row.path.replace(/\{\w+:\w+\}/g, '{}'));
    if (others) continue;
    const answer = await request(server, row.method, '/api/v1' + address(row), { headers: { Authorization: `Bearer ${tokens.admin.token}` } });
    assert.ok([404, 405].includes(answer.status), `${row.name}: ${answer.status}`);
  }
});

test('an object that does not exist is 404 for those who may look, on every row with a parameter', async () => {
  for (const row of rows.filter(r => r.method === 'GET' && /\{/.test(r.path) && r.name !== 'ack_get')) {
    const target = row.path.replace(/\{(\w+):(\w+)\}/g, (_, name, type) => unknown[type]);
    const page = onPage(row) ? await browsers.admin.get(target) : null;
    if (page) { assert.equal(page.status, 404, `${row.name} page: ${page.status}`); }
    if (onJson(row)) {
      const answer = await request(server, 'GET', '/api/v1' + target, { headers: { Authorization: `Bearer ${tokens.admin.token}` } });
      assert.equal(answer.status, 404, `${row.name}: ${answer.status} ${answer.text}`);
      assert.equal(problem(answer.text).code, 'not_found', answer.text);
    }
  }
});

test('the server is still well', async () => {
  assert.equal((await request(server, 'GET', '/readyz')).status, 200);
  assert.equal(rows.length, new Set(rows.map(r => r.name)).size);
});
