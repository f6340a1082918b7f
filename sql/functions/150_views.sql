-- What the screens and the interface show of incidents.

-- Clocks, the running ones first, soonest first. `share` is how much of the time is used, 0 … 100, for the bar of the screen.
create or replace function incident_clocks(incident uuid) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('kind', c.kind, 'is', jsonb_build_object(c.kind, true), 'subject', c.subject, 'name', c.name,
      'certainty', c.certainty, 'unverified', case when c.certainty like 'unverified%' then true end,
      'started_at', iso(c.started_at), 'due_at', iso(c.due_at), 'stopped_at', iso(c.stopped_at), 'missed_at', iso(c.missed_at),
      'running', c.stopped_at is null, 'missed', c.due_at < coalesce(c.stopped_at, app_now()),
      'warned', c.stopped_at is null and c.due_at >= app_now() and c.warn_at <= app_now(),
      'left_seconds', case when c.stopped_at is null then floor(extract(epoch from c.due_at - app_now()))::bigint end,
      'late_seconds', case when c.due_at < coalesce(c.stopped_at, app_now()) then floor(extract(epoch from coalesce(c.stopped_at, app_now()) - c.due_at))::bigint end,
      'report', case when c.kind = 'report' then c.subject end))
    order by c.stopped_at is not null, c.due_at, c.id), '[]')
  from incident_clock c where c.incident_id = incident_clocks.incident
$$;

create or replace function incident_services_view(incident uuid) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('slug', s.slug, 'name', s.name, 'kind', s.kind, 'importance', s.importance, 'important_system', s.important_system,
      'impact', x.impact, 'is', jsonb_build_object(x.impact, true), 'since', iso(x.since), 'restored_at', iso(x.restored_at), 'restored', x.restored_at is not null,
      'down_seconds', floor(extract(epoch from coalesce(x.restored_at, app_now()) - x.since))::bigint, 'rto_seconds', s.rto_seconds,
      'owner', person_ref(s.owner_id))) order by x.restored_at is not null, x.since, s.slug), '[]')
  from incident_service x join service s on s.id = x.service_id where x.incident_id = incident_services_view.incident
$$;

create or replace function incident_roles_view(incident uuid) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('role', g.role, 'name', g.name, 'is_commander', g.role = 'commander', 'people', g.people) order by g.role <> 'commander', g.role), '[]') from (
    select r.role, coalesce((select v.body->'roles'->r.role from run u join playbook_version v on v.playbook_id = u.playbook_id and v.version = u.playbook_version
          where u.incident_id = incident_roles_view.incident and v.body->'roles' ? r.role limit 1), role_label(r.role)) as name,
      jsonb_agg(jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name, 'since', iso(r.since), 'me', p.id = me()) order by r.since, p.id) as people
    from incident_role r join person p on p.id = r.person_id join incident i on i.id = r.incident_id
    where r.incident_id = incident_roles_view.incident and (r.until is null or r.until = i.closed_at) group by r.role) g
$$;

create or replace function incident_deliveries_view(incident uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('all', count(*), 'waiting', count(*) filter (where state = 'pending' and attempt = 0),
    'queued', count(*) filter (where state = 'pending'), 'retrying', count(*) filter (where state = 'pending' and attempt > 0), 'sent', count(*) filter (where state = 'done'),
    'simulated', count(*) filter (where state = 'simulated' or state = 'pending' and delivery = 'simulate'), 'failed', count(*) filter (where state in ('dead','unknown')),
    'ack_asked', count(ack_token), 'acked', count(acked_at), 'any', count(*) > 0, 'bad', count(*) filter (where state in ('dead','unknown')) > 0,
    'no_mail', coalesce(bool_or(state = 'dead' and last_error = 'no mail server is configured (smtp.host)'), false))
  from outbox where incident_id = incident_deliveries_view.incident
$$;

-- One page of the timeline, newest first. cursor = number of the last event already shown.
create or replace function timeline_page(incident uuid, before bigint, most int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(timeline_view(e) order by e.seq desc), '[]') from (
    select * from timeline_event t where t.incident_id = timeline_page.incident and (before is null or t.seq < before) order by t.seq desc limit most) e
$$;

create or replace function people_active() returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name) order by coalesce(p.name->>my_lang(), p.name->>'zh', p.name->>'en') collate "zh-x-icu", p.id), '[]')
  from (select * from person where active order by created_at, id limit 300) p
