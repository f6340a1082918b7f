// Emergency plans: from a template to a version in force, what goes stale and why, packs and their check page, activation.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';

let server, db;
const people = {}, call = {};
const ok = (answer, status) => { assert.ok(status ? answer.status === status : answer.status < 300, `${answer.status} ${answer.text.slice(0, 600)}`); return answer.json; };
const refused = (answer, status, code) => { assert.equal(answer.status, status, answer.text.slice(0, 600)); assert.equal(answer.json.errors?.[0]?.code ?? answer.json.code, code, answer.text.slice(0, 600)); };

before(async () => {
  server = await muster({ asan: true, demo: true });
  db = server.db;
  for (const [key, roles] of [['risk', ['risk']], ['risk2', ['risk', 'approver']], ['approver', ['approver']], ['viewer', ['viewer']], ['commander', ['commander']]]) {
    people[key] = await person(db, 'p.' + key, roles, { email: `${key}@bank.example` });
    call[key] = await bearer(server, people[key]);
  }
});
after(() => server?.close());

const TEXT = { zh: '手机银行目标为 {{objective:mobile-banking}}，联系 {{person:li.qiang}}，短信由 {{supplier:sms-gateway}} 提供。', en: 'Objectives: {{objective:mobile-banking}}; call {{person:li.qiang}}; texts by {{supplier:sms-gateway}}.' };

// A plan with every section written, in force.
async function inForce(slug, more = {}) {
  ok(await call.risk('POST', '/plans', { slug, template: 'cn-special', title: { zh: '手机银行专项预案', en: 'Mobile banking plan' }, services: 'mobile-banking' }), 201);
  const draft = ok(await call.risk('GET', `/plans/${slug}/draft`));
  const sections = Object.fromEntries(draft.sections.filter(s => !s.zh).map(s => [s.id, { zh: '内容', en: 'Text' }]));
  ok(await call.risk('PUT', `/plans/${slug}/draft`, { sections: { ...sections, impact: TEXT }, playbooks: { 'mobile-banking-outage': 'II', ddos: 'I' }, ...more }, { 'If-Match': draft.etag }));
  ok(await call.risk('POST', `/plans/${slug}/versions/1/submit`, {}));
  return ok(await call.approver('POST', `/plans/${slug}/versions/1/approve`, { note: 'Deputies are being named.' }));
}
const section = (plan, id) => plan.sections.find(s => s.id === id);

test('a plan begins from a template, is written, handed in, and comes into force by a second person', async () => {
  const made = await inForce('mb-first');
  assert.equal(made.state, 'in_force');
  assert.match(made.sha256, /^[0-9a-f]{64}$/);
  const plan = ok(await call.viewer('GET', '/plans/mb-first'));
  const impact = section(plan, 'impact');
  assert.match(impact.text.zh, /RTO 30分钟，RPO 5分钟/, impact.text.zh);
  assert.match(impact.text.en, /RTO 30 min, RPO 5 min/);
  assert.match(impact.text.zh, /李强（应用运维主管）/);
  assert.equal(plan.stale, false);
  assert.deepEqual(impact.lines.map(l => [l.kind, l.name]), [['objective', 'mobile-banking'], ['person', 'li.qiang'], ['supplier', 'sms-gateway']]);
  const process = section(plan, 'process');
  const steps = process.generated.find(g => g.playbook === 'mobile-banking-outage').steps;
  assert.ok(steps.length > 5 && steps.some(s => s.role_name), 'steps of the linked playbook stand in the section they fill');
  assert.ok(plan.roles.find(r => r.role === 'comms').no_deputy, 'a role without a deputy is flagged');
  assert.ok(plan.audiences.every(a => 'within' in a), 'what is not set says so: on the page it must not borrow the value of another row');
});

