// serve and work are killed without warning, fifty times (two hundred in the long mode), at random moments of one incident. In the end nothing tells the difference.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { muster, until } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';
import { cast, channels, lapse, play, seeded, sound, timeline } from '../lib/story.js';

const seed = Number(process.env.FAULT_SEED) || (Date.now() % 1000000);
const KILLS = process.env.MUSTER_LONG ? 200 : 50;
const random = seeded(seed);
let mail, hook, quiet, server;

before(async () => {
  mail = { calm: await mailServer(), storm: await mailServer() };
  hook = { calm: await hookServer(), storm: await hookServer() };
});
after(async () => {
  for (const one of [quiet, server]) { try { process.kill(-one.workers.pid, 'SIGKILL'); } catch {} await one?.close(); }
  for (const one of [mail, hook]) { await one?.calm.close(); await one?.storm.close(); }
});

async function make(receiver) {
  const one = await muster({ demo: true, settings: { ...channels(receiver), MUSTER_WORK_CHILD: 'off' } });
  one.workers = one.launch('work');
  return one;
}

let expected;
test('the story undisturbed', async () => {
  quiet = await make(mail.calm);
  const story = await cast(quiet, hook.calm);
  const end = await play(quiet, story);
  assert.equal(end.status, 'succeeded');
  const told = await sound(quiet, end, { mails: mail.calm.mails, calls: hook.calm.calls });
  assert.ok(told.filter(line => line.startsWith('email')).length > 5 && told.some(line => line.startsWith('webhook')), told.join('\n'));
  expected = { timeline: await timeline(quiet.db, end.ref), done: end.done, told };
});

test(`the same story with ${KILLS} kills (FAULT_SEED=${seed})`, async t => {
  t.diagnostic(`seed ${seed}`);
  server = await make(mail.storm);
  const story = await cast(server, hook.storm);
  let kills = { serve: 0, work: 0 };
  const total = expected.done.length;
  let action = 0;
  const strike = async () => {
    if (random() < 0.5) {
      kills.serve++;
      process.kill(-server.child.pid, 'SIGKILL');
      await server.child.ended;
      await server.start();
    } else {
      kills.work++;
      process.kill(-server.workers.pid, 'SIGKILL');
      await server.workers.ended;
      await lapse(server.db);
      server.workers = server.launch('work');
    }
  };
  // Enough blows per action to come to the full number by the last one.
  const around = async run => {
    action++;
    const due = Math.min(KILLS, Math.ceil(action / total * KILLS)) - kills.serve - kills.work;
    const pending = run();
    pending.catch(() => {});
    for (let n = 0; n < due; n++) {
      await new Promise(resolve => setTimeout(resolve, random() * 40));   // the moment is the point, not a wait for anything
      await strike();
    }
    return pending;
  };
  const end = await play(server, story, { around });
  assert.equal(end.status, 'succeeded');
  assert.equal(kills.serve + kills.work, KILLS);
  assert.ok(kills.serve > 10 && kills.work > 10, JSON.stringify(kills));
  assert.ok(story.log.lost > 0, 'some answers were lost');
  t.diagnostic(`kills ${JSON.stringify(kills)}, lost answers ${story.log.lost}, refused ${story.log.busy || 0}, repeated mails ${mail.storm.mails.length - new Set(mail.storm.mails.map(m => m.parsed.messageId)).size}`);
  const told = await sound(server, end, { mails: mail.storm.mails, calls: hook.storm.calls });
  assert.deepEqual(end.done.slice().sort(), expected.done.slice().sort(), 'the same actions were acknowledged');
  assert.deepEqual(told, expected.told, 'the same notices');
  // No acknowledged action is lost, none was done twice.
  const notes = await server.db.query(`select text, count(*)::int n from timeline_event where incident_id = (select id from incident where ref = $1) and kind = 'note' group by 1`, [end.ref]);
  assert.equal(notes.length, 10);
  assert.ok(notes.every(n => n.n === 1), JSON.stringify(notes));
  assert.equal((await server.db.one(`select count(*)::int n from incident where title like '%Sign-in fails'`)).n, 1);
  assert.deepEqual(await timeline(server.db, end.ref), expected.timeline, 'the same timeline');
});
