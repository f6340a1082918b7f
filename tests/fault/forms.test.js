// A form that meets a fault of ours: the page that says so has what was typed and sends it again, once.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, person, bearer, until } from '../lib/muster.js';
import { Browser, form } from '../lib/browser.js';
import { cluster, seeded } from '../lib/cluster.js';

let where, db, server, browser, api, ref;
before(async () => {
  where = await cluster();
  db = await seeded(where, { demo: false });
  server = await muster({ db, work: false });
  const who = await person(db, 'carol', ['commander']);
  browser = await new Browser(server).become(who);
  api = await bearer(server, who);
  ref = (await api('POST', '/incidents', { title: 'Forms', playbook: 'none' })).json.ref;
});
after(async () => { await server?.close(); await db?.drop(); where?.close(); });

const unescape = text => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#39;/g, "'").replace(/&amp;/g, '&');
// What pressing the button of the page would send.
function again(page) {
  const found = /<form class="card" method="post" action="([^"]*)"( enctype="multipart\/form-data")? data-testid="again">([\s\S]*?)<\/form>/.exec(page.text);
  assert.ok(found, page.text);
  return { action: unescape(found[1]), multipart: !!found[2], fields: [...found[3].matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(m => [unescape(m[1]), unescape(m[2])]), text: found[3] };
}
const press = shown => browser.post(shown.action, Object.fromEntries(shown.fields.map(([name]) => [name, shown.fields.filter(f => f[0] === name).map(f => f[1])])));
const notes = text => db.query(`select seq from timeline_event where kind = 'note' and text = $1`, [text]);

test('the database is away: 503, the words are on the page, and one press sends them once', async () => {
  const text = 'First line "quoted" <b>\nsecond line: 客户 & more';
  where.stop('immediate');
  const page = await browser.post(`/incidents/${ref}/notes`, { text, _key: 'key-of-the-form-1' });
  assert.equal(page.status, 503);
  assert.ok(page.headers['retry-after']);
  const shown = again(page);
  assert.equal(shown.action, `/incidents/${ref}/notes`);
  assert.ok(shown.text.includes('&lt;b&gt;') && shown.text.includes('客户'), 'shown to be read, as text');
  assert.deepEqual(shown.fields.find(f => f[0] === 'text'), ['text', text]);
  assert.deepEqual(shown.fields.find(f => f[0] === '_key'), ['_key', 'key-of-the-form-1']);
  const still = await press(shown);                                     // still away: still there
  assert.deepEqual(again(still).fields, shown.fields);
  const zh = await new Browser(server, { cookie: browser.cookie, language: 'zh' }).post('/incidents', { title: '断库时宣布', _csrf: browser.csrf });
  assert.ok(again(zh).text.includes('再次提交') && again(zh).text.includes('断库时宣布'), zh.text);
  where.start();
  await until('readiness', async () => (await fetch(server.url + '/readyz')).ok, 30);
  await until('the note', async () => (await press(shown)).status === 303);
  assert.equal((await press(shown)).status, 303, 'pressed twice');
  assert.equal((await notes(text)).length, 1);
});

test('the disk is full: 507 says so in both languages, on both faces', async () => {
  await db.query(`create function full_disk() returns trigger language plpgsql as $$ begin raise exception using errcode = '53100', message = 'could not extend file: No space left on device'; end $$;
    create trigger full_disk before insert on timeline_event for each row execute function full_disk()`);
  const json = await api('POST', `/incidents/${ref}/notes`, { text: 'no room' });
  assert.equal(json.status, 507);
  assert.equal(json.json.code, 'storage_full');
  assert.match(json.json.detail, /disk.*full/);
  assert.ok(!json.text.includes('No space left'), 'what the database said is for the log');
  for (const [language, words] of [['en', 'disk of the database is full'], ['zh', '数据库磁盘已满']]) {
    const reader = new Browser(server, { cookie: browser.cookie, language });
    const page = await reader.post(`/incidents/${ref}/notes`, { text: 'no room either', _csrf: browser.csrf });
    assert.equal(page.status, 507);
    assert.ok(page.text.includes(words), page.text);
    assert.deepEqual(again(page).fields.find(f => f[0] === 'text'), ['text', 'no room either']);
  }
  assert.equal((await fetch(server.url + '/problems/storage_full')).status, 200);
  await db.query('drop function full_disk cascade');
});

test('a password is not carried, and nothing that another site sent', async () => {
  where.stop('immediate');
  const sign = await browser.post('/signin', { login: 'carol', password: 'a secret that stays one' });
  assert.equal(sign.status, 503);
  assert.ok(!sign.text.includes('a secret that stays one') && !sign.text.includes('data-testid="again"'));
  const other = await browser.post(`/incidents/${ref}/notes`, { text: 'put into your mouth' }, { Origin: 'https://evil.example' });
  assert.ok(!other.text.includes('put into your mouth'), other.text);
  where.start();
});