$$;

create or replace function incident_role_choices(incident uuid) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('role', x.role, 'name', x.name) order by x.role), '[]') from (
    select k.key as role, (array_agg(k.value))[1] as name from run u join playbook_version v on v.playbook_id = u.playbook_id and v.version = u.playbook_version,
      jsonb_each(case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end) k
      where u.incident_id = incident_role_choices.incident and k.key <> 'commander' group by k.key
    union all
    select h.role, role_label(h.role) from (select distinct role from role_holder where role <> 'commander') h
      where not exists (select 1 from run u join playbook_version v on v.playbook_id = u.playbook_id and v.version = u.playbook_version
                        where u.incident_id = incident_role_choices.incident and v.body->'roles' ? h.role)) x
$$;

-- The head every page of an incident carries.
create or replace function incident_head(i incident) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('ref', i.ref, 'kind', i.kind, 'drill', i.kind = 'drill', 'title', i.title, 'summary', i.summary, 'severity', i.severity,
    'state', i.state, 'is', jsonb_build_object(i.state, true), 'occurred_at', iso(i.occurred_at), 'detected_at', iso(i.detected_at), 'declared_at', iso(i.declared_at),
    'mitigated_at', iso(i.mitigated_at), 'resolved_at', iso(i.resolved_at), 'closed_at', iso(i.closed_at),
    'lasted_seconds', floor(extract(epoch from coalesce(i.resolved_at, app_now()) - i.occurred_at))::bigint, 'over', i.resolved_at is not null,
    'commander', person_ref(i.commander_id), 'declared_by', person_ref(i.declared_by), 'version', i.version, 'seq', i.seq, 'etag', incident_etag(i),
    'next_update', (select jsonb_build_object('due_at', iso(c.due_at), 'missed', c.due_at < app_now()) from incident_clock c
      where c.incident_id = i.id and c.kind = 'next_update' and c.subject = 'update' and c.stopped_at is null),
    'now', iso(app_now()), 'may_command', incident_may_command(i), 'may_respond', has_role('responder'), 'i_command', i.commander_id = me()) || incident_links(i))
$$;

create or replace function incident_by_ref(ref text) returns incident language plpgsql stable as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.ref = incident_by_ref.ref;
  if not found then perform refuse('MU404', 'error.incident.unknown', ''); end if;
  return i;
end $$;

-- The war room: everything of one incident that people decide by.
create or replace function incident_get(ref text) returns table(body text, etag text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref); v_next bigint; v_runs jsonb; v_clocks jsonb := incident_clocks(i.id); v_services jsonb := incident_services_view(i.id);
begin
  v_next := case when i.seq > 100 then i.seq - 99 end;
  select coalesce(jsonb_agg(run_view(r) order by r.finished_at is not null, r.created_at), '[]') into v_runs from run r where r.incident_id = i.id;
  return query select (incident_head(i) || jsonb_build_object(
    'services', v_services, 'down', (select coalesce(jsonb_agg(s.value order by s.ordinality), '[]') from jsonb_array_elements(v_services) with ordinality s where not (s.value->>'restored')::bool),
    'clocks', v_clocks, 'next_update', (select c.value from jsonb_array_elements(v_clocks) c where c.value->>'kind' = 'next_update' and (c.value->>'running')::bool),
    'clocks_running', (select coalesce(jsonb_agg(c.value order by c.ordinality), '[]') from jsonb_array_elements(v_clocks) with ordinality c where (c.value->>'running')::bool),
    'clocks_stopped', (select coalesce(jsonb_agg(c.value order by c.ordinality), '[]') from jsonb_array_elements(v_clocks) with ordinality c where not (c.value->>'running')::bool),
    'roles', incident_roles_view(i.id), 'runs', v_runs, 'has_runs', v_runs <> '[]',
    'current_count', (select coalesce(sum(jsonb_array_length(r.value->'current')), 0) from jsonb_array_elements(v_runs) r),
    'timeline', timeline_page(i.id, null, 100), 'older', v_next, 'deliveries', incident_deliveries_view(i.id), 'facts', i.facts,
    'reports', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('ref', p.ref, 'profile', p.profile, 'name', f.body->'name', 'stage', p.stage, 'state', p.state, 'level', p.level, 'due_at', iso(p.due_at),
        'unverified', case when p.due_certainty like 'unverified%' then true end)) order by p.created_at), '[]')
      from report p left join report_profile f on f.id = p.profile and f.version = p.profile_version where p.incident_id = i.id),
    'status_page', (select jsonb_build_object('code', s.code, 'status', s.status, 'updated_at', iso(s.updated_at)) from status_incident s where s.incident_id = i.id),
    'severities', (select jsonb_agg(jsonb_build_object('value', v, 'current', v = i.severity) order by n) from unnest('{I,II,III,IV,none}'::text[]) with ordinality x(v, n)),
    'states', (select coalesce(jsonb_agg(v order by n), '[]') from unnest(case i.state when 'open' then '{mitigated,resolved}' when 'mitigated' then '{resolved,open}' when 'resolved' then '{closed,open}' else '{open}' end::text[]) with ordinality x(v, n)),
    'people', case when has_role('responder') then people_active() else '[]' end, 'role_choices', incident_role_choices(i.id),
    'playbooks', case when i.state <> 'closed' then playbook_choices() else '[]' end,
    'service_choices', case when i.state <> 'closed' then service_choices(200) else '[]' end))::text, incident_etag(i);
