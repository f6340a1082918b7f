// The only place that makes HTML from text. The text is a fragment our own server rendered, marked as such.
const T = window.trustedTypes || { createPolicy: (name, rules) => rules };
const policy = T.createPolicy('muster', { createHTML: s => s });

// True while a person is in the middle of something inside the element: nothing may be replaced under their hands.
export function busy(element) {
  const active = document.activeElement;
  if (active && element.contains(active) && active.matches('input, textarea, select')) return true;
  for (const field of element.querySelectorAll('textarea, input[type=text], input:not([type])'))
    if (field.value !== field.defaultValue) return true;
  for (const details of element.querySelectorAll('details[open]'))
    if (details.querySelector('form')) return true;
  return false;
}

// Fetches the region again and puts it in place; 304 changes nothing. Throws when the answer is not that region.
export async function swap(element) {
  const url = new URL(location.href);
  url.searchParams.set('part', element.dataset.part);
  const headers = element.dataset.etag ? { 'If-None-Match': element.dataset.etag } : {};
  const answer = await fetch(url, { headers, credentials: 'same-origin' });
  if (answer.status === 304) return false;
  if (!answer.ok || answer.redirected || answer.headers.get('Muster-Fragment') !== element.dataset.part)
    throw new Error(String(answer.status));
  const html = await answer.text();
  if (busy(element)) { element.dataset.waiting = '1'; return false; }
  const template = document.createElement('template');
  template.innerHTML = policy.createHTML(html);
  element.replaceChildren(template.content);
  element.dataset.etag = answer.headers.get('ETag') || '';
  delete element.dataset.waiting;
  element.dispatchEvent(new CustomEvent('muster:swapped', { bubbles: true }));
  return true;
}
