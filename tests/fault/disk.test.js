// The disk of the database and of the program fills up: refusals that say so, nothing acknowledged is lost, and room makes all well again.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { muster, until } from '../lib/muster.js';
import { cluster, seeded } from '../lib/cluster.js';
import { cast, patient } from '../lib/story.js';

const disk = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'disk-'));
let skip = process.getuid() === 0 ? false : 'only root may mount';
if (!skip) try { execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=120m,mode=755', 'muster-test', disk], { stdio: 'ignore' }); } catch { skip = 'mounting is not permitted here'; }
let where, db, server, story;
const filler = path.join(disk, 'filler');

before(async () => {
  if (skip) return;
  where = await cluster({ folder: disk, settings: ['shared_buffers=16MB', 'checkpoint_timeout=30s'] });
  db = await seeded(where);
  const data = path.join(disk, 'data');
  mkdirSync(data);
  server = await muster({ db, data });
  story = await cast(server);
});
after(async () => {
  await server?.close();
  await db?.drop();
  where?.close();
  if (!skip) { try { execFileSync('umount', [disk]); } catch { execFileSync('umount', ['-l', disk]); } }
  rmSync(disk, { recursive: true, force: true });
});

// Writes until nothing more fits; the descriptor is closed, so removing the file frees the room.
function fill() {
  const file = openSync(filler, 'a'), block = Buffer.alloc(65536, 1);
  try { for (;;) writeSync(file, block); } catch (error) { assert.equal(error.code, 'ENOSPC'); } finally { closeSync(file); }
}

test('while the disk is full: 503 or 507 and nothing else, then all that was acknowledged is there', { skip }, async () => {
  const declared = await story.commander('POST', '/incidents', { title: 'Before the disk was full', severity: 'III', playbook: 'none' });
  assert.equal(declared.status, 201, declared.text);
  const { ref } = declared.json, acknowledged = [], refused = [];
  await until('the status page', async () => (await fetch(server.url + '/status')).ok);
  fill();
  // Large notes, until the database has used up what room it had kept.
  const words = 'x '.repeat(3900);
  for (let n = 0; n < 600 && refused.length < 5; n++) {
    const text = `${n} ${words}${Math.random()}`;
    const answer = await story.commander('POST', `/incidents/${ref}/notes`, { text });
    if (answer.status < 300) acknowledged.push(text);
    else {
      refused.push(answer);
      assert.ok([503, 507].includes(answer.status), `${answer.status} ${answer.text}`);
      assert.match(answer.headers.get('content-type'), /problem\+json/);
      assert.ok(answer.json.title && answer.json.code, answer.text);
    }
    if (n % 40 === 39) fill();
  }
  assert.ok(refused.length >= 5, `${acknowledged.length} notes went through, ${statfsSync(disk).bfree} blocks are free`);
  assert.ok((await fetch(server.url + '/healthz')).ok, 'the program lives');
  assert.equal((await fetch(server.url + '/status')).status, 200, 'the status page is there');

  rmSync(filler);
  where.start();                                               // a server that gave up for want of room is started again
  await until('readiness', async () => (await fetch(server.url + '/readyz')).ok, 60);
  const calm = patient(story.commander);
  const note = await calm('POST', `/incidents/${ref}/notes`, { text: 'There is room again' });
  assert.ok(note.status < 300, note.text);
  const kept = new Set((await until('the notes', () => db.query(`select text from timeline_event where kind = 'note' and incident_id = (select id from incident where ref = $1)`, [ref]))).map(r => r.text));
  for (const text of acknowledged) assert.ok(kept.has(text), `note ${text.split(' ')[0]} was acknowledged and is there`);
  assert.ok(kept.has('There is room again'));
  const broken = await db.one(`select count(*)::int n from (select prev_hash, lag(hash, 1, repeat('0', 64)) over (order by seq) as before from timeline_event
    where incident_id = (select id from incident where ref = $1)) e where e.prev_hash <> e.before`, [ref]);
  assert.equal(broken.n, 0, 'the hash chain holds');
});

test('the copy of the status page survives a full disk and is fresh afterwards', { skip }, async () => {
  const calm = patient(story.commander);
  const declared = await calm('POST', '/incidents', { title: 'Cash machines', severity: 'II', services: ['atm'], playbook: 'none' });
  assert.ok(declared.status < 300, declared.text);
  const publish = (api, title) => api('POST', `/incidents/${declared.json.ref}/status-updates`, { status: 'investigating', title: { zh: '自助设备故障', en: title }, text: { zh: '正在处理', en: title }, components: { 'mobile-banking': 'partial_outage' } });
  fill();
  const tight = await publish(story.commander, 'Published on a full disk');      // small enough to fit, or refused; never an error of another kind
  assert.ok(tight.status < 300 || [503, 507].includes(tight.status), tight.text);
  if (tight.status < 300) await until('the page to say so from memory', async () => (await (await fetch(server.url + '/status?lang=en')).text()).includes('Published on a full disk'), 20);
  rmSync(filler);
  where.start();
  const posted = await publish(calm, 'Cash machines are down');
  assert.ok(posted.status < 300, posted.text);
  await until('the page to say so', async () => (await (await fetch(server.url + '/status?lang=en')).text()).includes('Cash machines are down'), 20);
  await server.stop();
  where.stop('fast');
  await server.start();
  const page = await (await fetch(server.url + '/status?lang=en')).text();
  assert.ok(page.includes('Cash machines are down'), 'the copy on disk is whole and new');
  where.start();
  await until('readiness', async () => (await fetch(server.url + '/readyz')).ok, 30);
});