end $$;

create or replace function service_choices(most int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('slug', s.slug, 'name', s.name, 'importance', s.importance) order by array_position('{vital,important,normal,low}'::text[], s.importance), s.slug), '[]')
  from (select * from service where retired_at is null order by array_position('{vital,important,normal,low}'::text[], importance), slug limit most) s
$$;

create or replace function playbook_choices() returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('slug', p.slug, 'title', v.title) order by p.slug), '[]') from playbook p
  join lateral (select w.title from playbook_version w where w.playbook_id = p.id and w.state = 'published' order by w.version desc limit 1) v on true
  where p.archived_at is null
$$;

-- Rows of a list, in the order given: one statement for all of them, since a function called for every row costs more than the row.
drop function if exists incident_rows(incident[]);
create or replace function incident_rows(list uuid[]) returns json language plpgsql stable set plan_cache_mode to force_generic_plan as $$
declare v_now timestamptz := app_now();
begin
  return (with rows as materialized (select l.ordinality as n, i.* from unnest(list) with ordinality l(id, ordinality) join incident i on i.id = l.id),
  people as materialized (
    select p.id, json_build_object('id', p.id, 'login', p.login, 'name', p.name) as person from person p where p.id in (select r.commander_id from rows r))
  select coalesce(json_agg(row_to_json(r)), '[]') from (
    select i.ref, i.kind, i.kind = 'drill' as drill, i.title, i.severity, i.state, iso(i.occurred_at) as occurred_at, iso(i.declared_at) as declared_at,
      iso(i.resolved_at) as resolved_at, floor(extract(epoch from coalesce(i.resolved_at, v_now) - i.occurred_at))::bigint as lasted_seconds, i.resolved_at is not null as over,
      p.person as commander, coalesce(s.services, '[]') as services, iso(c.due_at) as next_update_at, c.due_at < v_now as next_update_late
    from rows i
    left join people p on p.id = i.commander_id
    left join incident_clock c on c.incident_id = i.id and c.kind = 'next_update' and c.stopped_at is null
    left join lateral (select json_agg(json_build_object('slug', v.slug, 'name', v.name, 'impact', x.impact) order by x.since, v.slug) as services
      from incident_service x join service v on v.id = x.service_id where x.incident_id = i.id) s on true order by i.n) r);
end $$;

create or replace function incident_row(i incident) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(incident_rows(array[i.id])::jsonb -> 0)
$$;

-- Up to p_most incidents, newest first, that come after a place in that order. Planned anew each time, for the filters that are given.
drop function if exists incident_page(text, text, text, uuid[], text, timestamptz, uuid, int);
create function incident_page(p_kind text, p_state text, p_severity text, p_ids uuid[], p_q text, p_at timestamptz, p_id uuid, p_most int)
returns uuid[] language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare v_grams text[] := search_grams(p_q);
begin
  return array(select i.id from incident i
    where (p_kind is null or i.kind = p_kind) and (p_severity is null or i.severity = p_severity)
      and (p_state is null or i.state = p_state or p_state = 'active' and i.state <> 'closed')
      and (p_ids is null or i.id = any(p_ids))
      and (p_q is null or found_in(p_q, i.title || ' ' || i.ref) and (length(p_q) = 1 or search_grams(i.title || ' ' || i.ref) @> v_grams))
      and (p_at is null or (i.declared_at, i.id) < (p_at, p_id))
    order by i.declared_at desc, i.id desc limit p_most);
