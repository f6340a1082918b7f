-- Clocks of an incident: the next promised update, the RTO of each service; the reports' clocks come from the reports.

create or replace function update_minutes(severity text) returns int language sql stable as $$
  select coalesce((setting_get('update_minutes') ->> severity)::int, case severity when 'I' then 30 when 'II' then 60 when 'III' then 120 else 240 end)
$$;

-- The RTO is counted from the moment the service stopped (incident_service.since, which starts as the incident's occurred_at): the
-- customer's clock, not ours. slug null = every affected service. A service that fails again gets its clock anew.
create or replace function clock_rto_start(incident uuid, slug text) returns void language plpgsql as $$
#variable_conflict use_column
begin
  insert into incident_clock as c(incident_id, kind, subject, name, started_at, due_at, warn_at)
  select x.incident_id, 'rto', s.slug, s.name, x.since, x.since + make_interval(secs => s.rto_seconds), x.since + make_interval(secs => s.rto_seconds * 0.8)
  from incident_service x join service s on s.id = x.service_id
  where x.incident_id = clock_rto_start.incident and s.rto_seconds is not null and x.restored_at is null and x.impact in ('partial','down')
    and (clock_rto_start.slug is null or s.slug = clock_rto_start.slug)
  on conflict (incident_id, kind, subject) do update set started_at = excluded.started_at, due_at = excluded.due_at, warn_at = excluded.warn_at,
    stopped_at = null, warned_at = null, missed_at = null
  where c.stopped_at is not null or c.started_at <> excluded.started_at;
end $$;

-- Promises the next update: at a time, in minutes, or after what the severity asks for.
create or replace function clock_next_update(incident uuid, minutes int, due timestamptz) returns timestamptz language plpgsql as $$
declare v_now timestamptz := to_ms(app_now()); v_due timestamptz; v_sev text;
begin
  select x.severity into v_sev from incident x where x.id = clock_next_update.incident;
  v_due := to_ms(coalesce(due, v_now + make_interval(mins => coalesce(minutes, update_minutes(v_sev)))));
  insert into incident_clock as c(incident_id, kind, subject, name, started_at, due_at, warn_at)
  values (clock_next_update.incident, 'next_update', 'update', '{"zh":"下次通报","en":"Next update"}', v_now, v_due,
    v_due - least(interval '5 minutes', (v_due - v_now) * 0.2))
  on conflict (incident_id, kind, subject) do update set started_at = excluded.started_at, due_at = excluded.due_at, warn_at = excluded.warn_at,
    stopped_at = null, warned_at = null, missed_at = null;
  return v_due;
end $$;

create or replace function incident_next_update(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); v_due timestamptz := (body->>'at')::timestamptz;
begin
  perform incident_must_be_open(i);
  if v_due is null and body->'minutes' is null then perform refuse('MU422', 'error.next_update.needed', '/minutes'); end if;
  if v_due <= app_now() then perform refuse('MU422', 'error.time.past', '/at'); end if;
  if v_due > app_now() + interval '7 days' then perform refuse('MU422', 'error.time.too_far', '/at'); end if;
  v_due := clock_next_update(i.id, (body->>'minutes')::int, v_due);
  update incident x set version = version + 1 where x.id = i.id;
  perform timeline_add(i.id, null, 'clock_set', null, jsonb_build_object('clock', 'next_update', 'due_at', iso(v_due)));
  return incident_brief(i.id) || jsonb_build_object('due_at', iso(v_due));
end $$;

-- Warns of clocks that come near and marks those that were missed, each once, and tells the commander. Safe to call from many
-- processes at once and as often as one likes; at most 100 clocks per call. Answers what changed: [{"incident":ref,"clock",…}].
drop function if exists timers_tick();
create function timers_tick() returns jsonb language plpgsql as $$
declare c record; i incident%rowtype; v_now timestamptz := app_now(); v_missed boolean; done jsonb := '[]'; v_key text;
begin
  for c in
    select x.* from (
      (select id from incident_clock where stopped_at is null and missed_at is null and due_at <= v_now order by due_at limit 50)
      union
      (select id from incident_clock where stopped_at is null and warned_at is null and warn_at <= v_now order by warn_at limit 50)) d
    join incident_clock x on x.id = d.id order by x.incident_id, x.due_at, x.id
  loop
    -- the incident's row first, as every other write does; a busy incident waits for the next tick
    select * into i from incident x where x.id = c.incident_id for update skip locked;
    continue when not found;
    select * into c from incident_clock x where x.id = c.id for update;
    continue when c.stopped_at is not null or c.missed_at is not null;
    v_missed := c.due_at <= v_now;
    continue when not v_missed and c.warned_at is not null;
    update incident_clock x set warned_at = coalesce(x.warned_at, v_now), missed_at = case when v_missed then v_now end where x.id = c.id;
    perform timeline_add(i.id, case when v_missed then c.due_at else v_now end, case when v_missed then 'clock_missed' else 'clock_warned' end, null,
      jsonb_build_object('clock', c.kind, 'subject', c.subject, 'name', c.name, 'due_at', iso(c.due_at)), null);
    v_key := 'clock/' || c.id || '/' || extract(epoch from c.started_at)::bigint || case when v_missed then '/missed' else '/warned' end;
    perform message_send(i.id, 'clock',
      case when v_missed then jsonb_build_object('zh', '已超时：' || (c.name->>'zh') || '（' || i.title || '）', 'en', 'Missed: ' || (c.name->>'en') || ' (' || i.title || ')')
           else jsonb_build_object('zh', '即将到时：' || (c.name->>'zh') || '（' || i.title || '）', 'en', 'Due soon: ' || (c.name->>'en') || ' (' || i.title || ')') end,
      incident_words(i, jsonb_build_object('zh', clock_kind_words(c.kind)->>'zh' || '：' || (c.name->>'zh') || E'\n到期：' || to_char(c.due_at at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') || E'\n事件',
        'en', clock_kind_words(c.kind)->>'en' || ': ' || (c.name->>'en') || E'\nDue: ' || to_char(c.due_at at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') || E' (UTC+8)\nIncident')),
      jsonb_build_object('clock', c.kind, 'due_at', iso(c.due_at), 'missed', v_missed),
      case when i.commander_id is not null then jsonb_build_array(jsonb_build_object('person', i.commander_id)) else '[{"role":"commander"}]' end
        || '[{"event":"incident.clock"}]', jsonb_build_object('key', v_key, 'priority', 2));
    done := done || jsonb_build_object('incident', i.ref, 'clock', c.kind, 'missed', v_missed);
  end loop;
  return done;
end $$;

create or replace function clock_kind_words(kind text) returns jsonb language sql immutable as $$
  select case kind when 'next_update' then '{"zh":"承诺的通报","en":"Promised update"}' when 'report' then '{"zh":"监管报告","en":"Regulator report"}'
    when 'rto' then '{"zh":"恢复时间目标","en":"Recovery time objective"}' else '{"zh":"步骤期限","en":"Step deadline"}' end::jsonb
$$;
