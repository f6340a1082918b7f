// Running clocks. The server printed the absolute time already; here it only learns to count.
const zh = document.documentElement.lang.startsWith('zh');
const two = n => String(n).padStart(2, '0');

function span(seconds) {
  const s = Math.abs(Math.trunc(seconds)), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  const time = (d ? '' : '') + two(h) + ':' + two(m) + ':' + two(s % 60);
  return d ? (zh ? d + ' 天 ' : d + ' d ') + time : time;
}

function tick() {
  const now = Date.now();
  for (const el of document.querySelectorAll('[data-due], [data-since]')) {
    const due = el.dataset.due, at = Date.parse(due || el.dataset.since);
    if (Number.isNaN(at) || el.dataset.stopped) continue;
    const left = due ? (at - now) / 1000 : (now - at) / 1000;
    el.textContent = (due && left < 0 ? (zh ? '超时 ' : 'late ') : '') + span(left);
  }
}
tick();
setInterval(tick, 1000);