test('who wrote or handed in a version does not approve it, neither over HTTP nor past it', async () => {
  ok(await call.risk2('POST', '/plans', { slug: 'own', template: 'cn-onsite' }), 201);
  const draft = ok(await call.risk2('GET', '/plans/own/draft'));
  ok(await call.risk2('PUT', '/plans/own/draft', { sections: Object.fromEntries(draft.sections.map(s => [s.id, { zh: '甲', en: 'A' }])) }, { 'If-Match': draft.etag }));
  ok(await call.risk2('POST', '/plans/own/versions/1/submit', {}));
  refused(await call.risk2('POST', '/plans/own/versions/1/approve', { note: 'fine' }), 409, 'error.plan.own');
  await assert.rejects(db.query(`update plan_version set state = 'in_force', approved_by = $1, approved_at = now(), in_force = tstzrange(now(), null), content_sha256 = 'x' where plan_id = (select id from plan where slug = 'own')`, [people.risk2.id]), /plan_two_people/);
  refused(await call.approver('POST', '/plans/own/versions/1/approve', {}), 422, 'error.plan.note');
  ok(await call.approver('POST', '/plans/own/versions/1/approve', { note: 'The vacancies are known.' }));
  refused(await call.approver('POST', '/plans/own/versions/1/approve', { note: 'again' }), 409, 'error.plan.state');
});

test('errors stand in the way of handing in: a citation of nothing, an empty section, a level without a trigger', async () => {
  ok(await call.risk('POST', '/plans', { slug: 'faulty', template: 'cn-special' }), 201);
  let draft = ok(await call.risk('GET', '/plans/faulty/draft'));
  ok(await call.risk('PUT', '/plans/faulty/draft', { sections: { impact: { zh: '{{objective:no-such}}' } }, levels: { I: { authority: 'commander' } } }, { 'If-Match': draft.etag }));
  refused(await call.risk('POST', '/plans/faulty/versions/1/submit', {}), 422, 'error.plan.findings');
  const plan = ok(await call.viewer('GET', '/plans/faulty'));
  const keys = plan.findings.map(f => `${f.key}:${f.section}`);
  for (const key of ['unknown_fact:impact', 'no_section:coordination', 'no_trigger:levels', 'one_language:impact']) assert.ok(keys.includes(key), `${key} in ${keys}`);
  assert.match(section(plan, 'impact').text.zh, /`objective:no-such`/);
  draft = ok(await call.risk('GET', '/plans/faulty/draft'));
  for (const [body, pointer] of [[{ services: 'no-such' }, '/services'], [{ levels: { V: { authority: 'x' } } }, '/levels'], [{ audiences: [{ who: 'all', within: 'soon' }] }, '/audiences'], [{ playbooks: ['no-such'] }, '/playbooks'], [{ sections: { nowhere: 'x' } }, '/sections'], [{ roles: [{ role: 'No Role' }] }, '/roles']]) {
    const answer = await call.risk('PUT', '/plans/faulty/draft', body, { 'If-Match': draft.etag });
    assert.equal(answer.status, 422, JSON.stringify(body) + answer.text);
    assert.equal(answer.json.errors[0].pointer, pointer);
  }
  refused(await call.risk('PUT', '/plans/faulty/draft', { services: 'atm' }, { 'If-Match': '"9-9"' }), 412, 'error.stale');
});

