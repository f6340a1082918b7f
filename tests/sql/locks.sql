-- What keeps one run one story when two act on it at once: the locks of a transition, the keys that make a repeat a repeat, the fence of
-- a call. Not one transaction: the second one is another session. The database is thrown away afterwards.
set client_min_messages = warning;
create extension if not exists dblink;
select plan(27);
set statement_timeout = '20s';
select is(dblink_connect('two', format('host=%s dbname=%s user=postgres', split_part(current_setting('unix_socket_directories'), ',', 1), current_database())), 'OK', 'a second session');
-- who has to wait is told so instead of waiting
select dblink_exec('two', 'set lock_timeout = ''200ms''');

insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '"Ann"');
insert into endpoint(id, kind, slug, name, address, audience, drill_safe) values ('00000000-0000-0000-0000-0000000000e1', 'webhook', 'duty', '"Duty"', 'https://duty.example/', 'internal', true);
insert into incident(id, ref, kind, title, occurred_at, detected_at, declared_at) values
  ('00000000-0000-0000-0000-000000000001', 'INC-2026-9001', 'incident', 'real', app_now(), app_now(), app_now()),
  ('00000000-0000-0000-0000-000000000002', 'DRL-2026-9001', 'drill', 'drill', app_now(), app_now(), app_now());
insert into playbook(id, slug) values ('00000000-0000-0000-0000-00000000000b', 'p-test');
insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, state) values ('00000000-0000-0000-0000-00000000000b', 1, '{}', 'x', '"p"', 'muster-yaml', 'published');
insert into run(id, incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
  select ('00000000-0000-0000-0000-0000000000f' || right(i.id::text, 1))::uuid, i.id, i.kind, '00000000-0000-0000-0000-00000000000b', 1, 'running', 1, '', '{}', '2026-01-01', '2026-01-01', app_now()
  from incident i where i.ref like '%-2026-9001';
create view real_run as select * from run where id = '00000000-0000-0000-0000-0000000000f1';

-- One transition as the program writes it: an event that came from outside under a key, and a timer.
create function go(key text, command text) returns jsonb language sql as $$
  select run_write(r.id, jsonb_build_object('state', '{}'::jsonb, 'status', 'running', 'prev_hash', r.last_hash, 'hashes', jsonb_build_array('h' || r.seq + 1), 'steps', '[]'::jsonb,
    'timers', '{"arm":[],"cancel":[]}'::jsonb, 'effects', '[]'::jsonb, 'effects_cancelled', '[]'::jsonb,
    'events', jsonb_build_array(jsonb_build_object('seq', r.seq + 1, 'at', iso(app_now()), 'kind', 'task_done', 'path', 'first', 'occ', 1, 'actor', '{"kind":"system"}'::jsonb, 'input', true, 'key', key))),
    jsonb_build_object('key', command, 'sha', 'sha of the body')) from real_run r
$$;
create function other_loads() returns bigint language sql as $$
  select seq from dblink('two', $q$select seq from run_load('00000000-0000-0000-0000-0000000000f1', 'k')$q$) as t(seq bigint)
$$;

-- ---- one transition at a time ----
begin;
select is((select seq from run_load('00000000-0000-0000-0000-0000000000f1', 'k')), 0::bigint, 'a transition begins');
select throws_ok('select other_loads()', '55P03', null, 'a second one of the same run waits for it');
select go('a', 'first');
select throws_ok('select other_loads()', '55P03', null, 'to its end');
commit;
select is(other_loads(), 1::bigint, 'and then sees what it wrote');
begin;
select 1 as held from run where id = '00000000-0000-0000-0000-0000000000f1' for update;
select throws_ok('select other_loads()', '55P03', null, 'it waits for whoever holds the run');
rollback;
begin;
select 1 as held from incident where ref = 'INC-2026-9001' for update;
select throws_ok('select other_loads()', '55P03', null, 'and for whoever holds its incident');
select throws_ok($$select * from dblink('two', $q$select key from outbox_effect('00000000-0000-0000-0000-0000000000f1', 'first', 1)$q$) as t(key text)$$, '55P03', null, 'so does the answer to an effect');
rollback;
select is(other_loads(), 1::bigint, 'nothing is left behind');

-- ---- a repeat is a repeat ----
select is((select answered from run_load('00000000-0000-0000-0000-0000000000f1', 'first'))::jsonb ->> 'seq', '1', 'a key that was answered knows its answer');
select is((select answered from run_load('00000000-0000-0000-0000-0000000000f1', 'never')), null, 'another one has none');
select throws_ok($$select go('b', 'first')$$, '23505', null, 'one command has one key');
select throws_ok($$select go('a', 'second')$$, '23505', null, 'one event from outside is taken once');
select is((select seq from real_run), 1::bigint, 'what is refused leaves nothing');
create function tell() returns uuid language sql as $$
  select message_send('00000000-0000-0000-0000-000000000001', 'step', '"s"', '"t"', '{}', '[{"endpoint":"duty"}]', '{"run":"00000000-0000-0000-0000-0000000000f1","path":"tell","occ":1,"key":"RUN/tell/1/notify"}')
$$;
select tell();
select is((select count(*) from outbox where path = 'tell'), 1::bigint, 'an effect is a row for each receiver');
select tell();
select is((select count(*) from outbox where path = 'tell'), 1::bigint, 'asked for again it is the same row');

-- ---- the fence of a call ----
insert into connection(slug, name, base_url, methods) values ('core', '"Core"', 'https://core.example', '{POST}');
create function ask(run text, key text, effect text) returns jsonb language sql as $$
  select http_request(r, jsonb_build_object('kind', 'http', 'key', key, 'path', 'ask', 'occ', 1, 'delivery', 'send', 'data', jsonb_build_object('connection', 'core', 'method', 'POST', 'url', '/x', 'effect', effect)))
  from run r where r.id::text = ask.run
$$;
select is(ask('00000000-0000-0000-0000-0000000000f1', 'one', 'idempotent'), null, 'a call waits for its sender');
create temporary table early as select id, token from http_claim('one', 10);
update http_call set lease_until = clock_timestamp() - interval '1 second';
select is((select count(*) from http_lost()), 0::bigint, 'its sender is lost; it may be repeated');
create temporary table late as select id, token from http_claim('two', 10);
select is((select count(*) from early cross join lateral http_settle(early.id, early.token, '{"outcome":"answered","status":200}')), 0::bigint, 'the lost sender''s late answer to a call counts no more');
select is((select state from http_call), 'claimed', 'the call is the second sender''s');
select is((select count(*) from late cross join lateral http_settle(late.id, late.token, '{"outcome":"answered","status":200}')), 1::bigint, 'whose answer counts');
select is(ask('00000000-0000-0000-0000-0000000000f1', 'two', 'once'), null, 'a call that may be made once');
create temporary table mine as select id, token from http_claim('one', 10);
select ok((select http_start(id, token) from mine), 'leaves');
update http_call set lease_until = clock_timestamp() - interval '1 second' where idem_key = 'two';
select is((select http_start(id, token) from mine), false, 'after the lease it may not');
select is((select count(*) from http_lost()), 1::bigint, 'and is not made again by itself');

-- ---- a drill calls nothing ----
select throws_ok($$insert into http_call(kind, run_id, path, occ, connection, idem_key, delivery, effect, request, created_at)
  values ('drill', '00000000-0000-0000-0000-0000000000f2', 'ask', 1, 'core', 'lie', 'send', 'once', '{}', app_now())$$, '23514', null, 'a drill calls nothing without two signatures');
select is(dblink_disconnect('two'), 'OK', 'the end');
select * from finish();
