-- Warnings that come due together: after an outage every missed reminder and escalation fires at once. They wait a moment in the
-- outbox and are told as one message to each person of an incident. A drill's and a real incident's never meet.

-- Called for a warning just written: one whose timer fires much too late waits for its fellows.
create or replace function warning_hold(r run, event jsonb, key text, path text, occ int) returns void language sql as $$
  with held as (
    update outbox o set not_before = app_now() + interval '4 seconds'
    where o.run_id = r.id and o.path = warning_hold.path and o.occ = warning_hold.occ and starts_with(o.idem_key, key || '|')
      and o.state = 'pending' and o.attempt = 0 and o.person_id is not null and r.kind <> 'rehearsal'
      and event ->> 'kind' = 'timer_fired' and run_real(r, (event #>> '{data,due}')::timestamptz) < app_now() - interval '1 minute'
    returning o.id, o.not_before)
  update outbox_queue q set not_before = h.not_before from held h where q.id = h.id
$$;

-- Makes one message of those that wait for the same person. Safe from many processes; at most 100 people a call.
create or replace function warnings_fold() returns int language plpgsql as $$
declare g record; v_rows jsonb; v_message uuid; v_title text; n int := 0;
begin
  for g in
    select o.incident_id, o.kind, o.person_id, o.delivery from outbox_queue q join outbox o on o.id = q.id join message m on m.id = o.message_id
    where q.lane > 0 and q.not_before > app_now() and o.person_id is not null and o.kind in ('incident', 'drill') and m.purpose in ('reminder', 'escalation')
    group by 1, 2, 3, 4 having count(distinct o.message_id) > 1 limit 100
  loop
    select i.title into v_title from incident i where i.id = g.incident_id for update skip locked;
    continue when not found;
    with mine as (
      select o.id, o.message_id, o.run_id, o.path, o.occ, m.text, m.data
      from outbox_queue q join outbox o on o.id = q.id join message m on m.id = o.message_id
      where o.incident_id = g.incident_id and o.kind = g.kind and o.person_id = g.person_id and o.delivery = g.delivery
        and q.lane > 0 and q.not_before > app_now() and m.purpose in ('reminder', 'escalation')),
    gone as materialized (select c as id from outbox_cancel((select array_agg(id) from mine)) c)
    select jsonb_agg(x.j order by x.id) into v_rows from (
      select min(m.id) as id, jsonb_build_object('first', min(m.id), 'text', (array_agg(m.text))[1],
        'step', (array_agg(jsonb_build_object('run', m.run_id, 'path', m.path, 'occ', m.occ, 'due_at', m.data -> 'due_at')))[1]) as j
      from mine m where m.id in (select id from gone) group by m.message_id) x;
    continue when v_rows is null;
    v_message := message_send(g.incident_id, 'escalation',
      jsonb_build_object('zh', jsonb_array_length(v_rows) || ' 项提醒和超时：' || v_title, 'en', jsonb_array_length(v_rows) || ' reminders and overdue steps: ' || v_title),
      jsonb_build_object('zh', (select string_agg(x.v #>> '{text,zh}', E'\n' order by x.n) from jsonb_array_elements(v_rows) with ordinality x(v, n)),
        'en', (select string_agg(x.v #>> '{text,en}', E'\n' order by x.n) from jsonb_array_elements(v_rows) with ordinality x(v, n))),
      jsonb_build_object('steps', (select jsonb_agg(x.v -> 'step' order by x.n) from jsonb_array_elements(v_rows) with ordinality x(v, n))),
      jsonb_build_array(jsonb_build_object('person', g.person_id)),
      jsonb_build_object('key', 'late/' || (v_rows #>> '{0,first}'), 'ack', true, 'simulate', g.delivery = 'simulate', 'event', 'step.escalation', 'priority', 1));
    n := n + 1;
  end loop;
  return n;
end $$;

-- The open steps that an acknowledged message of this kind stands for.
create or replace function ack_steps(token text) returns table(run uuid, path text, occ int, person uuid, person_name text) language sql stable as $$
  select s.run_id, s.path, s.occ, o.person_id, person_label(o.person_id)
  from outbox o join message m on m.id = o.message_id
  cross join lateral jsonb_array_elements(case jsonb_typeof(m.data -> 'steps') when 'array' then m.data -> 'steps' else '[]' end) x
  join run_step s on s.run_id = (x.value ->> 'run')::uuid and s.path = x.value ->> 'path' and s.occ = (x.value ->> 'occ')::int and s.ended_at is null
  join run r on r.id = s.run_id and r.finished_at is null
  where o.ack_token = token and o.acked_at is not null and o.person_id is not null and o.run_id is null
$$;
