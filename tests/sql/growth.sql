-- A step costs the same in an old house as in a new one: with an archive of ten thousand ended runs, no statement of a transition reads
-- one of the large tables from end to end. The counters are the database's own, so that statements inside functions count as well.
begin;
set client_min_messages = warning;
select plan(13);
set local synchronous_commit = off;

insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '"Ann"');
insert into endpoint(id, kind, slug, name, address, audience, drill_safe) values ('00000000-0000-0000-0000-0000000000e1', 'webhook', 'duty', '"Duty"', 'https://duty.example/', 'internal', true);
insert into playbook(id, slug) values ('00000000-0000-0000-0000-00000000000b', 'p-test');
insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, state) values ('00000000-0000-0000-0000-00000000000b', 1, '{}', 'x', '"p"', 'muster-yaml', 'published');

-- ---- the archive, and one open run ----
set local session_replication_role = replica;          -- rows made like this need not be held against each other
insert into incident(id, ref, kind, title, state, occurred_at, detected_at, declared_at, closed_at)
  select md5('incident' || n)::uuid, 'INC-2024-' || lpad(n::text, 7, '0'), 'incident', 'Old ' || n, 'closed', t.at, t.at, t.at, t.at
  from generate_series(1, 10000) n cross join lateral (select app_now() - n * interval '1 hour' as at) t;
insert into run(id, incident_id, kind, playbook_id, playbook_version, status, engine_version, seq, last_hash, state, clock_ref_real, clock_ref_sim, created_at, finished_at)
  select md5('run' || n)::uuid, md5('incident' || n)::uuid, 'incident', '00000000-0000-0000-0000-00000000000b', 1, 'succeeded', 1, 20, repeat('0', 64), '{}', t.at, t.at, t.at, t.at
  from generate_series(1, 10000) n cross join lateral (select app_now() - n * interval '1 hour' as at) t;
insert into run_event(run_id, seq, at_real, at_sim, kind, path, occ, actor_kind, dedupe_key, body, prev_hash, hash)
  select r.id, k, r.created_at, r.created_at, 'task_done', 'step' || k, 1, 'user', 'key' || k, '{}', '', '' from run r, generate_series(1, 20) k where r.seq = 20;
insert into run_step(run_id, path, occ, step_id, kind, position, status, title, started_at, ended_at, started_seq, ended_seq)
  select r.id, 'step' || k, 1, 'step' || k, case when k = 1 then 'notify' else 'task' end, k, 'done', '"x"', r.created_at, r.created_at, k, k from run r, generate_series(1, 5) k where r.seq = 20;
insert into timer(run_id, path, occ, kind, due_sim, due_real, data, state)
  select r.id, 'step' || k, 1, 'deadline', r.created_at, r.created_at, '{"n":1}', 'fired' from run r, generate_series(1, 2) k where r.seq = 20;
insert into command(run_id, key, body_sha256, result) select r.id, 'key' || k, 'x', '{}' from run r, generate_series(1, 3) k where r.seq = 20;
insert into message(id, incident_id, purpose, subject, text, run_id, path, occ, created_at, event)
  select md5('message' || r.id)::uuid, r.incident_id, 'step', '"s"', '"t"', r.id, 'step1', 1, r.created_at, 'incident.step' from run r where r.seq = 20;
insert into outbox(kind, incident_id, incident_kind, run_id, path, occ, message_id, channel, endpoint_id, address, audience, drill_safe, delivery, idem_key, payload, state, attempt, not_before, created_at, done_at)
  select 'incident', r.incident_id, 'incident', r.id, 'step1', 1, md5('message' || r.id)::uuid, 'webhook', '00000000-0000-0000-0000-0000000000e1', 'https://duty.example/', 'internal', true, 'send',
    r.id || '/step1/1/notify|' || k, '{}', 'done', 1, r.created_at, r.created_at, r.created_at from run r, generate_series(1, 2) k where r.seq = 20;
