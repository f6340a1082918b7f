-- The public status page: what is published, and the one document everything public is made from. Drills have no rows here.

-- Order of badness; the worst state of a day or of a page has the highest number.
create or replace function status_rank(state text) returns int language sql immutable parallel safe as $$
  select case state when 'under_maintenance' then 1 when 'degraded_performance' then 2 when 'partial_outage' then 3
    when 'major_outage' then 4 else 0 end
$$;

create or replace function impact_rank(impact text) returns int language sql immutable parallel safe as $$
  select case impact when 'minor' then 1 when 'major' then 2 when 'critical' then 3 else 0 end
$$;

create or replace function impact_of_severity(severity text) returns text language sql immutable parallel safe as $$
  select case severity when 'I' then 'critical' when 'II' then 'major' when 'IV' then 'none' else 'minor' end
$$;

-- Time as the status interface gives it: milliseconds and the page's own offset.
create or replace function page_iso(at timestamptz, zone text) returns text language plpgsql stable as $$
declare o interval := (at at time zone zone) - (at at time zone 'UTC');
begin
  return to_char(at at time zone zone, 'YYYY-MM-DD"T"HH24:MI:SS.MS')
    || case when o < interval '0' then '-' else '+' end
    || to_char(abs(extract(epoch from o)::int) * interval '1 second', 'HH24:MI');
end $$;

-- What the site is called and where it is: the settings page first, then the configuration file (kept in row "conf").
create or replace function site_setting(wanted text) returns jsonb language sql stable as $$
  select coalesce(nullif(setting_get(wanted), '""'), nullif(setting_get('conf') -> wanted, '""'))
$$;

