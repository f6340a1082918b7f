-- Starting a playbook on an incident, and what the screens show of runs and steps. The engine itself is C; these functions prepare
-- the row it works on and read what it wrote.

-- Makes the row of a new run of the latest published version, and fills the incident's roles the playbook names: with whoever has the
-- role in the incident already, else the register's holders, else the user or team the playbook itself names.
create or replace function run_prepare(incident uuid, playbook text) returns uuid language plpgsql as $$
declare i incident%rowtype; v record; r record; v_run uuid; p record; v_now timestamptz := to_ms(app_now());
begin
  select * into i from incident x where x.id = run_prepare.incident for update;
  select b.id, w.version, w.body, w.title into v from playbook b join playbook_version w on w.playbook_id = b.id and w.state = 'published'
    where b.slug = run_prepare.playbook and b.archived_at is null order by w.version desc limit 1;
  if not found then perform refuse('MU422', 'error.playbook.unknown', '/playbook', jsonb_build_object('name', run_prepare.playbook)); end if;
  if exists (select 1 from run x where x.incident_id = i.id and x.playbook_id = v.id and x.finished_at is null and x.kind <> 'rehearsal') then
    perform refuse('MU409', 'error.run.already', '/playbook');
  end if;
  insert into run(incident_id, kind, playbook_id, playbook_version, status, engine_version, last_hash, state, clock_ref_real, clock_ref_sim, created_at)
  values (i.id, i.kind, v.id, v.version, 'running', 2, repeat('0', 64), '{}', v_now, v_now, v_now) returning id into v_run;
  for r in select e.key, e.value from jsonb_each(case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end) e order by e.key loop
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
  perform timeline_add(i.id, null, 'run_started', null, jsonb_build_object('run', v_run, 'playbook', run_prepare.playbook, 'version', v.version, 'title', v.title));
  return v_run;
end $$;

-- What the engine is told at the start: who fills the playbook's roles.
create or replace function run_start_data(run uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('vars', '{}'::jsonb, 'roles', coalesce((
    select jsonb_object_agg(x.role, x.people) from (
      select r.role, jsonb_agg(r.person_id order by r.id) as people from incident_role r
      where r.incident_id = u.incident_id and r.until is null
        and (r.role = 'commander' or v.body->'roles' ? r.role) group by r.role) x), '{}'))
  from run u join playbook_version v on v.playbook_id = u.playbook_id and v.version = u.playbook_version
  where u.id = run_start_data.run
$$;

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

-- A list, or an empty one where there is none.
create or replace function json_list(j jsonb) returns jsonb language sql immutable parallel safe as $$
  select case when jsonb_typeof(j) = 'array' then j else '[]' end
$$;

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

-- One step as screens show it: the engine's document with flags for the template, the people of its role, and what I may do.
-- `typed` = what a form that failed had in it, so that nothing typed is lost.
drop function if exists step_view(run_step, run, jsonb, int);
create or replace function step_view(s run_step, r run, roles jsonb, typed jsonb default null) returns jsonb language sql stable as $$
  with d as (select s.detail as d,
      s.ended_at is null and s.status in ('active','waiting','ready','failed','unknown') as live,
      people_named(r.state #> array['roles', s.role]) as people,
      coalesce((s.detail->>'asks')::bool, false) as asks,
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
    'started_at', iso(s.started_at), 'ended_at', iso(s.ended_at), 'cause', d.d->'cause', 'by', case when jsonb_typeof(d.d->'by') = 'object' then people_named(jsonb_build_array(d.d->'by'))->0 end, 'result', s.result, 'error', delivery_said(d.d->>'error'),
    'choice', case when s.kind = 'decide' and jsonb_typeof(s.result) = 'object' then coalesce(
        (select jsonb_build_object('zh', coalesce(o.value->'zh', o.value->'value'), 'en', coalesce(o.value->'en', o.value->'value')) from jsonb_array_elements(json_list(d.d->'options')) o
          where exists (select 1 from jsonb_each_text(s.result) x where x.value = o.value->>'value') limit 1),
        (select to_jsonb(string_agg(x.value, ', ' order by x.key)) from jsonb_each_text(s.result) x)) end, 'note_typed', typed->>'note', 'reason_typed', typed->>'reason', 'link_typed', typed->>'link',
    'may_act', d.live and (me.mine or has_role('commander')), 'may_command', d.live and has_role('commander'),
    'may_reopen', not d.live and s.status in ('done','skipped','overridden') and s.kind in ('task','checklist','decide','approve') and has_role('commander') and r.finished_at is null,
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
  select kind in ('task','checklist','decide','approve','notify','status','report','wait')
$$;

-- One run with its current steps in full, the last that ended and the next that will come.
drop function if exists run_view(run, boolean);
create or replace function run_view(r run, everything boolean default false, form jsonb default null) returns jsonb language sql stable as $$
  with v as (select w.title, w.body, p.slug from playbook_version w join playbook p on p.id = w.playbook_id where w.playbook_id = r.playbook_id and w.version = r.playbook_version),
  roles as (select case jsonb_typeof(v.body->'roles') when 'object' then v.body->'roles' else '{}' end as roles from v),
  steps as (select s.* from run_step s where s.run_id = r.id and step_is_work(s.kind)),
  counts as (select count(*) filter (where ended_at is not null) as done, count(*) as total from steps)
  select jsonb_build_object('id', r.id, 'playbook', v.slug, 'title', v.title, 'version', r.playbook_version, 'kind', r.kind, 'status', r.status,
    'is', jsonb_build_object(r.status, true), 'open', r.finished_at is null, 'created_at', iso(r.created_at), 'finished_at', iso(r.finished_at),
    'done', counts.done, 'total', counts.total, 'seq', r.seq, 'second', case when jsonb_typeof(r.state #> '{second,abort,by}') = 'object' then people_named(jsonb_build_array(r.state #> '{second,abort,by}'))->0 end, 'may_command', has_role('commander') and r.finished_at is null,
    'current', coalesce((select jsonb_agg(step_view(s::run_step, r, roles.roles, case when form->>'path' = s.path then form end) order by coalesce((s.detail->>'asks')::bool, false) desc, s.due_at nulls last, s.position, s.path)
      from steps s where r.finished_at is null and s.ended_at is null and s.status in ('active','waiting','ready','failed','unknown')), '[]'),
    'ended', coalesce((select jsonb_agg(step_view(s::run_step, r, roles.roles) order by s.ended_seq desc nulls last, s.position desc)
      from (select * from steps where ended_at is not null and status not in ('cancelled') order by ended_seq desc nulls last limit case when everything then 2000 else 20 end) s), '[]'),
    'next', coalesce((select jsonb_agg(jsonb_build_object('path', s.path, 'kind', s.kind, 'title', coalesce(s.title, to_jsonb(s.step_id)), 'role', s.role, 'role_name', coalesce(roles.roles->s.role, role_label(s.role))) order by s.position, s.path)
      from (select * from steps where status = 'pending' and r.finished_at is null order by position, path limit case when everything then 2000 else 8 end) s), '[]'))
  from v, roles, counts
$$;

drop function if exists run_get(uuid);
create or replace function run_get(run uuid, form jsonb) returns table(body text, etag text) language plpgsql stable as $$
begin
  if not exists (select 1 from run u where u.id = run_get.run) then perform refuse('MU404', 'error.run.unknown', ''); end if;
  return query select (run_view(u, true, form) || jsonb_build_object('ref', i.ref, 'kind', i.kind, 'incident_title', i.title, 'now', iso(app_now())))::text, u.seq::text
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
