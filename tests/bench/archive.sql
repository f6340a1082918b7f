-- An archive: closed incidents over the years with one service each, and their timelines. The rows are those the product writes,
-- but for the hashes, which nothing in the bench verifies. Variables: incidents, events.
set session_replication_role = replica;
set work_mem = '256MB';
set maintenance_work_mem = '512MB';
drop index incident_search;
insert into incident(ref, kind, title, severity, state, occurred_at, detected_at, declared_at, mitigated_at, resolved_at, closed_at, declared_by, commander_id, seq, version)
  select 'INC-2024-' || lpad(n::text, 7, '0'), 'incident', (array['支付超时','登录失败','转账延迟','网点断网'])[1 + n % 4] || ' ' || n, (array['I','II','III','IV'])[1 + n % 4], 'closed',
    t.at, t.at, t.at, t.at + interval '40 minutes', t.at + interval '1 hour', t.at + interval '2 days', p.id, p.id, 0, 4
  from generate_series(1, :incidents) n cross join (select id from person where login = 'wang.min') p
  cross join lateral (select clock_timestamp() - interval '3 days' - n * interval '37 seconds' as at) t;
insert into incident_service(incident_id, service_id, impact, since, restored_at)
  select i.id, s.ids[1 + (i.seq + abs(hashtext(i.ref))) % array_length(s.ids, 1)], 'none', i.occurred_at, i.resolved_at
  from incident i cross join (select array_agg(id) as ids from service) s where i.ref like 'INC-2024-%';
insert into timeline_event(incident_id, seq, at, recorded_at, kind, actor, actor_name, text, data, prev_hash, hash)
  select i.id, k, i.occurred_at + k * interval '3 minutes', i.occurred_at + k * interval '3 minutes', 'note', i.declared_by, '王敏',
    'Rolled back to build 4711, watching the error rate', '{}', repeat('0', 64), repeat('0', 64)
  from (select * from incident where ref like 'INC-2024-%' limit greatest(1, :events / 10)) i, generate_series(1, 10) k;
create index incident_search on incident using gin (search_grams(title || ' ' || ref));
-- Open ones for the rows that write: P4 changes their severity.
insert into incident(ref, kind, title, severity, state, occurred_at, detected_at, declared_at, declared_by, commander_id)
  select 'INC-2025-' || lpad(n::text, 5, '0'), 'incident', 'Open ' || n, 'none', 'open', t.at, t.at, t.at, p.id, p.id
  from generate_series(1, 4000) n cross join (select id from person where login = 'wang.min') p
  cross join lateral (select clock_timestamp() - interval '5 years' - n * interval '1 second' as at) t;
set session_replication_role = origin;
vacuum analyze;
checkpoint;
