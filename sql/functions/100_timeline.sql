-- The timeline of an incident: one sequence per incident, append-only, hash-chained.
-- hash = SHA-256(prev_hash || canonical JSON of {incident, seq, at, recorded_at, kind, actor, actor_name, text, data}), where
-- `incident` is the reference (INC-2026-0042), times are RFC 3339 in UTC with milliseconds, and absent values are JSON null.

-- Times are kept to the millisecond, so that what is hashed is what is stored and what is shown.
create or replace function to_ms(at timestamptz) returns timestamptz language sql stable parallel safe as $$
  select date_trunc('milliseconds', at)
$$;

-- The text that is hashed, from the fields as an export shows them.
create or replace function timeline_hash(prev_hash text, incident text, seq bigint, at timestamptz, recorded_at timestamptz, kind text,
  actor uuid, actor_name text, words text, data jsonb) returns text language sql stable as $$
  select encode(sha256(convert_to(prev_hash || canonical(jsonb_build_object(
    'incident', incident, 'seq', seq, 'at', iso(at), 'recorded_at', iso(recorded_at), 'kind', kind,
    'actor', actor, 'actor_name', actor_name, 'text', words, 'data', data)), 'UTF8')), 'hex')
$$;

-- Appends one event and gives its number. Locks the incident's row, so that events of one incident are strictly in order.
-- `at` = when it happened (null: now); `actor` null = the system itself.
create or replace function timeline_add(incident uuid, at timestamptz, kind text, words text default null, data jsonb default '{}',
  actor uuid default me()) returns bigint language plpgsql as $$
declare
  i incident%rowtype;
  v_seq bigint;
  v_at timestamptz;
  v_recorded timestamptz := to_ms(app_now());
  v_name text;
  v_hash text;
begin
  select * into i from incident x where x.id = timeline_add.incident for update;
  if not found then
    raise exception using errcode = 'MU404', message = 'error.incident.unknown', detail = '';
  end if;
  v_seq := i.seq + 1;
  v_at := to_ms(coalesce(timeline_add.at, v_recorded));
  if timeline_add.actor is not null then
    select coalesce(p.name->>'zh', p.name->>'en') into v_name from person p where p.id = timeline_add.actor;
  end if;
  v_hash := timeline_hash(i.last_hash, i.ref, v_seq, v_at, v_recorded, timeline_add.kind, timeline_add.actor, v_name,
    timeline_add.words, coalesce(timeline_add.data, '{}'));
  insert into timeline_event(incident_id, seq, at, recorded_at, kind, actor, actor_name, text, data, prev_hash, hash)
  values (i.id, v_seq, v_at, v_recorded, timeline_add.kind, timeline_add.actor, v_name, timeline_add.words,
    coalesce(timeline_add.data, '{}'), i.last_hash, v_hash);
  update incident x set seq = v_seq, last_hash = v_hash where x.id = i.id;
  return v_seq;
end $$;

-- One event as every answer shows it.
create or replace function timeline_json(e timeline_event, ref text) returns jsonb language sql stable as $$
  select jsonb_build_object('incident', ref, 'seq', e.seq, 'at', iso(e.at), 'recorded_at', iso(e.recorded_at), 'kind', e.kind,
    'actor', e.actor, 'actor_name', e.actor_name, 'text', e.text, 'data', e.data, 'prev_hash', e.prev_hash, 'hash', e.hash)
$$;

-- What a role is called where no playbook names it.
create or replace function role_label(role text) returns jsonb language sql immutable as $$
  select coalesce(case role
    when 'commander' then '{"zh":"总指挥","en":"Commander"}' when 'tech_lead' then '{"zh":"技术负责人","en":"Technical lead"}'
    when 'comms' then '{"zh":"对外沟通","en":"Communications"}' when 'risk' then '{"zh":"风险管理","en":"Risk"}'
    when 'compliance' then '{"zh":"监管报送","en":"Regulatory reporting"}' when 'duty' then '{"zh":"值班","en":"Duty"}'
    when 'executive' then '{"zh":"行领导","en":"Executive"}' when 'security' then '{"zh":"信息安全","en":"Information security"}'
    when 'legal' then '{"zh":"法律事务","en":"Legal counsel"}' when 'business' then '{"zh":"业务部门","en":"Business department"}'
    when 'supplier_manager' then '{"zh":"供应商管理","en":"Supplier management"}' end::jsonb, to_jsonb(role))
$$;

-- The same for a screen: the person's name in both languages, and whether the entry came later than what it tells of.
create or replace function timeline_view(e timeline_event) returns jsonb language sql stable as $$
  select jsonb_build_object('seq', e.seq, 'at', iso(e.at), 'recorded_at', iso(e.recorded_at), 'kind', e.kind, 'text', e.text,
    'data', e.data, 'is', jsonb_build_object(e.kind, true), 'actor', e.actor,
    'name', coalesce((select p.name from person p where p.id = e.actor), to_jsonb(e.actor_name)),
    'names', case when e.kind = 'facts' then (select string_agg(k, ', ' order by k) from jsonb_object_keys(case jsonb_typeof(e.data->'changed') when 'object' then e.data->'changed' else '{}' end) k) end,
    'role_name', case when e.data ? 'role' then role_label(e.data->>'role') end, 'late', e.recorded_at - e.at > interval '1 minute')
$$;