end $$;

-- Incidents, newest first; cursor = "declared_at|id" of the last row shown.
create or replace function incident_list(p_kind text, p_state text, p_severity text, p_service text, p_q text, p_cursor text, p_limit int)
returns table(body text, next text) language plpgsql stable as $$
declare v_page uuid[]; v_most int := least(coalesce(p_limit, 50), 200); v_at timestamptz; v_id uuid; v_next text; v_ids uuid[];
begin
  if p_cursor is not null then
    begin v_at := split_part(p_cursor, '|', 1)::timestamptz; v_id := split_part(p_cursor, '|', 2)::uuid;
    exception when others then perform refuse('MU400', 'error.cursor', ''); end;
  end if;
  if p_service is not null then
    v_ids := array(select x.incident_id from incident_service x join service s on s.id = x.service_id where s.slug = p_service);
  end if;
  v_page := incident_page(p_kind, p_state, p_severity, v_ids, nullif(btrim(p_q), ''), v_at, v_id, v_most + 1);
  if cardinality(v_page) > v_most then
    v_next := (select i.declared_at || '|' || i.id from incident i where i.id = v_page[v_most]);
    v_page := v_page[1:v_most];
  end if;
  return query select json_build_object('incidents', incident_rows(v_page),
    'empty', v_page = '{}', 'more', v_next is not null, 'now', iso(app_now()),
    'filter', jsonb_strip_nulls(jsonb_build_object('kind', p_kind, 'state', p_state, 'severity', p_severity, 'service', p_service, 'q', p_q,
      'is_kind', case when p_kind is not null then jsonb_build_object(p_kind, true) end, 'is_state', case when p_state is not null then jsonb_build_object(p_state, true) end)),
    'filtered', coalesce(p_kind, p_state, p_severity, p_service, p_q) is not null,
    'severities', (select jsonb_agg(jsonb_build_object('value', v, 'chosen', v = coalesce(p_severity, '')) order by n) from unnest('{I,II,III,IV,none}'::text[]) with ordinality x(v, n)),
    'may_respond', has_role('responder'))::text, v_next;
end $$;

-- The declare page: what is offered, with what the address or a failed form already chose.
create or replace function declare_page(form jsonb) returns text language sql stable as $$
  with f as (select coalesce(form, '{}') as f),
  chosen as (select split_part(e.value, ':', 1) as slug, f from f, jsonb_array_elements_text(case jsonb_typeof(f->'services') when 'array' then f->'services' when 'string' then jsonb_build_array(f->'services') else case when f ? 'service' then jsonb_build_array(f->'service') else '[]' end end) e)
  select (select jsonb_build_object(
    'kinds', (select jsonb_agg(jsonb_build_object('value', v, 'drill', v = 'drill', 'chosen', v = coalesce(nullif(f->>'kind', ''), 'incident')) order by n) from unnest('{incident,drill}'::text[]) with ordinality x(v, n)),
    'severities', (select jsonb_agg(jsonb_build_object('value', v, 'chosen', v = coalesce(nullif(f->>'severity', ''), 'none')) order by n) from unnest('{I,II,III,IV,none}'::text[]) with ordinality x(v, n)),
    'impacts', (select jsonb_agg(jsonb_build_object('value', v, 'chosen', v = coalesce(nullif(f->>'impact', ''), 'down')) order by n) from unnest('{down,partial,degraded}'::text[]) with ordinality x(v, n)),
    'services', (select coalesce(jsonb_agg(jsonb_build_object('slug', s.slug, 'name', s.name, 'chosen', exists (select 1 from chosen c where c.slug = s.slug)) order by n), '[]')
       from (select v.slug, v.name, row_number() over (order by (v.slug in (select c.slug from chosen c)) desc, array_position('{vital,important,normal,low}'::text[], v.importance), v.kind <> 'business', v.slug) as n
             from service v where v.retired_at is null and (v.importance in ('vital','important') or v.slug in (select c.slug from chosen c))) s where s.n <= 18),
    'others', service_choices(300),
    'playbooks', (select coalesce(jsonb_agg(p.value || jsonb_build_object('chosen', p.value->>'slug' = f->>'playbook') order by p.ordinality), '[]') from jsonb_array_elements(playbook_choices()) with ordinality p),
    'no_playbook', f->>'playbook' = 'none',
    'title', coalesce(f->>'title', ''), 'summary', coalesce(f->>'summary', ''), 'more_services', coalesce(f->>'more_services', ''), 'now', iso(app_now()),
    'open', (select coalesce(jsonb_agg(incident_row(i) order by severity_rank(i.severity), i.declared_at desc), '[]') from (
        select * from incident where state in ('open','mitigated') order by severity_rank(severity), declared_at desc limit 5) i)) from f)::text
