// What the public sees: read by the clients other people wrote for such pages, never touched by a drill, light enough for a bad line.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';
import { HtmlValidate } from 'html-validate';
import Parser from 'rss-parser';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser, request } from '../lib/browser.js';

const { Statuspage } = createRequire(import.meta.url)('statuspage.io');
let server, commander, browser, client;
before(async () => {
  server = await muster({ asan: true, demo: true, work: false });
  const who = await person(server.db, 'steve.status', ['commander', 'admin']);
  commander = await bearer(server, who);
  browser = await new Browser(server).become(who);
  client = new Statuspage('ours');
  client.setApiUrl(server.url);
  await until('the public page', async () => (await request(server, 'GET', '/api/v2/summary.json')).status === 200);
});
after(() => server?.close());

const publish = (ref, body) => commander('POST', `/incidents/${ref}/status-updates`, body);
const declare = async (kind, title) => {
  const answer = await commander('POST', '/incidents', { kind, title, services: ['mobile-banking'], playbook: 'none' });
  assert.equal(answer.status, 201, answer.text);
  return answer.json.ref;
};
const everything = async () => Promise.all(['/status?lang=en', '/status?lang=zh', '/status/history?lang=en', '/history.atom', '/history.rss', '/api/v2/summary.json', '/api/v2/incidents.json', '/api/v2/incidents/unresolved.json', '/api/v2/components.json']
  .map(async target => (await request(server, 'GET', target)).text)).then(all => all.join('\n'));
let real;

test('the client for such pages reads ours: summary, status, components, incidents, maintenances', async () => {
  const before_ = await client.api.getSummary();
  assert.ok(before_.page.id && before_.page.name && before_.page.url && before_.page.updated_at);
  assert.equal(before_.status.indicator, 'none');
  real = await declare('incident', 'Sign-in fails');
  const answer = await publish(real, { status: 'investigating', title: { zh: '手机银行登录异常', en: 'Mobile banking: sign-in fails' }, text: { zh: '我们正在排查。', en: 'We are looking into it.' }, components: { 'mobile-banking': 'major_outage' } });
  assert.equal(answer.status, 201, answer.text);
  const summary = await until('the update to be public', async () => { const s = await client.api.getSummary(); return s.incidents.length === 1 && s; });
  assert.ok(['major', 'critical', 'minor'].includes(summary.status.indicator), summary.status.indicator);
  const incident = summary.incidents[0];
  assert.equal(incident.status, 'investigating');
  for (const field of ['id', 'name', 'created_at', 'updated_at', 'impact', 'shortlink', 'page_id']) assert.ok(incident[field], field);
  assert.ok(Array.isArray(incident.incident_updates) && incident.incident_updates[0].body && incident.incident_updates[0].created_at);
  assert.equal(incident.page_id, summary.page.id);
  assert.equal((await client.api.getStatus()).status.indicator, summary.status.indicator);
  const { components } = await client.api.getComponents();
  const component = components.find(c => c.status === 'major_outage');
  assert.ok(component && component.id && component.name && component.position);
  assert.equal((await client.api.incidents.getUnresolved()).incidents.length, 1);
  assert.ok((await client.api.incidents.getAll()).incidents.some(i => i.id === incident.id));
  assert.deepEqual((await client.api.scheduledMaintenances.getAll()).scheduled_maintenances, []);
  assert.deepEqual((await client.api.scheduledMaintenances.getActive()).scheduled_maintenances, []);
  assert.deepEqual((await client.api.scheduledMaintenances.getUpcoming()).scheduled_maintenances, []);
});

test('a feed reader reads both feeds', async () => {
  for (const target of ['/history.atom', '/history.rss']) {
    const feed = await new Parser().parseURL(server.url + target);
    assert.ok(feed.title, target);
    const item = feed.items.find(i => /sign-in fails|登录异常/.test(i.title));
    assert.ok(item, target);
    assert.ok(item.link.startsWith(server.url + '/status/incidents/'), item.link);
    assert.ok(Date.parse(item.isoDate) > 0);
    assert.match(item.content || item.contentSnippet, /looking into it|正在排查/);
    assert.equal((await request(server, 'GET', new URL(item.link).pathname)).status, 200);
    assert.equal(new Set(feed.items.map(i => i.id || i.guid)).size, feed.items.length, 'one id for each');
  }
});