test('what it cites changes: the section says so with date and cause beside the value at approval, and the owner is told once', async () => {
  await inForce('mb-stale');
  const told = () => db.query(`select m.* from message m where m.purpose = 'plan_stale' and m.data ->> 'plan' = 'mb-stale'`);
  await db.query('select plan_look()');
  assert.equal((await told()).length, 0, 'nothing changed yet');
  await db.query(`update service set rto_seconds = 3600 where slug = 'mobile-banking'`);
  let plan = ok(await call.viewer('GET', '/plans/mb-stale'));
  const impact = section(plan, 'impact');
  assert.ok(plan.stale && impact.stale, 'it shows at once, before anybody looked');
  assert.match(impact.text.zh, /RTO 30分钟，RPO 5分钟 → \*\*RTO 1小时，RPO 5分钟\*\*/);
  assert.deepEqual(impact.causes.map(c => c.cause), ['objective_changed']);
  await db.query('select plan_look()');
  await db.query('select plan_look()');
  const messages = await told();
  assert.equal(messages.length, 1, 'told once, however often it is looked at');
  assert.match(messages[0].text.zh, /恢复目标已调整/);
  const rows = await db.query(`select person_id from outbox where message_id = $1`, [messages[0].id]);
  assert.deepEqual(rows.map(r => r.person_id), [people.risk.id]);
  await db.query(`update person set active = false where login = 'li.qiang'`);
  await db.query('select plan_look()');
  assert.equal((await told()).length, 2, 'another thing that changed is another message');
  plan = ok(await call.viewer('GET', '/plans/mb-stale'));
  assert.deepEqual(section(plan, 'impact').causes.map(c => c.cause).sort(), ['contact_left', 'objective_changed']);
  assert.equal(section(plan, 'organisation').causes[0].cause, 'contact_left', 'the technical lead is cited there as a role');
  const open = ok(await call.viewer('GET', '/plans/causes?open=true'));
  assert.ok(open.items.some(c => c.plan === 'mb-stale' && c.cause === 'objective_changed' && c.told_at && c.since), JSON.stringify(open.items[0]));
  await db.query(`update person set active = true where login = 'li.qiang'`);
  await db.query(`update service set rto_seconds = 1800 where slug = 'mobile-banking'`);
  await db.query('select plan_look()');
  plan = ok(await call.viewer('GET', '/plans/mb-stale'));
  assert.equal(plan.stale, false, 'as it was: no longer stale');
  assert.equal((await told()).length, 2);
  assert.equal((await db.one(`select count(*)::int n from plan_cause c join plan p on p.id = c.plan_id where p.slug = 'mb-stale' and cleared_at is null`)).n, 0);
});

test('each cause by its name: app retired, supplier replaced, playbook edited, drill failed', async () => {
  await inForce('mb-causes');
  const causes = async () => ok(await call.viewer('GET', '/plans/mb-causes')).all_causes.map(c => `${c.section}:${c.cause}`);
  await db.query(`update service set retired_at = app_now() where slug in ('mobile-banking', 'sms-gateway')`);
  assert.ok((await causes()).includes('services:app_retired'));
  assert.ok((await causes()).includes('impact:supplier_replaced'));
  await db.query(`update service set retired_at = null where slug in ('mobile-banking', 'sms-gateway')`);
  await db.query(`insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, state, published_at)
    select v.playbook_id, v.version + 1, v.body, 'other', v.title, v.source_format, 'published', app_now() from playbook_version v join playbook p on p.id = v.playbook_id where p.slug = 'ddos' and v.state = 'published'`);
  await db.query(`update playbook_version v set state = 'retired' from playbook p where p.id = v.playbook_id and p.slug = 'ddos' and v.body_sha256 <> 'other' and v.state = 'published'`);
  assert.ok((await causes()).includes('playbooks:playbook_edited'));
  const plan = ok(await call.viewer('GET', '/plans/mb-causes'));
  const ddos = plan.playbooks.find(p => p.slug === 'ddos');
  assert.deepEqual([ddos.was_version, ddos.now_version], [1, 2]);
  const drill = await db.one(`insert into incident(ref, kind, title, state, occurred_at, detected_at, declared_at, closed_at) values ('DRL-2099-0001', 'drill', 'x', 'closed', app_now(), app_now(), app_now(), app_now()) returning id`);
  await db.query(`insert into run(incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at, finished_at)
    select $1, 'drill', id, 1, 'succeeded', 2, '', '{}', app_now(), app_now(), app_now(), app_now() from playbook where slug = 'mobile-banking-outage'`, [drill.id]);
  assert.ok(!(await causes()).some(c => c.includes('drill')), 'a drill that passed is news, not a cause');
  await db.query(`update run set status = 'failed' where incident_id = $1`, [drill.id]);
  assert.ok((await causes()).includes('playbooks:drill_failed'));
  await db.query(`update run set status = 'succeeded' where incident_id = $1`, [drill.id]);
});

