-- Declaring an incident or a drill, and every change of it by people. Each function writes the row, its timeline event, its clocks
-- and its messages in the caller's transaction, so that none of them is ever there without the others.

create or replace function incident_ref_next(prefix text) returns text language plpgsql as $$
declare n int; y int := extract(year from app_now() at time zone 'Asia/Shanghai');
begin
  insert into ref_counter as c values (incident_ref_next.prefix, y, 1)
    on conflict on constraint ref_counter_pkey do update set last = c.last + 1 returning last into n;
  return prefix || '-' || y || '-' || lpad(n::text, greatest(4, length(n::text)), '0');
end $$;

create or replace function severity_words(severity text) returns jsonb language sql immutable as $$
  select case severity
    when 'I' then '{"zh":"I级 特别重大","en":"SEV1 critical"}' when 'II' then '{"zh":"II级 重大","en":"SEV2 major"}'
    when 'III' then '{"zh":"III级 较大","en":"SEV3 moderate"}' when 'IV' then '{"zh":"IV级 一般","en":"SEV4 minor"}'
    else '{"zh":"未定级","en":"not graded"}' end::jsonb
$$;

create or replace function state_words(state text) returns jsonb language sql immutable as $$
  select case state
    when 'open' then '{"zh":"处置中","en":"open"}' when 'mitigated' then '{"zh":"已缓解","en":"mitigated"}'
    when 'resolved' then '{"zh":"已恢复","en":"resolved"}' else '{"zh":"已关闭","en":"closed"}' end::jsonb
$$;

create or replace function severity_rank(severity text) returns int language sql immutable as $$
  select coalesce(array_position('{I,II,III,IV,none}'::text[], severity), 9)
$$;

-- Locks an incident by its reference. `etag` (If-Match) is "VERSION-SEQ" or "VERSION": only the version is compared, for a new
-- timeline entry does not make anybody's edit stale.
create or replace function incident_lock(ref text, etag text default null) returns incident language plpgsql as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.ref = incident_lock.ref for update;
  if not found then perform refuse('MU404', 'error.incident.unknown', ''); end if;
  if etag is not null then
    perform etag_check(split_part(btrim(replace(etag, 'W/', ''), '"'), '-', 1), i.version);
  end if;
  return i;
end $$;

create or replace function incident_etag(i incident) returns text language sql stable as $$ select i.version || '-' || i.seq $$;

-- The commander of the incident, or anyone with the commander's role.
create or replace function incident_may_command(i incident) returns boolean language sql stable as $$
  select has_role('commander') or (me() is not null and me() = i.commander_id)
$$;

create or replace function incident_must_command(i incident) returns void language plpgsql as $$
begin
  if not incident_may_command(i) then perform refuse('MU403', 'error.incident.not_commander', ''); end if;
end $$;

create or replace function incident_must_be_open(i incident) returns void language plpgsql as $$
begin
  if i.state = 'closed' then perform refuse('MU409', 'error.incident.closed', ''); end if;
end $$;

