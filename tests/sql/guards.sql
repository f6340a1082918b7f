-- What the database itself refuses, whatever the program above it does: drills that reach outsiders, records that change.
begin;
select plan(60);

insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '{"zh":"安","en":"Ann"}');
insert into endpoint(id, kind, slug, name, address, audience, drill_safe) values
  ('00000000-0000-0000-0000-0000000000e1', 'webhook', 'safe', '"Safe"', 'https://safe.example/', 'internal', true),
  ('00000000-0000-0000-0000-0000000000e2', 'webhook', 'unsafe', '"Unsafe"', 'https://unsafe.example/', 'internal', false),
  ('00000000-0000-0000-0000-0000000000e3', 'webhook', 'outside', '"Outside"', 'https://customer.example/', 'customer', false);
insert into incident(id, ref, kind, title, occurred_at, detected_at, declared_at) values
  ('00000000-0000-0000-0000-000000000001', 'INC-2026-9001', 'incident', 'real', app_now(), app_now(), app_now()),
  ('00000000-0000-0000-0000-000000000002', 'DRL-2026-9001', 'drill', 'drill', app_now(), app_now(), app_now());
insert into playbook(id, slug) values ('00000000-0000-0000-0000-00000000000b', 'p-test');
insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, state) values
  ('00000000-0000-0000-0000-00000000000b', 1, '{}', 'x', '"p"', 'muster-yaml', 'published'),
  ('00000000-0000-0000-0000-00000000000b', 2, '{}', 'y', '"p"', 'muster-yaml', 'draft');

-- ---- drills ----
select throws_ok($$insert into endpoint(kind, slug, name, address, audience, drill_safe) values ('webhook', 'x1', '"x"', 'https://x/', 'customer', true)$$, '23514', null, 'a customer is never drill-safe');
select throws_ok($$insert into endpoint(kind, slug, name, address, audience, drill_safe) values ('webhook', 'x2', '"x"', 'https://x/', 'regulator', true)$$, '23514', null, 'nor is a regulator');
select throws_ok($$update endpoint set audience = 'regulator' where slug = 'safe'$$, '23514', null, 'and no safe endpoint becomes one');

create function row_of(stamp text, incident_kind text, delivery text, endpoint text, audience text, drill_safe boolean, address text) returns text language sql as $$
  select format($f$insert into outbox(kind, incident_id, incident_kind, channel, endpoint_id, address, audience, drill_safe, delivery, idem_key, payload, not_before, created_at)
    values (%L, %L, %L, 'webhook', (select id from endpoint where slug = %L), %L, %L, %L, %L, gen_random_uuid()::text, '{}', app_now(), app_now())$f$,
    stamp, case incident_kind when 'incident' then '00000000-0000-0000-0000-000000000001' when 'drill' then '00000000-0000-0000-0000-000000000002' end::uuid,
    incident_kind, endpoint, address, audience, drill_safe, delivery)
$$;
select lives_ok(row_of('incident', 'incident', 'send', 'outside', 'customer', false, 'https://customer.example/'), 'a real incident reaches customers');
select lives_ok(row_of('drill', 'drill', 'send', 'safe', 'internal', true, 'https://safe.example/'), 'a drill reaches a safe endpoint of our own');
select lives_ok(row_of('drill', 'drill', 'simulate', 'outside', 'customer', false, 'https://customer.example/'), 'to everybody else it is simulated');
select throws_ok(row_of('drill', 'drill', 'send', 'outside', 'customer', false, 'https://customer.example/'), '23514', null, 'a drill is not sent to customers');
select throws_ok(row_of('drill', 'drill', 'send', 'unsafe', 'internal', false, 'https://unsafe.example/'), '23514', null, 'nor to an endpoint that is not safe');
select throws_ok(row_of('drill', 'drill', 'send', 'unsafe', 'internal', true, 'https://unsafe.example/'), '23514', null, 'a row cannot claim to be safe');
select throws_ok(row_of('drill', 'drill', 'send', 'outside', 'internal', true, 'https://customer.example/'), '23514', null, 'nor to be internal');
select throws_ok(row_of('drill', 'drill', 'send', 'safe', 'internal', true, 'https://customer.example/'), '23514', null, 'nor go to another address');
select throws_ok(row_of('incident', 'drill', 'send', 'outside', 'customer', false, 'https://customer.example/'), '23514', null, 'the stamp cannot lie about its incident');
select throws_ok(row_of('system', 'drill', 'send', 'outside', 'customer', false, 'https://customer.example/'), '23514', null, 'system rows belong to no incident');
select throws_ok(row_of('rehearsal', 'drill', 'send', 'safe', 'internal', true, 'https://safe.example/'), '23514', null, 'a rehearsal reaches nobody');
select lives_ok(row_of('rehearsal', 'drill', 'simulate', 'safe', 'internal', true, 'https://safe.example/'), 'it is simulated');
select throws_ok($$insert into outbox(kind, incident_id, incident_kind, channel, address, audience, drill_safe, delivery, idem_key, payload, not_before, created_at)
  values ('incident', '00000000-0000-0000-0000-000000000002', 'incident', 'email', 'a@x.example', 'internal', false, 'send', 'lie', '{}', app_now(), app_now())$$, '23503', null, 'a drill cannot be written down as an incident');
