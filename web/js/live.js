// Keeps a page live: the stream says what changed, the region is fetched again. Without it the page has a refresh link.
import { swap } from './dom.js';

const regions = [...document.querySelectorAll('[data-topic][data-part]')];
const state = document.getElementById('live-state');
const zh = document.documentElement.lang.startsWith('zh');
const words = zh ? { live: '实时', away: '正在重连', poll: '定时刷新' } : { live: 'live', away: 'reconnecting', poll: 'polling' };
const say = key => { if (state) state.textContent = words[key]; };

const pending = new Set();
let timer = 0;
function queue(list) {
  for (const region of list) pending.add(region);
  if (timer) return;
  timer = setTimeout(async () => {            // several events within 100 ms become one fetch per region
    timer = 0;
    const batch = [...pending];
    pending.clear();
    for (const region of batch) {
      try { await swap(region); } catch (error) { if (String(error.message) === '401') location.reload(); }
    }
  }, 100);
}

function changed(event) {
  const { topic, parts } = JSON.parse(event.data);
  queue(regions.filter(r => r.dataset.topic === topic && (!parts || parts.includes('*') || parts.includes(r.dataset.part))));
}

let polling = 0;
function poll(wait) {
  say('poll');
  clearTimeout(polling);
  polling = setTimeout(() => { queue(regions); poll(Math.min(wait * 1.5, 60000)); }, wait);
}

function open() {
  const topics = [...new Set(regions.map(r => r.dataset.topic))];
  const query = topics.map(t => 'topic=' + encodeURIComponent(t)).join('&');
  const stream = new EventSource('/api/v1/stream?' + query);
  let opened = false;
  stream.onopen = () => { say('live'); clearTimeout(polling); if (opened) queue(regions); opened = true; };
  stream.addEventListener('changed', changed);
  stream.addEventListener('reset', () => queue(regions));
  stream.onerror = () => { say('away'); if (stream.readyState === EventSource.CLOSED) poll(5000); };
  addEventListener('pagehide', () => stream.close());
}

if (regions.length && 'EventSource' in window) open();
document.addEventListener('focusout', () => queue(regions.filter(r => r.dataset.waiting)));
