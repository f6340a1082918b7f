-- Three days of a drill in minutes: faster, stopped, changed on the way, leapt forward. What is due stays due at the same moment of the
-- run, and only the moment of the day it falls on moves. Run time is UTC: the night the clocks change has no effect on it.
begin;
select plan(14);
set local timezone = 'Europe/Berlin';                  -- whose clocks change in the middle of these three days
insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '"Ann"');
insert into incident(id, ref, kind, title, occurred_at, detected_at, declared_at, commander_id) values
  ('00000000-0000-0000-0000-000000000002', 'DRL-2026-9001', 'drill', 'drill', app_now(), app_now(), app_now(), '00000000-0000-0000-0000-0000000000a1');
insert into playbook(id, slug) values ('00000000-0000-0000-0000-00000000000b', 'p-test');
insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, state) values ('00000000-0000-0000-0000-00000000000b', 1, '{}', 'x', '"p"', 'muster-yaml', 'published');
-- the test clock stands on the eve of the change: 2026-03-27 12:00 UTC, the clocks go forward on the 29th
update test_clock set shift = '2026-03-27 12:00Z' - statement_timestamp();
insert into run(id, incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
  values ('00000000-0000-0000-0000-0000000000f2', '00000000-0000-0000-0000-000000000002', 'drill', '00000000-0000-0000-0000-00000000000b', 1, 'running', 1, '', '{}', to_ms(app_now()), to_ms(app_now()), app_now());
create temporary table t0 as select clock_ref_sim as at from run where id = '00000000-0000-0000-0000-0000000000f2';
insert into timer(run_id, path, occ, kind, due_sim, due_real, data) select '00000000-0000-0000-0000-0000000000f2', 'late', 1, 'deadline', at + interval '72 hours', at + interval '72 hours', '{"n":1}' from t0;
select set_config('muster.me', '00000000-0000-0000-0000-0000000000a1', true), set_config('muster.roles', 'commander responder viewer', true);
create function turn(body jsonb) returns text language sql as $$
  select run_clock('00000000-0000-0000-0000-0000000000f2', body || '{"reason":"for the exercise"}') -> 0 #>> '{event,kind}'
$$;
-- hours of the run that have passed, and seconds of the day until the deadline, both to one place
create function passed() returns numeric language sql as $$
  select round(extract(epoch from run_sim(r, app_now()) - t0.at)::numeric / 3600, 1) from run r, t0 where r.id = '00000000-0000-0000-0000-0000000000f2'
$$;
create function left_() returns numeric language sql as $$ select round(extract(epoch from due_real - app_now())::numeric) from timer where path = 'late' $$;
create function later(seconds int) returns void language sql as $$ update test_clock set shift = shift + make_interval(secs => seconds) $$;

select is(left_(), 259200::numeric, 'three days are 72 hours, whatever the clocks on the wall do');
select is(turn('{"speed":1000}'), 'clock_changed', 'a thousand times as fast');
select cmp_ok(left_(), '<=', 259::numeric, 'three days in less than five minutes');
select later(90);
select cmp_ok(passed(), '>=', 25.0, 'after a minute and a half it is the next day');
select turn('{"speed":0}');
select is(left_(), null, 'stopped, nothing falls due');
create temporary table stood as select passed() as at;
select later(86400);
select is(passed(), (select at from stood), 'and no time passes');
select turn('{"speed":10}');
select is(passed(), (select at from stood), 'going on, it goes on from there');
select cmp_ok(abs(left_() - (72 - (select at from stood)) * 360), '<=', 200::numeric, 'the rest takes as long as the new speed says');
select later(3600);
select cmp_ok(abs(passed() - (select at from stood) - 10), '<=', 0.1, 'an hour is ten');
select is(turn('{"next":true}'), 'clock_changed', 'a leap to what is due next');
select is(passed(), 72.0, 'three days are over');
select cmp_ok((select due_real from timer where path = 'late'), '<=', app_now(), 'and the deadline is due now');
select is((select due_sim - t0.at from timer, t0 where path = 'late'), interval '72 hours', 'at the moment of the run it always had');
select throws_ok($$select turn('{"leap":-60}')$$, 'MU422', null, 'time never goes back');
select * from finish();
rollback;