test('the next version supersedes the one in force; two versions are compared word by word', async () => {
  await inForce('mb-next');
  const draft = ok(await call.risk('GET', '/plans/mb-next/draft'));
  assert.equal(draft.fresh, true);
  ok(await call.risk('PUT', '/plans/mb-next/draft', { sections: { coordination: { zh: '联系清算机构和公安部门', en: 'Call the clearing house and the police' } }, roles: [{ role: 'commander', group: 'leading', duty: { zh: '指挥', en: 'Commands' } }] }, { 'If-Match': draft.etag }));
  let diff = ok(await call.viewer('GET', '/plans/mb-next/compare'));
  assert.deepEqual([diff.from.version, diff.to.version], [1, 2]);
  const zh = diff.differences.find(d => d.part === 'coordination' && d.language === 'zh');
  assert.equal(zh.pieces.filter(p => !p.added).map(p => p.text).join(''), '内容');
  assert.equal(zh.pieces.filter(p => !p.removed).map(p => p.text).join(''), '联系清算机构和公安部门');
  assert.ok(diff.differences.some(d => d.part === 'roles' && d.pieces.some(p => p.removed)));
  ok(await call.risk('POST', '/plans/mb-next/versions/2/submit', {}));
  refused(await call.risk('PUT', '/plans/mb-next/draft', { services: 'atm' }, { 'If-Match': '"2-2"' }), 409, 'error.plan.in_review');
  ok(await call.approver('POST', '/plans/mb-next/versions/2/return', { reason: 'The police number is missing.' }));
  ok(await call.risk('POST', '/plans/mb-next/versions/2/submit', {}));
  ok(await call.approver('POST', '/plans/mb-next/versions/2/approve', { note: 'Known.' }));
  const plan = ok(await call.viewer('GET', '/plans/mb-next'));
  assert.deepEqual(plan.versions.map(v => [v.version, v.state]), [[2, 'in_force'], [1, 'superseded']]);
  assert.equal(plan.versions[1].in_force_to, plan.versions[0].in_force_from, 'without a gap');
  diff = ok(await call.viewer('GET', '/plans/mb-next/compare?from=2&to=2'));
  assert.equal(diff.same, true);
});

test('the cadence has a person and a reason; a review is not recorded over a stale plan; the list finds what is due', async () => {
  await inForce('mb-review');
  ok(await call.risk('POST', '/plans/mb-review/cadence', { days: 30, why: 'Asked for by the audit of 2026.' }));
  const plan = ok(await call.viewer('GET', '/plans/mb-review'));
  assert.equal(plan.review.days, 30);
  assert.equal(plan.review.by.login, 'p.risk');
  assert.match(plan.review.why, /audit/);
  await db.query(`update test_clock set shift = shift + interval '31 days'`);
  try {
    assert.ok(ok(await call.viewer('GET', '/plans?state=overdue')).items.some(p => p.slug === 'mb-review'));
    assert.ok((await db.query(`select * from plan_due() where kind = 'plan_review' and subject = 'mb-review'`)).length === 1);
    await db.query(`update service set rpo_seconds = 60 where slug = 'mobile-banking'`);
    refused(await call.risk('POST', '/plans/mb-review/reviews', {}), 409, 'error.plan.review_stale');
    await db.query(`update service set rpo_seconds = 300 where slug = 'mobile-banking'`);
    ok(await call.risk('POST', '/plans/mb-review/reviews', { note: 'Read through.' }));
    assert.ok(!ok(await call.viewer('GET', '/plans?state=overdue')).items.some(p => p.slug === 'mb-review'));
  } finally { await db.query(`update test_clock set shift = shift - interval '31 days'`); }
});