test('a drill never appears in public, whatever is published in it', async () => {
  const clean = (await client.api.getSummary()).incidents.length;
  const drill = await declare('drill', 'Zebra drill seven');
  const answer = await publish(drill, { status: 'investigating', title: 'Zebra drill seven', text: 'Zebra drill text', components: { 'mobile-banking': 'partial_outage' } });
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual([answer.json.published, answer.json.simulated], [false, true]);
  assert.equal((await server.db.one(`select count(*)::int n from timeline_event e join incident i on i.id = e.incident_id where i.ref = $1 and e.kind = 'status_simulated'`, [drill])).n, 1);
  assert.equal((await publish(real, { status: 'identified', text: 'The cause is known.' })).status, 201);     // published after it: once this is seen, the drill would be
  await until('the later update', async () => (await client.api.getSummary()).incidents[0].status === 'identified');
  const all = await everything();
  assert.doesNotMatch(all, /Zebra|演练七/);
  assert.ok(!all.includes(drill));
  assert.equal((await client.api.getSummary()).incidents.length, clean);
  assert.ok(!all.includes(real), 'nor our own reference of the real one');
});

test('one’s own names and words stay inside: only what was published is public', async () => {
  const all = await everything();
  for (const word of ['steve.status', 'Sign-in fails"', 'data-testid="csrf"', '_csrf']) assert.ok(!all.includes(word), word);
});

test('what people typed is text in every form it is published in', async () => {
  const evil = '<script>alert(1)</script> & "quotes" ]]> {{x}}';
  assert.equal((await publish(real, { status: 'monitoring', text: { zh: evil, en: evil } })).status, 201);
  await until('the update', async () => (await client.api.getSummary()).incidents[0].status === 'monitoring');
  for (const target of ['/status?lang=en', '/status?lang=zh', '/status/history', '/history.atom', '/history.rss']) assert.ok(!(await request(server, 'GET', target)).text.includes('<script>alert'), target);
  for (const target of ['/history.atom', '/history.rss']) assert.ok((await new Parser().parseURL(server.url + target)).items.length, target);
  const seen = (await client.api.getSummary()).incidents[0].incident_updates[0].body;
  assert.ok(seen.includes('<script>') && seen.includes('{{x}}'), 'as typed, in JSON');
});

test('solved: the component is back, the incident leaves the summary and stays in the history', async () => {
  assert.equal((await publish(real, { status: 'resolved', text: 'All is well again.' })).status, 201);
  const summary = await until('the end', async () => { const s = await client.api.getSummary(); return s.incidents.length === 0 && s; });
  assert.equal(summary.status.indicator, 'none');
  assert.ok(summary.components.every(c => c.status === 'operational'));
  assert.match((await request(server, 'GET', '/status/history?lang=en')).text, /sign-in fails/);
  assert.equal((await request(server, 'GET', '/status/incidents/nosuchcode')).status, 404);
});

test('an update needs its two languages or one text, a known state and known components', async () => {
  const ref = await declare('incident', 'another');
  for (const [body, pointer] of [[{ status: 'broken', text: 'x' }, '/status'], [{ status: 'investigating' }, '/text'], [{ status: 'investigating', text: '' }, '/text'],
    [{ status: 'investigating', text: 'x', components: { 'no-such': 'major_outage' } }, '/components'], [{ status: 'investigating', text: 'x', components: { 'mobile-banking': 'gone' } }, '/components']]) {
    const answer = await publish(ref, body);
    assert.equal(answer.status, 422, `${JSON.stringify(body)}: ${answer.status} ${answer.text}`);
    assert.ok(answer.json.errors.some(e => e.pointer.startsWith(pointer)), answer.text);
  }
  assert.equal((await commander('PATCH', '/components/mobile-banking', { status: 'partial_outage' })).status < 300, true);
  await until('the component', async () => (await client.api.getComponents()).components.some(c => c.status === 'partial_outage'));
  await commander('PATCH', '/components/mobile-banking', { status: 'operational' });
});

