-- The store around the engine: what a transition reads, and everything it writes, in one call. The engine itself is C and pure; its
-- shapes are described in server/engine/README.md. Lock order: incident, run, timer, outbox.

-- Locks the run and gives what one transition needs: the state, the version's hash, the time, who is asking, and what the same key
-- was answered before.
create or replace function run_load(run uuid, key text)
returns table(state text, seq bigint, last_hash text, kind text, hash text, playbook uuid, version int, engine int, now text, incident uuid,
  me uuid, me_name text, commander boolean, answered_sha text, answered text) language plpgsql as $$
declare r run%rowtype;
begin
  perform 1 from incident i where i.id = (select x.incident_id from run x where x.id = run_load.run) for update;
  select x.* into r from run x where x.id = run_load.run for update;
  if not found then perform refuse('MU404', 'error.run.unknown', ''); end if;
  return query
    select r.state::text, r.seq, r.last_hash, r.kind, v.body_sha256, r.playbook_id, r.playbook_version, r.engine_version,
      iso(run_sim(r, app_now())), r.incident_id, me(), person_label(me()), has_role('commander'), c.body_sha256, c.result::text
    from playbook_version v left join command c on c.run_id = r.id and c.key = run_load.key
    where v.playbook_id = r.playbook_id and v.version = r.playbook_version;
end $$;

-- The site as playbooks see it: what the settings page says, else the configuration.
create or replace function run_site(wanted text) returns jsonb language plpgsql stable as $$
begin
  return site_setting(wanted);
end $$;
create or replace function run_zone() returns text language plpgsql stable as $$
begin
  return page_zone();
end $$;

