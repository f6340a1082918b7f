// A real browser: contexts by language, size, colours and scripts, each watched for what must never appear on the console.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { bearer, session, until } from './muster.js';

const require = createRequire(import.meta.url);
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
export const WIDE = { width: 1366, height: 768 }, NARROW = { width: 360, height: 800 };

export async function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'] });
}

// One person at one machine. `faults` collects console errors, policy messages, script errors and requests to other origins.
export async function open(browser, server, { who, language = 'en', size = WIDE, scripts = true, scheme = 'light', bypassCSP = false } = {}) {
  const context = await browser.newContext({ viewport: size, javaScriptEnabled: scripts, colorScheme: scheme, locale: language === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', bypassCSP, acceptDownloads: true });
  context.setDefaultTimeout(15000);
  const faults = [];
  context.on('page', page => {
    page.on('console', message => { if (['error', 'warning'].includes(message.type())) faults.push(`${page.url()}: ${message.text()}`); });
    page.on('pageerror', error => faults.push(`${page.url()}: ${error.message}`));
    page.on('request', request => { if (!request.url().startsWith(server.url) && !request.url().startsWith('data:')) faults.push('request to ' + request.url()); });
  });
  if (who) {
    const cookie = await session(server, who);
    await context.addCookies([{ name: cookie.name, value: cookie.value, url: server.url, httpOnly: true, sameSite: 'Lax' }]);
  }
  const page = await context.newPage();
  const go = async (path, status = 200) => {
    const answer = await page.goto(server.url + path);
    if (status && answer) assert.equal(answer.status(), status, `${path}: ${answer.status()}`);
    return page;
  };
  return { context, page, go, faults, close: () => context.close() };
}

export const byTest = (page, id) => page.locator(`[data-testid="${id}"]`);

// No page may be wider than the window.
export async function fits(page, what = page.url()) {
  const [wide, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (wide <= window_) return;
  const worst = await page.evaluate(limit => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > limit + 1).slice(-4).map(e => e.outerHTML.slice(0, 160)), window_);
  assert.fail(`${what} is ${wide} px wide in a window of ${window_}: ${worst.join('\n')}`);
}

// Words that were not translated, keys and values of the machine that reached the page.
export async function spoken(page, what = page.url()) {
  const text = await page.evaluate(() => document.title + '\n' + document.body.innerText);
  const bad = text.match(/⟦[^⟧]*⟧|\{\{[^}]*|\bundefined\b|\bnull\b|\[object [^\]]*\]|\bNaN\b/g);
  assert.equal(bad, null, `${what} says ${bad}`);
}

// The rules of WCAG 2.2 A and AA that a program can check. The page's own policy stays in force: the checker runs outside of it.
export async function violations(page, rules) {
  if (!await page.evaluate(() => Boolean(window.axe))) await page.evaluate(axeSource + '\n;0');
  const { violations: found } = await page.evaluate(only => window.axe.run(document, { runOnly: only || ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'] }), rules);
  return found.map(v => `${v.id}: ${v.nodes.length} × ${v.help} – ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + (n.any[0]?.message || n.all[0]?.message || n.none[0]?.message || '')).join(' | ')}`);
}

// An outage in its tenth minute: declared, its playbook running, notes, a first word to the public, a draft report. Gives what pages need.
export async function scene(server, { notes = 4 } = {}) {
  const { db } = server;
  const who = login => db.one('select id, login from person where login = $1', [login]);
  const people = { commander: await who('wang.min'), responder: await who('li.qiang'), approver: await who('gao.feng'), risk: await who('zhao.hui'), compliance: await who('ma.rui'), auditor: await who('xu.jing'), admin: await who('zhou.kai') };
  await db.query(`insert into person_role values ($1, 'admin') on conflict do nothing`, [people.admin.id]);
  const api = await bearer(server, people.commander), lead = await bearer(server, people.responder), admin = await bearer(server, people.admin);
  const good = answer => { assert.ok(answer.status < 300, `${answer.status} ${answer.text}`); return answer; };
  const occurred = new Date(Date.now() - 11 * 60e3).toISOString();
  const { ref } = good(await api('POST', '/incidents', { title: '手机银行登录失败 · Mobile banking: sign-in fails', severity: 'II', services: ['mobile-banking', 'fast-payment:degraded'], occurred_at: occurred,
    summary: '客服电话激增，登录成功率降至12%。\nCalls surge; only 12 % of sign-ins succeed.' })).json;
  const words = ['客服报告大量客户无法登录。 The call centre reports that many customers cannot sign in.', '认证服务连接池耗尽。 The connection pool of the sign-in service is exhausted.', '昨晚 22:40 变更过参数。 A parameter was changed at 22:40 last night.', '准备回退参数。 Preparing to roll the parameter back.'];
  for (let n = 0; n < notes; n++) good(await lead('POST', `/incidents/${ref}/notes`, { text: words[n] || `第${n}条记录 · note ${n}` }));
  good(await api('POST', `/incidents/${ref}/next-update`, { minutes: 30 }));
  const run = await db.one(`select r.id from run r join incident i on i.id = r.incident_id where i.ref = $1`, [ref]);
  await until('the run to wait for people', () => db.one(`select 1 from run_step where run_id = $1 and status = 'active'`, [run.id]));
  const compliance = await bearer(server, people.compliance);
  good(await api('POST', `/incidents/${ref}/status-updates`, { status: 'investigating', text: { zh: '手机银行登录出现问题，我们正在排查。网点、自助设备和刷卡支付不受影响。', en: 'Sign-in to mobile banking fails. We are investigating. Branches, cash machines and card payments work.' },
    title: { zh: '手机银行无法登录', en: 'Sign-in to mobile banking fails' }, components: { 'mobile-banking': 'major_outage', 'fast-payment': 'degraded_performance' } }));
  good(await compliance('POST', `/incidents/${ref}/reports`, { profile: 'nfra-it-incident', stage: 'initial' }));
  const report = (await db.one(`select r.ref from report r join incident i on i.id = r.incident_id where i.ref = $1`, [ref])).ref;
  const drill = (await db.one(`select ref from incident where kind = 'drill' order by (state = 'open') desc, declared_at desc limit 1`)).ref;
  const status = await until('the public page of the incident', async () => /status\/incidents\/([\w-]+)/.exec(await (await fetch(server.url + '/status')).text())?.[1]);
  return { people, api, lead, admin, compliance, ref, run: run.id, report, drill, status };
}

// Every main screen: name, address, who looks at it, and the answer when it is not 200.
export function screens({ ref, run, people, report, drill, status }) {
  const { commander, admin, compliance, auditor } = people;
  return [
    ['signin', '/signin', null], ['home', '/', commander], ['incidents', '/incidents', commander], ['declare', '/declare', commander], ['incident', `/incidents/${ref}`, commander],
    ['drill', `/incidents/${drill}`, commander], ['receipt', `/incidents/${ref}/receipt`, commander], ['timeline', `/incidents/${ref}/timeline`, commander], ['run', `/runs/${run}`, commander], ['sheet', `/runs/${run}/sheet`, commander],
    ['deliveries', `/incidents/${ref}/deliveries`, commander], ['dead', '/deliveries', commander], ['status-post', `/incidents/${ref}/status-updates`, commander], ['print', `/incidents/${ref}/print`, commander], ['executive', '/executive', commander],
    ['incident-reports', `/incidents/${ref}/reports`, compliance], ['report', `/reports/${report}`, compliance], ['report-document', `/reports/${report}/document`, compliance], ['reports', '/reports', compliance],
    ['playbooks', '/playbooks', commander], ['playbook', '/playbooks/mobile-banking-outage', commander], ['rehearsal', '/playbooks/mobile-banking-outage/versions/1/rehearsal?seed=3', commander], ['services', '/services', commander], ['service', '/services/mobile-banking', commander],
    ['service-edit', '/services/mobile-banking/edit', admin], ['import', '/services/import', admin], ['people', '/people', admin], ['person', `/people/${people.responder.id}`, admin], ['roles', '/roles', admin], ['teams', '/teams', admin],
    ['components', '/components', admin], ['component', '/components/mobile-banking', admin], ['endpoints', '/endpoints', admin], ['connections', '/connections', admin], ['secrets', '/secrets', admin], ['settings', '/settings', admin], ['tokens', '/tokens', admin],
    ['me', '/me', commander], ['password', '/password', commander], ['audit', '/audit', auditor], ['search', '/search?q=银行', commander], ['not-found', '/incidents/INC-2020-9999', commander, 404],
    ['plans', '/plans', auditor], ['plan', '/plans/mobile-banking', compliance], ['plan-approval', '/plans/overall', people.approver], ['plan-new', '/plans/new', people.risk], ['plan-edit', '/plans/mobile-banking/draft', people.risk],
    ['plan-compare', '/plans/mobile-banking/compare', auditor], ['plan-causes', '/plans/causes', auditor], ['incident-plans', `/incidents/${ref}/plans`, commander],
    ['status', '/status', null], ['status-incident', `/status/incidents/${status}`, null], ['status-history', '/status/history', null],
  ];
}