test('not changed is 304, packed when asked for, open to other sites only where it should be', async () => {
  for (const target of ['/status?lang=en', '/api/v2/summary.json', '/history.atom', '/history.rss']) {
    const first = await request(server, 'GET', target);
    assert.equal(first.status, 200, target);
    assert.ok(first.headers.etag, target);
    assert.match(first.headers['cache-control'], /max-age=\d+|no-cache/, target);
    const again = await request(server, 'GET', target, { headers: { 'If-None-Match': first.headers.etag } });
    assert.equal(again.status, 304, target);
    assert.equal(again.body.length, 0);
    const packed = await request(server, 'GET', target, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(packed.headers['content-encoding'], 'gzip', target);
    assert.equal(gunzipSync(packed.body).toString(), first.text, target);
    assert.match(packed.headers.vary, /Accept-Encoding/i);
    const head = await request(server, 'HEAD', target);
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
  }
  const api = await request(server, 'GET', '/api/v2/summary.json', { headers: { Origin: 'https://portal.example' } });
  assert.equal(api.headers['access-control-allow-origin'], '*');
  const ours = await request(server, 'GET', '/api/v1/incidents', { headers: { Origin: 'https://portal.example', Authorization: 'Bearer ' + commander.token } });
  assert.equal(ours.headers['access-control-allow-origin'], undefined);
});

test('the page is small, in the reader’s language, without script, cookie or foreign file', async () => {
  for (const [header, word] of [['zh-CN', 'zh'], ['en', 'en']]) {
    const answer = await request(server, 'GET', '/status', { headers: { 'Accept-Language': header } });
    assert.match(answer.headers['content-language'], new RegExp('^' + word));
    assert.match(answer.text, new RegExp(`<html lang="${word}`));
    assert.ok(answer.body.length < 40960, String(answer.body.length));
    assert.doesNotMatch(answer.text, /<script|javascript:/i);
    assert.equal(answer.headers['set-cookie'], undefined);
  }
});

// Left out: matters of taste (lower-case doctype, defaults written out, a label around its field that also names it), and names that
// checkboxes share by design.
const rules = { extends: ['html-validate:recommended', 'html-validate:a11y'], rules: {
  'no-trailing-whitespace': 'off', 'void-style': 'off', 'attr-quotes': 'off', 'long-title': 'off', 'doctype-style': 'off', 'no-implicit-button-type': 'off',
  'no-implicit-input-type': 'off', 'no-redundant-for': 'off', 'prefer-native-element': 'off', 'valid-id': ['error', { relaxed: true }],
  'form-dup-name': ['error', { shared: ['radio', 'checkbox', 'button', 'submit', 'reset'] }] } };
const checker = new HtmlValidate(rules);
async function valid(name, html) {
  const report = await checker.validateString(html);
  const all = report.results.flatMap(r => r.messages.filter(m => m.severity === 2).map(m => `${name}:${m.line}:${m.column} ${m.ruleId} ${m.message}: ${html.split('\n')[m.line - 1]?.slice(Math.max(0, m.column - 60), m.column + 60)}`));
  return all;
}
for (const language of ['en', 'zh'])
  test(`pages are valid HTML and follow the rules of accessibility (${language})`, async () => {
    const pages = ['/status', '/status/history', '/signin', '/', '/incidents', '/declare', `/incidents/${real}`, `/incidents/${real}/receipt`, `/incidents/${real}/timeline`, `/incidents/${real}/plain`, `/incidents/${real}/print`,
      `/incidents/${real}/deliveries`, `/incidents/${real}/status-updates`, `/incidents/${real}/reports`, '/executive', '/services', '/services/new', '/services/import', '/services/mobile-banking', '/services/mobile-banking/edit',
      '/people', '/roles', '/teams', '/components', '/components/mobile-banking', '/endpoints', '/tokens', '/settings', '/audit', '/search?q=a', '/me', '/password', '/playbooks', '/playbooks/mobile-banking-outage', '/reports', '/deliveries', '/no-such-page'];
    const run = await server.db.one('select id from run order by created_at limit 1');
    if (run) pages.push(`/runs/${run.id}`);
    const bad = [];
    for (const target of pages) {
      const mine = /^\/(status|signin)/.test(target) ? new Browser(server, { language }) : new Browser(server, { cookie: browser.cookie, language });
      const answer = await mine.get(target);
      assert.ok(answer.status < 500, target);
      bad.push(...await valid(target, answer.text));
    }
    assert.equal(bad.join('\n'), '');
  });