-- What the engine is told at the start besides what the caller knows: the run, its incident, the site, the people's names, and the
-- profiles whose limits the playbook uses.
create or replace function run_facts(run uuid, given jsonb, profiles jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'run', jsonb_build_object('id', r.id, 'title', v.title, 'mode', case r.kind when 'incident' then 'real' else r.kind end,
      'url', coalesce(rtrim(run_site('public_url') #>> '{}', '/'), '') || '/incidents/' || i.ref, 'severity', i.severity),
    'incident', jsonb_build_object('id', i.ref, 'title', i.title),
    'org', jsonb_build_object('name', coalesce(run_site('site_name'), '"Muster"')),
    'playbook', jsonb_build_object('id', b.slug, 'version', v.version, 'hash', v.body_sha256),
    'settings', jsonb_build_object('escalate_after', coalesce(setting_get('escalation_minutes', '5') #>> '{}', '5') || 'm',
      'utc_offset', extract(epoch from (r.created_at at time zone run_zone()) - (r.created_at at time zone 'UTC'))::int),
    'vars', coalesce(given -> 'vars', '{}'),
    'roles', coalesce((select jsonb_object_agg(e.key, coalesce((
        select jsonb_agg(jsonb_build_object('id', p.id, 'name', person_label(p.id)) order by x.n)
        from jsonb_array_elements(e.value) with ordinality as x(j, n)
        join person p on p.id::text = coalesce(x.j ->> 'id', x.j #>> '{}') and p.active), '[]'))
      from jsonb_each(coalesce(given -> 'roles', '{}')) e), '{}'),
    'facts', i.facts || coalesce(setting_get('org_facts', '{}'), '{}'),
    'profiles', coalesce((select jsonb_agg(x.body) from (
        select distinct on (f.id) f.body from report_profile f where f.id in (select jsonb_array_elements_text(profiles)) order by f.id, f.version desc) x), '[]'))
    || case when given ? 'params' then jsonb_build_object('params', given -> 'params') else '{}' end
  from run r join incident i on i.id = r.incident_id
  join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version join playbook b on b.id = v.playbook_id
  where r.id = run_facts.run
$$;

-- Whom an effect goes to: the people a role had when the step began, else whoever the register knows; mail only where the playbook
-- says so, web hooks by name.
create or replace function run_recipients(data jsonb) returns jsonb language sql immutable as $$
  select coalesce((select jsonb_agg(distinct jsonb_build_object('person', p ->> 'id')) from jsonb_array_elements(coalesce(data -> 'people', '[]')) p
      where data -> 'via' ? 'email'), '[]')
    || case when data -> 'via' ? 'email' then recipient_words(coalesce((
      select jsonb_agg(w) from jsonb_array_elements_text(coalesce(data -> 'to', '[]')) w
      where not exists (select 1 from jsonb_array_elements(coalesce(data -> 'people', '[]')) p where p ->> 'ref' = w)), '[]')) else '[]' end
    || recipient_words(coalesce((select jsonb_agg(w) from jsonb_array_elements_text(coalesce(data -> 'via', '[]')) w where w like 'webhook.%'), '[]'))
$$;

create or replace function run_title(data jsonb, language text) returns text language sql immutable as $$
  select coalesce(nullif(data -> 'title' ->> language, ''), nullif(data -> 'title' ->> 'zh', ''), data -> 'title' ->> 'en', data #>> '{step,id}')
$$;

-- The words of an alarm, a reminder or an escalation.
create or replace function run_warning(e jsonb) returns table(purpose text, subject jsonb, words jsonb) language sql stable as $$
  with t as (select run_title(e -> 'data', 'zh') as zh, run_title(e -> 'data', 'en') as en,
      coalesce(to_char((e #>> '{data,due_at}')::timestamptz at time zone run_zone(), 'HH24:MI'), '–') as due,
      case when e ->> 'kind' = 'escalate' then e #>> '{data,level}' else e #>> '{data,reason}' end as why),
  w as (select case why
      when 'reminder'   then jsonb_build_object('zh', '即将到期：' || zh, 'en', 'Due soon: ' || en, 'tzh', '步骤“' || zh || '”应在 ' || due || ' 前完成。', 'ten', 'The step “' || en || '” is due at ' || due || '.')
      when 'escalation' then jsonb_build_object('zh', '已超时：' || zh, 'en', 'Overdue: ' || en, 'tzh', '步骤“' || zh || '”应在 ' || due || ' 前完成，目前仍未完成。请确认并接手。', 'ten', 'The step “' || en || '” was due at ' || due || ' and is still open. Please acknowledge and take over.')
      when 'assigned'   then jsonb_build_object('zh', '已指派给您：' || zh, 'en', 'Yours now: ' || en, 'tzh', '指挥把步骤“' || zh || '”交给了您，请接手。', 'ten', 'The commander has given you the step “' || en || '”. Please take it over.')
      when 'role_empty' then jsonb_build_object('zh', '无人负责：' || zh, 'en', 'Nobody to do it: ' || en, 'tzh', '步骤“' || zh || '”的角色目前无人担任，请指定人员。', 'ten', 'Nobody fills the role of the step “' || en || '”. Please name somebody.')
      when 'deadline'   then jsonb_build_object('zh', '未获确认：' || zh, 'en', 'Not acknowledged: ' || en, 'tzh', '通知“' || zh || '”在规定时间内没有足够的人确认收到。', 'ten', 'The notice “' || en || '” was not acknowledged by enough people in time.')
      else jsonb_build_object('zh', '需要指挥决定：' || zh, 'en', 'The commander must decide: ' || en, 'tzh', '步骤“' || zh || '”失败。请选择重试、跳过或中止。', 'ten', 'The step “' || en || '” failed. Choose retry, skip or abort.') end as x, why from t)
  select case when w.why in ('reminder', 'escalation') then w.why when w.why = 'assigned' then 'reminder' else 'alarm' end,
    jsonb_build_object('zh', x ->> 'zh', 'en', x ->> 'en'), jsonb_build_object('zh', x ->> 'tzh', 'en', x ->> 'ten') from w
$$;

-- Delivers an inject: a message to our own people who are meant for drills, marked as every message of a drill. Never in a real run: its
-- guard is here, in the engine, and in the outbox, where an inject's receivers are what any drill may reach.
create or replace function inject_send(r run, e jsonb) returns void language plpgsql as $$
declare d jsonb := e -> 'data'; v_from jsonb := two_languages(d -> 'from'); v_words jsonb;
begin
  if r.kind = 'incident' then return; end if;
  v_words := coalesce(nullif(d -> 'text', 'null'), d -> 'title');
  perform message_send(r.incident_id, 'inject', jsonb_strip_nulls(d -> 'title'),
    case when v_from is null then v_words else (select jsonb_object_agg(w.key, (v_from ->> w.key) || case w.key when 'zh' then '：' else ': ' end || w.value) from jsonb_each_text(two_languages(v_words)) w) end,
    d - '{people}'::text[], run_recipients(case when jsonb_array_length(json_list(d -> 'via')) = 0 then d || '{"via":["email"]}' else d end),
    jsonb_build_object('run', r.id, 'path', e ->> 'path', 'occ', e -> 'occ', 'key', e ->> 'key', 'simulate', e ->> 'delivery' = 'simulate' or r.kind <> 'drill', 'event', 'drill.inject', 'priority', 3));
end $$;

-- Carries out one effect as far as the database goes: messages become outbox rows, the status page changes at once. Gives what the
-- engine is to be told now, or null when the answer comes later or none is expected.
create or replace function run_effect(r run, e jsonb) returns jsonb language plpgsql as $$
declare
  d jsonb := e -> 'data';
  v_key text := e ->> 'key';
  v_simulate boolean := e ->> 'delivery' = 'simulate' or r.kind = 'rehearsal';
  v_message uuid; v_count int; v_state text; v_answer jsonb; w record;
begin
  if e ->> 'kind' = 'notify' then
    v_message := message_send(r.incident_id, 'step', jsonb_strip_nulls(d -> 'title'), coalesce(nullif(d -> 'text', 'null'), d -> 'title'), d, run_recipients(d),
      jsonb_build_object('run', r.id, 'path', e ->> 'path', 'occ', e -> 'occ', 'key', v_key, 'ack', d ? 'ack', 'simulate', v_simulate,
        'again', coalesce((e ->> 'again')::boolean, false), 'event', 'step.notice', 'priority', 3));
    select count(*) into v_count from outbox o where o.message_id = v_message;
    if r.kind <> 'rehearsal' then
      perform timeline_add(r.incident_id, null, 'message', null, jsonb_build_object('message', v_message, 'purpose', 'step', 'subject', jsonb_strip_nulls(d -> 'title'), 'count', v_count,
        'simulated', (select count(*) from outbox o where o.message_id = v_message and o.delivery = 'simulate')), null);
    end if;
    if v_count = 0 and not v_simulate then
      return jsonb_build_object('kind', 'effect_failed', 'data', jsonb_build_object('key', v_key, 'error', 'error.run.no_receivers'));
    end if;
  elsif e ->> 'kind' = 'http' then
    return http_request(r, e);
  elsif e ->> 'kind' = 'inject' then
    perform inject_send(r, e);
  elsif e ->> 'kind' in ('escalate', 'alarm') then
    select * into w from run_warning(e);
    perform message_send(r.incident_id, w.purpose, w.subject, w.words, d, run_recipients(d), jsonb_build_object('run', r.id, 'path', e ->> 'path',
      'occ', e -> 'occ', 'key', v_key, 'ack', w.purpose = 'escalation', 'simulate', v_simulate, 'event', 'step.' || w.purpose, 'priority', 1));
  elsif e ->> 'kind' = 'status' and r.kind <> 'rehearsal' then
    v_state := d ->> 'state';
    begin
      v_answer := status_publish(r.incident_id, coalesce(d ->> 'update', case v_state when 'operational' then 'resolved' else 'investigating' end), d -> 'text',
        jsonb_build_array(jsonb_build_object('component', d ->> 'component', 'status', v_state)), null, null);
    exception when sqlstate 'MU404' or sqlstate 'MU409' or sqlstate 'MU422' then
      return case when v_simulate then null else jsonb_build_object('kind', 'effect_failed', 'data', jsonb_build_object('key', v_key, 'error', sqlerrm)) end;
    end;
    if not v_simulate then
      return jsonb_build_object('kind', 'effect_done', 'data', jsonb_build_object('key', v_key, 'result', v_answer));
    end if;
  end if;
  return null;
end $$;

-- The events of a run that belong on the incident's timeline. Steps that only hold others together do not.
create or replace function run_timeline(r run, events jsonb) returns void language plpgsql as $$
declare e record; v_actor uuid;
begin
  if r.kind = 'rehearsal' then return; end if;
  select (x ->> 'id')::uuid into v_actor from (select events -> 0 -> 'actor' as x) a
    where x ->> 'kind' in ('user', 'api') and exists (select 1 from person p where p.id::text = x ->> 'id');
  for e in
    select v.value ->> 'kind' as kind, v.value -> 'data' as data, v.value ->> 'reason' as reason, s.title, s.kind as step_kind, s.role, v.value ->> 'path' as path,
      (v.value ->> 'occ')::int as occ, events -> 0 ->> 'reason' as why, coalesce(v.value #>> '{data,item}', '') as item, s.detail
    from jsonb_array_elements(events) with ordinality v
    left join run_step s on s.run_id = r.id and s.path = v.value ->> 'path' and s.occ = (v.value ->> 'occ')::int
    where v.value ->> 'kind' in ('step_done', 'step_failed', 'step_skipped', 'step_expired', 'step_overridden', 'step_asks', 'item_closed', 'approval_given',
        'approval_refused', 'milestone_reached', 'deadline_missed', 'escalated', 'role_empty', 'run_ended', 'run_paused', 'run_resumed', 'second_needed', 'break_glass', 'reassigned', 'adhoc_step_added',
        'inject_delivered', 'inject_judged', 'clock_changed')
      and (v.value ->> 'kind' not in ('step_done', 'step_skipped') or step_is_work(s.kind))
      and not (v.value ->> 'kind' = 'step_skipped' and v.value #>> '{data,cause}' in ('when', 'drill'))
    order by v.ordinality
  loop
    perform timeline_add(r.incident_id, null, e.kind, e.why, jsonb_strip_nulls(jsonb_build_object('run', r.id, 'path', e.path, 'occ', e.occ, 'title', e.title, 'step_kind', e.step_kind,
      'role', coalesce(e.data ->> 'role', e.role), 'item', (select jsonb_build_object('zh', i -> 'zh', 'en', i -> 'en') from jsonb_array_elements(e.detail -> 'items') i where i ->> 'id' = e.item limit 1))
      || (e.data - 'item' - 'role')), v_actor);
  end loop;
end $$;

-- What the caller of a run learns when it has ended.
create or replace function run_child_ended(r run) returns jsonb language sql immutable as $$
  select jsonb_build_object('kind', 'child_ended', 'path', r.parent_path, 'occ', r.parent_occ, 'data', jsonb_build_object('key', r.parent_key, 'run', r.id,
    'status', r.status, 'outcome', r.state -> 'outcome',
    'vars', coalesce((select jsonb_object_agg(v.key, v.value -> 'value') from jsonb_each(coalesce(r.state -> 'vars', '{}')) v), '{}')))
$$;

-- Writes one transition. `result` is what apply() gave, with `hashes` (one for each event) and `prev_hash`; `command` is {key, sha} or
-- null. Gives {"settled":[events the engine is to be told now],"reports":[effects that open drafts],"graded":{"severity","runs":[the
-- incident's other runs, to be told]} or null,"children":[effects that start runs],"abort":[called runs whose step was cancelled],"ended":
-- {"run": the caller,"event": what it is told} or null}.
create or replace function run_write(run uuid, result jsonb, command jsonb) returns jsonb language plpgsql as $$
declare
  r run%rowtype;
  v_events jsonb := result -> 'events';
  v_over boolean := result ->> 'status' in ('succeeded', 'failed', 'aborted');
  v_now timestamptz := to_ms(app_now());
  v_settled jsonb := '[]'; v_reports jsonb := '[]'; v_graded jsonb := 'null'; v_children jsonb := '[]'; v_abort jsonb; v_one jsonb; e jsonb;
  v_first_end boolean := v_over and (select x.finished_at is null from run x where x.id = run_write.run);
begin
  update run x set seq = x.seq + jsonb_array_length(v_events), last_hash = result -> 'hashes' ->> -1, state = result -> 'state', status = result ->> 'status',
    finished_at = case when v_over then coalesce(x.finished_at, v_now) end where x.id = run_write.run returning x.* into r;
  insert into run_event(run_id, seq, at_real, at_sim, kind, path, occ, actor_kind, actor, reason, dedupe_key, body, prev_hash, hash)
    select r.id, (v ->> 'seq')::bigint, v_now, (v ->> 'at')::timestamptz, v ->> 'kind', v ->> 'path', (v ->> 'occ')::int, v #>> '{actor,kind}',
      case when v #>> '{actor,id}' ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$' then (v #>> '{actor,id}')::uuid end, v ->> 'reason', case when (v ->> 'input')::boolean then v ->> 'key' end, v,
      case when n = 1 then result ->> 'prev_hash' else result -> 'hashes' ->> (n - 2)::int end, result -> 'hashes' ->> (n - 1)::int
    from jsonb_array_elements(v_events) with ordinality x(v, n);
  insert into run_step(run_id, path, occ, step_id, kind, position, status, role, title, detail, due_at, started_at, ended_at, started_seq, ended_seq, result)
    select r.id, s ->> 'path', (s ->> 'occ')::int, s ->> 'step_id', s ->> 'kind', (s ->> 'ord')::int, s ->> 'status', s ->> 'role', s -> 'title', s,
      run_real(r, (s ->> 'due_at')::timestamptz), run_stamp(r, (s ->> 'started_at')::timestamptz, v_now), run_stamp(r, (s ->> 'ended_at')::timestamptz, v_now),
      (s ->> 'started_seq')::bigint, (s ->> 'ended_seq')::bigint, s -> 'result'
    from jsonb_array_elements(result -> 'steps') s
    on conflict (run_id, path, occ) do update set status = excluded.status, role = excluded.role, title = excluded.title, detail = excluded.detail, due_at = excluded.due_at,
      started_at = case when run_step.started_seq = excluded.started_seq then run_step.started_at else excluded.started_at end,
      ended_at = case when run_step.ended_seq = excluded.ended_seq then run_step.ended_at else excluded.ended_at end, started_seq = excluded.started_seq, ended_seq = excluded.ended_seq, result = excluded.result;
  update timer t set state = 'cancelled', fired_seq = r.seq
    from jsonb_array_elements(result #> '{timers,cancel}') c
    where t.run_id = r.id and t.state = 'armed' and t.path = c ->> 'path' and t.occ = (c ->> 'occ')::int and t.kind = c ->> 'kind' and t.data ->> 'n' = c ->> 'n';
  insert into timer(run_id, path, occ, kind, due_sim, due_real, data)
    select r.id, a ->> 'path', (a ->> 'occ')::int, a ->> 'kind', (a ->> 'due')::timestamptz, run_real(r, (a ->> 'due')::timestamptz), jsonb_build_object('n', (a ->> 'n')::int)
    from jsonb_array_elements(result #> '{timers,arm}') a;
  perform outbox_cancel((select array_agg(o.id) from outbox o where o.run_id = r.id and o.state = 'pending'
    and regexp_replace(o.idem_key, '\|[^|]*$', '') in (select jsonb_array_elements_text(result -> 'effects_cancelled'))));
  update http_call h set state = 'cancelled', done_at = v_now where h.run_id = r.id and h.state = 'pending' and result -> 'effects_cancelled' ? h.idem_key;
  select coalesce(jsonb_agg(x.id), '[]') into v_abort from run x
    where x.parent_run = r.id and x.finished_at is null and result -> 'effects_cancelled' ? x.parent_key;
  perform run_timeline(r, v_events);
  for e in select v from jsonb_array_elements(result -> 'effects') with ordinality x(v, n) order by n loop
    if e ->> 'kind' = 'report' then
      if r.kind <> 'rehearsal' and exists (select 1 from report_profile f where f.id = e #>> '{data,profile}') then v_reports := v_reports || e; end if;
    elsif e ->> 'kind' = 'child' then
      v_children := v_children || e;
    elsif e ->> 'kind' = 'grade' then
      if r.kind <> 'rehearsal' then
        v_graded := jsonb_build_object('severity', e #> '{data,severity}', 'runs', incident_grade(r, e #>> '{data,severity}', e #> '{data,step}',
          (select p.id from person p where v_events -> 0 #>> '{actor,kind}' in ('user', 'api') and p.id::text = v_events -> 0 #>> '{actor,id}')));
      end if;
    else
      v_one := run_effect(r, e);
      if e ->> 'kind' = 'escalate' then perform warning_hold(r, v_events -> 0, e ->> 'key', e ->> 'path', (e ->> 'occ')::int); end if;
      if v_one is not null then v_settled := v_settled || (v_one || jsonb_build_object('path', e -> 'path', 'occ', e -> 'occ')); end if;
    end if;
  end loop;
  if command is not null and command <> 'null' then
    insert into command(run_id, key, actor, body_sha256, result)
      values (r.id, command ->> 'key', me(), command ->> 'sha', jsonb_build_object('run', r.id, 'status', r.status, 'seq', r.seq));
  end if;
  return jsonb_build_object('settled', v_settled, 'reports', v_reports, 'graded', v_graded, 'incident', r.incident_id, 'children', v_children, 'abort', v_abort,
    'ended', case when v_first_end and r.parent_run is not null then jsonb_build_object('run', r.parent_run, 'event', run_child_ended(r)) end);
end $$;

-- Everything a replay compares with.
create or replace function run_record(run uuid) returns jsonb language sql stable as $$
  select jsonb_build_object('kind', r.kind, 'seq', r.seq, 'last_hash', r.last_hash, 'state', r.state, 'status', r.status, 'hash', v.body_sha256, 'body', v.body,
    'events', coalesce((select jsonb_agg(jsonb_build_object('body', e.body, 'prev_hash', e.prev_hash, 'hash', e.hash) order by e.seq) from run_event e where e.run_id = r.id), '[]'),
    'steps', coalesce((select jsonb_agg(s.detail order by s.position, s.occ) from run_step s where s.run_id = r.id), '[]'),
    'timers', coalesce((select jsonb_agg(jsonb_build_object('path', t.path, 'occ', t.occ, 'kind', t.kind, 'n', (t.data ->> 'n')::int, 'due', iso(t.due_sim))
        order by t.path collate "C", t.occ, t.kind collate "C", t.id) from timer t where t.run_id = r.id and t.state = 'armed'), '[]'),
    'outbox', coalesce((select jsonb_agg(distinct k.key) from (
        select regexp_replace(o.idem_key, '\|[^|]*$', '') as key from outbox o where o.run_id = r.id and o.state = 'pending'
        union all select h.idem_key from http_call h where h.run_id = r.id and h.state in ('pending', 'claimed')
        union all select c.parent_key from run c where c.parent_run = r.id and c.finished_at is null) k), '[]'))
  from run r join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version where r.id = run_record.run
$$;
