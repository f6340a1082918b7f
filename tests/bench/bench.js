// Runs the rows and prints the table.
import { writeFileSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import * as b from './lib.js';
import * as read from './rows-read.js';
import * as write from './rows-write.js';
import * as out from './rows-out.js';

const rows = { ...read, ...write, ...out };
const names = Array.from({ length: 17 }, (_, n) => `P${n + 1}`);
const words = process.argv.slice(2);
for (let n = 0; n < words.length; n++) {
  if (words[n] === '--rounds') b.options.rounds = Number(words[++n]);
  else if (words[n] === '--seconds') b.options.seconds = Number(words[++n]);
  else if (words[n] === '--save') b.options.save = true;
  else if (names.includes(words[n].toUpperCase())) b.options.rows.push(words[n].toUpperCase());
  else { b.say(`unknown: ${words[n]}`); process.exit(2); }
}
if (b.options.save && b.options.rows.length) { b.say('--save keeps a whole table: name no rows with it'); process.exit(2); }
if (!(b.options.rounds >= 1) || !(b.options.seconds >= 1)) { b.say('--rounds and --seconds want numbers from 1'); process.exit(2); }

const short = n => (n >= 1000 ? Math.round(n).toString() : n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));
const lines = [];
const wanted = b.options.rows.length ? names.filter(n => b.options.rows.includes(n)) : names;
const loads = [];
for (const name of wanted) {
  const mine = [];
  // add(what, reference, wanted, unit of the figures, 'less' when a small ratio is good) → the list the ratios go into
  const add = (what, reference, now, unit = '1/s', good = 'more') => { const ratios = []; mine.push({ name, what, reference, now, unit, good, ratios }); return ratios; };
  b.say(`${name} …`);
  loads.push(os.loadavg()[0]);
  try { await rows[name](add); } catch (error) { mine.push({ name, what: `not measured: ${error.message.split('\n')[0].slice(0, 200)}`, ratios: [] }); b.say(error.stack); }
  for (const row of mine) {
    if (row.ratios.length === 0) { lines.push(`| ${row.name} | ${row.what} | ${row.reference || ''} | | | | |`); if (row.reference) process.exitCode = 1; continue; }
    const list = row.ratios.map(r => r.ratio), middle = b.median(list);
    const reached = row.good === 'more' ? middle >= row.now : middle <= row.now;
    const figures = `${short(b.median(row.ratios.map(r => r.ours)))} : ${short(b.median(row.ratios.map(r => r.reference)))} ${row.unit}`;
    lines.push(`| ${row.name} | ${row.what} | ${row.reference} | ${figures} | **${middle.toFixed(2)}** (${Math.min(...list).toFixed(2)}–${Math.max(...list).toFixed(2)}) | ${row.good === 'more' ? '≥' : '≤'} ${row.now} | ${reached ? 'yes' : 'no'} |`);
    b.say(lines.at(-1));
  }
}

const table = ['| row | what | reference | ours : reference | ratio, median (min–max) | wanted | reached |', '| --- | --- | --- | --- | --- | --- | --- |', ...lines].join('\n');
console.log(table);

const version = (file, args, pattern) => { try { return pattern.exec(execFileSync('sh', ['-c', `${file} ${args} 2>&1`], { encoding: 'utf8' }))?.[1] || '?'; } catch { return '?'; } };
const packageOf = name => version('dpkg-query', `-W -f='\${Version}' ${name}`, /([\d.]+)/);
if (b.options.save) {
  const cpu = /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] || os.arch();
  writeFileSync(path.join(b.here, 'RESULTS.md'), `# How fast Muster is

Made by \`tests/bench/run --save\` on ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC: ${b.options.rounds} rounds of ${b.options.seconds} s, the reference and we in turn.
A ratio compares the two within one round; absolute figures of a shared machine say little.

Machine: ${os.cpus().length} cores (${cpu}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}; load before the rows ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.
PostgreSQL ${version(path.join(process.env.BENCH_PG_BIN, 'postgres'), '--version', /([\d.]+)/)} (fsync on), libmicrohttpd ${packageOf('libmicrohttpd12')}, libcurl ${packageOf('libcurl4')},
nginx ${packageOf('nginx')}, wrk ${packageOf('wrk')}, Postfix ${packageOf('postfix')}, Alertmanager ${packageOf('prometheus-alertmanager')}, nchan ${packageOf('libnginx-mod-nchan')}.
The product as it ships: release build, sign-in, permissions, audit, hash chains and templates on; everything on loopback.

${table}

${readFileSync(path.join(b.here, 'notes.md'), 'utf8')}`);
}
process.exit(process.exitCode || 0);
