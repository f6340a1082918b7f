-- Objectives with validity in time, and claims of what recovery is achievable.

create or replace function objective_at(service uuid, at timestamptz) returns objective language plpgsql stable as $$
declare o objective;
begin
  select * into o from objective x where x.service_id = objective_at.service and x.valid @> objective_at.at and x.withdrawn_at is null;
  return o;
end $$;

-- The figures of an objective as they would be stored: those `doc` names, the others as they are in force. An exception holds for the
-- figures it was granted for, so it is never carried over.
create or replace function objective_merged(was objective, doc jsonb) returns objective language plpgsql immutable as $$
declare o objective; known constant text[] := '{mtpd_ok_seconds,mtpd_bad_seconds,rto_seconds,rpo_seconds,wrt_seconds,mbco_percent}'; k text;
begin
  o := jsonb_populate_record(was, coalesce((select jsonb_object_agg(e.key, e.value) from jsonb_each(doc) e where e.key = any(known)), '{}'));
  if (o.rto_seconds, o.wrt_seconds, o.mtpd_ok_seconds) is distinct from (was.rto_seconds, was.wrt_seconds, was.mtpd_ok_seconds) then
    o.exception_by := null; o.exception_reason := null; o.exception_until := null;
  end if;
  if doc ? 'exception' then
    o.exception_by := (doc #>> '{exception,approved_by}')::uuid; o.exception_reason := doc #>> '{exception,reason}';
    o.exception_until := (doc #>> '{exception,until}')::timestamptz;
  end if;
  foreach k in array known loop
    if (to_jsonb(o) ->> k)::int not between 0 and (case k when 'mbco_percent' then 100 else 31536000 end) then
      perform refuse('MU422', 'error.objective.range', '/' || replace(replace(k, '_seconds', ''), '_percent', ''));
    end if;
  end loop;
  if o.mtpd_ok_seconds >= o.mtpd_bad_seconds then perform refuse('MU422', 'error.objective.interval', '/mtpd_bad'); end if;
  return o;
end $$;

create or replace function objective_fits(o objective) returns boolean language sql immutable as $$
  select coalesce(o.rto_seconds + coalesce(o.wrt_seconds, 0) <= o.mtpd_ok_seconds, true)
$$;

-- Ends the row in force at valid_from and adds the new one, up to the next row that is already decided; a row that would begin at the
-- same moment is withdrawn. doc: {mtpd_ok_seconds, mtpd_bad_seconds, rto_seconds, rpo_seconds, wrt_seconds, mbco_percent,
-- exception: {approved_by, reason, until}}; what it does not name stays, null takes it away. Nothing new: the row in force is returned.
-- Refuses MU422 with the pointer of the field: range, interval, RTO + WRT beyond the last tolerable outage without an exception.
create or replace function objective_set(service uuid, valid_from timestamptz, doc jsonb, source text, source_id uuid default null)
returns objective language plpgsql as $$
declare was objective; o objective; ends timestamptz; moment timestamptz := app_now();
begin
  perform 1 from service s where s.id = objective_set.service for no key update;
  if not found then perform refuse('MU404', 'error.service.unknown'); end if;
  was := objective_at(objective_set.service, objective_set.valid_from);
  o := objective_merged(was, objective_set.doc);
  if was.id is not null and (to_jsonb(o) - '{source,source_id}'::text[]) = (to_jsonb(was) - '{source,source_id}'::text[]) then return was; end if;
  if not objective_fits(o) and o.exception_by is null then
    perform refuse('MU422', 'error.objective.beyond_mtpd', '/rto', jsonb_build_object('needs', duration_short(o.rto_seconds + coalesce(o.wrt_seconds, 0)), 'most', duration_short(o.mtpd_ok_seconds)));
  end if;
  select min(lower(x.valid)) into ends from objective x where x.service_id = objective_set.service and x.withdrawn_at is null and lower(x.valid) > objective_set.valid_from;
  if was.id is not null then
    if lower(was.valid) = objective_set.valid_from then
      update objective x set withdrawn_at = moment, withdrawn_by = me() where x.id = was.id;
    else
      update objective x set valid = tstzrange(lower(was.valid), objective_set.valid_from) where x.id = was.id;
    end if;
  end if;
  o.id := gen_random_uuid(); o.service_id := objective_set.service; o.valid := tstzrange(objective_set.valid_from, ends); o.source := objective_set.source;
  o.source_id := objective_set.source_id; o.set_by := me(); o.set_at := moment; o.withdrawn_at := null; o.withdrawn_by := null;
  insert into objective select o.*;
  perform objectives_begin(objective_set.service);
  if objective_set.source <> 'register' then   -- the register says itself what it changed
    perform audit('objective.set', (select s.slug from service s where s.id = objective_set.service), objective_set.doc || jsonb_build_object('id', o.id, 'from', iso(objective_set.valid_from), 'source', objective_set.source));
  end if;
  return o;
end $$;

-- Brings the columns of the register to the objective in force: of one service, or (null) of those where an objective began or ended
-- since they were last written.
create or replace function objectives_begin(wanted uuid default null) returns int language plpgsql as $$
declare n int;
begin
  update service s set rto_seconds = f.rto_seconds, rpo_seconds = f.rpo_seconds, version = s.version + 1, changed_at = app_now()
    from (select o.service_id, o.rto_seconds, o.rpo_seconds from objective o where o.withdrawn_at is null and o.valid @> app_now()
            and (o.service_id = wanted or (wanted is null and lower(o.valid) > app_now() - interval '7 days'))) as f
    where s.id = f.service_id and (s.rto_seconds, s.rpo_seconds) is distinct from (f.rto_seconds, f.rpo_seconds);
  get diagnostics n = row_count;
  return n;
end $$;

-- Whoever writes the columns of the register writes an objective. The first ones of a table full of services are written in one statement:
-- objective_set() one by one would take minutes for a hundred thousand.
create or replace function service_objective() returns trigger language plpgsql as $$
declare s record;
begin
  insert into objective(id, service_id, valid, rto_seconds, rpo_seconds, source, set_by, set_at)
  select gen_random_uuid(), m.id, tstzrange(app_now(), null), m.rto_seconds, m.rpo_seconds, 'register', me(), app_now() from made m
    where (m.rto_seconds is not null or m.rpo_seconds is not null) and not exists (select 1 from objective o where o.service_id = m.id);
  for s in
    select m.id, m.rto_seconds, m.rpo_seconds from made m
      left join objective o on o.service_id = m.id and o.withdrawn_at is null and o.valid @> app_now()
      where (m.rto_seconds, m.rpo_seconds) is distinct from (o.rto_seconds, o.rpo_seconds)
  loop
    perform objective_set(s.id, app_now(), jsonb_build_object('rto_seconds', s.rto_seconds, 'rpo_seconds', s.rpo_seconds), 'register');
  end loop;
  return null;
end $$;

create or replace function objective_doc(o objective) returns jsonb language sql stable as $$
  select jsonb_build_object('id', o.id, 'from', iso(lower(o.valid)), 'until', iso(upper(o.valid)), 'mtpd_ok_seconds', o.mtpd_ok_seconds, 'mtpd_bad_seconds', o.mtpd_bad_seconds,
    'rto_seconds', o.rto_seconds, 'rpo_seconds', o.rpo_seconds, 'wrt_seconds', o.wrt_seconds, 'mbco_percent', o.mbco_percent,
    'rto_text', duration_short(o.rto_seconds), 'rpo_text', duration_short(o.rpo_seconds), 'wrt_text', duration_short(o.wrt_seconds), 'mbco_text', o.mbco_percent::text,
    'mtpd_ok_text', duration_short(o.mtpd_ok_seconds), 'mtpd_bad_text', duration_short(o.mtpd_bad_seconds),
    'exception', case when o.exception_by is not null then jsonb_build_object('by', person_ref(o.exception_by), 'reason', o.exception_reason, 'until', iso(o.exception_until),
      'over', o.exception_until <= app_now()) end,
    'source', o.source, 'set_by', person_ref(o.set_by), 'set_at', iso(o.set_at), 'withdrawn', o.withdrawn_at is not null,
    'in_force', o.withdrawn_at is null and o.valid @> app_now(), 'future', o.withdrawn_at is null and lower(o.valid) > app_now())
$$;

-- ---- capabilities ---------------------------------------------------------------------------------------------------------------------

create or replace function capability_rank(basis text) returns int language sql immutable parallel safe as $$
  select array_position('{measured,rehearsed,contract,estimated}'::text[], basis)
$$;

-- Adds a claim. doc: {service (slug or id), metric, seconds, basis, extent, at, expires_at, run (id), note}. The time of a measured
-- recovery is that of the run's incident and nobody's to type.
create or replace function capability_add(doc jsonb) returns capability language plpgsql as $$
declare c capability; r record; moment timestamptz := app_now();
begin
  select s.id into c.service_id from service s where s.slug = doc ->> 'service' or s.id::text = doc ->> 'service';
  if c.service_id is null then perform refuse('MU422', 'error.service.unknown', '/service'); end if;
  c.id := gen_random_uuid(); c.metric := doc ->> 'metric'; c.basis := doc ->> 'basis'; c.extent := coalesce(doc ->> 'extent', 'own'); c.note := nullif(doc ->> 'note', '');
  c.seconds := coalesce((doc ->> 'seconds')::int, duration_seconds(doc ->> 'time')); c.by := me(); c.created_at := moment;
  c.at := coalesce((doc ->> 'at')::timestamptz, moment); c.expires_at := (doc ->> 'expires_at')::timestamptz; c.run_id := (doc ->> 'run')::uuid;
  if c.run_id is not null then
    select x.*, i.kind as incident_kind, i.ref, b.since, b.restored_at into r from run x join incident i on i.id = x.incident_id
      left join incident_service b on b.incident_id = i.id and b.service_id = c.service_id where x.id = c.run_id;
    if r.id is null then perform refuse('MU422', 'error.run.unknown', '/run'); end if;
  end if;
  if c.basis = 'measured' then
    if c.run_id is null then perform refuse('MU422', 'error.capability.needs_run', '/run'); end if;
    if r.kind = 'rehearsal' or r.clock_speed <> 1 then perform refuse('MU422', 'error.capability.not_measured', '/run'); end if;
    if c.metric = 'rto' then
      if r.restored_at is null then perform refuse('MU422', 'error.capability.not_restored', '/run', jsonb_build_object('ref', r.ref)); end if;
      if c.seconds is not null and c.seconds <> extract(epoch from r.restored_at - r.since)::int then perform refuse('MU422', 'error.capability.not_typed', '/time'); end if;
      c.seconds := extract(epoch from r.restored_at - r.since)::int; c.at := r.restored_at;
    end if;
  end if;
  if c.seconds is null then perform refuse('MU422', 'error.field.duration', '/time'); end if;
  if c.at > moment then perform refuse('MU422', 'error.capability.future', '/at'); end if;
  if c.expires_at <= c.at then perform refuse('MU422', 'error.capability.expired', '/expires_at'); end if;
  insert into capability select c.*;
  perform audit('capability.added', (select s.slug from service s where s.id = c.service_id), jsonb_build_object('metric', c.metric, 'seconds', c.seconds, 'basis', c.basis, 'id', c.id));
  return c;
end $$;

-- The claim that counts: unexpired and not withdrawn, the best founded one, then the latest.
create or replace function capability_now(service uuid, metric text, at timestamptz, extent text default 'own') returns capability language sql stable as $$
  select c from capability c where c.service_id = capability_now.service and c.metric = capability_now.metric and c.extent = capability_now.extent and c.withdrawn_at is null
    and c.at <= capability_now.at and (c.expires_at is null or c.expires_at > capability_now.at)
  order by capability_rank(c.basis), c.at desc, c.created_at desc limit 1
$$;

create or replace function capability_doc(c capability) returns jsonb language sql stable as $$
  select jsonb_build_object('id', c.id, 'metric', c.metric, 'seconds', c.seconds, 'basis', c.basis, 'extent', c.extent, 'whole', c.extent = 'whole', 'at', iso(c.at), 'expires_at', iso(c.expires_at),
    'expired', coalesce(c.expires_at <= app_now(), false), 'run', c.run_id, 'incident', (select i.ref from run r join incident i on i.id = r.incident_id where r.id = c.run_id),
    'note', c.note, 'by', person_ref(c.by), 'withdrawn', c.withdrawn_at is not null, 'withdrawn_at', iso(c.withdrawn_at), 'withdrawn_reason', c.withdrawn_reason,
    'withdrawn_by', person_ref(c.withdrawn_by))
$$;