select throws_ok($$update outbox set delivery = 'send' where kind = 'drill' and audience = 'customer'$$, '23514', null, 'what was simulated is never sent later');
select throws_ok($$update outbox set kind = 'incident' where kind = 'drill'$$, '23514', null, 'nor made real');

select throws_ok($$update incident set kind = 'incident' where ref = 'DRL-2026-9001'$$, '23514', null, 'the kind of an incident never changes');
create function run_row(stamp text, incident text, speed numeric, shifted boolean) returns text language sql as $$
  select format($f$insert into run(incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, clock_speed, created_at)
    values (%L, %L, '00000000-0000-0000-0000-00000000000b', 1, 'running', 1, '', '{}', '2026-01-01', %L, %s, app_now())$f$, incident, stamp, case when shifted then '2026-02-01' else '2026-01-01' end, speed)
$$;
select lives_ok(run_row('incident', '00000000-0000-0000-0000-000000000001', 1, false), 'a real run');
select lives_ok(run_row('drill', '00000000-0000-0000-0000-000000000002', 60, true), 'a drill may run faster');
select throws_ok(run_row('incident', '00000000-0000-0000-0000-000000000002', 1, false), '23514', null, 'a drill has no real run');
select throws_ok(run_row('incident', '00000000-0000-0000-0000-000000000001', 2, false), '23514', null, 'a real run is never sped up');
select throws_ok(run_row('incident', '00000000-0000-0000-0000-000000000001', 1, true), '23514', null, 'nor shifted');
select throws_ok($$update run set kind = 'incident' where kind = 'drill'$$, '23514', null, 'the kind of a run never changes');

insert into report_profile(id, version, body, body_sha256, loaded_at) values ('t-rule', 1, '{}', 'x', app_now()) on conflict do nothing;
insert into report(ref, incident_id, incident_kind, profile, profile_version, stage, created_at, changed_at) values ('RPT-2026-9001', '00000000-0000-0000-0000-000000000002', 'drill', 't-rule', 1, 's', app_now(), app_now());
select throws_ok($$update report set state = 'filed' where ref = 'RPT-2026-9001'$$, '23514', null, 'a drill''s report is never filed');
select throws_ok($$update report set state = 'sent' where ref = 'RPT-2026-9001'$$, '23514', null, 'nor sent');
select throws_ok($$update report set incident_kind = 'incident' where ref = 'RPT-2026-9001'$$, '23503', null, 'nor made real');

