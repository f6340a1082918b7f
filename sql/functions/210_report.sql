-- Reports to regulators. What a rule says comes from a loaded profile; what is so comes from the incident; levels and limits are
-- computed by the program (server/domain) and written here. A report keeps, for each field, where its value came from.

-- Stores a profile as it was loaded; the same content again changes nothing.
create or replace function profile_store(body jsonb) returns int language plpgsql as $$
#variable_conflict use_variable
declare v_sha text := sha256_hex(canonical(body)); v int;
begin
  select p.version into v from report_profile p where p.id = body ->> 'id' order by p.version desc limit 1;
  if v is not null and exists (select 1 from report_profile p where p.id = body ->> 'id' and p.version = v and p.body_sha256 = v_sha) then
    return v;
  end if;
  insert into report_profile(id, version, body, body_sha256, loaded_at) values (body ->> 'id', coalesce(v, 0) + 1, body, v_sha, app_now());
  return coalesce(v, 0) + 1;
end $$;

create or replace function profile_stage(profile jsonb, stage text) returns jsonb language sql immutable parallel safe as $$
  select s from jsonb_array_elements(profile -> 'stages') s where s ->> 'id' = stage
$$;

-- A stage that may be reported more than once: it repeats, or its rule gives no number (as soon as there is something new).
create or replace function stage_recurs(stage jsonb) returns boolean language sql immutable parallel safe as $$
  select coalesce((stage #>> '{deadline,repeat}')::bool, false) or stage #>> '{deadline,offset}' is null
$$;

create or replace function certainty_bad(certainty text) returns boolean language sql immutable parallel safe as $$
  select coalesce(certainty in ('unverified-general','unverified-unsure','verified-draft'), false)
$$;

create or replace function report_may_write() returns boolean language sql stable as $$
  select has_role('responder') or has_role('risk')
$$;
create or replace function report_may_send() returns boolean language sql stable as $$
  select has_role('commander') or has_role('risk') or has_role('approver')
$$;

-- ---- what is known -------------------------------------------------------------------------------------------------------------

-- Minutes for which the affected services were not usable, the longest of them; null while none was.
create or replace function incident_downtime(i incident) returns bigint language sql stable as $$
  select floor(max(extract(epoch from coalesce(s.restored_at, i.resolved_at, app_now()) - s.since)) / 60)::bigint
  from incident_service s where s.incident_id = i.id and (s.impact in ('down','partial') or s.restored_at is not null)
$$;

-- Facts for classification: what people said, else what can be computed, else what the institution is.
create or replace function incident_facts_known(i incident) returns jsonb language sql stable as $$
  select coalesce(setting_get('org_facts'), '{}')
    || coalesce((select jsonb_build_object('impact.downtime_minutes', d) from incident_downtime(i) d where d is not null), '{}')
    || i.facts
$$;

-- Times that clocks of a profile hang on, as far as they have come.
create or replace function report_anchors(i incident, profile text, but uuid) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('incident.occurred_at', iso(i.occurred_at), 'incident.detected_at', iso(i.detected_at),
      'incident.aware_at', iso(i.detected_at), 'incident.discovered_at', iso(i.detected_at), 'incident.resolved_at', iso(i.resolved_at),
      'report.previous.submitted_at', iso(max(coalesce(r.filed_at, r.sent_at)))))
    || coalesce(jsonb_object_agg('report.' || r.stage || '.submitted_at', iso(coalesce(r.filed_at, r.sent_at)) order by r.number)
         filter (where coalesce(r.filed_at, r.sent_at) is not null), '{}')
  from (select null) one left join report r on r.incident_id = i.id and r.profile = report_anchors.profile and r.id is distinct from but
$$;

-- A value for one path of a profile's autofill, in the report's language: {"value","from"}; null when nothing is known.
create or replace function report_source(i incident, path text, level jsonb, lang text) returns jsonb language plpgsql stable as $$
#variable_conflict use_variable
declare v text; f timestamptz; zone text := page_zone();
begin
  if i.facts ? path then
    return jsonb_build_object('value', i.facts ->> path, 'from', jsonb_build_object('kind', 'fact', 'path', path)
      || coalesce((select jsonb_build_object('by', e.actor, 'at', iso(e.at)) from timeline_event e
        where e.incident_id = i.id and e.kind = 'facts' and e.data -> 'changed' ? path order by e.seq desc limit 1), '{}'));
  end if;
  case path
    when 'org.name' then
      v := coalesce(site_setting('site_name') ->> lang, site_setting('site_name') ->> 'zh', site_setting('site_name') #>> '{}');
      return case when v <> '' then jsonb_build_object('value', v, 'from', jsonb_build_object('kind', 'setting', 'path', path)) end;
    when 'incident.occurred_at', 'incident.detected_at', 'incident.resolved_at' then
      f := case path when 'incident.occurred_at' then i.occurred_at when 'incident.detected_at' then i.detected_at else i.resolved_at end;
      return case when f is not null then jsonb_build_object('value', iso(f), 'from', jsonb_build_object('kind', 'incident', 'path', path)) end;
    when 'incident.level' then
      return case when level is not null then jsonb_build_object('value', level ->> 'code', 'from', jsonb_build_object('kind', 'classification', 'path', path)) end;
    when 'incident.type_codes', 'incident.title' then
      return jsonb_build_object('value', i.title, 'from', jsonb_build_object('kind', 'incident', 'path', 'incident.title'));
    when 'impact.summary', 'incident.description' then
      return case when i.summary <> '' then jsonb_build_object('value', i.summary, 'from', jsonb_build_object('kind', 'incident', 'path', 'incident.summary')) end;
    when 'impact.downtime_minutes' then
      return (select jsonb_build_object('value', d, 'from', jsonb_build_object('kind', 'computed', 'path', path)) from incident_downtime(i) d where d is not null);
    when 'impact.services', 'impact.systems' then
      select string_agg(coalesce(s.name ->> lang, s.name ->> 'zh', s.name ->> 'en') || case when x.restored_at is not null
          then case lang when 'en' then ' (restored ' else '（已于' end || to_char(x.restored_at at time zone zone, 'MM-DD HH24:MI')
            || case lang when 'en' then ')' else '恢复）' end else '' end, case lang when 'en' then ', ' else '、' end order by s.slug) into v
      from incident_service x join service s on s.id = x.service_id
      where x.incident_id = i.id and (path = 'impact.services' or s.important_system or s.kind in ('system','app'));
      return case when v is not null then jsonb_build_object('value', v, 'from', jsonb_build_object('kind', 'services', 'path', path)) end;
    when 'actions.taken', 'actions.planned' then
      select string_agg(line, E'\n' order by ord, line) into v from (
        select to_char(t.ended_at at time zone zone, 'MM-DD HH24:MI ') || coalesce(t.title ->> lang, t.title ->> 'zh', t.title ->> 'en') as line, t.ended_at as ord
        from run r join run_step t on t.run_id = r.id
        where r.incident_id = i.id and path = 'actions.taken' and t.status = 'done' and t.kind in ('task','checklist','decide','approve','notify','status')
        union all
        select coalesce(t.title ->> lang, t.title ->> 'zh', t.title ->> 'en'), t.started_at
        from run r join run_step t on t.run_id = r.id
        where r.incident_id = i.id and path = 'actions.planned' and t.ended_at is null and t.kind in ('task','checklist','decide','approve') and t.status in ('active','waiting')
        order by 2 limit 40) x;
      return case when v is not null then jsonb_build_object('value', v, 'from', jsonb_build_object('kind', 'steps', 'path', path)) end;
    else
      return null;
  end case;
end $$;

-- Value of a field from all its paths: one value as it is, several joined as lines.
create or replace function report_autofill(i incident, field jsonb, level jsonb, lang text) returns jsonb language sql stable as $$
  select case when count(*) = 1 then (jsonb_agg(s) -> 0)
    when count(*) > 1 then jsonb_build_object('value', string_agg(case
        when p in ('incident.detected_at','incident.occurred_at','incident.resolved_at') then to_char((s ->> 'value')::timestamptz at time zone page_zone(), 'YYYY-MM-DD HH24:MI')
        when p = 'incident.level' then coalesce(level ->> lang, level ->> 'zh') else s ->> 'value' end, E'\n' order by n),
      'from', jsonb_agg(s -> 'from' order by n) -> 0 || jsonb_build_object('more', jsonb_agg(s -> 'from' order by n) - 0)) end
  from (select p, n, report_source(i, p, level, lang) as s from jsonb_array_elements_text(coalesce(field -> 'autofill', '[]')) with ordinality t(p, n)) x
  where s is not null
$$;

-- ---- opening and refreshing ------------------------------------------------------------------------------------------------------

-- Makes the draft, or gives the one that is there. `next`: another one of a stage that repeats. `by_hand`: the person of the session
-- opens it and counts as an author; what a playbook or a filed report opens has nobody as its author.
drop function if exists report_begin(uuid, text, text, uuid, text, int, boolean);
drop function if exists report_begin(uuid, text, text, uuid, text, int, boolean, boolean);
create function report_begin(incident uuid, profile text, stage text, run uuid, path text, occ int, next boolean, by_hand boolean) returns uuid language plpgsql as $$
declare i incident%rowtype; p report_profile%rowtype; r report%rowtype; v_stage text := report_begin.stage;
begin
  select * into i from incident x where x.id = report_begin.incident for update;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  select * into p from report_profile x where x.id = report_begin.profile order by x.version desc limit 1;
  if not found then perform refuse('MU422', 'error.report.profile', '/profile', jsonb_build_object('name', report_begin.profile)); end if;
  v_stage := coalesce(nullif(v_stage, ''), p.body #>> '{stages,0,id}');
  if profile_stage(p.body, v_stage) is null then perform refuse('MU422', 'error.report.stage', '/stage', jsonb_build_object('name', v_stage)); end if;
  select * into r from report x where x.incident_id = i.id and x.profile = p.id and x.stage = v_stage order by x.number desc limit 1;
  if r.id is not null and not (coalesce(next, false) and (r.filed_at is not null or r.state in ('sent','filed')) and stage_recurs(profile_stage(p.body, v_stage))) then
    update report x set run_id = report_begin.run, path = report_begin.path, occ = report_begin.occ
    where x.id = r.id and x.run_id is null and report_begin.run is not null;
    return r.id;
  end if;
  insert into report(ref, incident_id, incident_kind, profile, profile_version, stage, number, run_id, path, occ, created_at, created_by, changed_at)
  values (incident_ref_next('RPT'), i.id, i.kind, p.id, p.version, v_stage, coalesce(r.number, 0) + 1, report_begin.run, report_begin.path, report_begin.occ,
    -- a draft a playbook opens has no author yet: whoever did the step before it has not written in it and may approve it
    app_now(), case when coalesce(by_hand, false) then me() end, app_now()) returning * into r;
  perform timeline_add(i.id, null, 'report_opened', null, jsonb_build_object('report', r.ref, 'profile', p.id, 'stage', v_stage,
    'name', p.body -> 'name', 'stage_name', profile_stage(p.body, v_stage) -> 'name'));
  return r.id;
end $$;

-- What the program needs to judge the drafts of an incident (or one of them). Locks the incident first, as everybody does.
drop function if exists report_work(uuid, uuid);
create function report_work(incident uuid, report uuid) returns table(id uuid, stage text, profile jsonb, facts jsonb, anchors jsonb) language plpgsql as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.id = report_work.incident for update;
  return query select r.id, r.stage, p.body, incident_facts_known(i), report_anchors(i, r.profile, r.id)
    from report r join report_profile p on p.id = r.profile and p.version = r.profile_version
    where r.incident_id = i.id and r.state = 'draft' and (report_work.report is null or r.id = report_work.report) order by r.created_at, r.id;
end $$;

-- Incidents with drafts to look at again; those somebody works on just now are left for the next time.
create or replace function report_due() returns setof uuid language sql volatile as $$
  select i.id from incident i where i.id in (select r.incident_id from report r where r.recheck_at <= app_now() order by r.recheck_at limit 50)
  limit 20 for update skip locked
$$;

-- Writes what the program found: level, limit, clock, and the fields nobody has edited. `judged` = {"classification","stages"}.
create or replace function report_write(report uuid, judged jsonb) returns void language plpgsql as $$
declare
  r report%rowtype; i incident%rowtype; p jsonb; s jsonb; d jsonb;
  v_class jsonb := judged -> 'classification'; v_level jsonb; v_lang text; v_due timestamptz; v_fields jsonb; v_uncertain boolean;
begin
  select * into r from report x where x.id = report_write.report for update;
  if r.state <> 'draft' then return; end if;
  select * into i from incident x where x.id = r.incident_id;
  select x.body into p from report_profile x where x.id = r.profile and x.version = r.profile_version;
  s := profile_stage(p, r.stage);
  select x into d from jsonb_array_elements(judged -> 'stages') x where x ->> 'stage' = r.stage;
  select l - 'rules' into v_level from jsonb_array_elements(p #> '{classification,levels}') l where l ->> 'code' = v_class ->> 'level';
  v_lang := case when p ->> 'jurisdiction' = 'CN' then 'zh' else 'en' end;
  v_due := (d ->> 'due_at')::timestamptz;
  v_class := v_class || jsonb_build_object('due_state', d ->> 'state', 'due_uncertain', coalesce((d ->> 'uncertain')::bool, false), 'level_name', v_level, 'facts', (select coalesce(jsonb_object_agg(f ->> 'fact', incident_facts_known(i) -> (f ->> 'fact')), '{}')
    from jsonb_array_elements(p -> 'facts') f where incident_facts_known(i) ? (f ->> 'fact')));
  if r.level is distinct from (v_class ->> 'level') and (r.level is not null or v_class ->> 'level' is not null) then
    perform timeline_add(i.id, null, 'report_level', null, jsonb_build_object('report', r.ref, 'name', p -> 'name', 'from', r.level, 'to', v_class ->> 'level',
      'level_name', v_level, 'rules', (select jsonb_agg(h ->> 'id') from jsonb_array_elements(v_class -> 'hits') h)), null);
  end if;
  select coalesce(jsonb_object_agg(f ->> 'key', a), '{}') into v_fields
  from jsonb_array_elements(p -> 'fields') f cross join lateral report_autofill(i, f, v_level, v_lang) a
  where f -> 'required' ? r.stage and a is not null and not coalesce(r.fields -> (f ->> 'key') ? 'by', false);
  -- computed values that are no longer known go too; whatever a person wrote stays
  v_fields := v_fields || coalesce((select jsonb_object_agg(e.key, e.value) from jsonb_each(r.fields) e where e.value ? 'by'), '{}');
  update report x set level = v_class ->> 'level', certainty = v_class ->> 'confidence', classification = v_class,
    anchor = s #>> '{deadline,anchor}', anchor_at = case when d ->> 'state' = 'at' then v_due - (d ->> 'offset')::bigint * interval '1 second' end,
    due_at = v_due, due_certainty = s ->> 'confidence', fields = v_fields,
    recheck_at = case when i.state <> 'closed' then app_now() + interval '1 minute' end,
    -- an edit in progress becomes stale only when something visible changed
    version = x.version + case when (x.level, x.due_at, x.fields - 'downtime_minutes') is distinct from (v_class ->> 'level', v_due, v_fields - 'downtime_minutes') then 1 else 0 end
  where x.id = r.id;
  if v_due is not null then
    insert into incident_clock as c(incident_id, kind, subject, name, certainty, started_at, due_at, warn_at)
    values (i.id, 'report', r.ref, jsonb_build_object('zh', (p #>> '{name,zh}') || ' · ' || (s #>> '{name,zh}'), 'en', (p #>> '{name,en}') || ' · ' || (s #>> '{name,en}')),
      s ->> 'confidence', v_due - (d ->> 'offset')::bigint * interval '1 second', v_due, v_due - (d ->> 'offset')::bigint * interval '1 second' / 3)
    on conflict (incident_id, kind, subject) do update set due_at = excluded.due_at, started_at = excluded.started_at, warn_at = excluded.warn_at,
      warned_at = case when c.due_at <> excluded.due_at then null else c.warned_at end, missed_at = case when c.due_at <> excluded.due_at then null else c.missed_at end
    where c.stopped_at is null and c.due_at is distinct from excluded.due_at;
  else
    update incident_clock c set stopped_at = app_now() where c.incident_id = i.id and c.kind = 'report' and c.subject = r.ref and c.stopped_at is null;
  end if;
end $$;

-- ---- reading ---------------------------------------------------------------------------------------------------------------------

-- A value as people read it.
create or replace function report_text(field jsonb, value jsonb, levels jsonb, lang text) returns text language sql stable as $$
  select case
    when value is null or value = 'null' then null
    when field ->> 'type' = 'datetime' then to_char((value #>> '{}')::timestamptz at time zone page_zone(), 'YYYY-MM-DD HH24:MI')
    when field ->> 'key' = 'level' then coalesce((select coalesce(l ->> lang, l ->> 'zh') from jsonb_array_elements(levels) l where l ->> 'code' = report_text.value #>> '{}'), report_text.value #>> '{}')
    else value #>> '{}' end
$$;

create or replace function report_fields(r report, p jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('key', f ->> 'key', 'label', f -> 'label', 'type', f ->> 'type', 'help', f -> 'help',
      'required', f #>> array['required', r.stage], 'must', f #>> array['required', r.stage] = 'M', 'article', f ->> 'ref',
      'value', v -> 'value', 'text', t, 'from', (v -> 'from') - 'more', 'from_more', v #> '{from,more}', 'by', case when v ? 'by' then person_ref((v ->> 'by')::uuid) end, 'at', v ->> 'at',
      'edited', v ? 'by', 'filled', t is not null and not v ? 'by', 'empty', t is null, 'missing', t is null and f #>> array['required', r.stage] = 'M',
      'is', jsonb_build_object(f ->> 'type', true, 'line', f ->> 'type' in ('integer','decimal','money')),
      'options', case when f ? 'enum' then (select jsonb_agg(jsonb_build_object('value', e, 'on', e = v ->> 'value', 'label',
          coalesce((select jsonb_build_object('zh', l ->> 'zh', 'en', l ->> 'en') from jsonb_array_elements(p #> '{classification,levels}') l where l ->> 'code' = e), to_jsonb(e))))
        from jsonb_array_elements_text(f -> 'enum') e) end,
      'source', f ->> 'source', 'certainty', f ->> 'confidence', 'unverified', certainty_bad(f ->> 'confidence'))) order by n), '[]')
  from jsonb_array_elements(p -> 'fields') with ordinality x(f, n)
  cross join lateral (select r.fields -> (f ->> 'key') as v) y
  cross join lateral (select report_text(f, v -> 'value', p #> '{classification,levels}', case when p ->> 'jurisdiction' = 'CN' then 'zh' else 'en' end) as t) z
  where f -> 'required' ? r.stage
    and (f -> 'condition' is null or r.classification -> 'facts' ->> (f #>> '{condition,fact}') is distinct from 'false')
$$;

-- Names of mandatory fields that are still empty.
create or replace function report_missing(fields jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('key', f ->> 'key', 'label', f -> 'label')), '[]') from jsonb_array_elements(fields) f where (f ->> 'missing')::bool
$$;

-- The questions of a profile with what is known: those that could still change the result first.
create or replace function report_questions(i incident, p jsonb, class jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('fact', f ->> 'fact', 'type', f ->> 'type', 'question', f -> 'question', 'hint', f -> 'hint',
      'unit', f -> 'unit', 'least', f -> 'least', 'most', f -> 'most', 'judgement', coalesce((f ->> 'judgement')::bool, false), 'open', class -> 'missing' ? (f ->> 'fact'),
      'value', v, 'known', v is not null, 'answered', i.facts ? (f ->> 'fact'), 'computed', v is not null and not i.facts ? (f ->> 'fact'),
      'is', jsonb_build_object(f ->> 'type', true), 'yes', v = 'true', 'no', v = 'false',
      'options', (select jsonb_agg(o || jsonb_build_object('on', o -> 'value' = v)) from jsonb_array_elements(f -> 'options') o),
      'by', e.who, 'at', e.at)) order by class -> 'missing' ? (f ->> 'fact') desc, n), '[]')
  from jsonb_array_elements(p -> 'facts') with ordinality x(f, n)
  cross join lateral (select incident_facts_known(i) -> (f ->> 'fact') as v) y
  left join lateral (select person_ref(t.actor) as who, iso(t.at) as at from timeline_event t
    where t.incident_id = i.id and t.kind = 'facts' and t.data -> 'changed' ? (f ->> 'fact') order by t.seq desc limit 1) e on true
$$;

-- What a document is made from, and what approval freezes: no buttons, no moment of asking.
create or replace function report_content(r report) returns jsonb language sql stable as $$
  select jsonb_build_object('ref', r.ref, 'kind', r.incident_kind, 'drill', r.incident_kind = 'drill', 'nth', r.number,
    'institution', coalesce(two_languages(site_setting('site_name')), '{}'),
    'incident', jsonb_build_object('ref', i.ref, 'title', i.title, 'occurred_at', iso(i.occurred_at), 'detected_at', iso(i.detected_at)),
    'profile', jsonb_build_object('id', p.id, 'version', p.version, 'name', p.body -> 'name', 'regulator', p.body -> 'regulator', 'as_of', p.body ->> 'as_of',
      'recipient', p.body -> 'recipient', 'trigger', p.body -> 'trigger', 'notes', coalesce(p.body -> 'notes', '[]')),
    'lang', case when p.body ->> 'jurisdiction' = 'CN' then 'zh' else 'en' end,
    'stage', jsonb_strip_nulls(jsonb_build_object('id', s ->> 'id', 'name', s -> 'name', 'source', s ->> 'source', 'certainty', s ->> 'confidence',
      'unverified', certainty_bad(s ->> 'confidence'), 'note', s -> 'note', 'ref', s ->> 'ref')),
    'level', r.classification -> 'level_name', 'level_code', r.level, 'graded', r.level is not null, 'certainty', r.certainty, 'level_unverified', certainty_bad(r.certainty),
    'level_certain', coalesce((r.classification ->> 'certain')::bool, false),
    'rules', coalesce((select jsonb_agg(h || jsonb_build_object('unverified', certainty_bad(h ->> 'confidence'), 'certainty', h ->> 'confidence'))
      from jsonb_array_elements(r.classification -> 'hits') h), '[]'),
    'classification_note', p.body #> '{classification,note}',
    'due', jsonb_strip_nulls(jsonb_build_object('at', iso(r.due_at), 'anchor', r.anchor, 'anchor_at', iso(r.anchor_at), 'certainty', r.due_certainty, 'unverified', certainty_bad(r.due_certainty),
      'not_applicable', r.classification ->> 'due_state' = 'not_applicable', 'uncertain', coalesce((r.classification ->> 'due_uncertain')::bool, false))),
    'has_rules', coalesce(r.classification -> 'hits', '[]') <> '[]', 'fields', f, 'missing', report_missing(f), 'sources', p.body -> 'sources')
  from incident i, report_profile p cross join lateral profile_stage(p.body, r.stage) s cross join lateral report_fields(r, p.body) f
  where i.id = r.incident_id and p.id = r.profile and p.version = r.profile_version
$$;

-- People who wrote in a report: none of them approves it.
create or replace function report_authors(r report) returns uuid[] language sql stable as $$
  select array(select distinct (e.value ->> 'by')::uuid from jsonb_each(r.fields) e where e.value ? 'by'
    union select r.created_by where r.created_by is not null)
$$;

-- The document: frozen when it was approved, else as it stands.
create or replace function report_document(ref text) returns jsonb language plpgsql stable as $$
declare r report%rowtype; v jsonb;
begin
  select * into r from report x where x.ref = report_document.ref;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  v := coalesce(r.frozen, report_content(r));
  return v || jsonb_build_object('state', r.state, 'draft', r.frozen is null, 'sha256', coalesce(r.frozen_sha256, sha256_hex(canonical(v))),
    'approved_by', case when r.frozen is not null then person_ref(r.approved_by) end, 'approved_at', iso(r.approved_at));
end $$;

create or replace function report_get(ref text) returns jsonb language plpgsql stable as $$
declare r report%rowtype; i incident%rowtype; p jsonb; v jsonb; mine boolean;
begin
  select * into r from report x where x.ref = report_get.ref;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  select * into i from incident x where x.id = r.incident_id;
  select x.body into p from report_profile x where x.id = r.profile and x.version = r.profile_version;
  mine := me() = any(report_authors(r));
  v := coalesce(r.frozen, report_content(r));
  return v || jsonb_build_object('state', r.state, 'is', jsonb_build_object(r.state, true), 'etag', r.version::text, 'version', r.version,
    'created_at', iso(r.created_at), 'created_by', person_ref(r.created_by), 'changed_at', iso(r.changed_at),
    'incident', (v -> 'incident') || jsonb_build_object('severity', i.severity, 'state', i.state, 'title', i.title),
    'classification', r.classification - 'hits' - 'facts' || jsonb_build_object('open', jsonb_array_length(coalesce(r.classification -> 'missing', '[]'))),
    'possible', (select jsonb_agg(jsonb_build_object('code', l ->> 'code', 'name', jsonb_build_object('zh', l ->> 'zh', 'en', l ->> 'en')))
      from jsonb_array_elements(p #> '{classification,levels}') l where r.classification -> 'possible' ? (l ->> 'code')),
    'questions', report_questions(i, p, r.classification), 'has_rules', v -> 'rules' <> '[]', 'has_missing', v -> 'missing' <> '[]',
    'approved_by', person_ref(r.approved_by), 'approved_at', iso(r.approved_at), 'sha256', r.frozen_sha256,
    'sent_at', iso(r.sent_at), 'filed_at', iso(r.filed_at), 'filing', r.filing || jsonb_build_object('who', person_ref((r.filing ->> 'by')::uuid)),
    'limit', (select jsonb_build_object('due_at', iso(c.due_at), 'stopped_at', iso(c.stopped_at), 'missed', c.missed_at is not null or (c.stopped_at is null and c.due_at < app_now()),
      'in_time', c.stopped_at <= c.due_at) from incident_clock c where c.incident_id = i.id and c.kind = 'report' and c.subject = r.ref),
    'not_reportable', case when r.state = 'not_reportable' then r.filing end,
    'can', jsonb_build_object('edit', r.state = 'draft' and report_may_write(), 'approve', r.state = 'draft' and (has_role('approver') or has_role('commander')) and not mine,
      'approve_other', r.state = 'draft' and mine, 'reopen', r.state in ('approved','not_reportable') and r.filed_at is null and report_may_send(),
      'send', r.state in ('approved','sent') and report_may_send(), 'file', r.state in ('approved','sent') and r.filed_at is null and report_may_send(),
      'order', r.state <> 'not_reportable'),
    'endpoints', (select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'slug', e.slug, 'name', coalesce(e.name, to_jsonb(e.slug), to_jsonb(e.address)), 'address', case when e.kind = 'webhook' then split_part(e.address, '?', 1) else e.address end, 'kind', e.kind) order by e.slug, e.address), '[]')
      from endpoint e where e.audience = 'regulator' and e.disabled_at is null),
    'deliveries', (select coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'channel', b.channel, 'address', case when b.channel = 'webhook' then split_part(b.address, '?', 1) else b.address end, 'state', b.state, 'at', iso(coalesce(b.done_at, b.created_at)),
        'simulated', b.delivery = 'simulate', 'error', delivery_said(b.last_error)) order by b.id), '[]') from outbox b
      where b.incident_id = i.id and b.message_id in (select m.id from message m where m.incident_id = i.id and m.purpose = 'report' and m.data ->> 'report' = r.ref)),
    'documents', (select coalesce(jsonb_agg(d order by d ->> 'kind'), '[]') from (
      select distinct on (j.kind) report_job(j) as d from job j where j.subject = r.ref order by j.kind, j.ordered_at desc) x),
    'siblings', (select coalesce(jsonb_agg(jsonb_build_object('ref', o.ref, 'name', profile_stage(p, o.stage) -> 'name', 'state', o.state, 'this', o.id = r.id, 'nth', o.number) order by o.created_at, o.ref), '[]')
      from report o where o.incident_id = r.incident_id and o.profile = r.profile),
    'log', (select coalesce(jsonb_agg(jsonb_build_object('at', iso(e.at), 'kind', e.kind, 'name', coalesce((select x.name from person x where x.id = e.actor), to_jsonb(e.actor_name)), 'text', e.text, 'data', e.data) order by e.seq desc), '[]')
      from (select * from timeline_event t where t.incident_id = i.id and t.kind like 'report%' and t.data ->> 'report' = r.ref order by t.seq desc limit 50) e));
end $$;

-- What a document is made of, as one hash: the content, and whether somebody signed it. A draft with the same words is another paper.
create or replace function report_paper(document jsonb) returns text language sql immutable as $$
  select sha256_hex(concat_ws(' ', document ->> 'sha256', case when not (document ->> 'draft')::bool then 'approved ' || (document ->> 'approved_at') end))
$$;

create or replace function report_job(j job) returns jsonb language sql stable as $$
  select jsonb_build_object('id', j.id, 'kind', j.kind, 'state', j.state, 'is', jsonb_build_object(j.state, true), 'waiting', j.state in ('pending','claimed'),
    'ordered_at', iso(j.ordered_at), 'done_at', iso(j.done_at), 'ms', j.ms, 'error_key', j.error_key, 'error', j.error, 'attachment', j.attachment_id,
    'current', j.model_sha256 = report_paper(report_document(j.subject)))
$$;

-- One line of a list.
create or replace function report_line(r report) returns jsonb language sql stable as $$
  select jsonb_build_object('ref', r.ref, 'kind', r.incident_kind, 'drill', r.incident_kind = 'drill', 'state', r.state, 'is', jsonb_build_object(r.state, true), 'nth', r.number,
    'profile', r.profile, 'name', p.body -> 'name', 'regulator', p.body -> 'regulator', 'stage', r.stage, 'stage_name', profile_stage(p.body, r.stage) -> 'name',
    'level', r.level, 'level_name', r.classification -> 'level_name', 'certain', coalesce((r.classification ->> 'certain')::bool, false), 'level_unverified', certainty_bad(r.certainty),
    'due_at', iso(r.due_at), 'due_unverified', certainty_bad(r.due_certainty), 'certainty', r.due_certainty, 'filed_at', iso(r.filed_at), 'sent_at', iso(r.sent_at),
    'late', r.state in ('draft','approved') and r.filed_at is null and r.due_at < app_now(), 'created_at', iso(r.created_at),
    'incident', i.ref, 'incident_title', i.title, 'severity', i.severity)
  from report_profile p, incident i where p.id = r.profile and p.version = r.profile_version and i.id = r.incident_id
$$;

-- All reports, newest first; cursor = "created_at|id" of the last one shown.
-- What a form sent and could not be kept, over what is stored: nothing typed is lost. Names come as {"values":{k:…}} or "values.k".
create or replace function report_typed(form jsonb, area text, name text) returns text language sql immutable as $$
  select coalesce(form #>> array[area, name], form ->> (area || '.' || name))
$$;
create or replace function report_overlaid(doc jsonb, form jsonb) returns jsonb language sql stable as $$
  select doc || jsonb_build_object(
    'fields', (select coalesce(jsonb_agg(case when t is null then f else f || jsonb_build_object('value', t, 'text', t, 'typed', true, 'options',
        (select jsonb_agg(o || jsonb_build_object('on', o ->> 'value' = t)) from jsonb_array_elements(f -> 'options') o)) end order by n), '[]')
      from jsonb_array_elements(doc -> 'fields') with ordinality x(f, n) cross join lateral report_typed(form, 'values', f ->> 'key') t),
    'questions', (select coalesce(jsonb_agg(case when t is null then f else f || jsonb_build_object('value', t, 'known', true, 'answered', true, 'computed', false,
        'yes', lower(t) in ('yes','true','on','1'), 'no', lower(t) in ('no','false','0'), 'options',
        (select jsonb_agg(o || jsonb_build_object('on', o ->> 'value' = t)) from jsonb_array_elements(f -> 'options') o)) end order by n), '[]')
      from jsonb_array_elements(doc -> 'questions') with ordinality x(f, n) cross join lateral report_typed(form, 'facts', f ->> 'fact') t))
$$;
-- The same for the page: questions that count now, and the others.
create or replace function report_overlay(doc jsonb, form jsonb) returns jsonb language sql stable as $$
  select x || jsonb_build_object(
    'asked', (select coalesce(jsonb_agg(q), '[]') from jsonb_array_elements(x -> 'questions') q where (q ->> 'open')::bool or (q ->> 'answered')::bool),
    'not_asked', (select coalesce(jsonb_agg(q), '[]') from jsonb_array_elements(x -> 'questions') q where not ((q ->> 'open')::bool or (q ->> 'answered')::bool)),
    'has_not_asked', exists (select 1 from jsonb_array_elements(x -> 'questions') q where not ((q ->> 'open')::bool or (q ->> 'answered')::bool)))
  from report_overlaid(doc, form) x
$$;

drop function if exists report_list(text, text, text, int);
create function report_list(wanted text, profile text, cursor text, at_most int) returns table(body jsonb, next text)
language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare n int := least(coalesce(at_most, 50), 200); rows report[]; more boolean;
begin
  -- those that wait are a handful among all there ever were: they have an index of their own
  if wanted = 'open' then
    rows := array(select r from report r
      where r.state in ('draft','approved') and r.filed_at is null
        and (report_list.profile is null or r.profile = report_list.profile)
        and (report_list.cursor is null or (r.created_at, r.id) < (split_part(report_list.cursor, '|', 1)::timestamptz, split_part(report_list.cursor, '|', 2)::uuid))
      order by r.created_at desc, r.id desc limit n + 1);
  else
    rows := array(select r from report r
      where (wanted is null or r.state = wanted)
        and (report_list.profile is null or r.profile = report_list.profile)
        and (report_list.cursor is null or (r.created_at, r.id) < (split_part(report_list.cursor, '|', 1)::timestamptz, split_part(report_list.cursor, '|', 2)::uuid))
      order by r.created_at desc, r.id desc limit n + 1);
  end if;
  more := cardinality(rows) > n;
  return query select jsonb_build_object('reports', coalesce((select jsonb_agg(report_line(r) order by r.created_at desc, r.id desc) from unnest(rows[1:n]) r), '[]'),
      'has_reports', cardinality(rows) > 0, 'filter', jsonb_strip_nulls(jsonb_build_object('state', wanted, 'profile', report_list.profile)),
      'states', (select jsonb_agg(jsonb_build_object('value', s, 'on', s = wanted) order by o) from unnest(array['open','draft','approved','sent','filed','not_reportable']) with ordinality t(s, o)),
      'profiles', (select coalesce(jsonb_agg(jsonb_build_object('value', x.id, 'name', x.name, 'on', x.id = report_list.profile) order by x.id), '[]')
        from (select distinct on (q.id) q.id, q.body -> 'name' as name from report_profile q order by q.id, q.version desc) x),
      'more', more),
    case when more then rows[n].created_at::text || '|' || rows[n].id end;
end $$;

-- Reports of one incident, and what may be opened: every profile with its stages.
create or replace function report_of_incident(ref text) returns jsonb language plpgsql stable as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.ref = report_of_incident.ref;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  return jsonb_build_object('kind', i.kind, 'incident', jsonb_build_object('ref', i.ref, 'title', i.title, 'severity', i.severity, 'state', i.state),
    'can', jsonb_build_object('open', report_may_write()), 'has_reports', exists (select 1 from report r where r.incident_id = i.id),
    'reports', coalesce((select jsonb_agg(report_line(r) order by r.due_at nulls last, r.created_at) from report r where r.incident_id = i.id), '[]'),
    'profiles', coalesce((select jsonb_agg(jsonb_build_object('id', p.id, 'name', p.body -> 'name', 'regulator', p.body -> 'regulator', 'trigger', p.body -> 'trigger',
        'stages', (select jsonb_agg(jsonb_build_object('id', s ->> 'id', 'profile_id', p.id, 'name', s -> 'name', 'certainty', s ->> 'confidence', 'unverified', certainty_bad(s ->> 'confidence'),
            'report', l.ref, 'openable', l.ref is null or (stage_recurs(s) and (l.filed_at is not null or l.state in ('sent','filed')))) order by n)
          from jsonb_array_elements(p.body -> 'stages') with ordinality t(s, n)
          left join lateral (select r.ref, r.filed_at, r.state from report r
            where r.incident_id = i.id and r.profile = p.id and r.stage = s ->> 'id' order by r.number desc limit 1) l on true)) order by p.id)
      from (select distinct on (q.id) * from report_profile q order by q.id, q.version desc) p), '[]'));
end $$;
