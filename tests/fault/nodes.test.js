// Two servers and two senders on one database: every notice once, news on both, and one of them may die.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { muster, session, until } from '../lib/muster.js';
import { hookServer, mailServer } from '../lib/receivers.js';
import { cast, channels, lapse, play, sessions, sound } from '../lib/story.js';

let first, second, mail, hook, story, turn = 0;
before(async () => {
  mail = await mailServer();
  hook = await hookServer();
  first = await muster({ demo: true, settings: channels(mail) });
  const data = mkdtempSync(path.join(process.env.MUSTER_TEST_WORK, 'data-'));
  cpSync(path.join(first.data, 'key'), path.join(data, 'key'));          // two nodes share the key that seals secrets
  second = await muster({ db: first.db, data, settings: { ...channels(mail), MUSTER_HTTP_PUBLIC_URL: first.url } });   // and one address for people
  // Every call goes to the other node than the one before.
  const balanced = { db: first.db, get url() { return [first, second][turn++ % 2].url; } };
  story = await cast(balanced, hook);
});
after(async () => { await second?.close(); await first?.close(); await mail?.close(); await hook?.close(); });

const copies = () => {
  const all = [...mail.mails.map(m => m.parsed.messageId), ...hook.calls.map(c => c.headers['webhook-id'])];
  return all.length - new Set(all).size;
};

test('a story told to both nodes in turn: each notice leaves once', async () => {
  const end = await play(first, story, { notes: 4 });
  assert.equal(end.status, 'succeeded');
  await sound(first, end, { mails: mail.mails, calls: hook.calls });
  assert.equal(copies(), 0, 'nothing twice');
  const nodes = await first.db.one(`select count(*)::int n from pg_stat_activity where datname = current_database() and application_name like 'muster%'`);
  assert.ok(nodes.n >= 4, JSON.stringify(nodes));
});

// The events of one stream, as they come.
async function stream(node, topic) {
  const who = await session(node, story.commander.who), abort = new AbortController(), events = [];
  const response = await fetch(`${node.url}/api/v1/stream?topic=${encodeURIComponent(topic)}`, { headers: { Cookie: who.header, Accept: 'text/event-stream' }, signal: abort.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /text\/event-stream/);
  (async () => {
    let rest = '';
    for await (const chunk of response.body) {
      rest += Buffer.from(chunk).toString('utf8');
      const blocks = rest.split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) { const data = /^data: ?(.*)$/m.exec(block); if (data) events.push({ event: /^event: ?(.*)$/m.exec(block)?.[1], data: JSON.parse(data[1]) }); }
    }
  })().catch(() => {});
  return { events, close: () => abort.abort() };
}

test('what happens at one node reaches the open pages of the other, and names no content', async () => {
  const declared = await story.commander('POST', '/incidents', { title: 'Two nodes', severity: 'III', playbook: 'none' });
  const { ref } = declared.json;
  const here = await stream(first, `incident:${ref}`), there = await stream(second, `incident:${ref}`);
  for (const node of [0, 1]) {
    const before_ = [here.events.length, there.events.length];
    turn = node;
    const note = await story.commander('POST', `/incidents/${ref}/notes`, { text: `a secret word from node ${node}` });
    assert.ok(note.status < 300, note.text);
    for (const [n, one] of [here, there].entries())
      await until(`the event at node ${n}`, () => one.events.slice(before_[n]).some(e => e.event === 'changed' && e.data.topic === `incident:${ref}`), 10);
  }
  assert.ok(![...here.events, ...there.events].some(e => JSON.stringify(e).includes('secret')), 'a stream names the part, never its content');
  here.close();
  there.close();
});

test('one node dies in the middle: the other goes on, nothing is lost, repeats keep their key', async () => {
  let action = 0, dead = false;
  const calls = story.commander, careful = api => Object.assign(async (...args) => { try { return await api(...args); } catch (error) { return dead ? api(...args) : Promise.reject(error); } }, { who: api.who });
  const mails = mail.mails.length, hooks = hook.calls.length;
  const end = await play(second, { commander: careful(calls), second: careful(story.second), log: {} }, { title: 'Second story', notes: 4, around: async run => {
    const pending = run();
    pending.catch(() => {});
    if (++action === 12) { dead = true; const both = await sessions(first.db); await first.kill(); await lapse(first.db, both / 2); }
    return pending;
  } });
  assert.equal(end.status, 'succeeded');
  await sound(second, end, { mails: mail.mails, calls: hook.calls });
  assert.ok(mail.mails.length > mails && hook.calls.length > hooks);
  assert.equal((await first.db.one(`select count(*)::int n from timeline_event where kind = 'note' and incident_id = (select id from incident where ref = $1)`, [end.ref])).n, 4);
  await assert.rejects(fetch(first.url + '/healthz'), 'the first node is really gone');
});
