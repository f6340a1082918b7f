-- The outbox under two senders: no row is taken twice, a lost sender's claim counts no more, what may be sent once is never sent again.
-- Not one transaction: the second sender is another session. The database is thrown away afterwards.
set client_min_messages = warning;
create extension if not exists dblink;
select plan(32);
-- a sender that waited for another would wait for ever here
set statement_timeout = '20s';
select is(dblink_connect('two', format('host=%s dbname=%s user=postgres', split_part(current_setting('unix_socket_directories'), ',', 1), current_database())), 'OK', 'a second session');
select dblink_exec('two', 'set lock_timeout = ''5s''');

create function put(n int, key text, effect text default 'idempotent') returns void language sql as $$
  insert into outbox(kind, channel, address, audience, drill_safe, delivery, effect, idem_key, payload, not_before, created_at)
  select 'system', 'email', 'a@x.example', 'internal', false, 'send', put.effect, key || '-' || i, '{"subject":"s","text":"t","purpose":"test"}', app_now(), app_now() from generate_series(1, n) i
$$;
create function claim(node text, most int) returns table(id bigint, token bigint, attempt int) language sql as $$
  select c.id, c.token, c.attempt from outbox_claim(node, 'email', most, most, interval '30 seconds', 'https://m.example') c
$$;
create view held as select node, token, lease_until, unnest(ids) as id from outbox_batch;
select put(10, 'a');

-- while one holds its claim uncommitted, the other takes the rest and does not wait
begin;
select is((select count(*) from claim('one', 4)), 4::bigint, 'the first sender takes four');
select is((select count(*) from dblink('two', $$select id from claim('two', 10)$$) as t(id bigint)), 6::bigint, 'the second takes the other six at once');
commit;
select is((select count(*) from held), 10::bigint, 'all are claimed');
select is((select array_agg(distinct node order by node) from held), '{one,two}', 'by both');
select is((select count(*) from claim('three', 10)), 0::bigint, 'nothing is left');

-- settling
select outbox_settle(jsonb_agg(jsonb_build_object('id', id, 'token', token, 'outcome', 'sent', 'code', 250, 'ms', 5))) from held where node = 'one' and id <> (select min(id) from held where node = 'one');
select is((select count(*) from held where node = 'one'), 1::bigint, 'what is answered is no longer held');
select outbox_settle(jsonb_agg(jsonb_build_object('id', id, 'token', token, 'outcome', 'sent', 'code', 250, 'ms', 5))) from held where node = 'one';
select is((select count(*) from outbox where state = 'done'), 4::bigint, 'the first sender''s are done');
select is((select count(*) from delivery where outcome = 'sent'), 4::bigint, 'each with its record');

-- the second sender dies; its lease ends
update outbox_batch set lease_until = clock_timestamp() - interval '1 second';
create temporary table old as select id, token from held;
select is(outbox_rescue(50), 6, 'its rows are freed');
select is((select count(*) from outbox where state = 'pending'), 6::bigint, 'to be tried again');
select is((select count(*) from claim('three', 10)), 6::bigint, 'by a third');
select outbox_settle(jsonb_agg(jsonb_build_object('id', id, 'token', token, 'outcome', 'sent'))) from old;
select is((select count(*) from held), 6::bigint, 'the dead sender''s late answer counts no more');
select is((select min(o.attempt) from outbox o join held using (id)), 1, 'one try is behind them');
select is((select max(o.attempt - o.round_from) from outbox o join held using (id)), 0, 'but the lost one does not count for giving up');

-- a failed try waits, and gives way to fresh rows
select outbox_settle(jsonb_agg(jsonb_build_object('id', id, 'token', token, 'outcome', 'retry', 'code', 451, 'detail', 'later', 'after', 60))) from held;
select is((select count(*) from claim('three', 10)), 0::bigint, 'not before its time');
update test_clock set shift = shift + interval '61 seconds';
select is((select count(*) from claim('three', 10)), 6::bigint, 'then again');
select is((select array_agg(distinct o.attempt) from outbox o join held using (id)), '{2}', 'two tries are behind them');
select outbox_settle(jsonb_agg(jsonb_build_object('id', id, 'token', token, 'outcome', 'dead', 'code', 550, 'detail', 'no such user'))) from held;
select is((select count(*) from outbox where state = 'dead' and last_error = '550 no such user'), 6::bigint, 'given up, with the reason');
select is((select dead from outbox_numbers()), 6::bigint, 'and counted');

-- rows that may leave once only
select put(3, 'once', 'once');
select is((select count(*) from claim('four', 10)), 3::bigint, 'three once-rows');
create temporary table mine as select id, token from held order by id;
select is((select count(*) from outbox_start((select jsonb_agg(m) from (select * from mine order by id limit 2) m))), 2::bigint, 'two are about to leave');
update outbox_batch set lease_until = clock_timestamp() - interval '1 second';
select is((select count(*) from outbox_start((select jsonb_agg(m) from (select * from mine order by id desc limit 1) m))), 0::bigint, 'after the lease nothing may leave');
select outbox_rescue(50);
select is((select count(*) from outbox where state = 'unknown'), 2::bigint, 'whether the two left is not known, so they are not sent again');
select is((select count(*) from outbox where state = 'pending' and effect = 'once'), 1::bigint, 'the one that had not begun is');

-- a row that outlives no sender is given up in the end
select put(1, 'poison');
insert into outbox_try(outbox_id, attempt, at, outcome, detail) select o.id, n, app_now(), 'retry', 'sender lost' from outbox o, generate_series(1, 49) n where o.idem_key = 'poison-1';
update outbox set attempt = 49, round_from = 49 where idem_key = 'poison-1';
select is((select count(*) from outbox_claim('five', 'email', 10, 10, interval '-1 second', '')), 2::bigint, 'taken by one more');
select outbox_rescue(50);
select is((select state from outbox where idem_key = 'poison-1'), 'dead', 'fifty lost senders are enough');
update outbox set state = 'cancelled' where idem_key = 'poison-1';

-- a replay is asked for by a person
insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '"Ann"');
begin;
select set_config('muster.me', '00000000-0000-0000-0000-0000000000a1', true), set_config('muster.roles', 'commander responder viewer', true);
select lives_ok(format('select delivery_replay(%s)', (select min(id) from outbox where state = 'dead')), 'a dead one is replayed');
commit;
select is((select count(*) from outbox where state = 'dead'), 5::bigint, 'one less is dead');
select throws_ok(format('select delivery_replay(%s)', (select min(id) from outbox where state = 'done')), 'MU409', null, 'what was sent is not');
-- the record of a delivery is written in place only while this holds
select is((select string_agg(distinct d.objid::regclass || ' ' || a.attname, ', ') from pg_depend d join pg_index x on x.indexrelid = d.objid
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  where d.classid = 'pg_class'::regclass and d.refobjid = 'outbox'::regclass and x.indrelid = d.refobjid
    and a.attname in ('state', 'attempt', 'not_before', 'started_at', 'done_at', 'code', 'answer', 'ms', 'last_error')), null, 'no index names what changes when all goes well');
select is(dblink_disconnect('two'), 'OK', 'the end');
select * from finish();
