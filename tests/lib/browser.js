// Requests as a browser makes them, byte for byte: no header is added that was not asked for, no redirect followed.
import http from 'node:http';
import { createHash, randomBytes } from 'node:crypto';

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

// Answers {status, headers, body (Buffer), text}. `headers` of the request are sent as given; a body gets its length.
export function request(server, method, target, { headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? null : Buffer.from(body);
    const sent = http.request({ host: '127.0.0.1', port: server.port, method, path: target, agent,
      headers: { ...(bytes ? { 'Content-Length': bytes.length } : {}), ...headers } }, answer => {
      const chunks = [];
      answer.on('data', chunk => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => { const all = Buffer.concat(chunks); resolve({ status: answer.statusCode, headers: answer.headers, body: all, text: all.toString('utf8') }); });
    });
    sent.on('error', error => (error.code === 'ECONNRESET' && sent.reusedSocket ? resolve(request(server, method, target, { headers, body })) : reject(error)));
    sent.end(bytes || undefined);
  });
}

export const form = fields => {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const one of [].concat(value)) out.append(name, one);
  return out.toString();
};

// Somebody at a browser: the cookie, the language, the hidden fields of our forms.
export class Browser {
  constructor(server, { cookie, language = 'en' } = {}) { Object.assign(this, { server, cookie, language, csrf: '' }); }
  headers(more = {}) { return { 'Accept-Language': this.language, ...(this.cookie ? { Cookie: this.cookie } : {}), ...more }; }
  async get(target, more) {
    const answer = await request(this.server, 'GET', target, { headers: this.headers(more) });
    const token = /name="_csrf" value="([^"]+)"/.exec(answer.text);
    if (token) this.csrf = token[1];
    return answer;
  }
  // `fields` without _csrf get the right one; `_csrf: null` leaves it out.
  post(target, fields = {}, more = {}) {
    const all = { _csrf: this.csrf, ...fields };
    if (all._csrf === null) delete all._csrf;
    return request(this.server, 'POST', target, { headers: this.headers({ Origin: this.server.url, 'Content-Type': 'application/x-www-form-urlencoded', ...more }), body: form(all) });
  }
  // A new session of that person, and the token its forms carry.
  async become(who) {
    const token = 'ms_' + randomBytes(32).toString('base64url');
    await this.server.db.query(`insert into session(token_hash, person_id, created_at, seen_at, expires_at) select $1, $2, app_now(), app_now(), app_now() + interval '7 days'`,
      [createHash('sha256').update(token).digest('hex'), who.id]);
    this.cookie = `muster=${token}`;
    this.token = token;
    await this.get('/me');
    return this;
  }
}

// Multipart as a browser writes it: files are {name, bytes, type}.
export function multipart(fields) {
  const mark = '----muster' + randomBytes(12).toString('hex'), parts = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value && typeof value === 'object')
      parts.push(Buffer.from(`--${mark}\r\nContent-Disposition: form-data; name="${name}"; filename="${value.name}"\r\nContent-Type: ${value.type || 'application/octet-stream'}\r\n\r\n`), Buffer.from(value.bytes), Buffer.from('\r\n'));
    else parts.push(Buffer.from(`--${mark}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`));
  }
  parts.push(Buffer.from(`--${mark}--\r\n`));
  return { type: `multipart/form-data; boundary=${mark}`, body: Buffer.concat(parts) };
}
