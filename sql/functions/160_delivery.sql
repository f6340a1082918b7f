-- Reading the outbox, trying a dead delivery again, and acknowledging.

create or replace function delivery_row(b outbox) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object('id', b.id, 'channel', b.channel, 'is', jsonb_build_object(b.channel, true, b.state, true),
    'name', coalesce(p.name, e.name, to_jsonb(e.slug)), 'person', b.person_id, 'address', case when b.channel = 'webhook' then split_part(b.address, '?', 1) else b.address end,
    'audience', b.audience, 'purpose', m.purpose, 'subject', coalesce(m.subject, b.payload->'subject'), 'kind', b.kind, 'drill', b.kind in ('drill','rehearsal'),
    'simulate', b.delivery = 'simulate', 'state', b.state, 'attempt', b.attempt, 'retrying', b.state = 'pending' and b.attempt > 0,
    'bad', b.state in ('dead','unknown'), 'at', iso(b.created_at), 'not_before', case when b.state = 'pending' then iso(b.not_before) end, 'done_at', iso(b.done_at),
    'error', delivery_said(b.last_error), 'ack_asked', b.ack_token is not null, 'acked', b.acked_at is not null, 'acked_at', iso(b.acked_at),
    'ref', i.ref, 'may_replay', b.state in ('dead','unknown') and has_role('commander')))
  from (select 1) one left join person p on p.id = b.person_id left join endpoint e on e.id = b.endpoint_id left join message m on m.id = b.message_id
  left join incident i on i.id = b.incident_id
$$;

-- Deliveries of one incident, newest first. state: one word of outbox.state, or "bad" (dead, unknown) or "waiting".
create or replace function deliveries_of(ref text, p_state text, p_channel text, p_cursor text, p_limit int) returns table(body text, next text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref); v_rows outbox[]; v_most int := least(coalesce(p_limit, 50), 200); v_next text;
begin
  if p_cursor is not null and p_cursor !~ '^[0-9]{1,18}$' then perform refuse('MU400', 'error.cursor', ''); end if;
  select array_agg(x::outbox order by x.id desc) into v_rows from (
    select o.* from outbox o where o.incident_id = i.id and (p_cursor is null or o.id < p_cursor::bigint)
      and (p_channel is null or o.channel = p_channel)
      and (p_state is null or o.state = p_state or p_state = 'bad' and o.state in ('dead','unknown') or p_state = 'waiting' and o.state = 'pending')
    order by o.id desc limit v_most + 1) x;
  if array_length(v_rows, 1) > v_most then v_next := v_rows[v_most].id::text; v_rows := v_rows[1:v_most]; end if;
  return query select (incident_head(i) || jsonb_build_object('deliveries', incident_deliveries_view(i.id),
    'rows', coalesce((select jsonb_agg(delivery_row(r) order by r.id desc) from unnest(v_rows) r), '[]'), 'empty', v_rows is null, 'more', v_next is not null,
    'filter', jsonb_strip_nulls(jsonb_build_object('state', p_state, 'channel', p_channel, 'is_state', case when p_state is not null then jsonb_build_object(p_state, true) end))))::text, v_next;
end $$;

-- Every delivery that was given up or whose fate is unknown.
create or replace function deliveries_dead(p_cursor text, p_limit int) returns table(body text, next text) language plpgsql stable as $$
declare v_rows outbox[]; v_most int := least(coalesce(p_limit, 50), 200); v_next text;
begin
  if p_cursor is not null and p_cursor !~ '^[0-9]{1,18}$' then perform refuse('MU400', 'error.cursor', ''); end if;
  select array_agg(x::outbox order by x.id desc) into v_rows from (
    select o.* from outbox o where o.bad and (p_cursor is null or o.id < p_cursor::bigint) order by o.id desc limit v_most + 1) x;
  if array_length(v_rows, 1) > v_most then v_next := v_rows[v_most].id::text; v_rows := v_rows[1:v_most]; end if;
  return query select jsonb_build_object('rows', coalesce((select jsonb_agg(delivery_row(r) order by r.id desc) from unnest(v_rows) r), '[]'),
    'empty', v_rows is null, 'more', v_next is not null, 'now', iso(app_now()))::text, v_next;
end $$;

create or replace function delivery_get(p_id bigint) returns table(body text, etag text) language plpgsql stable as $$
declare b outbox%rowtype;
begin
  select * into b from outbox o where o.id = p_id;
  if not found then perform refuse('MU404', 'error.delivery.unknown', ''); end if;
  return query select (delivery_row(b) || jsonb_build_object('now', iso(app_now()), 'text', coalesce((select m.text from message m where m.id = b.message_id), b.payload->'text'),
    'idem_key', b.idem_key, 'effect', b.effect, 'claimed_by', (select t.node from outbox_batch t where b.state = 'pending' and b.id = any(t.ids) limit 1),
    'attempts', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('attempt', d.attempt, 'at', iso(d.at), 'outcome', d.outcome, 'good', d.outcome in ('sent','simulated'), 'code', d.code, 'detail', delivery_said(d.detail), 'ms', d.ms)) order by d.attempt desc), '[]')
      from delivery d where d.outbox_id = b.id)))::text, b.state || '-' || b.attempt || '-' || coalesce(iso(b.acked_at), '');