test('a pack for a role: page and PDF with version, hash and code; the check page tells strangers one word', async () => {
  await inForce('mb-pack');
  refused(await call.commander('POST', '/plans/mb-pack/packs', { role: 'nobody-here' }), 422, 'error.plan.pack_role');
  const pack = ok(await call.commander('POST', '/plans/mb-pack/packs', { role: 'comms', language: 'zh' }), 201);
  const again = ok(await call.commander('POST', '/plans/mb-pack/packs', { role: 'comms', language: 'zh' }), 201);
  assert.equal(again.code, pack.code, 'the same pack of the same day is one');
  const html = await until('the page', async () => { const a = await call.viewer('GET', `/plan-packs/${pack.code}/html`); return a.status === 200 ? a.text : null; });
  const plan = ok(await call.viewer('GET', '/plans/mb-pack'));
  for (const word of [plan.sha256, pack.code, '手机银行专项预案', '孙莉', '<svg class="qr"']) assert.ok(html.includes(word), word);
  assert.doesNotMatch(html, /<script|src=|https?:\/\/(?!127\.0\.0\.1|www\.w3\.org)/, 'nothing is fetched from anywhere');
  const pdf = await until('the PDF', async () => { const a = await call.viewer('GET', `/plan-packs/${pack.code}/pdf`); return a.status === 200 ? a : null; }, 60);
  assert.match(pdf.headers.get('content-type'), /pdf/);
  const check = async () => { const a = await request(server, 'GET', `/api/v1/plan-check/${pack.code}`, {}); assert.equal(a.status, 200, a.text); return JSON.parse(a.text); };
  assert.deepEqual(await check(), { state: 'in_force', is: { in_force: true } }, 'and nothing else');
  const page = await new Browser(server).get(`/plan-check/${pack.code.toUpperCase()}`);
  assert.equal(page.status, 200);
  assert.doesNotMatch(page.text, /手机银行|mb-pack|Mobile banking/);
  await db.query(`update service set rto_seconds = 7200 where slug = 'mobile-banking'`);
  assert.equal((await check()).state, 'stale');
  await db.query(`update service set rto_seconds = 1800 where slug = 'mobile-banking'`);
  await db.query(`update test_clock set shift = shift + interval '91 days'`);
  assert.equal((await check()).state, 'stale', 'its time is over');
  await db.query(`update test_clock set shift = shift - interval '91 days'`);
  ok(await call.risk('POST', '/plans/mb-pack/archive', { reason: 'Merged into the overall plan.' }));
  assert.equal((await check()).state, 'superseded');
  assert.equal((await request(server, 'GET', '/api/v1/plan-check/abcdefghjkmnpqrs', {})).status, 404);
});

test('activation from an incident fills the roles and starts the playbooks of that level, in a drill as in earnest', async () => {
  await inForce('mb-act');
  for (const kind of ['incident', 'drill']) {
    const incident = ok(await call.commander('POST', '/incidents', { title: 'Sign-in fails', kind, severity: 'II', services: ['mobile-banking'], playbook: 'none' }), 201);
    refused(await call.commander('POST', `/incidents/${incident.ref}/plans`, { plan: 'faulty', level: 'II' }), 409, 'error.plan.not_in_force');
    const offered = ok(await call.commander('GET', `/incidents/${incident.ref}/plans`));
    assert.ok(offered.plans.find(p => p.slug === 'mb-act').fits, 'it covers a service that is affected');
    ok(await call.commander('POST', `/incidents/${incident.ref}/plans`, { plan: 'mb-act', level: 'II', note: 'Half of the sign-ins fail.' }), 201);
    const runs = await db.query(`select b.slug, r.status, r.kind from run r join playbook b on b.id = r.playbook_id join incident i on i.id = r.incident_id where i.ref = $1 and r.parent_run is null`, [incident.ref]);
    assert.deepEqual(runs.map(r => [r.slug, r.kind]), [['mobile-banking-outage', kind]], 'the playbook of level I only does not start');
    const roles = (await db.query(`select distinct r.role from incident_role r join incident i on i.id = r.incident_id where i.ref = $1 and r.until is null`, [incident.ref])).map(r => r.role);
    for (const role of ['commander', 'tech_lead', 'duty', 'comms', 'compliance']) assert.ok(roles.includes(role), role);
    const line = await db.one(`select e.data, e.text from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'plan_activated'`, [incident.ref]);
    assert.equal(line.data.version, 1);
    assert.equal(line.text, 'Half of the sign-ins fail.');
    refused(await call.commander('POST', `/incidents/${incident.ref}/plans`, { plan: 'mb-act', level: 'II' }), 409, 'error.plan.activated');
    ok(await call.commander('POST', `/incidents/${incident.ref}/plans`, { plan: 'mb-act', level: 'I' }), 201);
    const more = await db.query(`select b.slug from run r join playbook b on b.id = r.playbook_id join incident i on i.id = r.incident_id where i.ref = $1 and r.parent_run is null order by 1`, [incident.ref]);
    assert.deepEqual(more.map(r => r.slug), ['ddos', 'mobile-banking-outage'], 'a graver level adds its playbook, and starts none twice');
  }
});