-- ---- what never changes ----
select is(timeline_add('00000000-0000-0000-0000-000000000001', null, 'note', 'first', '{"a":1}', null), 1::bigint, 'the first event');
select is(timeline_add('00000000-0000-0000-0000-000000000001', null, 'note', '第二', '{"b":[1.50,"é"]}', '00000000-0000-0000-0000-0000000000a1'), 2::bigint, 'the second');
select throws_ok($$update timeline_event set text = 'x'$$, '23514', null, 'a timeline does not change');
select throws_ok($$delete from timeline_event$$, '23514', null, 'nor lose an event');
select throws_ok($$truncate timeline_event$$, '23514', null, 'nor all of them');
select isnt(audit('test', 'x'), null, 'the audit log takes an entry');
select throws_ok($$update audit_event set action = 'x'$$, '23514', null, 'and does not change');
select throws_ok($$delete from audit_event$$, '23514', null, 'nor lose one');
select throws_ok($$truncate audit_event$$, '23514', null, 'nor all');
insert into run_event(run_id, seq, at_real, at_sim, kind, actor_kind, body, prev_hash, hash) select id, 1, app_now(), app_now(), 'start', 'system', '{}', '', '' from run where kind = 'incident';
select throws_ok($$update run_event set body = '{"x":1}'$$, '23514', null, 'events of a run do not change');
select throws_ok($$delete from run_event$$, '23514', null, 'nor vanish');
select throws_ok($$truncate run_event$$, '23514', null, 'nor all');
select throws_ok($$insert into run_event(run_id, seq, at_real, at_sim, kind, actor_kind, body, prev_hash, hash) select run_id, 1, app_now(), app_now(), 'x', 'system', '{}', '', '' from run_event$$, '23505', null, 'one event per number');
select throws_ok($$update playbook_version set body = '{"x":1}' where version = 1$$, '23514', null, 'a published version does not change');
select throws_ok($$update playbook_version set state = 'draft' where version = 1$$, '23514', null, 'nor become a draft');
select throws_ok($$delete from playbook_version where version = 1$$, null, null, 'nor go away');
select lives_ok($$update playbook_version set body = '{"x":1}' where version = 2$$, 'a draft may');
select throws_ok($$update playbook_version set state = 'published' where version = 2$$, '23514', null, 'and is not published unread');
select lives_ok($$update playbook_version set state = 'in_review' where version = 2; update playbook_version set state = 'published' where version = 2$$, 'but out of review');
select throws_ok($$update playbook_version set state = 'retired' where version = 2; update playbook_version set state = 'published' where version = 2$$, '23514', null, 'and does not come back');

-- ---- the chain of a timeline ----
select is((select prev_hash from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' and seq = 1), repeat('0', 64), 'it begins at nothing');
select is((select prev_hash from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' and seq = 2),
          (select hash from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' and seq = 1), 'each names the one before');
select is(e.hash, encode(sha256(convert_to(e.prev_hash || canonical(jsonb_build_object('incident', 'INC-2026-9001', 'seq', e.seq, 'at', iso(e.at), 'recorded_at', iso(e.recorded_at), 'kind', e.kind,
    'actor', e.actor, 'actor_name', e.actor_name, 'text', e.text, 'data', e.data)), 'UTF8')), 'hex'), 'the hash covers all of it: ' || e.seq)
  from timeline_event e where e.incident_id = '00000000-0000-0000-0000-000000000001' order by e.seq;
select is((select array[seq::text, last_hash] from incident where ref = 'INC-2026-9001'),
          (select array[seq::text, hash] from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' order by seq desc limit 1), 'the incident knows the end of it');
select throws_ok($$select timeline_add('00000000-0000-0000-0000-0000000000ff', null, 'note')$$, 'MU404', 'error.incident.unknown', 'no timeline without an incident');
select is((select at from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' and seq = timeline_add('00000000-0000-0000-0000-000000000001', '2026-01-01 00:00:00.123456+00', 'note')), null, 'an event is not there before its statement ends');
select is((select iso(at) from timeline_event where incident_id = '00000000-0000-0000-0000-000000000001' and seq = 3), '2026-01-01T00:00:00.123Z', 'times are kept to the millisecond that is hashed');

-- ---- time ----
update test_clock set shift = '3 days';
select cmp_ok(app_now() - statement_timestamp(), '=', interval '3 days', 'the test clock moves app_now()');
update test_clock set shift = '0';
select cmp_ok(app_now(), '=', statement_timestamp(), 'without it, it is the statement''s time');
select is((select count(distinct app_now()) from generate_series(1, 1000)), 1::bigint, 'and the same all through a statement');
select is((select count(*) from test_clock), 1::bigint, 'there is one clock');

select * from finish();
rollback;
