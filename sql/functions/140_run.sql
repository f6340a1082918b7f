-- Starting a playbook on an incident, and what the screens show of runs and steps. The engine itself is C; these functions prepare
-- the row it works on and read what it wrote.

-- A list, or an empty one where there is none.
create or replace function json_list(j jsonb) returns jsonb language sql immutable parallel safe as $$
  select case when jsonb_typeof(j) = 'array' then j else '[]' end
$$;

-- Fills the incident's roles a playbook names and `given` does not: with the register's holders, else the user or team the playbook
-- itself names. Whoever has the role in the incident already keeps it.
create or replace function run_fill_roles(i incident, playbook jsonb, given jsonb) returns void language plpgsql as $$
declare r record; p record;
begin
  for r in select e.key, e.value from jsonb_each(case jsonb_typeof(playbook->'roles') when 'object' then playbook->'roles' else '{}' end) e
           where jsonb_array_length(json_list(given->e.key)) = 0 order by e.key loop
    for p in select distinct x.person from (
        select role_people(i.id, r.key) as person
        union select q.id from person q where q.active and q.login = r.value #>> '{resolve,user}'
        union select m.person_id from team t join team_member m on m.team_id = t.id join person q on q.id = m.person_id and q.active
          where t.slug = r.value #>> '{resolve,team}') x
      where r.key <> 'commander' or i.commander_id is null or x.person = i.commander_id loop
      if incident_role_add(i.id, r.key, p.person) then
        perform timeline_add(i.id, null, 'role_added', null, jsonb_build_object('role', r.key, 'person', person_ref(p.person)), null);
        if r.key = 'commander' then update incident x set commander_id = coalesce(x.commander_id, p.person) where x.id = i.id; end if;
      end if;
    end loop;
  end loop;
end $$;

-- Makes the row of a new run of the latest published version, and fills the roles its playbook names.
create or replace function run_prepare(incident uuid, playbook text) returns uuid language plpgsql as $$
declare i incident%rowtype; v record; v_run uuid; v_now timestamptz := to_ms(app_now());
begin
  select * into i from incident x where x.id = run_prepare.incident for update;
  select b.id, w.version, w.body, w.title into v from playbook b join playbook_version w on w.playbook_id = b.id and w.state = 'published'
    where b.slug = run_prepare.playbook and b.archived_at is null order by w.version desc limit 1;
  if not found then perform refuse('MU422', 'error.playbook.unknown', '/playbook', jsonb_build_object('name', run_prepare.playbook)); end if;
  if exists (select 1 from run x where x.incident_id = i.id and x.playbook_id = v.id and x.finished_at is null and x.kind <> 'rehearsal' and x.parent_run is null) then
    perform refuse('MU409', 'error.run.already', '/playbook');
  end if;
  insert into run(incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
  values (i.id, i.kind, v.id, v.version, 'running', 2, repeat('0', 64), '{}', v_now, v_now, v_now) returning id into v_run;
  perform run_fill_roles(i, v.body, '{}');
  perform timeline_add(i.id, null, 'run_started', null, jsonb_build_object('run', v_run, 'playbook', run_prepare.playbook, 'version', v.version, 'title', v.title));
  return v_run;
end $$;

-- What the engine is told at the start: who fills the playbook's roles.
create or replace function run_start_data(run uuid) returns jsonb language plpgsql stable as $$
#variable_conflict use_column
begin return (
  select jsonb_build_object('vars', '{}'::jsonb, 'roles', coalesce((
    select jsonb_object_agg(x.role, x.people) from (
      select r.role, jsonb_agg(r.person_id order by r.id) as people from incident_role r
      where r.incident_id = u.incident_id and r.until is null
        and (r.role = 'commander' or v.body->'roles' ? r.role) group by r.role) x), '{}'))
  from run u join playbook_version v on v.playbook_id = u.playbook_id and v.version = u.playbook_version
  where u.id = run_start_data.run);
end $$;

-- Makes the row of a run that a step of another run calls (effect `child`). Locks nothing more: the incident is held. Gives {"run",
-- "version","hash","start":{data of run_created},"title"}, with "again" when this call's run is still going; or {"error": key}.
create or replace function run_child(parent uuid, e jsonb) returns jsonb language plpgsql as $$
declare p run%rowtype; i incident%rowtype; d jsonb := e -> 'data'; v record; v_run uuid;
begin
  select * into p from run x where x.id = run_child.parent;
  select jsonb_build_object('run', x.id, 'version', x.playbook_version, 'hash', w.body_sha256, 'again', true) as j into v
    from run x join playbook_version w on w.playbook_id = x.playbook_id and w.version = x.playbook_version
    where x.parent_run = p.id and x.parent_key = e ->> 'key' and x.finished_at is null;
  if found then return v.j; end if;
  if p.depth >= 8 then return jsonb_build_object('error', 'error.child.depth'); end if;
  select b.id, w.version, w.body, w.title, w.body_sha256 into v from playbook b join playbook_version w on w.playbook_id = b.id
    where b.slug = d ->> 'playbook' and b.archived_at is null
      and case when d ->> 'version' is null then w.state = 'published' else w.version = (d ->> 'version')::int and w.state in ('published', 'retired') end
    order by w.version desc limit 1;
  if not found then return jsonb_build_object('error', 'error.child.unknown'); end if;
  insert into run(incident_id, kind, playbook_id, playbook_version, parent_run, parent_path, parent_occ, parent_key, depth, status, engine_version, last_hash, state,
    clock_ref_real, clock_ref_sim, clock_speed, created_at)
  values (p.incident_id, p.kind, v.id, v.version, p.id, e ->> 'path', (e ->> 'occ')::int, e ->> 'key', p.depth + 1, 'running', 2, repeat('0', 64), '{}',
    p.clock_ref_real, p.clock_ref_sim, p.clock_speed, to_ms(app_now())) returning id into v_run;
  return jsonb_build_object('run', v_run, 'version', v.version, 'hash', v.body_sha256, 'title', v.title,
    'start', jsonb_build_object('vars', '{}'::jsonb, 'params', coalesce(nullif(d -> 'params', 'null'), '{}'), 'roles', run_child_roles(p, v.body, d -> 'roles')));
end $$;

-- Roles of a called run: those handed down by name, the others as when a run is started by hand.
create or replace function run_child_roles(p run, playbook jsonb, given jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.id = p.incident_id;
  perform run_fill_roles(i, playbook, given);
  return coalesce((select jsonb_object_agg(x.role, x.people) from (
    select k.role, case when jsonb_array_length(json_list(given -> k.role)) > 0 then given -> k.role
      else coalesce((select jsonb_agg(n.person_id order by n.id) from incident_role n where n.incident_id = i.id and n.until is null and n.role = k.role), '[]') end as people
    from (select 'commander' as role union select jsonb_object_keys(case jsonb_typeof(playbook -> 'roles') when 'object' then playbook -> 'roles' else '{}' end)) k) x), '{}');
end $$;

-- The called run goes on, or its playbook would not start: then the row goes as well, for nothing was written of it.
create or replace function run_child_end(run uuid, started boolean) returns void language plpgsql as $$
declare r record;
begin
  if not started then
    delete from run x where x.id = run_child_end.run and x.seq = 0;
    return;
  end if;
  select x.*, v.title, b.slug into r from run x join playbook_version v on v.playbook_id = x.playbook_id and v.version = x.playbook_version
    join playbook b on b.id = x.playbook_id where x.id = run_child_end.run;
  if r.kind <> 'rehearsal' then
    perform timeline_add(r.incident_id, null, 'run_started', null, jsonb_build_object('run', r.id, 'playbook', r.slug, 'version', r.playbook_version, 'title', r.title,
      'parent', r.parent_run), null);
  end if;
end $$;

-- Starts a playbook on an incident that is already there.
create or replace function incident_run(ref text, body jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); v_run uuid;
begin
  perform incident_must_be_open(i);
  v_run := run_prepare(i.id, body->>'playbook');
  update incident x set version = version + 1 where x.id = i.id;
  return jsonb_build_object('incident', i.id, 'ref', i.ref, 'run', v_run, 'start', run_start_data(v_run));
end $$;

-- Locks the incident of a run, which every change of the run does first, and tells what a handler needs of both.
create or replace function run_open(run uuid) returns table(incident uuid, ref text, kind text, version int, may_command boolean) language plpgsql as $$
declare i incident%rowtype;
begin
  select x.* into i from incident x join run u on u.incident_id = x.id where u.id = run_open.run for update of x;
  if not found then perform refuse('MU404', 'error.run.unknown', ''); end if;
  return query select i.id, i.ref, i.kind, i.version, incident_may_command(i);
end $$;

-- What was typed into a field of a step's form.
create or replace function step_typed(typed jsonb, field text) returns text language sql immutable as $$
  select coalesce(typed->>('values.' || field), typed->'values'->>field)
$$;

-- People as the engine keeps them, with their names in both languages.
create or replace function people_named(people jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(e.value || jsonb_build_object('name', coalesce(p.name, e.value->'name')) order by e.ordinality), '[]')
  from jsonb_array_elements(json_list(people)) with ordinality e left join person p on p.id::text = e.value->>'id'
$$;

-- Fields of a form as templates draw them.
create or replace function form_fields(form jsonb, typed jsonb) returns jsonb language sql immutable as $$
  select jsonb_agg(jsonb_build_object('id', f.value->'id', 'label', jsonb_strip_nulls(jsonb_build_object('zh', coalesce(f.value->'zh', f.value->'id'), 'en', coalesce(f.value->'en', f.value->'id'))),
      'type', f.value->'type', 'required', coalesce((f.value->>'required')::bool, false),
      'is_bool', f.value->>'type' = 'bool', 'is_enum', f.value->>'type' = 'enum', 'is_number', f.value->>'type' = 'int',
      'is_text', f.value->>'type' not in ('bool','enum','int'), 'options', (select jsonb_agg(jsonb_build_object('value', v, 'chosen', v = step_typed(typed, f.value->>'id'))) from jsonb_array_elements_text(json_list(f.value->'values')) v),
      'value', coalesce(step_typed(typed, f.value->>'id'), ''), 'yes', step_typed(typed, f.value->>'id') = 'true', 'no', step_typed(typed, f.value->>'id') = 'false') order by f.ordinality)
  from jsonb_array_elements(json_list(form)) with ordinality f
$$;

-- What was filled in, with the labels of the form.
create or replace function form_given(form jsonb, given jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('label', jsonb_strip_nulls(jsonb_build_object('zh', coalesce(f.value->'zh', f.value->'id'), 'en', coalesce(f.value->'en', f.value->'id'))),
      'value', given->>(f.value->>'id')) order by f.ordinality) filter (where given->>(f.value->>'id') is not null), '[]')
  from jsonb_array_elements(json_list(form)) with ordinality f
$$;

-- May this person use the commander's powers in the run: by a role of the product, or as the run's own commander.
create or replace function run_may_command(r run) returns boolean language sql stable as $$
  select has_role('commander') or me() is not null and exists (select 1 from jsonb_array_elements(json_list(r.state #> '{roles,commander}')) p where p.value->>'id' = me()::text)
$$;

-- May judge and deliver injects: who commands, or has the playbook's role of a controller.
create or replace function run_may_control(r run) returns boolean language sql stable as $$
  select run_may_command(r) or me() is not null and exists (select 1 from jsonb_array_elements(json_list(r.state #> '{roles,controller}')) p where p.value->>'id' = me()::text)
$$;

-- Who sees what a drill has in store before it comes: its controllers; where it has none, whoever commands and so controls it too.
create or replace function run_sees_injects(r run) returns boolean language sql stable as $$
  select case when json_list(r.state #> '{roles,controller}') <> '[]' then exists (select 1 from jsonb_array_elements(r.state #> '{roles,controller}') p where p.value->>'id' = me()::text)
    else run_may_command(r) end
$$;

-- Which of the powers make sense for a step now, for the buttons; the engine decides when one is pressed.
create or replace function step_can(s run_step, r run, live boolean, command boolean) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'skip', nullif(live and command, false), 'override', nullif(live and command, false),
    'retry', nullif(live and command and coalesce((s.detail->>'asks')::bool, false), false),
    'anew', nullif(live and command and coalesce((s.detail->>'asks')::bool, false) and s.kind in ('notify', 'http', 'call'), false),
    'reopen', nullif(command and r.finished_at is null and s.ended_at is not null and s.status in ('done', 'skipped', 'overridden') and s.kind in ('task', 'checklist', 'decide', 'approve'), false),
    'choose', nullif(live and command and s.kind in ('if', 'switch') and jsonb_array_length(json_list(s.detail->'branches')) > 0, false),
    'reassign', nullif(live and command and s.kind in ('task', 'checklist', 'decide', 'approve', 'report'), false),
    'deliver', nullif(s.kind = 'inject' and r.kind <> 'incident' and s.ended_at is null and r.finished_at is null and run_may_control(r), false),
    'judge', nullif(s.kind = 'inject' and s.detail #> '{inject,delivered_at}' is not null and run_may_control(r), false)))
$$;

-- Why a step failed: what the sender or the start of a called playbook said, where the engine only knows that it failed.
create or replace function step_cause(s run_step) returns text language sql stable as $$
  select case when s.detail->>'error' is null then null else coalesce(
    case when s.kind = 'http' and s.detail->>'error' like 'error.run.effect%' then (select h.last_error from http_call h where h.run_id = s.run_id and h.path = s.path and h.occ = s.occ order by h.id desc limit 1) end,
    case when s.kind = 'call' and s.detail->>'error' = 'error.run.child_start' then (select e.body #>> '{data,error}' from run_event e
      where e.run_id = s.run_id and e.kind = 'effect_failed' and e.path = s.path and e.occ = s.occ order by e.seq desc limit 1) end,
    s.detail->>'error') end
$$;

-- One step as screens show it: the engine's document with flags for the template, the people of its role, and what I may do.
-- `typed` = what a form that failed had in it, so that nothing typed is lost.
drop function if exists step_view(run_step, run, jsonb, int);
create or replace function step_view(s run_step, r run, roles jsonb, typed jsonb default null) returns jsonb language sql stable as $$
  with d as (select s.detail as d,
      s.ended_at is null and s.status in ('active','waiting','ready','failed','unknown') as live,
      people_named(case when s.detail ? 'assigned' then jsonb_build_array(s.detail->'assigned') else r.state #> array['roles', s.role] end) as people,
      coalesce((s.detail->>'asks')::bool, false) as asks, run_may_command(r) as command,
      s.due_at is not null and s.ended_at is null as running),
  me as (select exists (select 1 from d, jsonb_array_elements(d.people) p where p.value->>'id' = me()::text) as mine)
  select jsonb_strip_nulls(jsonb_build_object(
    'run', s.run_id, 'path', s.path, 'occ', s.occ, 'anchor', 's' || substr(md5(s.run_id || s.path || s.occ), 1, 10), 'id', s.step_id, 'kind', s.kind, 'status', s.status,
    'is', jsonb_build_object(s.kind, true, 'status_' || s.status, true), 'live', d.live and r.finished_at is null, 'asks', d.asks, 'position', s.position,
    'title', coalesce(s.title, d.d->'title', to_jsonb(s.step_id)), 'text', d.d->'text', 'role', s.role,
    'role_name', coalesce(roles->s.role, role_label(s.role)), 'people', d.people, 'nobody', s.role is not null and d.people = '[]', 'mine', me.mine,
    'critical', nullif((d.d->>'critical')::bool, false),
    'due_at', iso(s.due_at), 'running', d.running, 'overdue', d.running and s.due_at < app_now(),
    'soon', d.running and s.due_at between app_now() and app_now() + interval '5 minutes',
    'started_at', iso(s.started_at), 'ended_at', iso(s.ended_at), 'cause', d.d->'cause', 'by', case when jsonb_typeof(d.d->'by') = 'object' then people_named(jsonb_build_array(d.d->'by'))->0 end, 'result', s.result, 'error', delivery_said(step_cause(s)), 'error_key', case when delivery_why(step_cause(s)) is null and step_cause(s) ~ '^error[.]' then step_cause(s) end,
    'choice', case when s.kind = 'decide' and jsonb_typeof(s.result) = 'object' then coalesce(
        (select jsonb_build_object('zh', coalesce(o.value->'zh', o.value->'value'), 'en', coalesce(o.value->'en', o.value->'value')) from jsonb_array_elements(json_list(d.d->'options')) o
          where exists (select 1 from jsonb_each_text(s.result) x where x.value = o.value->>'value') limit 1),
        (select to_jsonb(string_agg(x.value, ', ' order by x.key)) from jsonb_each_text(s.result) x)) end, 'note_typed', typed->>'note', 'reason_typed', typed->>'reason', 'link_typed', typed->>'link')
    || jsonb_build_object('may_act', d.live and (me.mine or d.command), 'may_command', d.live and d.command,
    'may_reopen', not d.live and s.status in ('done','skipped','overridden') and s.kind in ('task','checklist','decide','approve') and d.command and r.finished_at is null,
    'can', step_can(s, r, d.live, d.command),
    'branches', case when d.live and d.command then (select jsonb_agg(jsonb_build_object('value', b.value, 'current', b.value #>> '{}' = d.d->>'branch') order by b.ordinality)
      from jsonb_array_elements(json_list(d.d->'branches')) with ordinality b) end,
    'assigned', d.d->'assigned', 'adhoc', nullif((d.d->>'adhoc')::bool, false), 'beside', d.d->'beside', 'forced', nullif((d.d->>'forced')::bool, false), 'branch', d.d->'branch',
    'loop', d.d->'loop', 'item', d.d->'item', 'http', d.d->'http', 'inject', d.d->'inject', 'child', (d.d->'child') || coalesce((select jsonb_build_object('open', c.finished_at is null, 'title', w.title)
      from run c join playbook_version w on w.playbook_id = c.playbook_id and w.version = c.playbook_version where c.id = (d.d #>> '{child,run}')::uuid), '{}'),
    'read_do', nullif(d.d->>'mode' = 'read_do', false),
    'items', (select jsonb_agg(jsonb_build_object('id', i.value->'id', 'title', jsonb_strip_nulls(jsonb_build_object('zh', i.value->'zh', 'en', i.value->'en')),
        'critical', coalesce((i.value->>'critical')::bool, false), 'done', i.value->>'state' = 'done', 'na', i.value->>'state' = 'not_applicable',
        'todo', coalesce(i.value->>'state', 'open') not in ('done', 'not_applicable'), 'by', case when jsonb_typeof(i.value->'by') = 'object' then people_named(jsonb_build_array(i.value->'by'))->0 end, 'at', i.value->'at', 'reason', i.value->'reason',
        'fields', coalesce(form_fields(i.value->'form', null), '[]'), 'given', form_given(i.value->'form', i.value->'values'),
        'plain', jsonb_array_length(json_list(i.value->'form')) = 0, 'seen', coalesce(i.value->>'value', '')) order by i.ordinality)
      from jsonb_array_elements(json_list(d.d->'items')) with ordinality i),
    'items_done', (select count(*) from jsonb_array_elements(json_list(d.d->'items')) i where i.value->>'state' in ('done','not_applicable')),
    'items_all', nullif(jsonb_array_length(json_list(d.d->'items')), 0),
    'fields', form_fields(d.d->'form', typed),
    'options', (select jsonb_agg(jsonb_build_object('value', o.value->'value', 'label', jsonb_strip_nulls(jsonb_build_object('zh', coalesce(o.value->'zh', o.value->'value'), 'en', coalesce(o.value->'en', o.value->'value')))) order by o.ordinality)
      from jsonb_array_elements(json_list(d.d->'options')) with ordinality o),
    'approve', case when d.d ? 'approve' then (d.d->'approve') || jsonb_build_object('given', people_named(d.d #> '{approve,given}'), 'given_count', jsonb_array_length(json_list(d.d #> '{approve,given}')),
        'i_did', exists (select 1 from jsonb_array_elements(json_list(d.d #> '{approve,given}')) g where g.value->>'id' = me()::text)) end,
    'evidence', d.d->'evidence', 'report', d.d->'report', 'notify', d.d->'notify', 'second', d.d->'second', 'escalation', d.d->'escalation',
    'delivery', case when s.kind = 'notify' then (select jsonb_strip_nulls(jsonb_build_object('all', count(*), 'done', count(*) filter (where b.state in ('done','simulated')),
        'bad', nullif(count(*) filter (where b.state in ('dead','unknown')), 0), 'acked', count(b.acked_at), 'ack', nullif(count(b.ack_token), 0)))
      from outbox b where b.run_id = s.run_id and b.path = s.path and b.occ = s.occ) end))
  from d, me
$$;

-- Who may touch a step at all: people with a duty in the incident or a role that works. The engine then asks for the step's own role,
-- but lets anybody help where nobody has it, and anybody answer an escalation; onlookers are not meant.
create or replace function run_duty(run uuid) returns void language plpgsql stable as $$
begin
  if not (has_role('responder') or has_role('risk') or has_role('approver')) and not exists (
      select 1 from run r join incident_role x on x.incident_id = r.incident_id and x.person_id = me() and x.until is null where r.id = run_duty.run) then
    perform refuse('MU403', 'error.run.role', '');
  end if;
end $$;

-- A person as events name one, for an id or a login.
create or replace function run_person(who text, pointer text) returns jsonb language sql stable as $$
  select jsonb_build_object('id', p, 'name', person_label(p)) from (select person_named(who, pointer) as p) x
$$;

-- The value of a variable from what was typed, by its type in the playbook; what does not fit stays text, and the engine refuses it.
create or replace function run_var_value(run uuid, var text, typed text) returns jsonb language plpgsql stable as $$
declare v_type text;
begin
  select w.body #>> array['vars', var, 'type'] into v_type from run r join playbook_version w on w.playbook_id = r.playbook_id and w.version = r.playbook_version where r.id = run_var_value.run;
  if v_type in ('int', 'decimal') and typed ~ '^-?[0-9]{1,15}([.][0-9]{1,9})?$' then return to_jsonb(typed::numeric); end if;
  if v_type = 'bool' and lower(typed) in ('true', 'on', 'yes', '1') then return 'true'; end if;
  if v_type = 'bool' and lower(typed) in ('false', 'off', 'no', '0') then return 'false'; end if;
  if v_type ~ '^list' and typed ~ '^\s*\[' then
    begin return typed::jsonb; exception when others then return to_jsonb(typed); end;
  end if;
  return to_jsonb(typed);
end $$;

-- The data of an act as far as it names things: people, variables, the texts and receivers of a step that is added.
create or replace function step_data(run uuid, act text, body jsonb) returns jsonb language plpgsql stable as $$
begin
  perform run_duty(step_data.run);
  return case act
    when 'hand_over' then jsonb_build_object('person', run_person(body ->> 'person', '/person'))
    when 'reassign' then case when body ? 'person' then jsonb_build_object('person', run_person(body ->> 'person', '/person')) else jsonb_strip_nulls(jsonb_build_object('role', body -> 'role')) end
    when 'override' then case when body ? 'var' then jsonb_build_object('var', body -> 'var', 'value', run_var_value(step_data.run, body ->> 'var', body ->> 'value')) else '{}' end
    when 'inject_judge' then jsonb_strip_nulls(jsonb_build_object('score', body -> 'score'))
    when 'adhoc' then jsonb_strip_nulls(jsonb_build_object('kind', coalesce(body ->> 'kind', 'task'), 'title', two_languages(body -> 'title'), 'text', two_languages(nullif(body -> 'text', '""')),
      'role', nullif(body ->> 'role', ''), 'to', body -> 'to', 'via', body -> 'via'))
    else '{}' end::jsonb;
end $$;

-- The occurrence a form means (the latest when it names none), and its values as the step's form types them: a page sends text.
create or replace function step_open(run uuid, path text, p_occ int, typed jsonb) returns table(occ int, given text) language plpgsql stable as $$
declare s run_step%rowtype; v jsonb := coalesce(typed, '{}'); f record; t text;
begin
  perform run_duty(step_open.run);
  select x.* into s from run_step x where x.run_id = step_open.run and x.path = step_open.path and (p_occ is null or x.occ = p_occ) order by x.occ desc limit 1;
  if not found then perform refuse('MU404', 'error.step.unknown', '/path'); end if;
  for f in
    select x.value->>'id' as id, x.value->>'type' as type from jsonb_array_elements(json_list(s.detail->'form')) x
    union all
    select x.value->>'id', x.value->>'type' from jsonb_array_elements(json_list(s.detail->'items')) i,
      jsonb_array_elements(json_list(i.value->'form')) x
  loop
    continue when jsonb_typeof(v->f.id) is distinct from 'string';
    t := btrim(v->>f.id);
    if f.type = 'int' and t ~ '^-?[0-9]{1,15}$' then v := v || jsonb_build_object(f.id, t::bigint);
    elsif f.type = 'bool' and lower(t) in ('true','on','yes','1') then v := v || jsonb_build_object(f.id, true);
    elsif f.type = 'bool' and lower(t) in ('false','off','no','0') then v := v || jsonb_build_object(f.id, false);
    end if;
  end loop;
  return query select s.occ, v::text;
end $$;

-- Kinds a person sees as work; the others only hold steps together.
create or replace function step_is_work(kind text) returns boolean language sql immutable as $$
  select kind in ('task','checklist','decide','approve','notify','http','status','report','wait','call','inject')
$$;

-- Another run as a page mentions it.
create or replace function run_mention(run uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('id', r.id, 'title', v.title, 'version', r.playbook_version, 'status', r.status, 'open', r.finished_at is null)
  from run r join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version where r.id = run_mention.run
$$;

create or replace function run_can(r run) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('pause', nullif(c.c and r.status <> 'paused', false), 'resume', nullif(c.c and r.status = 'paused', false), 'abort', nullif(c.c, false),
    'clock', nullif(c.c and r.kind <> 'incident', false), 'adhoc', nullif(c.c, false), 'override_var', nullif(c.c, false), 'hand_over', nullif(c.c, false)))
  from (select run_may_command(r) and r.finished_at is null as c) c
$$;

-- One run with its current steps in full, the last that ended and the next that will come.
drop function if exists run_view(run, boolean);
create or replace function run_view(r run, everything boolean default false, form jsonb default null) returns jsonb language sql stable as $$
  with v as (select w.title, w.body, p.slug from playbook_version w join playbook p on p.id = w.playbook_id where w.playbook_id = r.playbook_id and w.version = r.playbook_version),
  roles as (select case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end as roles from v),
  steps as (select s.* from run_step s where s.run_id = r.id and (s.kind <> 'inject' or s.detail #> '{inject,delivered_at}' is not null or run_sees_injects(r)) and (step_is_work(s.kind) and (s.kind <> 'call' or s.detail ? 'child') or coalesce((s.detail->>'asks')::bool, false))),
  counts as (select count(*) filter (where ended_at is not null) as done, count(*) as total from steps)
  select jsonb_build_object('id', r.id, 'playbook', v.slug, 'title', v.title, 'version', r.playbook_version, 'kind', r.kind, 'status', r.status,
    'is', jsonb_build_object(r.status, true), 'open', r.finished_at is null, 'created_at', iso(r.created_at), 'finished_at', iso(r.finished_at),
    'done', counts.done, 'total', counts.total, 'seq', r.seq, 'second', case when jsonb_typeof(r.state #> '{second,abort,by}') = 'object' then people_named(jsonb_build_array(r.state #> '{second,abort,by}'))->0 end, 'may_command', run_may_command(r) and r.finished_at is null,
    'role_choices', (select jsonb_agg(jsonb_build_object('id', e.key, 'name', case when jsonb_typeof(e.value) = 'object' and e.value ?| array['zh','en'] then jsonb_build_object('zh', coalesce(e.value -> 'zh', e.value -> 'en'), 'en', coalesce(e.value -> 'en', e.value -> 'zh')) else to_jsonb(e.key) end) order by e.key) from jsonb_each(roles.roles) e),
    'can', run_can(r), 'drill_clock', run_clock_view(r), 'parent', run_mention(r.parent_run), 'called_by', r.parent_path,
    'children', coalesce((select jsonb_agg(run_mention(c.id) || jsonb_build_object('path', c.parent_path, 'occ', c.parent_occ) order by c.created_at, c.id) from run c where c.parent_run = r.id), '[]'),
    'current', coalesce((select jsonb_agg(step_view(s::run_step, r, roles.roles, case when form->>'path' = s.path then form end) order by coalesce((s.detail->>'asks')::bool, false) desc, s.due_at nulls last, s.position, s.path)
      from steps s where r.finished_at is null and s.ended_at is null and s.status in ('active','waiting','ready','failed','unknown')), '[]'),
    'ended', coalesce((select jsonb_agg(step_view(s::run_step, r, roles.roles) order by s.ended_seq desc nulls last, s.position desc)
      from (select * from steps where ended_at is not null and status not in ('cancelled') order by ended_seq desc nulls last limit case when everything then 2000 else 20 end) s), '[]'),
    'next', coalesce((select jsonb_agg(jsonb_build_object('path', s.path, 'kind', s.kind, 'title', coalesce(s.title, to_jsonb(s.step_id)), 'role', s.role, 'role_name', coalesce(roles.roles->s.role, role_label(s.role))) order by s.position, s.path)
      from (select * from steps where status = 'pending' and r.finished_at is null order by position, path limit case when everything then 2000 else 8 end) s), '[]'))
  from v, roles, counts
$$;

-- Blocks that are open: what a commander can skip, or send down another branch.
create or replace function run_blocks(r run) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(step_view(s, r, '{}') order by s.position, s.path), '[]') from run_step s
  where s.run_id = r.id and r.finished_at is null and s.ended_at is null and s.status in ('active', 'waiting', 'ready', 'failed') and not (step_is_work(s.kind) and (s.kind <> 'call' or s.detail ? 'child'))
$$;

drop function if exists run_get(uuid);
create or replace function run_get(run uuid, form jsonb) returns table(body text, etag text) language plpgsql stable as $$
begin
  if not exists (select 1 from run u where u.id = run_get.run) then perform refuse('MU404', 'error.run.unknown', ''); end if;
  return query select (run_view(u, true, form) || jsonb_build_object('ref', i.ref, 'kind', i.kind, 'incident_title', i.title, 'now', iso(app_now()), 'blocks', run_blocks(u),
      'assignable', case when run_may_command(u) and u.finished_at is null then people_active() else '[]' end,
      'roles', (select coalesce(jsonb_agg(jsonb_build_object('role', k.key, 'name', k.value) order by k.key), '[]') from playbook_version w, jsonb_each(case jsonb_typeof(w.body->'roles') when 'object' then w.body->'roles' else '{}' end) k
        where w.playbook_id = u.playbook_id and w.version = u.playbook_version)))::text, u.seq::text
    from run u join incident i on i.id = u.incident_id where u.id = run_get.run;
end $$;

-- Keeps a file with an incident. `file` = {name, type, size, base64} as the form checker makes it.
create or replace function attachment_add(incident uuid, file jsonb) returns jsonb language plpgsql as $$
declare a attachment%rowtype; v_bytes bytea := decode(file->>'base64', 'base64'); v_name text := file->>'name';
begin
  v_name := regexp_replace(regexp_replace(coalesce(nullif(v_name, ''), 'file'), '^.*[/\\]', ''), '[[:cntrl:]"<>|:*?]', '_', 'g');
  insert into attachment(incident_id, name, media, size, sha256, bytes, added_by, added_at)
  values (attachment_add.incident, left(v_name, 200), coalesce(nullif(file->>'type', ''), 'application/octet-stream'), octet_length(v_bytes),
    encode(sha256(v_bytes), 'hex'), v_bytes, me(), app_now()) returning * into a;
  perform timeline_add(a.incident_id, null, 'attachment', null, jsonb_build_object('id', a.id, 'name', a.name, 'size', a.size, 'sha256', a.sha256));
  return jsonb_build_object('kind', 'file', 'name', a.name, 'ref', '/attachments/' || a.id);
end $$;

-- The run while its step is still open; null once it is closed, skipped or the run is over. What people do with a report counts
-- then all the same: the playbook just has nothing more to learn from it.
create or replace function open_run(run uuid, path text, occ int) returns uuid language sql stable as $$
  select s.run_id from run_step s join run r on r.id = s.run_id
  where s.run_id = open_run.run and s.path = open_run.path and s.occ = coalesce(open_run.occ, 1) and s.ended_at is null and r.finished_at is null
$$;