test('on pages without scripts: a form that is wrong comes back with what was typed', async () => {
  const browser = await new Browser(server).become(people.risk);
  const made = await browser.post('/plans', { template: 'international', slug: 'from-page', kind: 'special', 'title.zh': '海外分行预案', 'title.en': 'Branch plan', services: 'no-such-service' });
  assert.equal(made.status, 422);
  assert.match(made.text, /海外分行预案/);
  assert.match(made.text, /no-such-service/);
  const good = await browser.post('/plans', { template: 'international', slug: 'from-page', kind: 'special', 'title.zh': '海外分行预案', 'title.en': 'Branch plan', services: 'atm' });
  assert.equal(good.status, 303, good.text.slice(0, 300));
  assert.equal(good.headers.location, '/plans/from-page/draft');
  const page = await browser.get('/plans/from-page/draft');
  const etag = /name="_etag" value="([^"]+)"/.exec(page.text)[1];
  const bad = await browser.post('/plans/from-page/draft', { _method: 'PUT', _etag: etag, 'title.zh': '海外分行预案', 'sections.purpose.zh': '只在本页', 'sections.purpose.en': 'typed here', 'levels.I.trigger.zh': '全停', 'levels.I.authority': 'commander', 'roles.1.role': 'Bad Role!', services: 'atm' });
  assert.equal(bad.status, 422, bad.text.slice(0, 200));
  for (const word of ['只在本页', 'typed here', '全停', 'Bad Role!']) assert.ok(bad.text.includes(word), word);
  const saved = await browser.post('/plans/from-page/draft', { _method: 'PUT', _etag: etag, 'title.zh': '海外分行预案', 'title.en': 'Branch plan', 'sections.purpose.zh': '只在本页', 'sections.purpose.en': 'typed here', 'levels.I.trigger.zh': '全停', 'levels.I.trigger.en': 'all down', 'levels.I.authority': 'commander', 'roles.1.role': 'commander', 'roles.1.group': 'leading', 'roles.1.duty.zh': '指挥', 'audiences.1.who.zh': '管理层', 'audiences.1.within': '30m', services: 'atm', 'playbooks.ddos': 'II' });
  assert.equal(saved.status, 303, saved.text.slice(0, 400));
  const kept = (await db.one(`select body from plan_version v join plan p on p.id = v.plan_id where p.slug = 'from-page'`)).body;
  assert.deepEqual(kept.audiences, [{ who: { zh: '管理层' }, within: 1800 }]);
  assert.deepEqual(kept.playbooks, [{ slug: 'ddos', level: 'II' }]);
  assert.deepEqual(kept.roles, [{ role: 'commander', group: 'leading', duty: { zh: '指挥' } }]);
});

test('tables leave as CSV, with formulas made harmless', async () => {
  await db.query(`update person set name = '{"zh":"=1+1","en":"=1+1"}' where login = 'sun.li'`);
  const roles = await call.viewer('GET', '/plans/mb-act/roles.csv');
  assert.match(roles.text, /'=1\+1/);
  const list = await call.viewer('GET', '/plans/export.csv');
  assert.match(list.text, /mb-act,special,/);
  assert.match((await call.viewer('GET', '/plans/causes.csv')).text, /objective_changed/);
});