-- An unknown name falls back. It is tried, not looked up: the view of all zones reads hundreds of files.
create or replace function page_zone() returns text language plpgsql stable as $$
declare z text := coalesce(nullif(site_setting('time_zone') #>> '{}', ''), 'Asia/Shanghai');
begin
  perform app_now() at time zone z;
  return z;
exception when invalid_parameter_value then
  return 'Asia/Shanghai';
end $$;

create or replace function page_url() returns text language sql stable as $$
  select rtrim(coalesce(nullif(site_setting('public_url') #>> '{}', ''), 'http://localhost:8080'), '/')
$$;

-- The language names have in the interface of the status page, where a text can be in one language only.
create or replace function page_language() returns text language sql stable as $$
  select case when site_setting('language') #>> '{}' = 'en' then 'en' else 'zh' end
$$;

create or replace function page_text(texts jsonb) returns text language sql stable as $$
  select coalesce(nullif(texts ->> page_language(), ''), nullif(texts ->> 'zh', ''), texts ->> 'en')
$$;

-- Tells listeners that the page changed. Publishing is rare, so one notification per transaction is no burden.
create or replace function status_changed() returns void language sql volatile as $$
  select pg_notify('muster', 'status page 0')
$$;

-- Sets a component's state and records the change; the same state again records nothing.
create or replace function component_set(component uuid, state text, status_incident uuid default null) returns void language plpgsql as $$
declare v_now timestamptz := app_now();
begin
  update component c set status = component_set.state, updated_at = v_now
  where c.id = component_set.component and c.status <> component_set.state and not c.is_group;
  if found then
    insert into component_change(component_id, at, status, status_incident_id)
    values (component_set.component, v_now, component_set.state, component_set.status_incident)
    on conflict (component_id, at) do update set status = excluded.status, status_incident_id = excluded.status_incident_id;
  end if;
end $$;

-- {"component":slug,"status":state} of each entry, checked; the pointer of a bad one names its place in the list.
create or replace function status_components(components jsonb, pointer text)
returns table(id uuid, slug text, name jsonb, old_status text, new_status text) language plpgsql as $$
declare e record; c component%rowtype;
begin
  for e in select value as j, ordinality - 1 as n from jsonb_array_elements(coalesce(components, '[]')) with ordinality loop
    select * into c from component x where x.slug = e.j ->> 'component' and not x.is_group for update;
    if not found then
      perform refuse('MU422', 'error.component.unknown', pointer || '/' || e.n || '/component', jsonb_build_object('name', e.j ->> 'component'));
    end if;
    if coalesce(e.j ->> 'status', '') not in ('operational','degraded_performance','partial_outage','major_outage','under_maintenance') then
      perform refuse('MU422', 'error.component.status', pointer || '/' || e.n || '/status');
    end if;
    return query select c.id, c.slug, c.name, c.status, e.j ->> 'status';
  end loop;
end $$;

-- Publishes one update of an incident, or, for a drill, only notes on its timeline what would have been published.
-- `title` null: kept; at the first update made from the names of the components, never from the internal title.
-- `components` null with status resolved: everything this incident brought down is operational again.
drop function if exists status_publish(uuid, text, jsonb, jsonb, jsonb, uuid);
create function status_publish(incident uuid, status text, body jsonb, components jsonb, title jsonb default null, actor uuid default me())
returns jsonb language plpgsql as $$
declare
  i incident%rowtype;
  s status_incident%rowtype;
  v_now timestamptz := to_ms(app_now());
  v_body jsonb := two_languages(status_publish.body);
  v_title jsonb := two_languages(status_publish.title);
  v_affected jsonb;
  v_list jsonb := status_publish.components;
  v_worst int;
  v_update uuid;
begin
  select * into i from incident x where x.id = status_publish.incident for update;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  if status_publish.status not in ('investigating','identified','monitoring','resolved','postmortem') then
    perform refuse('MU422', 'error.status.status', '/status');
  end if;
  if v_body is null then perform refuse('MU422', 'error.required', '/body'); end if;

  select * into s from status_incident x where x.incident_id = i.id;
  if v_list is null and status_publish.status = 'resolved' and s.id is not null then
    select jsonb_agg(jsonb_build_object('component', c.slug, 'status', 'operational') order by c.position, c.slug) into v_list
    from component c where c.status <> 'operational' and exists (
      select 1 from status_update u, jsonb_array_elements(u.affected) a where u.status_incident_id = s.id and a ->> 'component' = c.slug)
      and not exists (select 1 from status_incident o join status_update u on u.status_incident_id = o.id, jsonb_array_elements(u.affected) a
        where o.resolved_at is null and o.id <> s.id and a ->> 'component' = c.slug);
  end if;
  select jsonb_agg(jsonb_build_object('component', c.slug, 'id', c.id, 'name', c.name, 'old_status', c.old_status, 'new_status', c.new_status)),
         max(status_rank(c.new_status))
    into v_affected, v_worst from status_components(v_list, '/components') c;
  v_affected := coalesce(v_affected, '[]');

  if i.kind = 'drill' then
    perform timeline_add(i.id, null, 'status_simulated', null, jsonb_build_object('status', status_publish.status, 'title', v_title,
      'body', v_body, 'components', v_affected), status_publish.actor);
    return jsonb_build_object('published', false, 'simulated', true);
  end if;

  if s.id is null then
    if v_title is null then
      if v_affected = '[]' then perform refuse('MU422', 'error.status.title', '/title'); end if;
      select jsonb_build_object('zh', string_agg(a -> 'name' ->> 'zh', '、') || '服务异常',
        'en', string_agg(coalesce(a -> 'name' ->> 'en', a -> 'name' ->> 'zh'), ', ') || ': service disruption')
        into v_title from jsonb_array_elements(v_affected) a;
    end if;
    insert into status_incident(code, incident_id, title, status, impact, started_at, created_at, updated_at)
    values (left(random_token(), 10), i.id, v_title, 'investigating', impact_of_severity(i.severity), i.occurred_at, v_now, v_now)
    returning * into s;
  end if;
  update status_incident x set status = status_publish.status, title = coalesce(v_title, x.title), updated_at = v_now,
    impact = case when i.severity <> 'none' then impact_of_severity(i.severity)
      when coalesce(v_worst, 0) >= 2 and v_worst - 1 > impact_rank(x.impact) then (array['minor','major','critical'])[v_worst - 1]
      else x.impact end,
    monitoring_at = case when status_publish.status in ('investigating','identified') then null
      when status_publish.status = 'monitoring' then coalesce(x.monitoring_at, v_now) else x.monitoring_at end,
    resolved_at = case when status_publish.status in ('resolved','postmortem') then coalesce(x.resolved_at, v_now) end
  where x.id = s.id returning * into s;
  perform component_set((a ->> 'id')::uuid, a ->> 'new_status', s.id) from jsonb_array_elements(v_affected) a;
  insert into status_update(status_incident_id, status, body, affected, created_at, display_at, created_by)
  values (s.id, status_publish.status, v_body, v_affected, v_now, v_now, status_publish.actor) returning id into v_update;
  perform timeline_add(i.id, null, 'status_published', null, jsonb_build_object('code', s.code, 'status', status_publish.status,
    'title', s.title, 'body', v_body, 'components', v_affected), status_publish.actor);
  perform message_send(i.id, 'status', s.title, v_body, jsonb_build_object('code', s.code, 'status', status_publish.status),
    '[{"event":"status.updated"}]', '{"event":"status.updated"}')
  where exists (select 1 from message_recipients(i.id, '[{"event":"status.updated"}]') r where r.endpoint is not null);
  perform status_changed();
  return jsonb_build_object('published', true, 'simulated', false, 'code', s.code, 'update', v_update);
end $$;

-- ---- the snapshot -------------------------------------------------------------------------------------------------------------

-- Of the last 90 days of every component: the days that were not all good, and the share of time without partial or major outage.
create or replace function component_days() returns table(component uuid, bad jsonb, uptime text, empty int) language sql stable as $$
  with w as (
    select page_zone() as zone, (app_now() at time zone page_zone())::date as today, app_now() as now),
  win as (select zone, today, now, ((today - 89)::timestamp at time zone zone) as opens from w),
  part as (
    select c.id, x.at as opens, coalesce(lead(x.at) over (partition by c.id order by x.at), win.now) as closes, x.status
    from component c cross join win cross join lateral (
      (select h.at, h.status from component_change h where h.component_id = c.id and h.at <= win.opens order by h.at desc limit 1)
      union all
      (select h.at, h.status from component_change h where h.component_id = c.id and h.at > win.opens order by h.at desc limit 2000)) x
    where not c.is_group),
  bad as (
    select p.id, d::date as day, max(status_rank(p.status)) as worst,
      (round(sum(extract(epoch from least(p.closes, (d::date + 1)::timestamp at time zone win.zone)
        - greatest(p.opens, d at time zone win.zone))) filter (where status_rank(p.status) >= 1)) / 60)::int as minutes
    from part p cross join win
    cross join lateral generate_series(greatest((p.opens at time zone win.zone)::date, win.today - 89)::timestamp,
      (p.closes at time zone win.zone)::date::timestamp, interval '1 day') d
    where p.status <> 'operational' and p.closes > win.opens
      and least(p.closes, (d::date + 1)::timestamp at time zone win.zone) > greatest(p.opens, d at time zone win.zone)
    group by p.id, d::date),
  down as (
    select p.id, sum(extract(epoch from p.closes - greatest(p.opens, win.opens))) as seconds
    from part p cross join win where status_rank(p.status) >= 3 and p.closes > win.opens group by p.id)
  select c.id,
    coalesce((select jsonb_agg(jsonb_build_object('date', b.day, 'x', (b.day - (win.today - 89)) * 5, 'minutes', b.minutes,
      'status', (array['under_maintenance','degraded_performance','partial_outage','major_outage'])[b.worst]) order by b.day desc)
      from bad b where b.id = c.id and b.worst > 0), '[]'),
    case when coalesce(down.seconds, 0) <= 0 then '100' else to_char(trunc((100 * greatest(0, 1 - down.seconds / greatest(1,
      extract(epoch from win.now - greatest(win.opens, c.start_date::timestamp at time zone win.zone)))))::numeric, 2), 'FM990.00') end,
    greatest(0, least(90, c.start_date - (win.today - 89)))
  from component c cross join win left join down on down.id = c.id where not c.is_group
$$;

-- A component in the form of the status interface.
create or replace function component_doc(c component, page text, zone text) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  select jsonb_build_object('id', c.id, 'name', page_text(c.name), 'status', case when c.is_group then
      coalesce((select x.status from component x where x.group_id = c.id order by status_rank(x.status) desc limit 1), 'operational') else c.status end,
    'created_at', page_iso(c.created_at, zone), 'updated_at', page_iso(c.updated_at, zone), 'position', c.position,
    'description', page_text(c.description), 'showcase', true, 'start_date', c.start_date, 'group_id', c.group_id, 'page_id', page,
    'group', c.is_group, 'only_show_if_degraded', false)
    || case when c.is_group then jsonb_build_object('components',
      coalesce((select jsonb_agg(x.id order by x.position, x.slug) from component x where x.group_id = c.id), '[]')) else '{}' end);
end $$;

-- An incident with its updates (newest first, at most 100) in the form of the status interface.
create or replace function status_incident_doc(s status_incident, page text, zone text) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  select jsonb_build_object('id', s.id, 'name', page_text(s.title), 'status', s.status, 'created_at', page_iso(s.created_at, zone),
    'updated_at', page_iso(s.updated_at, zone), 'monitoring_at', page_iso(s.monitoring_at, zone), 'resolved_at', page_iso(s.resolved_at, zone),
    'impact', s.impact, 'shortlink', page_url() || '/status/incidents/' || s.code, 'started_at', page_iso(s.started_at, zone), 'page_id', page,
    'incident_updates', coalesce((select jsonb_agg(jsonb_build_object('id', u.id, 'status', u.status, 'body', page_text(u.body), 'incident_id', s.id,
        'created_at', page_iso(u.created_at, zone), 'updated_at', page_iso(u.created_at, zone), 'display_at', page_iso(u.display_at, zone),
        'affected_components', (select jsonb_agg(jsonb_build_object('code', a ->> 'id', 'name', page_text(a -> 'name'),
           'old_status', a ->> 'old_status', 'new_status', a ->> 'new_status')) from jsonb_array_elements(u.affected) a),
        'deliver_notifications', true, 'custom_tweet', null, 'tweet_id', null) order by u.display_at desc, u.id)
      from (select * from status_update x where x.status_incident_id = s.id order by x.display_at desc limit 100) u), '[]'),
    'components', coalesce((select jsonb_agg(component_doc(c, page, zone) order by c.position, c.slug) from component c
      where c.slug in (select a ->> 'component' from status_update u, jsonb_array_elements(u.affected) a where u.status_incident_id = s.id)), '[]')));
end $$;

-- The same for the pages and feeds: both languages, UTC times.
create or replace function status_incident_view(s status_incident) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  select jsonb_build_object('code', s.code, 'id', s.id, 'title', s.title, 'status', s.status, 'impact', s.impact,
    'open', s.resolved_at is null, 'started_at', iso(s.started_at), 'resolved_at', iso(s.resolved_at), 'created_at', iso(s.created_at),
    'updated_at', iso(s.updated_at), 'duration', case when s.resolved_at is not null then extract(epoch from s.resolved_at - s.started_at)::bigint end,
    'updates', coalesce((select jsonb_agg(jsonb_build_object('id', u.id, 'status', u.status, 'body', u.body, 'at', iso(u.display_at),
        'components', coalesce((select jsonb_agg(jsonb_build_object('name', a -> 'name', 'status', a ->> 'new_status')) from jsonb_array_elements(u.affected) a), '[]'))
        order by u.display_at desc, u.id)
      from (select * from status_update x where x.status_incident_id = s.id order by x.display_at desc limit 100) u), '[]'),
    'components', coalesce((select jsonb_agg(jsonb_build_object('name', c.name, 'status', c.status) order by c.position, c.slug) from component c
      where c.slug in (select a ->> 'component' from status_update u, jsonb_array_elements(u.affected) a where u.status_incident_id = s.id)), '[]')));
end $$;

-- Text as HTML: a feed's template escapes it once more, for XML.
create or replace function html_text(t text) returns text language sql immutable parallel safe as $$
  select replace(replace(replace(replace(t, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), E'\n', '<br>')
$$;

-- What the whole page comes to: the worst of components and unresolved incidents, in the words clients know.
create or replace function status_summary() returns jsonb language sql stable as $$
  with c as (select coalesce(max(status_rank(status)), 0) as n from component where not is_group),
       i as (select coalesce(max(impact_rank(impact)), 0) as n, count(*) as open from status_incident where resolved_at is null),
       x as (select greatest(case when c.n >= 2 then c.n - 1 else 0 end, i.n) as n, c.n as c, i.n as i from c, i)
  select case
    when n = 3 then '{"indicator":"critical","description":"Major Service Outage","word":"major_outage"}'::jsonb
    when n = 2 then '{"indicator":"major","description":"Partial System Outage","word":"partial_outage"}'
    when n = 1 and c = 2 and i = 0 then '{"indicator":"minor","description":"Partially Degraded Service","word":"degraded"}'
    when n = 1 then '{"indicator":"minor","description":"Minor Service Outage","word":"minor_outage"}'
    when c = 1 then '{"indicator":"none","description":"Service Under Maintenance","word":"maintenance"}'
    else '{"indicator":"none","description":"All Systems Operational","word":"operational"}' end
  from x
$$;

-- Everything public in one document, from bounded reads only: 50 newest incidents, 90 days of component changes.
create or replace function status_snapshot() returns jsonb language plpgsql stable as $$
declare
  zone text := page_zone();
  today date := (app_now() at time zone page_zone())::date;
  page_id text := coalesce(setting_get('page_id') #>> '{}', 'muster');
  site jsonb := coalesce(two_languages(site_setting('site_name')), '{"zh":"系统状态","en":"System status"}');
  changed timestamptz := coalesce(greatest((select max(updated_at) from component), (select max(updated_at) from status_incident)), app_now());
  recent uuid[] := array(select id from status_incident order by created_at desc limit 50);
  page jsonb; summary jsonb := status_summary(); comps jsonb; docs jsonb; open_docs jsonb; views jsonb;
begin
  -- unresolved ones are always there, however many newer ones have been resolved
  recent := array(select distinct unnest(recent || array(select id from status_incident where resolved_at is null order by created_at desc limit 50)));
  page := jsonb_build_object('id', page_id, 'name', page_text(site), 'url', page_url(), 'time_zone', zone, 'updated_at', page_iso(changed, zone));
  select coalesce(jsonb_agg(component_doc(c, page_id, zone) order by c.position, c.slug), '[]') into comps from component c;
  select coalesce(jsonb_agg(status_incident_doc(s, page_id, zone) order by s.created_at desc), '[]'),
         coalesce(jsonb_agg(status_incident_doc(s, page_id, zone) order by s.created_at desc) filter (where s.resolved_at is null), '[]'),
         coalesce(jsonb_agg(status_incident_view(s) order by s.created_at desc), '[]')
    into docs, open_docs, views from status_incident s where s.id = any(recent);
  return jsonb_build_object('generated_at', iso(app_now()), 'changed_at', iso(changed), 'site', site, 'page', page, 'today', today,
    'status', summary || jsonb_build_object('is', jsonb_build_object(summary ->> 'indicator', true)),
    'sections', (
      select coalesce(jsonb_agg(jsonb_build_object('name', g.name, 'description', g.description, 'components', g.list) order by g.position, g.slug), '[]')
      from (select h.name, h.description, h.position, coalesce(h.slug, '') as slug, jsonb_agg(jsonb_build_object('slug', c.slug, 'id', c.id, 'name', c.name,
              'description', c.description, 'status', c.status, 'good', c.status = 'operational', 'bad', d.bad, 'has_bad', d.bad <> '[]', 'uptime', d.uptime,
              'empty', d.empty, 'empty_width', d.empty * 5, 'has_empty', d.empty > 0) order by c.position, c.slug) as list
            from component c join component_days() d on d.component = c.id left join component h on h.id = c.group_id
            group by h.id, h.name, h.description, h.position, h.slug) g),
    'open', (select coalesce(jsonb_agg(v), '[]') from jsonb_array_elements(views) v where (v ->> 'open')::bool),
    'maintenances', '[]'::jsonb,
    'days', (select jsonb_agg(jsonb_build_object('date', d::date, 'incidents', n.list, 'quiet', n.list = '[]') order by d desc)
      from generate_series(today - 14, today, interval '1 day') d cross join lateral (
        select coalesce(jsonb_agg(v), '[]') as list from jsonb_array_elements(views) v
        where not (v ->> 'open')::bool and ((v ->> 'started_at')::timestamptz at time zone zone)::date = d::date) n
      where d::date < today or n.list <> '[]' or not exists (select 1 from jsonb_array_elements(views) v where (v ->> 'open')::bool)),
    'history', (select coalesce(jsonb_agg(jsonb_build_object('date', n.day, 'incidents', n.list) order by n.day desc), '[]')
      from (select ((v ->> 'started_at')::timestamptz at time zone zone)::date as day, jsonb_agg(v) as list from jsonb_array_elements(views) v
            where ((v ->> 'started_at')::timestamptz at time zone zone)::date > today - 90 group by 1) n),
    'feed', jsonb_build_object('id', 'tag:muster,' || page_id || ':history', 'updated', iso(changed), 'updated_rfc822', rfc822(changed),
      'url', page_url(), 'entries', (select coalesce(jsonb_agg(v || jsonb_build_object('tag', 'tag:muster,' || page_id || ':incident/' || (v ->> 'id'),
          'url', page_url() || '/status/incidents/' || (v ->> 'code'),
          'updates', (select coalesce(jsonb_agg(u || jsonb_build_object('text', jsonb_build_object('zh', html_text(u #>> '{body,zh}'), 'en', html_text(u #>> '{body,en}')))
            order by n), '[]') from jsonb_array_elements(v -> 'updates') with ordinality t(u, n)), 'published_rfc822', rfc822((v ->> 'created_at')::timestamptz))), '[]')
        from jsonb_array_elements(views) with ordinality e(v, n) where n <= 50)),
    'documents', jsonb_build_object(
      'summary.json', jsonb_build_object('page', page, 'components', comps, 'incidents', open_docs, 'scheduled_maintenances', '[]'::jsonb, 'status', summary - 'word'),
      'status.json', jsonb_build_object('page', page, 'status', summary - 'word'),
      'components.json', jsonb_build_object('page', page, 'components', comps),
      'incidents.json', jsonb_build_object('page', page, 'incidents', (select coalesce(jsonb_agg(x.d), '[]') from (
        select d from jsonb_array_elements(docs) with ordinality t(d, n) order by n limit 50) x)),
      'incidents/unresolved.json', jsonb_build_object('page', page, 'incidents', open_docs),
      'scheduled-maintenances.json', jsonb_build_object('page', page, 'scheduled_maintenances', '[]'::jsonb),
      'scheduled-maintenances/upcoming.json', jsonb_build_object('page', page, 'scheduled_maintenances', '[]'::jsonb),
      'scheduled-maintenances/active.json', jsonb_build_object('page', page, 'scheduled_maintenances', '[]'::jsonb)));
end $$;

-- RFC 822 with a numeric zone, for RSS.
create or replace function rfc822(at timestamptz) returns text language sql stable as $$
  select to_char(at at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS') || ' +0000'
$$;

-- One public incident by its code.
create or replace function status_incident_page(code text) returns jsonb language plpgsql stable as $$
declare s status_incident%rowtype;
begin
  select * into s from status_incident x where x.code = status_incident_page.code;
  if not found then perform refuse('MU404', 'error.status.unknown'); end if;
  return status_incident_view(s) || jsonb_build_object('site', coalesce(two_languages(site_setting('site_name')), '{"zh":"系统状态","en":"System status"}'));
end $$;

-- ---- what people do ------------------------------------------------------------------------------------------------------------

-- The form for an update of one incident: components with their state now, what the public was told last.
drop function if exists status_form(text);
create or replace function status_form(incident text, form jsonb default null) returns jsonb language plpgsql stable as $$
declare i incident%rowtype; s status_incident%rowtype;
begin
  select * into i from incident x where x.ref = status_form.incident;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  select * into s from status_incident x where x.incident_id = i.id;
  return jsonb_build_object('kind', i.kind, 'ref', i.ref, 'title', i.title, 'severity', i.severity, 'state', i.state, 'incident_drill', i.kind = 'drill',
    'public', case when s.id is not null then status_incident_view(s) end, 'is_public', s.id is not null,
    'next', coalesce(s.status, 'investigating'), 'has_components', exists (select 1 from component c where not c.is_group),
    'statuses', (select jsonb_agg(jsonb_build_object('value', v, 'on', v = coalesce(form ->> 'status', s.status, 'investigating')) order by n)
      from unnest(array['investigating','identified','monitoring','resolved','postmortem']) with ordinality t(v, n)),
    'components', coalesce((select jsonb_agg(jsonb_build_object('slug', c.slug, 'name', c.name, 'status', c.status,
        'hit', exists (select 1 from incident_service h where h.incident_id = i.id and h.service_id = c.service_id and h.restored_at is null),
        'options', (select jsonb_agg(jsonb_build_object('value', v, 'on', v = coalesce(form #>> array['components', c.slug], form ->> ('components.' || c.slug), c.status)) order by n)
          from unnest(array['operational','degraded_performance','partial_outage','major_outage','under_maintenance']) with ordinality t(v, n)))
        order by c.position, c.slug) from component c where not c.is_group), '[]'));
end $$;

-- Publishes from the form or the interface. `components`: [{"component","status"}] or {"slug":"status"} (a form's fields); of a form
-- only the states that differ from what they are now count as changes.
drop function if exists status_post(text, text, jsonb, jsonb, jsonb);
create function status_post(incident text, status text, body jsonb, components jsonb, title jsonb)
returns table(body_json text, status_code int, location text) language plpgsql as $$
#variable_conflict use_column
declare i uuid; v_list jsonb; v jsonb; bad text;
begin
  select x.id into i from incident x where x.ref = status_post.incident;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  if jsonb_typeof(status_post.components) = 'object' then
    select e.key into bad from jsonb_each_text(status_post.components) e
    where not exists (select 1 from component c where c.slug = e.key and not c.is_group) limit 1;
    if bad is not null then
      perform refuse('MU422', 'error.component.unknown', '/components/' || bad, jsonb_build_object('name', bad));
    end if;
    select e.key into bad from jsonb_each_text(status_post.components) e where status_rank(e.value) = 0 and e.value not in ('operational','') limit 1;
    if bad is not null then perform refuse('MU422', 'error.component.status', '/components/' || bad); end if;
    select jsonb_agg(jsonb_build_object('component', e.key, 'status', e.value)) into v_list
    from jsonb_each(status_post.components) e left join component c on c.slug = e.key
    where c.status is distinct from e.value #>> '{}' and e.value #>> '{}' <> '';
  else
    v_list := status_post.components;
  end if;
  v := status_publish(i, status_post.status, status_post.body, v_list, status_post.title);
  return query select v::text, 201, '/incidents/' || status_post.incident || '/status-updates';
end $$;

-- ---- components (administration) ------------------------------------------------------------------------------------------------

create or replace function component_view(c component) returns jsonb language sql stable as $$
  select jsonb_build_object('slug', c.slug, 'id', c.id, 'name', c.name, 'description', c.description, 'position', c.position, 'status', c.status,
    'group', c.is_group, 'parent', (select g.slug from component g where g.id = c.group_id), 'service', (select s.slug from service s where s.id = c.service_id),
    'start_date', c.start_date, 'updated_at', iso(c.updated_at))
$$;

create or replace function component_list() returns jsonb language sql stable as $$
  select jsonb_build_object('has_components', exists (select 1 from component), 'components', coalesce((select jsonb_agg(component_view(c) || jsonb_build_object('depth', case when c.group_id is null then 0 else 1 end)
      order by coalesce(g.position, c.position), coalesce(g.slug, c.slug), c.group_id is not null, c.position, c.slug)
      from component c left join component g on g.id = c.group_id), '[]'),
    'groups', coalesce((select jsonb_agg(jsonb_build_object('slug', c.slug, 'name', c.name) order by c.position, c.slug) from component c where c.is_group), '[]'),
    'services', coalesce((select jsonb_agg(jsonb_build_object('slug', s.slug, 'name', s.name) order by s.slug)
      from (select * from service where retired_at is null and kind in ('business','app') order by slug limit 500) s), '[]'))
$$;

-- One component with the choices of its form.
create or replace function component_page(slug text, form jsonb) returns jsonb language plpgsql stable as $$
declare c component%rowtype; v jsonb; l jsonb := component_list();
begin
  select * into c from component x where x.slug = component_page.slug;
  if not found then perform refuse('MU404', 'error.component.unknown', '', jsonb_build_object('name', component_page.slug)); end if;
  v := component_view(c);
  return jsonb_build_object('component', v,
    'has_history', exists (select 1 from component_change h where h.component_id = c.id and h.status_incident_id is not null),
    'states', (select jsonb_agg(jsonb_build_object('value', s, 'on', s = coalesce(form ->> 'status', c.status)) order by n)
      from unnest(array['operational','degraded_performance','partial_outage','major_outage','under_maintenance']) with ordinality t(s, n)),
    'groups', (select coalesce(jsonb_agg(g || jsonb_build_object('on', g ->> 'slug' = coalesce(form ->> 'parent', v ->> 'parent'))), '[]')
      from jsonb_array_elements(l -> 'groups') g where g ->> 'slug' <> component_page.slug),
    'services', (select coalesce(jsonb_agg(x || jsonb_build_object('on', x ->> 'slug' = coalesce(form ->> 'service', v ->> 'service'))), '[]')
      from jsonb_array_elements(l -> 'services') x));
end $$;

-- Makes or changes a component. `slug` names it; `create_it` tells which is meant.
drop function if exists component_save(boolean, text, jsonb);
create function component_save(create_it boolean, slug text, b jsonb) returns jsonb language plpgsql as $$
#variable_conflict use_column
declare c component%rowtype; v_group component%rowtype; v_service uuid; v_is_group boolean;
begin
  select * into c from component x where x.slug = component_save.slug for update;
  if create_it and c.id is not null then perform refuse('MU409', 'error.component.exists', '/slug'); end if;
  if not create_it and c.id is null then perform refuse('MU404', 'error.component.unknown', '', jsonb_build_object('name', component_save.slug)); end if;
  v_is_group := coalesce((b ->> 'group')::bool, c.is_group, false);
  -- a form cannot send an empty field: the word none clears it
  if b ->> 'parent' = 'none' then b := jsonb_set(b, '{parent}', '""'); end if;
  if b ->> 'service' = 'none' then b := jsonb_set(b, '{service}', '""'); end if;
  if b ? 'parent' and coalesce(b ->> 'parent', '') <> '' then
    select * into v_group from component x where x.slug = b ->> 'parent' and x.is_group;
    if not found or v_group.slug = component_save.slug then perform refuse('MU422', 'error.component.group', '/parent'); end if;
    if v_is_group then perform refuse('MU422', 'error.component.nested', '/parent'); end if;
  end if;
  if b ? 'service' and coalesce(b ->> 'service', '') <> '' then
    select s.id into v_service from service s where s.slug = b ->> 'service' and s.retired_at is null;
    if not found then perform refuse('MU422', 'error.service.unknown', '/service', jsonb_build_object('name', b ->> 'service')); end if;
  end if;
  if create_it then
    insert into component(slug, name, description, service_id, group_id, is_group, position, start_date, created_at, updated_at)
    values (component_save.slug, two_languages(b -> 'name'), two_languages(b -> 'description'), v_service, v_group.id, v_is_group,
      coalesce((b ->> 'position')::int, (select coalesce(max(x.position), 0) + 1 from component x)),
      coalesce((b ->> 'start_date')::date, (app_now() at time zone page_zone())::date), app_now(), app_now()) returning * into c;
  else
    if v_is_group <> c.is_group and (exists (select 1 from component x where x.group_id = c.id)
        or exists (select 1 from component_change h where h.component_id = c.id)) then
      perform refuse('MU409', 'error.component.in_use', '/group');
    end if;
    update component x set name = coalesce(two_languages(b -> 'name'), x.name),
      description = case when b ? 'description' then two_languages(b -> 'description') else x.description end,
      service_id = case when b ? 'service' then v_service else x.service_id end, group_id = case when b ? 'parent' then v_group.id else x.group_id end,
      is_group = v_is_group, position = coalesce((b ->> 'position')::int, x.position), start_date = coalesce((b ->> 'start_date')::date, x.start_date),
      updated_at = app_now() where x.id = c.id returning * into c;
  end if;
  if b ? 'status' and coalesce(b ->> 'status', '') <> '' then
    perform component_set(c.id, b ->> 'status');
    select * into c from component x where x.id = c.id;
  end if;
  perform audit(case when create_it then 'component.created' else 'component.changed' end, component_save.slug, b - '_csrf');
  perform status_changed();
  return component_view(c);
end $$;

create or replace function component_remove(slug text) returns void language plpgsql as $$
declare c component%rowtype;
begin
  select * into c from component x where x.slug = component_remove.slug for update;
  if not found then perform refuse('MU404', 'error.component.unknown', '', jsonb_build_object('name', component_remove.slug)); end if;
  if exists (select 1 from component x where x.group_id = c.id) or exists (
      select 1 from component_change h where h.component_id = c.id and h.status_incident_id is not null) then
    perform refuse('MU409', 'error.component.in_use');
  end if;
  delete from component_change h where h.component_id = c.id;
  delete from component x where x.id = c.id;
  perform audit('component.removed', component_remove.slug, '{}');
  perform status_changed();
end $$;
