-- The run sheet: a run on paper, for when power or network fail, and what was written on it typed back in. Numbers are places in the
-- playbook, so that a sheet printed an hour ago still fits: 12 is a step, 12.3 its third item, 12-2 its second round.

create or replace function sheet_number(s run_step, item bigint default null) returns text language sql immutable as $$
  select s.position || case when s.occ > 1 then '-' || s.occ else '' end || coalesce('.' || item, '')
$$;

-- One row for each box, a step before its items. `typed`: the form as it was posted, for showing it again.
create or replace function sheet_rows(wanted uuid, typed jsonb default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('number', x.number, 'title', x.title, 'text', x.words, 'role_name', coalesce(x.roles -> x.role, role_label(x.role)),
      'path', x.path, 'occ', x.occ, 'item', x.item, 'kind', x.kind, 'is', jsonb_build_object(x.kind, true), 'is_item', x.item is not null, 'critical', nullif(x.critical, false),
      'done', x.done, 'open', x.open, 'closed', not x.open and not x.pending, 'due_at', iso(x.due_at), 'ended_at', iso(x.ended_at), 'options', x.options,
      'can', x.can and (x.open or x.pending), 'by', x.by_name,
      'checked', nullif(typed #>> array['done', x.number] is not null, false), 'value', typed #>> array['value', x.number], 'at', typed #>> array['at', x.number]))
    order by x.position, x.occ, x.path, coalesce(x.nth, 0)), '[]')
  from (
    select s.position, s.occ, s.path, i.n as nth, sheet_number(s, i.n) as number, case when i.n is null then coalesce(s.title, s.detail -> 'title', to_jsonb(s.step_id)) else jsonb_strip_nulls(jsonb_build_object('zh', i.item -> 'zh', 'en', i.item -> 'en')) end as title,
      case when i.n is null then s.detail -> 'text' end as words, case when i.n is null then s.role end as role, i.item ->> 'id' as item, s.kind,
      coalesce(case when i.n is null then s.detail ->> 'critical' else i.item ->> 'critical' end, 'false')::bool as critical,
      case when i.n is null then s.status in ('done','overridden') else i.item ->> 'state' = 'done' end as done,
      case when i.n is null then s.ended_at is null and s.status = 'active' else s.ended_at is null and s.status = 'active' and coalesce(i.item ->> 'state', 'open') = 'open' end as open,
      s.status = 'pending' as pending, i.n is not null or s.kind in ('task','decide') as can,
      case when i.n is null then s.due_at end as due_at, case when i.n is null then s.ended_at end as ended_at,
      case when i.n is null then (select jsonb_agg(jsonb_build_object('value', o -> 'value', 'label', jsonb_strip_nulls(jsonb_build_object('zh', coalesce(o -> 'zh', o -> 'value'), 'en', coalesce(o -> 'en', o -> 'value')))))
        from jsonb_array_elements(json_list(s.detail -> 'options')) o) end as options,
      case when i.n is null then s.detail #>> '{by,name}' else i.item #>> '{by,name}' end as by_name,
      (select case jsonb_typeof(v.body -> 'roles') when 'object' then v.body -> 'roles' else '{}' end from run r join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version where r.id = s.run_id) as roles
    from run_step s
    cross join lateral (
      select null::bigint as n, null::jsonb as item
      union all
      select e.n, e.item from jsonb_array_elements(json_list(s.detail -> 'items')) with ordinality e(item, n)) i
    where s.run_id = wanted and s.kind in ('task','checklist','decide','approve','report','wait','notify','status','http','call')   -- not what a drill has in store for its players
      and s.status not in ('skipped','cancelled')) x
$$;

create or replace function run_sheet(wanted uuid, form jsonb default null) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('id', r.id, 'title', v.title, 'version', r.playbook_version, 'sha256', v.body_sha256, 'ref', i.ref, 'incident_title', i.title,
    'status', r.status, 'kind', r.kind, 'drill', nullif(r.kind <> 'incident', false), 'severity', i.severity, 'open', r.finished_at is null,
    'commander', case when i.commander_id is not null then person_ref(i.commander_id) end, 'now', iso(app_now()),
    'roles', (select jsonb_agg(jsonb_build_object('name', coalesce(v.body #> array['roles', e.key], to_jsonb(e.key)), 'people', people_named(e.value)) order by e.key)
      from jsonb_each(case jsonb_typeof(r.state -> 'roles') when 'object' then r.state -> 'roles' else '{}' end) e),
    'rows', sheet_rows(r.id, form)))
  from run r join incident i on i.id = r.incident_id join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version
  where r.id = wanted
$$;