-- What a write answers with: the head of the incident.
create or replace function incident_brief(incident uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('ref', i.ref, 'kind', i.kind, 'title', i.title, 'severity', i.severity, 'state', i.state,
    'commander', person_ref(i.commander_id), 'occurred_at', iso(i.occurred_at), 'detected_at', iso(i.detected_at),
    'declared_at', iso(i.declared_at), 'version', i.version, 'seq', i.seq, 'etag', incident_etag(i))
  from incident i where i.id = incident_brief.incident
$$;

-- Runs of the incident that events can still change; with `role`, only those whose playbook has that role.
drop function if exists incident_open_runs(uuid);
create or replace function incident_open_runs(incident uuid, role text default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(r.id order by r.created_at, r.id), '[]') from run r
  join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version
  where r.incident_id = incident_open_runs.incident and r.finished_at is null and (role is null or v.body->'roles' ? role)
$$;

-- Services named in a request: "slug" or "slug:impact", refused by name when unknown. `more` = a line of slugs as typed.
create or replace function services_named(list jsonb, more text, impact text)
returns table(service_id uuid, service_slug text, service_name jsonb, how text) language plpgsql stable as $$
declare bad text;
begin
  select w.word into bad from (
    select e.value #>> '{}' as word from jsonb_array_elements(coalesce(list, '[]')) e
    union all select m from regexp_split_to_table(coalesce(services_named.more, ''), '[\s,，、;；]+') m where m <> '') w
  where not exists (select 1 from service s where s.slug = split_part(w.word, ':', 1) and s.retired_at is null)
     or split_part(w.word, ':', 2) not in ('', 'degraded', 'partial', 'down') limit 1;
  if bad is not null then
    perform refuse('MU422', 'error.service.unknown', case when coalesce(list, '[]') @> to_jsonb(array[bad]) then '/services' else '/more_services' end,
      jsonb_build_object('name', bad));
  end if;
  return query
    select distinct on (s.id) s.id, s.slug, s.name, coalesce(nullif(split_part(w.word, ':', 2), ''), services_named.impact, 'down')
    from (select e.value #>> '{}' as word from jsonb_array_elements(coalesce(list, '[]')) e
          union all select m from regexp_split_to_table(coalesce(services_named.more, ''), '[\s,，、;；]+') m where m <> '') w
    join service s on s.slug = split_part(w.word, ':', 1) order by s.id, length(w.word) desc;
end $$;

-- The published playbook that fits the services: one whose plan names a service of the incident, else one called SERVICE-outage.
create or replace function playbook_fitting(services text[]) returns text language sql stable as $$
  select p.slug from playbook p
  join lateral (select v.body from playbook_version v where v.playbook_id = p.id and v.state = 'published' order by v.version desc limit 1) v on true
  where p.archived_at is null
    and (v.body #> '{plan,services}' ?| services or p.slug = any(array(select x || '-outage' from unnest(services) x)))
  order by coalesce(v.body #> '{plan,services}' ?| services, false) desc, p.slug limit 1
$$;

-- Whom a declaration is told, per severity; the setting "declared_tell" replaces it. Roles and teams nobody fills are left out.
create or replace function declared_tell(severity text) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  select coalesce(jsonb_agg(w), '[]') from jsonb_array_elements_text(coalesce(setting_get('declared_tell') -> severity, case severity
      when 'I' then '["role.commander","role.tech_lead","role.comms","role.risk","role.duty","group.executives"]'
      when 'II' then '["role.commander","role.tech_lead","role.comms","role.risk","role.duty","group.executives"]'
      when 'III' then '["role.commander","role.tech_lead","role.comms","role.duty"]'
      else '["role.commander","role.tech_lead","role.duty"]' end::jsonb)) w
  where case split_part(w, '.', 1)
    when 'role' then exists (select 1 from role_holder h join person p on p.id = h.person_id and p.active where h.role = split_part(w, '.', 2))
    when 'group' then exists (select 1 from team t join team_member m on m.team_id = t.id where t.slug = split_part(w, '.', 2))
    else true end);
end $$;

-- One message about the incident to those a declaration is told, with the drill's or incident's own words.
create or replace function incident_tell(i incident, purpose text, subject jsonb, words jsonb, data jsonb, ack boolean) returns uuid language plpgsql as $$
declare v_id uuid;
begin
  v_id := message_send(i.id, purpose, subject, words, data,
    recipient_words(declared_tell(i.severity))
      || coalesce((select jsonb_agg(distinct jsonb_build_object('person', p.person)) from (
           select i.commander_id as person where i.commander_id is not null
           union select r.person_id from incident_role r where r.incident_id = i.id and r.until is null
           union select s.owner_id from incident_service x join service s on s.id = x.service_id
             where x.incident_id = i.id and s.owner_id is not null) p), '[]')
      || jsonb_build_array(jsonb_build_object('event', 'incident.' || purpose)),
    jsonb_build_object('ack', ack, 'priority', case when i.severity in ('I','II') then 1 else 3 end));
  perform timeline_add(i.id, null, 'message', null, (
    select jsonb_build_object('message', v_id, 'purpose', purpose, 'subject', subject, 'count', count(*),
      'simulated', count(*) filter (where b.delivery = 'simulate')) from outbox b where b.message_id = v_id));
  return v_id;
end $$;

-- Puts a person into a role of the incident.
create or replace function incident_role_add(incident uuid, role text, person uuid) returns boolean language plpgsql as $$
begin
  insert into incident_role(incident_id, role, person_id, since) values (incident_role_add.incident, incident_role_add.role, incident_role_add.person, app_now())
    on conflict do nothing;
  return found;
end $$;

-- Declares. `body`: title, kind, severity, services, more_services, impact, summary, occurred_at, detected_at, playbook (absent = the
-- one that fits, "none"). Answers {"incident":uuid,"ref","run":uuid or null,"start":{data for run_created}}: the caller starts the run.
-- Its plans, and those of what it calls, are general ones: making one for each declaration took longer than carrying it out.
create or replace function incident_declare(body jsonb) returns jsonb language plpgsql set plan_cache_mode to force_generic_plan as $$
declare
  i incident%rowtype;
  v_now timestamptz := to_ms(app_now());
  v_kind text := coalesce(body->>'kind', 'incident');
  v_detected timestamptz := to_ms(coalesce((body->>'detected_at')::timestamptz, v_now));
  v_occurred timestamptz := to_ms(coalesce((body->>'occurred_at')::timestamptz, v_detected));
  v_playbook text := body->>'playbook';
  v_services jsonb;
  v_run uuid;
begin
  if v_detected > v_now + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/detected_at'); end if;
  if v_occurred > v_now + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/occurred_at'); end if;
  if v_occurred > v_detected then perform refuse('MU422', 'error.time.occurred_after_detected', '/occurred_at'); end if;
  if v_playbook not in ('none', 'auto') and not exists (select 1 from playbook p join playbook_version v on v.playbook_id = p.id and v.state = 'published'
      where p.slug = v_playbook and p.archived_at is null) then
    perform refuse('MU422', 'error.playbook.unknown', '/playbook', jsonb_build_object('name', v_playbook));
  end if;
  insert into incident(ref, kind, title, summary, severity, occurred_at, detected_at, declared_at, declared_by, commander_id)
  values (incident_ref_next(case v_kind when 'drill' then 'DRL' else 'INC' end), v_kind, body->>'title', body->>'summary',
    coalesce(body->>'severity', 'none'), v_occurred, v_detected, v_now, me(),
    coalesce((select h.person_id from role_holder h join person p on p.id = h.person_id and p.active where h.role = 'commander'
              order by h.deputy, h.position, h.person_id limit 1), case when has_role('commander') then me() end))
  returning * into i;
  with named as (select * from services_named(body->'services', body->>'more_services', body->>'impact')),
  put as (insert into incident_service(incident_id, service_id, impact, since) select i.id, n.service_id, n.how, v_occurred from named n returning 1)
  select coalesce(jsonb_agg(jsonb_build_object('slug', n.service_slug, 'name', n.service_name, 'impact', n.how) order by n.service_slug), '[]') into v_services from named n;
  perform timeline_add(i.id, v_detected, 'declared', i.summary, jsonb_build_object('kind', i.kind, 'title', i.title, 'severity', i.severity,
    'occurred_at', iso(i.occurred_at), 'services', v_services));
  if i.commander_id is not null then
    perform incident_role_add(i.id, 'commander', i.commander_id);
    perform timeline_add(i.id, null, 'role_added', null, jsonb_build_object('role', 'commander', 'person', person_ref(i.commander_id)), null);
  end if;
  perform clock_rto_start(i.id, null);
  perform clock_next_update(i.id, null, null);
  if coalesce(v_playbook, 'auto') = 'auto' then
    v_playbook := playbook_fitting(array(select s->>'slug' from jsonb_array_elements(v_services) s));
  end if;
  if v_playbook <> 'none' then v_run := run_prepare(i.id, v_playbook); end if;
  select * into i from incident x where x.id = i.id;
  perform incident_tell(i, 'declared',
    jsonb_build_object('zh', (severity_words(i.severity)->>'zh') || '：' || i.title, 'en', (severity_words(i.severity)->>'en') || ': ' || i.title),
    incident_words(i, jsonb_build_object('zh', '已宣布', 'en', 'Declared')), jsonb_build_object('severity', i.severity), true);
  return jsonb_build_object('incident', i.id, 'ref', i.ref, 'run', v_run, 'start', run_start_data(v_run));
end $$;

-- The facts of an incident as a few plain lines, for messages.
create or replace function incident_words(i incident, first jsonb) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  with s as (select string_agg(coalesce(v.name->>'zh', v.name->>'en'), '、' order by v.slug) as zh, string_agg(coalesce(v.name->>'en', v.name->>'zh'), ', ' order by v.slug) as en
             from incident_service x join service v on v.id = x.service_id where x.incident_id = i.id),
  t as (select to_char(i.occurred_at at time zone 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI') as at)
  select jsonb_build_object(
    'zh', (first->>'zh') || '：' || i.title || E'\n级别：' || (severity_words(i.severity)->>'zh') || E'\n状态：' || (state_words(i.state)->>'zh')
      || E'\n发生时间：' || t.at || coalesce(E'\n受影响：' || s.zh, '') || coalesce(E'\n指挥：' || person_label(i.commander_id), '') || coalesce(E'\n\n' || i.summary, ''),
    'en', (first->>'en') || ': ' || i.title || E'\nSeverity: ' || (severity_words(i.severity)->>'en') || E'\nState: ' || (state_words(i.state)->>'en')
      || E'\nBegan: ' || t.at || ' (UTC+8)' || coalesce(E'\nAffected: ' || s.en, '')
      || coalesce(E'\nCommander: ' || (select coalesce(p.name->>'en', p.name->>'zh') from person p where p.id = i.commander_id), '') || coalesce(E'\n\n' || i.summary, ''))
  from s, t);
end $$;

-- A note. `at` in the past is kept beside the moment of writing; never in the future, never before the incident by more than a year.
create or replace function note_add(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); v_seq bigint; v_at timestamptz := (body->>'at')::timestamptz;
begin
  if v_at > app_now() + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/at'); end if;
  if v_at < i.occurred_at - interval '1 year' then perform refuse('MU422', 'error.time.too_old', '/at'); end if;
  v_seq := timeline_add(i.id, v_at, 'note', body->>'text', '{}');
  return (select timeline_view(e) || jsonb_build_object('incident', i.ref)
          from timeline_event e where e.incident_id = i.id and e.seq = v_seq);
end $$;

-- The severity becomes another: its event, the clock of the next update, and a message when `tell`. `why` = the reason in both
-- languages as messages say it; `words` = the reason as the timeline keeps it.
create or replace function incident_severity_set(incident uuid, severity text, words text, why jsonb, data jsonb, actor uuid, tell boolean)
returns incident language plpgsql as $$
declare i incident%rowtype; v_from text;
begin
  select x.severity into v_from from incident x where x.id = incident_severity_set.incident for update;
  update incident x set severity = incident_severity_set.severity, version = version + 1 where x.id = incident_severity_set.incident returning * into i;
  perform timeline_add(i.id, null, 'severity', words, jsonb_build_object('from', v_from, 'to', i.severity) || data, actor);
  if i.state in ('open', 'mitigated') then perform clock_next_update(i.id, null, null); end if;
  select * into i from incident x where x.id = i.id;
  if tell then
    perform incident_tell(i, 'severity',
      jsonb_build_object('zh', '级别变更为 ' || (severity_words(i.severity)->>'zh') || '：' || i.title, 'en', 'Now ' || (severity_words(i.severity)->>'en') || ': ' || i.title),
      incident_words(i, jsonb_build_object('zh', '级别由 ' || (severity_words(v_from)->>'zh') || ' 变更为 ' || (severity_words(i.severity)->>'zh') || E'\n原因：' || (why->>'zh') || E'\n事件',
        'en', 'Severity changed from ' || (severity_words(v_from)->>'en') || ' to ' || (severity_words(i.severity)->>'en') || E'\nReason: ' || (why->>'en') || E'\nIncident')),
      jsonb_build_object('from', v_from, 'to', i.severity), severity_rank(i.severity) < severity_rank(v_from));
  end if;
  return i;
end $$;

-- A decision of a playbook grades the incident: nothing when it is of that severity already or over; told only when it became graver.
-- Gives the incident's other runs, which are to learn of it.
create or replace function incident_grade(r run, severity text, step jsonb, actor uuid) returns jsonb language plpgsql as $$
declare i incident%rowtype; v_title jsonb := step -> 'title';
begin
  select * into i from incident x where x.id = r.incident_id for update;
  if i.severity = incident_grade.severity or i.state not in ('open', 'mitigated') then return '[]'; end if;
  perform incident_severity_set(i.id, incident_grade.severity, null,
    jsonb_build_object('zh', '预案定级：' || coalesce(v_title->>'zh', v_title->>'en', ''), 'en', 'graded in the playbook: ' || coalesce(v_title->>'en', v_title->>'zh', '')),
    jsonb_build_object('graded', true, 'run', r.id, 'step', step), actor, severity_rank(incident_grade.severity) < severity_rank(i.severity));
  return (select coalesce(jsonb_agg(o), '[]') from jsonb_array_elements(incident_open_runs(i.id)) o where o #>> '{}' <> r.id::text);
end $$;

create or replace function incident_severity(ref text, etag text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref, etag); v_from text := i.severity;
begin
  perform incident_must_command(i);
  perform incident_must_be_open(i);
  if body->>'severity' = i.severity then perform refuse('MU422', 'error.severity.same', '/severity'); end if;
  i := incident_severity_set(i.id, body->>'severity', body->>'reason', jsonb_build_object('zh', body->'reason', 'en', body->'reason'), '{}', me(), true);
  return incident_brief(i.id) || jsonb_build_object('from', v_from, 'runs', incident_open_runs(i.id));
end $$;

-- open → mitigated → resolved → closed, each may be skipped forwards but `closed` comes only after `resolved`; back to open is a
-- reopening. Resolving marks services that are still down as restored now and stops their clocks; closing asks that no run is open.
create or replace function incident_state(ref text, etag text, body jsonb) returns jsonb language plpgsql as $$
declare
  i incident%rowtype := incident_lock(ref, etag); v_from text := i.state; v_to text := body->>'state'; v_now timestamptz := to_ms(app_now()); v_closed timestamptz := i.closed_at; s record;
begin
  perform incident_must_command(i);
  if v_to = v_from then perform refuse('MU422', 'error.state.same', '/state'); end if;
  if (v_from, v_to) not in (('open', 'mitigated'), ('open', 'resolved'), ('mitigated', 'open'), ('mitigated', 'resolved'), ('resolved', 'closed'),
                            ('resolved', 'open'), ('closed', 'open')) then
    perform refuse('MU409', 'error.state.order', '/state', jsonb_build_object('from', v_from, 'to', v_to));
  end if;
  if v_to = 'open' and coalesce(length(body->>'reason'), 0) = 0 then perform refuse('MU422', 'error.reason.needed', '/reason'); end if;
  if v_to = 'closed' and incident_open_runs(i.id) <> '[]' then perform refuse('MU409', 'error.incident.runs_open', '/state'); end if;
  update incident x set state = v_to, version = version + 1,
    mitigated_at = case v_to when 'open' then null else coalesce(x.mitigated_at, v_now) end,
    resolved_at = case when v_to in ('resolved','closed') then coalesce(x.resolved_at, v_now) end,
    closed_at = case when v_to = 'closed' then v_now end
  where x.id = i.id returning * into i;
  -- Nobody has a role in what is closed, so that "my steps" never looks through the archive; opening it again brings them back.
  if v_to = 'closed' then
    update incident_role r set until = v_now where r.incident_id = i.id and r.until is null;
  elsif v_from = 'closed' then
    update incident_role r set until = null where r.incident_id = i.id and r.until = v_closed;
  end if;
  perform timeline_add(i.id, null, 'state', body->>'reason', jsonb_build_object('from', v_from, 'to', v_to));
  if v_to = 'resolved' then
    for s in select v.slug from incident_service x join service v on v.id = x.service_id
             where x.incident_id = i.id and x.restored_at is null and x.impact <> 'none' order by v.slug loop
      perform service_set(i.id, s.slug, 'none', v_now);
    end loop;
  end if;
  if v_to in ('resolved','closed') then
    update incident_clock c set stopped_at = v_now where c.incident_id = i.id and c.stopped_at is null
      and (c.kind = 'next_update' or v_to = 'closed' and c.kind <> 'report');
  elsif v_to = 'open' then
    perform clock_next_update(i.id, null, null);
  end if;
  select * into i from incident x where x.id = i.id;
  perform incident_tell(i, 'state',
    jsonb_build_object('zh', (state_words(v_to)->>'zh') || '：' || i.title, 'en', initcap(state_words(v_to)->>'en') || ': ' || i.title),
    incident_words(i, jsonb_build_object('zh', '状态变更为 ' || (state_words(v_to)->>'zh') || coalesce(E'\n说明：' || (body->>'reason'), '') || E'\n事件',
      'en', 'State is now ' || (state_words(v_to)->>'en') || coalesce(E'\nWhy: ' || (body->>'reason'), '') || E'\nIncident')),
    jsonb_build_object('from', v_from, 'to', v_to), false);
  return incident_brief(i.id) || jsonb_build_object('from', v_from, 'runs', incident_open_runs(i.id));
end $$;

-- An active person by id or login; refused by the field's name.
create or replace function person_named(who text, pointer text) returns uuid language plpgsql stable as $$
declare v uuid;
begin
  select p.id into v from person p where p.active and (p.id::text = who or p.login = who);
  if v is null then perform refuse('MU422', 'error.person.unknown', pointer); end if;
  return v;
end $$;

-- The people of a role now, as the engine wants them.
create or replace function incident_role_now(incident uuid, role text) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', person_label(p.id)) order by r.id), '[]')
  from incident_role r join person p on p.id = r.person_id
  where r.incident_id = incident_role_now.incident and r.role = incident_role_now.role and r.until is null
$$;

-- The command goes to another person, who is told at once and can acknowledge.
create or replace function incident_handover(ref text, etag text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref, etag); v_to uuid; v_from uuid := i.commander_id; v_name jsonb;
begin
  perform incident_must_command(i);
  perform incident_must_be_open(i);
  v_to := person_named(body->>'to', '/to');
  if v_to = v_from then perform refuse('MU422', 'error.handover.same', '/to'); end if;
  update incident_role r set until = app_now() where r.incident_id = i.id and r.role = 'commander' and r.until is null and r.person_id <> v_to;
  perform incident_role_add(i.id, 'commander', v_to);
  update incident x set commander_id = v_to, version = version + 1 where x.id = i.id returning * into i;
  perform timeline_add(i.id, null, 'handover', body->>'reason', jsonb_build_object('from', person_ref(v_from), 'to', person_ref(v_to)));
  select p.name into v_name from person p where p.id = v_to;
  perform message_send(i.id, 'handover', jsonb_build_object('zh', '指挥移交给您：' || i.title, 'en', 'You now command: ' || i.title),
    incident_words(i, jsonb_build_object('zh', '您已接任指挥' || coalesce(E'\n说明：' || (body->>'reason'), '') || E'\n事件',
      'en', 'You are now the commander' || coalesce(E'\nWhy: ' || (body->>'reason'), '') || E'\nIncident')),
    '{}', jsonb_build_array(jsonb_build_object('person', v_to)), '{"ack":true,"priority":1}');
  return incident_brief(i.id) || jsonb_build_object('role', 'commander', 'people', incident_role_now(i.id, 'commander'), 'runs', incident_open_runs(i.id, 'commander'),
    'why', coalesce(nullif(body->>'reason', ''), 'handed over to ' || person_label(v_to)));
end $$;

-- Adds a person to a role or takes one off it. The commander changes by handover only.
create or replace function incident_roles(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); v_who uuid; v_role text := body->>'role'; v_add boolean := coalesce(body->>'act', 'add') = 'add';
begin
  perform incident_must_command(i);
  perform incident_must_be_open(i);
  if v_role = 'commander' then perform refuse('MU422', 'error.role.by_handover', '/role'); end if;
  v_who := person_named(body->>'person', '/person');
  if v_add then
    if not incident_role_add(i.id, v_role, v_who) then perform refuse('MU409', 'error.role.already', '/person'); end if;
  else
    update incident_role r set until = app_now() where r.incident_id = i.id and r.role = v_role and r.person_id = v_who and r.until is null;
    if not found then perform refuse('MU409', 'error.role.not_there', '/person'); end if;
  end if;
  perform timeline_add(i.id, null, case when v_add then 'role_added' else 'role_removed' end, null,
    jsonb_build_object('role', v_role, 'person', person_ref(v_who)));
  return incident_brief(i.id) || jsonb_build_object('role', v_role, 'people', incident_role_now(i.id, v_role), 'runs', incident_open_runs(i.id, v_role),
    'why', case when v_add then 'added ' else 'removed ' end || person_label(v_who));
end $$;

-- One service of an incident: impact and, when it is back, since when. Stops or starts its RTO clock. Impact "none" = restored.
create or replace function service_set(incident uuid, slug text, impact text, restored timestamptz, since timestamptz default null)
returns void language plpgsql as $$
declare s service%rowtype; i incident%rowtype; old incident_service%rowtype; v_now timestamptz := to_ms(app_now()); v_at timestamptz; c incident_clock%rowtype;
begin
  select * into s from service v where v.slug = service_set.slug and v.retired_at is null;
  if not found then perform refuse('MU422', 'error.service.unknown', '/service', jsonb_build_object('name', slug)); end if;
  select * into i from incident x where x.id = service_set.incident;
  select * into old from incident_service x where x.incident_id = i.id and x.service_id = s.id;
  if service_set.impact = 'none' or service_set.restored is not null then
    if old.service_id is null then perform refuse('MU422', 'error.service.not_affected', '/service'); end if;
    v_at := to_ms(coalesce(service_set.restored, v_now));
    if v_at > v_now + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/restored_at'); end if;
    if v_at < old.since then perform refuse('MU422', 'error.time.before_since', '/restored_at'); end if;
    update incident_service x set impact = 'none', restored_at = v_at where x.incident_id = i.id and x.service_id = s.id;
    update incident_clock x set stopped_at = v_at where x.incident_id = i.id and x.kind = 'rto' and x.subject = s.slug and x.stopped_at is null
      returning * into c;
    perform timeline_add(i.id, v_at, 'service_restored', null, jsonb_strip_nulls(jsonb_build_object('service', jsonb_build_object('slug', s.slug, 'name', s.name),
      'down_seconds', floor(extract(epoch from v_at - old.since))::bigint, 'rto_seconds', s.rto_seconds,
      'rto_met', case when s.rto_seconds is not null then v_at - old.since <= make_interval(secs => s.rto_seconds) end)));
  else
    v_at := to_ms(coalesce(service_set.since, case when old.restored_at is null then old.since end, v_now));
    if v_at > v_now + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/since'); end if;
    insert into incident_service as x(incident_id, service_id, impact, since) values (i.id, s.id, service_set.impact, v_at)
      on conflict (incident_id, service_id) do update set impact = excluded.impact, since = excluded.since, restored_at = null;
    perform timeline_add(i.id, v_at, 'service', null, jsonb_strip_nulls(jsonb_build_object('service', jsonb_build_object('slug', s.slug, 'name', s.name),
      'impact', service_set.impact, 'from', old.impact)));
    perform clock_rto_start(i.id, s.slug);
  end if;
end $$;

create or replace function incident_services(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref);
begin
  perform incident_must_be_open(i);
  perform service_set(i.id, body->>'service', coalesce(body->>'impact', case when body ? 'restored_at' then 'none' else 'down' end),
    (body->>'restored_at')::timestamptz, (body->>'since')::timestamptz);
  update incident x set version = version + 1 where x.id = i.id;
  return incident_brief(i.id);
end $$;

-- Facts the regulators' rules ask for. Names, types and ranges are those of the loaded report profiles; null takes a fact back.
create or replace function incident_facts(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); f record; spec jsonb; v jsonb; changed jsonb := '{}';
begin
  if jsonb_typeof(body->'facts') is distinct from 'object' then perform refuse('MU422', 'error.facts.object', '/facts'); end if;
  for f in select e.key, e.value from jsonb_each(body->'facts') e loop
    select x.value into spec from report_profile p, jsonb_array_elements(p.body->'facts') x where x.value->>'fact' = f.key order by p.version desc limit 1;
    if not found then perform refuse('MU422', 'error.fact.unknown', '/facts/' || replace(replace(f.key, '~', '~0'), '/', '~1'), jsonb_build_object('name', f.key)); end if;
    v := fact_value(spec, f.value, '/facts/' || f.key);
    if (i.facts->f.key) is distinct from nullif(v, 'null') then changed := changed || jsonb_build_object(f.key, v); end if;
  end loop;
  if changed <> '{}' then
    update incident x set facts = jsonb_strip_nulls(x.facts || changed), version = version + 1 where x.id = i.id;
    perform timeline_add(i.id, null, 'facts', body->>'reason', jsonb_build_object('changed', changed));
  end if;
  return incident_brief(i.id) || jsonb_build_object('facts', (select x.facts from incident x where x.id = i.id), 'changed', changed);
end $$;

-- One fact as its profile wants it; forms send everything as text.
create or replace function fact_value(spec jsonb, value jsonb, pointer text) returns jsonb language plpgsql immutable as $$
declare t text := value #>> '{}'; n numeric;
begin
  if value = 'null' or t = '' then return 'null'; end if;
  case spec->>'type'
    when 'boolean' then
      if lower(t) in ('true','yes','on','1') then return 'true'; elsif lower(t) in ('false','no','off','0') then return 'false'; end if;
      perform refuse('MU422', 'error.fact.boolean', pointer);
    when 'integer' then
      if t !~ '^-?[0-9]{1,18}$' then perform refuse('MU422', 'error.fact.integer', pointer); end if;
      n := t::numeric;
      if n < coalesce((spec->>'least')::numeric, n) or n > coalesce((spec->>'most')::numeric, n) then
        perform refuse('MU422', 'error.fact.range', pointer, jsonb_build_object('least', coalesce(spec->>'least', ''), 'most', coalesce(spec->>'most', '')));
      end if;
      return to_jsonb(n);
    when 'enum' then
      if not exists (select 1 from jsonb_array_elements(spec->'options') o where o.value->>'value' = t) then perform refuse('MU422', 'error.fact.choice', pointer); end if;
      return to_jsonb(t);
    else
      if length(t) > 500 then perform refuse('MU422', 'error.fact.long', pointer); end if;
      return to_jsonb(t);
  end case;
end $$;