end $$;

-- Tries a delivery again that was given up, or whose fate is unknown (a person's word that a second copy does no harm).
create or replace function delivery_replay(p_id bigint) returns jsonb language plpgsql as $$
declare b outbox%rowtype; v_incident uuid;
begin
  select o.incident_id into v_incident from outbox o where o.id = p_id;
  if v_incident is not null then perform 1 from incident x where x.id = v_incident for update; end if;
  select * into b from outbox o where o.id = p_id for update;
  if not found then perform refuse('MU404', 'error.delivery.unknown', ''); end if;
  if b.state not in ('dead','unknown') then perform refuse('MU409', 'error.delivery.not_dead', ''); end if;
  perform outbox_again(array[p_id], app_now());
  select * into b from outbox o where o.id = p_id;
  if b.incident_id is not null then
    perform timeline_add(b.incident_id, null, 'replay', null, jsonb_build_object('delivery', b.id, 'channel', b.channel, 'name', coalesce(
      (select p.name from person p where p.id = b.person_id), (select e.name from endpoint e where e.id = b.endpoint_id))));
  else
    perform audit('delivery.replay', b.id::text, '{}');
  end if;
  return delivery_row(b);
end $$;

-- Everything of one incident that was given up goes once more. What is of unknown fate is not among it: that may have arrived, and a
-- person looks at each. Gives how many.
create or replace function deliveries_replay(ref text) returns jsonb language plpgsql as $$
declare i incident%rowtype; v_ids bigint[]; v_count int;
begin
  select * into i from incident x where x.ref = deliveries_replay.ref for update;
  if not found then perform refuse('MU404', 'error.incident.unknown', ''); end if;
  select array_agg(d.id) into v_ids from (select o.id from outbox o where o.incident_id = i.id and o.state = 'dead' order by o.id limit 5000 for update) d;
  if v_ids is null then perform refuse('MU409', 'error.delivery.none_dead', ''); end if;
  v_count := outbox_again(v_ids, app_now());
  perform timeline_add(i.id, null, 'replay', null, jsonb_build_object('count', v_count));
  return jsonb_build_object('ref', i.ref, 'count', v_count);
end $$;

create or replace function ack_get(token text) returns table(body text, status int) language plpgsql stable as $$
declare b outbox%rowtype;
begin
  select * into b from outbox o where o.ack_token = token;
  if not found then perform refuse('MU404', 'error.ack.unknown', ''); end if;
  return query select jsonb_strip_nulls(jsonb_build_object('token', token, 'subject', m.subject, 'text', m.text, 'at', iso(b.created_at), 'name', p.name,
    'acked', b.acked_at is not null, 'acked_at', iso(b.acked_at), 'ref', i.ref, 'kind', coalesce(i.kind, 'incident'), 'drill', b.kind in ('drill','rehearsal'),
    'title', i.title, 'severity', i.severity, 'state', i.state, 'over', i.state in ('resolved','closed'), 'now', iso(app_now())))::text, 200
  from message m left join incident i on i.id = b.incident_id left join person p on p.id = b.person_id where m.id = b.message_id;
end $$;

-- Marks a message as seen. Again = the same answer. `run`, when given, is the run whose step still waits for it.
create or replace function ack_post(token text) returns table(body text, location text, ref text, run uuid, path text, occ int, person uuid, person_name text) language plpgsql as $$
declare b outbox%rowtype; v_first boolean := false; v_incident uuid;
begin
  select o.incident_id into v_incident from outbox o where o.ack_token = token;
  if v_incident is not null then perform 1 from incident x where x.id = v_incident for update; end if;
  select * into b from outbox o where o.ack_token = token for update;
  if not found then perform refuse('MU404', 'error.ack.unknown', ''); end if;
  if b.acked_at is null then
    v_first := true;
    update outbox o set acked_at = to_ms(app_now()), acked_by = coalesce(b.person_id, me()) where o.id = b.id returning * into b;
    if b.incident_id is not null then
      perform timeline_add(b.incident_id, null, 'ack', null, jsonb_build_object('message', b.message_id, 'delivery', b.id,
        'subject', (select m.subject from message m where m.id = b.message_id),
        'name', coalesce((select p.name from person p where p.id = b.person_id), (select e.name from endpoint e where e.id = b.endpoint_id))), coalesce(b.person_id, me()));
    end if;
  end if;
  return query select jsonb_build_object('token', token, 'acked', true, 'acked_at', iso(b.acked_at), 'ref', i.ref)::text, '/ack/' || token, i.ref,
    case when v_first and b.person_id is not null and exists (select 1 from run_step s where s.run_id = b.run_id and s.path = b.path and s.occ = b.occ and s.ended_at is null)
           and exists (select 1 from run r where r.id = b.run_id and r.finished_at is null) then b.run_id end,
    b.path, b.occ, b.person_id, person_label(b.person_id)
  from (select 1) one left join incident i on i.id = b.incident_id;
end $$;
