// The text of a playbook: line numbers beside it, and what the checker says while one types. Without this file "Check" does the same.
const area = document.getElementById('f-text'), gutter = document.getElementById('gutter'), box = document.getElementById('checked'), list = document.getElementById('checked-list');
const words = box.dataset, quiet = 600;
let timer, running, bad = new Map();

function numbers() {
  const count = area.value.split('\n').length;
  gutter.replaceChildren(...Array.from({ length: count }, (_, n) => {
    const line = document.createElement('span'), level = bad.get(n + 1);
    line.textContent = (level ? (level === 'error' ? '✕ ' : '! ') : '') + (n + 1) + '\n';
    if (level) line.className = 'is-' + level;
    return line;
  }));
  gutter.scrollTop = area.scrollTop;
}

function jump(line, column) {
  const lines = area.value.split('\n'), at = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0) + Math.max(0, column - 1);
  area.focus();
  area.setSelectionRange(at, at);
  area.scrollTop = Math.max(0, (line - 6) * (parseFloat(getComputedStyle(area).lineHeight) || 20));
}

function text(parent, name, content, kind) {
  const element = document.createElement(name);
  element.textContent = content;
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}

function show(findings) {
  bad = new Map();
  for (const found of findings) if (found.line && bad.get(found.line) !== 'error') bad.set(found.line, found.level);
  numbers();
  list.replaceChildren();
  if (!findings.length) { text(list, 'p', words.none, 'muted'); return; }
  const rows = text(list, 'ul', '', 'rows');
  for (const found of findings) {
    const row = text(rows, 'li', '');
    const place = text(row, 'button', words.line.replace('%l', found.line).replace('%c', found.column), 'link');
    place.type = 'button';
    place.addEventListener('click', () => jump(found.line || 1, found.column || 1));
    row.append(' · ');
    text(row, 'strong', `${found.level === 'error' ? words.error : words.warning} ${found.id}`);
    row.append(': ' + (found.text || found.message));
    if (found.remedy) { row.append(' '); text(row, 'span', found.remedy, 'muted'); }
  }
}

async function check() {
  if (running) running.abort();
  if (!area.value.trim()) return;
  const mine = running = new AbortController();
  try {
    const answer = await fetch(area.dataset.check, { method: 'POST', credentials: 'same-origin', signal: mine.signal,
      headers: { 'Content-Type': 'application/json', 'Accept-Language': document.documentElement.lang }, body: JSON.stringify({ text: area.value }) });
    if (!answer.ok) throw new Error(String(answer.status));
    show((await answer.json()).findings);
  } catch (error) {
    if (error.name !== 'AbortError') { list.replaceChildren(); text(list, 'p', words.failed, 'muted'); }
  }
}

// Tab leaves the field, as everywhere; two spaces are typed.
area.addEventListener('input', () => { numbers(); clearTimeout(timer); timer = setTimeout(check, quiet); });
area.addEventListener('scroll', () => { gutter.scrollTop = area.scrollTop; });
let kept = area.value;
addEventListener('beforeunload', event => { if (area.value !== kept) event.preventDefault(); });
area.form.addEventListener('submit', () => { kept = area.value; });
numbers();
check();