$$;

-- After declaring: who is being told, which playbook runs, which clocks started, what may be the same thing.
create or replace function incident_receipt(ref text) returns table(body text, etag text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref);
begin
  return query select (incident_head(i) || jsonb_build_object(
    'services', incident_services_view(i.id), 'clocks', incident_clocks(i.id), 'deliveries', incident_deliveries_view(i.id),
    'told', (select coalesce(jsonb_agg(delivery_row(b) order by b.id), '[]') from (select o.* from outbox o join message m on m.id = o.message_id
        where o.incident_id = i.id and m.purpose = 'declared' order by o.id limit 200) b),
    'unreachable', (select coalesce(jsonb_agg(u.value), '[]') from message m, jsonb_array_elements(m.data->'unreachable') u where m.incident_id = i.id and m.purpose = 'declared'),
    'runs', (select coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'title', v.title, 'version', v.version, 'status', r.status) order by r.created_at), '[]')
        from run r join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version where r.incident_id = i.id),
    'duplicates', (select coalesce(jsonb_agg(incident_row(d)), '[]') from (
        select distinct o.* from incident o join incident_service x on x.incident_id = o.id
        where o.id <> i.id and o.kind = i.kind and o.state in ('open','mitigated')
          and x.service_id in (select y.service_id from incident_service y where y.incident_id = i.id) limit 5) d)))::text,
    i.version || '-' || i.seq || '-' || (select count(*) filter (where o.state <> 'pending') || '-' || count(o.acked_at) from outbox o where o.incident_id = i.id);
end $$;

create or replace function timeline_get(ref text, p_cursor text, p_limit int) returns table(body text, next text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref); v_most int := least(coalesce(p_limit, 100), 200); v_list jsonb; v_next text;
begin
  if p_cursor is not null and p_cursor !~ '^[0-9]{1,18}$' then perform refuse('MU400', 'error.cursor', ''); end if;
  v_list := timeline_page(i.id, p_cursor::bigint, v_most);
  if (v_list->-1->>'seq')::bigint > 1 then v_next := v_list->-1->>'seq'; end if;
  return query select (incident_head(i) || jsonb_build_object('timeline', v_list, 'more', v_next is not null))::text, v_next;
end $$;

