// Real receivers on loopback: a mail server and a web hook endpoint, each with the bad manners a test asks for.
import http from 'node:http';
import { SMTPServer } from 'smtp-server';
import { simpleParser } from 'mailparser';

// Keeps every message that was accepted. `refuse(address)` may return an Error with responseCode.
export function mailServer({ tls, refuse, port = 0 } = {}) {
  const mails = [];
  const server = new SMTPServer({
    authOptional: true, disabledCommands: tls ? [] : ['STARTTLS'], ...(tls || {}), logger: false,
    onRcptTo(address, session, done) { const error = refuse && refuse(address.address); done(error || undefined); },
    onData(stream, session, done) {
      const chunks = [];
      stream.on('data', chunk => chunks.push(chunk));
      stream.on('end', async () => {
        const raw = Buffer.concat(chunks);
        try {
          const parsed = await simpleParser(raw);
          mails.push({ to: session.envelope.rcptTo.map(r => r.address), from: session.envelope.mailFrom.address, raw: raw.toString('utf8'), parsed, secure: session.secure });
          done();
        } catch (error) { done(error); }
      });
    },
  });
  server.on('error', () => {});
  return new Promise(resolve => server.listen(port, '127.0.0.1', () => resolve({
    mails, port: server.server.address().port, close: () => new Promise(done => server.close(done)),
  })));
}

// `answer(request, response, call)` may answer itself and return true; else 204.
export function hookServer(answer) {
  const calls = [];
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', async () => {
      const raw = Buffer.concat(chunks).toString('utf8');
      const call = { path: request.url, headers: request.headers, raw, at: Date.now() };
      calls.push(call);
      if (answer && await answer(request, response, call)) return;
      response.statusCode = 204;
      response.end();
    });
  });
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    resolve({ calls, port, url: `http://127.0.0.1:${port}/hook`, close: () => { server.closeAllConnections(); return new Promise(done => server.close(done)); } });
  }));
}