set local session_replication_role = origin;
insert into incident(id, ref, kind, title, occurred_at, detected_at, declared_at) values ('00000000-0000-0000-0000-000000000001', 'INC-2026-9001', 'incident', 'now', app_now(), app_now(), app_now());
insert into run(id, incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
  values ('00000000-0000-0000-0000-0000000000f1', '00000000-0000-0000-0000-000000000001', 'incident', '00000000-0000-0000-0000-00000000000b', 1, 'running', 1, '', '{}', '2026-01-01', '2026-01-01', app_now());
analyze;
select cmp_ok((select count(*) from run where finished_at is not null), '>=', 10000::bigint, 'ten thousand ended runs');
select cmp_ok((select count(*) from run_event), '>=', 200000::bigint, 'with two hundred thousand events');

-- ---- what one step asks of the database ----
-- The queries of the workers, as they stand in their files.
\set take `sed -n '/name: timer_take(/,/;$/p' sql/queries/timers.sql`
\set due `sed -n '/name: timers_due(/,/;$/p' sql/queries/timers.sql`
\set done `sed -n '/name: timer_done(/,/;$/p' sql/queries/timers.sql`
prepare due(int) as :due
prepare take(bigint) as :take
prepare done(bigint, text) as :done

create function go(key text) returns jsonb language sql as $$
  select run_write(r.id, jsonb_build_object('state', '{}'::jsonb, 'status', 'running', 'prev_hash', r.last_hash, 'hashes', jsonb_build_array('h' || r.seq + 1), 'effects_cancelled', jsonb_build_array(r.id || '/tell/1/none'),
    'steps', jsonb_build_array(jsonb_build_object('path', 'tell', 'occ', 1, 'step_id', 'tell', 'kind', 'notify', 'ord', 1, 'status', 'waiting', 'title', 'x', 'started_at', iso(app_now()), 'started_seq', r.seq + 1)),
    'timers', jsonb_build_object('arm', jsonb_build_array(jsonb_build_object('path', 'tell', 'occ', 1, 'kind', 'deadline', 'n', r.seq, 'due', iso(app_now()))),
      'cancel', jsonb_build_array(jsonb_build_object('path', 'tell', 'occ', 1, 'kind', 'deadline', 'n', r.seq - 1))),
    'effects', jsonb_build_array(jsonb_build_object('kind', 'notify', 'key', r.id || '/tell/1/notify', 'path', 'tell', 'occ', 1, 'delivery', 'send', 'data', jsonb_build_object('to', '[]'::jsonb, 'via', '["webhook.duty"]'::jsonb, 'text', 'x', 'title', 'x'))),
    'events', jsonb_build_array(jsonb_build_object('seq', r.seq + 1, 'at', iso(app_now()), 'kind', 'step_done', 'path', 'tell', 'occ', 1, 'actor', '{"kind":"system"}'::jsonb, 'input', true, 'key', key))),
    jsonb_build_object('key', key, 'sha', 'x')) from run r where r.id = '00000000-0000-0000-0000-0000000000f1'
$$;
create temporary table before as select relname, seq_scan as scans from pg_stat_xact_user_tables where schemaname = 'public';
create function scanned() returns text language sql volatile as $$
  select coalesce(string_agg(b.relname || ' ' || (x.seq_scan - b.scans), ', ' order by b.relname), 'none') from before b join pg_stat_xact_user_tables x using (relname)
  where x.schemaname = 'public' and x.seq_scan > b.scans and b.relname in ('run', 'run_event', 'run_step', 'timer', 'outbox', 'command', 'message', 'incident')
$$;
create function forget() returns void language sql as $$
  truncate before; insert into before select relname, seq_scan from pg_stat_xact_user_tables where schemaname = 'public'
$$;
create temporary table given(j jsonb);
select forget();
insert into given select to_jsonb(l) from run_load('00000000-0000-0000-0000-0000000000f1', 'one') l;
select is(scanned(), 'none', 'loading a run');
insert into given select run_facts('00000000-0000-0000-0000-0000000000f1', '{}', '[]');
select is(scanned(), 'none', 'what the engine is told');
insert into given select go('one');
select is((select count(*) from outbox where run_id = '00000000-0000-0000-0000-0000000000f1'), 1::bigint, 'a transition with an effect');
select is((select count(*) from timer where run_id = '00000000-0000-0000-0000-0000000000f1' and state = 'armed'), 1::bigint, 'and a timer');
insert into given select go('two');
select is(scanned(), 'none', 'writing two transitions');
insert into given select to_jsonb(e) from outbox_effect('00000000-0000-0000-0000-0000000000f1', 'tell', 1) e;
insert into given select to_jsonb(e) from outbox_effects_due(100) e;
select is(scanned(), 'none', 'the answer to an effect');
select currval('timer_id_seq') as armed \gset
execute due(100) \g /dev/null
execute take(:armed) \g /dev/null
execute done(:armed, 'fired');
select is((select state from timer where id = :armed), 'fired', 'a timer fires');
select is(scanned(), 'none', 'on its way as well');
insert into given select body::jsonb from run_get('00000000-0000-0000-0000-0000000000f1', '{}');
select is(scanned(), 'none', 'showing the run');
-- and a whole reading is noticed
insert into given select jsonb_build_object('n', count(*)) from run_event where body = '{"x":1}';
select matches(scanned(), 'run_event 1', 'a table read from end to end is seen');
select is((select count(*) > 0 from before), true, 'the counters are there');
select * from finish();
rollback;