-- Home: is anything wrong, what is mine, what comes next.
create or replace function home() returns table(body text, status int, location text) language plpgsql stable as $$
begin
  if me() is null then
    return query select '{}'::text, 303, '/status'::text;
    return;
  end if;
  return query select jsonb_build_object('now', iso(app_now()),
    'open', (select coalesce(jsonb_agg(incident_row(i::incident) order by severity_rank(i.severity), i.declared_at desc), '[]') from (
        select * from incident where state in ('open','mitigated') and kind = 'incident' order by severity_rank(severity), declared_at desc limit 30) i),
    'drills', (select coalesce(jsonb_agg(incident_row(i::incident) order by i.declared_at desc), '[]') from (
        select * from incident where state in ('open','mitigated') and kind = 'drill' order by declared_at desc limit 10) i),
    'to_close', (select coalesce(jsonb_agg(incident_row(i::incident) order by i.declared_at desc), '[]') from (
        select * from incident where state = 'resolved' order by declared_at desc limit 5) i),
    'mine', (select coalesce(jsonb_agg(step_view(m.s, m.r, m.roles) || jsonb_build_object('ref', m.ref, 'incident_title', m.title, 'severity', m.severity, 'drill', m.kind = 'drill')
          order by severity_rank(m.severity), (m.s).due_at nulls last, (m.s).position), '[]') from (
        select s as s, r as r, case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end as roles, i.ref, i.title, i.severity, i.kind
        from incident_role x join incident i on i.id = x.incident_id and i.state <> 'closed' join run r on r.incident_id = i.id and r.finished_at is null
        join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version
        join run_step s on s.run_id = r.id and s.ended_at is null and s.role = x.role and s.status in ('active','waiting') and step_is_work(s.kind)
        where x.person_id = me() and x.until is null order by severity_rank(i.severity), s.due_at nulls last limit 30) m),
    'to_ack', (select coalesce(jsonb_agg(jsonb_build_object('token', b.ack_token, 'subject', m.subject, 'at', iso(b.created_at), 'ref', i.ref, 'drill', i.kind = 'drill') order by b.id desc), '[]') from (
        select o.* from outbox o where o.person_id = me() and o.ack_token is not null and o.acked_at is null and o.created_at > app_now() - interval '2 days' order by o.id desc limit 20) b
        join message m on m.id = b.message_id join incident i on i.id = b.incident_id where i.state in ('open','mitigated')),
    'clocks', (select coalesce(jsonb_agg(jsonb_build_object('ref', i.ref, 'title', i.title, 'severity', i.severity, 'drill', i.kind = 'drill', 'kind', c.kind, 'name', c.name, 'due_at', iso(c.due_at),
          'missed', c.due_at < app_now(), 'left_seconds', floor(extract(epoch from c.due_at - app_now()))::bigint) order by c.due_at), '[]') from (
        select * from incident_clock where stopped_at is null order by due_at limit 10) c join incident i on i.id = c.incident_id and i.state <> 'closed'),
    'dead', (select count(*) from (select 1 from outbox o where o.bad limit 100) d),
    'status', (select coalesce(jsonb_object_agg(s.status, s.n), '{}') from (select k.status, count(*) as n from component k group by k.status) s),
    'status_good', not exists (select 1 from component k where k.status <> 'operational'),
    'may_respond', has_role('responder'))::text, 200, null::text;
end $$;

-- What executives read on a phone in ten seconds: the grave ones, in words.
create or replace function executive() returns text language sql stable as $$
  select jsonb_build_object('now', iso(app_now()),
    'count', (select count(*) from incident where kind = 'incident' and state in ('open','mitigated')),
    'grave', (select count(*) from incident where kind = 'incident' and state in ('open','mitigated') and severity in ('I','II')),
    'calm', not exists (select 1 from incident where kind = 'incident' and state in ('open','mitigated') and severity in ('I','II')),
    'incidents', (select coalesce(jsonb_agg(incident_head(i::incident) || jsonb_build_object('services', incident_services_view(i.id), 'clocks', incident_clocks(i.id),
        'last_note', (select timeline_view(e::timeline_event) from (select * from timeline_event t where t.incident_id = i.id and t.kind in ('note','state','severity','status_update') and t.text is not null order by t.seq desc limit 1) e),
        'reports', (select coalesce(jsonb_agg(jsonb_build_object('ref', p.ref, 'profile', p.profile, 'name', f.body->'name', 'state', p.state, 'due_at', iso(p.due_at), 'done', p.state in ('filed','not_reportable'))), '[]')
            from report p left join report_profile f on f.id = p.profile and f.version = p.profile_version where p.incident_id = i.id))
        order by severity_rank(i.severity), i.declared_at), '[]')
      from (select * from incident where kind = 'incident' and state in ('open','mitigated') and severity in ('I','II') order by severity_rank(severity), declared_at limit 10) i),
    'others', (select coalesce(jsonb_agg(incident_row(i::incident)), '[]') from (select * from incident where kind = 'incident' and state in ('open','mitigated') and severity not in ('I','II') order by severity_rank(severity), declared_at limit 20) i),
    'ended', (select coalesce(jsonb_agg(incident_row(i::incident) order by i.resolved_at desc), '[]') from (select * from incident where kind = 'incident' and severity in ('I','II') and resolved_at > app_now() - interval '7 days' order by resolved_at desc limit 5) i))::text
$$;
