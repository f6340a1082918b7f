// Keeps what was typed when a page is left by accident, and stops a double press. Posting itself is the browser's own.
const key = form => 'draft:' + location.pathname + ':' + form.getAttribute('action');

for (const form of document.querySelectorAll('form[method=post]')) {
  const areas = [...form.querySelectorAll('textarea')];
  for (const area of areas) {
    const name = key(form) + ':' + area.name, kept = sessionStorage.getItem(name);
    if (kept && !area.value) area.value = kept;
    area.addEventListener('input', () => sessionStorage.setItem(name, area.value));
  }
  form.addEventListener('submit', event => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = '1';
    for (const area of areas) sessionStorage.removeItem(key(form) + ':' + area.name);
    setTimeout(() => delete form.dataset.sent, 5000);
  });
}
addEventListener('pageshow', () => { for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent; });
const errors = document.getElementById('errors');
if (errors) errors.focus();
