// Single-key shortcuts. None fires in a field or with a modifier; all are links that exist on the page anyway.
const go = { gi: '/incidents', gh: '/', gs: '/services', gp: '/playbooks', gr: '/reports' };
let first = '';
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, [contenteditable]')) return;
  if (localStorage.getItem('keys') === 'off') return;
  const key = event.key;
  if (first === 'g' && go['g' + key]) { location.href = go['g' + key]; return; }
  first = key === 'g' ? 'g' : '';
  if (key === 'c') location.href = '/declare';
  if (key === '/') { const box = document.getElementById('bar-q'); if (box) { event.preventDefault(); box.focus(); } }
  if (key === 'j' || key === 'k') {
    const rows = [...document.querySelectorAll('[data-row] a[href]')], at = rows.indexOf(document.activeElement);
    const next = rows[at + (key === 'j' ? 1 : -1)] || rows[0];
    if (next) next.focus();
  }
});
