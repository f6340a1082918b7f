-- The outbox as its senders see it: claim, start, settle, rescue, alarm. Leases and claims measure real processes and use real
-- time; everything else uses app_now(). Lock order: incident, run, outbox.

drop function if exists outbox_claim(text, text, int, int, interval, text);
drop function if exists outbox_model(outbox, text, text);
drop function if exists outbox_model(outbox, text);
drop function if exists outbox_event(outbox, text);

-- The identity of one notification for its receiver: the same for every attempt. No dot in it (Standard Webhooks). Stable, as
-- convert_to() is: so PostgreSQL puts its expression in the place of the call.
create or replace function outbox_event_id(idem_key text) returns text language sql stable parallel safe as $$
  select 'msg_' || left(encode(sha256(convert_to(idem_key, 'UTF8')), 'hex'), 40)
$$;

create or replace function drill_mark() returns text language sql immutable parallel safe as $$ select '【演练】[DRILL]' $$;

-- Both languages of a text with the mark in front.
create or replace function drill_marked(texts jsonb, drill boolean, gap text) returns jsonb language sql immutable parallel safe as $$
  select case when not drill then texts
    when jsonb_typeof(texts) = 'string' then to_jsonb(drill_mark() || gap || (texts #>> '{}'))
    else (select coalesce(jsonb_object_agg(e.key, drill_mark() || gap || e.value), '{}') from jsonb_each_text(coalesce(texts, '{}')) e) end
$$;

-- The incident as a mail or a web hook mentions it.
create or replace function outbox_incident(content jsonb, base text) returns jsonb language sql stable parallel safe as $$
  select case when jsonb_typeof(content->'incident') = 'object' then
    (content->'incident') || jsonb_build_object('url', base || '/incidents/' || (content#>>'{incident,ref}')) end
$$;

-- These three keep their plans from call to call, which functions of plain SQL do not.

-- What a row tells: its message, and what is the row's own. Frozen when it was told, so that every attempt sends the same bytes.
create or replace function outbox_content(m message, payload jsonb) returns jsonb language plpgsql stable as $$
begin
  return jsonb_build_object('event', m.event, 'purpose', m.purpose, 'subject', m.subject, 'text', m.text, 'data', m.data - 'unreachable',
    'incident', m.about) || payload;
end $$;

-- The body of a web hook without its id: a CloudEvent in structured mode that a reader of Standard Webhooks understands as well.
create or replace function outbox_event(content jsonb, kind text, at timestamptz, base text) returns jsonb language plpgsql stable as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'specversion', '1.0', 'source', base || '/', 'type', coalesce(content->>'event', 'test.ping'),
    'time', iso(at), 'timestamp', iso(at), 'datacontenttype', 'application/json',
    'subject', content#>>'{incident,ref}', 'drill', case when kind in ('drill','rehearsal') then true end,
    'data', jsonb_build_object(
      'purpose', content->>'purpose', 'drill', kind in ('drill','rehearsal'),
      'subject', case when kind in ('drill','rehearsal') then drill_marked(content->'subject', true, ' ') else content->'subject' end,
      'text', case when kind in ('drill','rehearsal') then drill_marked(content->'text', true, E'\n') else content->'text' end,
      'incident', outbox_incident(content, base), 'details', nullif(content->'data', '{}'))));
end $$;

-- What the mail templates are given (server/work/README.md), without what is the reader's own.
create or replace function outbox_model(content jsonb, kind text, at timestamptz, base text) returns jsonb language plpgsql stable as $$
begin
  return jsonb_build_object(
    'kind', kind, 'drill', kind in ('drill','rehearsal'), 'purpose', content->>'purpose', 'at', iso(at),
    'site', jsonb_build_object('name', coalesce(setting_get('site_name'), '"Muster"'), 'url', base),
    'incident', outbox_incident(content, base), 'subject', content->'subject', 'text', content->'text', 'data', case jsonb_typeof(content->'data') when 'object' then content->'data' else '{}' end);
end $$;

-- Takes up to `fresh` first tries and `again` retries of one channel and keeps them as one batch under one token; `attempt` counts from
-- the last replay. Two lanes, so that a broken receiver's retries never keep news from everybody else. What all recipients of a message
-- are told alike is made once for each batch. The commit does not wait for the disk: a claim that a crash of the database forgets is a
-- row that waits again, and a `once` effect has outbox_start() after it, which does wait. The token is random, so that a forgotten one
-- never comes back. A table that was empty a moment ago has no statistics worth a plan: every row is asked for by its key.
create function outbox_claim(node text, wanted text, fresh int, again int, lease interval, base text)
returns table(id bigint, token bigint, attempt int, kind text, delivery text, effect text, audience text, drill_safe boolean,
  endpoint_drill_safe boolean, endpoint_disabled boolean, address text, language text, secret text, event_id text, ref text,
  severity text, purpose text, created_at text, document text) language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare v_now timestamptz := app_now(); v_ids bigint[]; v_token bigint; v_base text;
begin
  with first_tries as (
    select q.id from outbox_queue q where q.channel = wanted and q.lane > 0 and q.not_before <= v_now
    order by q.lane, q.not_before limit fresh for update skip locked),
  retries as (
    select q.id from outbox_queue q where q.channel = wanted and q.lane = 0 and q.not_before <= v_now
    order by q.not_before limit again for update skip locked),
  taken as (delete from outbox_queue q where q.id = any(array(select f.id from first_tries f union all select r.id from retries r)) returning q.id)
  select array_agg(t.id) into v_ids from taken t;
  if v_ids is null then return; end if;
  v_base := coalesce(nullif(rtrim(setting_get('public_url')#>>'{}', '/'), ''), outbox_claim.base);
  perform set_config('synchronous_commit', 'off', true);
  insert into outbox_batch(token, node, lease_until, ids)
    values (hashtextextended(gen_random_uuid()::text, 0), node, clock_timestamp() + lease, v_ids) returning outbox_batch.token into v_token;
  return query
    with alike as (
      select array_agg(o.id) as ids, o.message_id, o.payload, o.kind, o.created_at from outbox o
      where o.id = any(v_ids) and o.state = 'pending' group by 2, 3, 4, 5),
    content as materialized (select a.ids, a.kind, a.created_at, outbox_content((select m from message m where m.id = a.message_id), a.payload) as content from alike a),
    made as materialized (select c.*, case wanted when 'email' then outbox_model(c.content, c.kind, c.created_at, v_base)
      else outbox_event(c.content, c.kind, c.created_at, v_base) end as doc from content c),
    document as materialized (
      select c.ids, iso(c.created_at) as created_at, c.content#>>'{incident,ref}' as ref, c.content#>>'{incident,severity}' as severity,
        c.content->>'purpose' as purpose, substr((c.doc->'data')::text, 2) as data, substr((c.doc - 'data')::text, 2) as rest
      from made c)
    select o.id, v_token, o.attempt - o.round_from + 1, o.kind, o.delivery, o.effect, o.audience, o.drill_safe, e.drill_safe, e.disabled_at is not null,
      o.address, o.language, e.secret_sealed, k.event_id, d.ref, d.severity, d.purpose, d.created_at,
      case wanted when 'email' then
        left(jsonb_build_object('lang', o.language, 'ack_url', v_base || '/ack/' || o.ack_token, 'recipient', coalesce(o.payload->'recipient', jsonb_strip_nulls(jsonb_build_object(
          'name', coalesce((select p.name from person p where p.id = o.person_id), e.name), 'language', o.language))))::text, -1)
        || ', "data": {' || d.data || ', ' || d.rest
      else '{"id": "' || k.event_id || '", "data": {'
        || case when o.ack_token is not null then '"ack_url": ' || to_jsonb(v_base || '/ack/' || o.ack_token)::text || ', ' else '' end || d.data || ', ' || d.rest end
    from document d cross join lateral unnest(d.ids) x(id) join outbox o on o.id = x.id
    cross join lateral (select outbox_event_id(o.idem_key) as event_id offset 0) k
    left join lateral (select e.name, e.drill_safe, e.disabled_at, e.secret_sealed from endpoint e where e.id = o.endpoint_id limit 1) e on true
    order by o.priority, o.id;
end $$;

-- `once` effects, just before they leave: from here on a lost sender means "unknown", not "again". Gives the ids that may go.
create or replace function outbox_start(claims jsonb) returns setof bigint language sql as $$
  with c as (select * from jsonb_to_recordset(claims) as x(id bigint, token bigint)),
  b as (select b.token, b.ids from outbox_batch b where b.token in (select c.token from c) and b.lease_until > clock_timestamp() for update)
  update outbox o set started_at = clock_timestamp()
  from c join b on b.token = c.token and c.id = any(b.ids) where o.id = c.id and o.state = 'pending' returning o.id
$$;

drop function if exists outbox_renew(jsonb, interval);

-- Records a batch: [{id, token, outcome: sent|retry|dead|simulated|unknown|refused, code, detail, ms, after: seconds until the next
-- try, gone: the endpoint is to be disabled}]. A row whose claim has passed to another sender is left alone: the fence. Gives the
-- steps of runs that may have been answered by this. The commit does not wait for the disk: what a crash of the database forgets is
-- sent again under the same id when its lease ends, as after a crash between sending and recording; `once` becomes unknown.
drop function if exists outbox_settle(jsonb);
create function outbox_settle(results jsonb) returns table(run uuid, path text, occ int) language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare v_now timestamptz := app_now();
begin
  perform set_config('synchronous_commit', 'off', true);
  return query
  with r as materialized (
    select * from jsonb_to_recordset(results) as x(id bigint, token bigint, outcome text, code int, detail text, ms int, after float8, gone boolean)),
  b as materialized (select b.token, b.ids from outbox_batch b where b.token = any(array(select distinct r.token from r)) for update),
  fit as materialized (select r.* from b join r on r.token = b.token and r.id = any(b.ids)),
  settled as (
    update outbox o set attempt = o.attempt + 1,
      state = case r.outcome when 'sent' then 'done' when 'simulated' then 'simulated' when 'retry' then 'pending' when 'unknown' then 'unknown' else 'dead' end,
      not_before = case when r.outcome = 'retry' then v_now + make_interval(secs => coalesce(r.after, 60)) else o.not_before end,
      started_at = case when r.outcome = 'retry' then null else o.started_at end, done_at = case when r.outcome = 'retry' then null else v_now end,
      code = nullif(r.code, 0), answer = case when r.outcome in ('sent','simulated') then nullif(left(r.detail, 500), '') end, ms = r.ms,
      last_error = case when r.outcome in ('sent','simulated') then null else left(concat_ws(' ', nullif(r.code, 0)::text, r.detail), 500) end
    from fit r where o.id = r.id and o.state = 'pending'
    returning o.id, o.channel, o.attempt, o.state, o.not_before, o.run_id, o.path, o.occ, o.endpoint_id, r.outcome, r.code, r.detail, r.ms, r.gone),
  waits as (insert into outbox_queue(id, channel, lane, not_before) select s.id, s.channel, 0, s.not_before from settled s where s.state = 'pending'),
  logged as (
    insert into outbox_try(outbox_id, attempt, at, outcome, code, detail, ms)
    select s.id, s.attempt, v_now, s.outcome, nullif(s.code, 0), nullif(left(s.detail, 500), ''), s.ms from settled s where s.outcome not in ('sent','simulated')
    on conflict do nothing),
  disabled as (
    update endpoint e set disabled_at = v_now, disabled_why = 'gone', version = e.version + 1
    from (select distinct s.endpoint_id from settled s where s.gone) g where e.id = g.endpoint_id and e.disabled_at is null),
  rest as materialized (select b.token, array(select unnest(b.ids) except select f.id from fit f where f.token = b.token) as ids from b),
  fewer as (update outbox_batch b set ids = x.ids from rest x where b.token = x.token and x.ids <> '{}'),
  over as (delete from outbox_batch b using rest x where b.token = x.token and x.ids = '{}')
  select distinct s.run_id, s.path, s.occ from settled s where s.run_id is not null and s.state <> 'pending';
end $$;

-- Batches whose sender was lost. Idempotent rows go again; a `once` effect that had started becomes unknown: a person says whether
-- it was sent. A lost sender says nothing about the receiver, so its try does not count for giving up; only a row that has seen
-- `losses` senders die is given up, for it may be what kills them. Gives how many.
drop function if exists outbox_rescue(int);
create function outbox_rescue(losses int) returns int language plpgsql set enable_seqscan = off as $$
declare v_now timestamptz := app_now(); v_ids bigint[]; v_count int;
begin
  with lost as (select b.token, b.ids from outbox_batch b where b.lease_until < clock_timestamp() limit 20 for update skip locked),
  gone as (delete from outbox_batch b using lost where b.token = lost.token)
  select array_agg(x.id) into v_ids from lost cross join lateral unnest(lost.ids) x(id);
  if v_ids is null then return 0; end if;
  with lost as (
    select o.id, case when o.effect = 'once' and o.started_at is not null then 'unknown'
      when (select count(*) from outbox_try d where d.outbox_id = o.id and d.detail = 'sender lost') >= losses - 1 then 'dead' else 'pending' end as state
    from outbox o where o.id = any(v_ids) and o.state = 'pending' for update),
  freed as (
    update outbox o set state = lost.state, attempt = o.attempt + 1, round_from = o.round_from + 1, not_before = v_now,
      started_at = case when lost.state = 'pending' then null else o.started_at end, done_at = case when lost.state = 'pending' then null else v_now end,
      last_error = 'sender lost'
    from lost where o.id = lost.id returning o.id, o.channel, o.attempt, o.state),
  waits as (insert into outbox_queue(id, channel, lane, not_before) select f.id, f.channel, 0, v_now from freed f where f.state = 'pending'),
  logged as (
    insert into outbox_try(outbox_id, attempt, at, outcome, detail)
    select f.id, f.attempt, v_now, case f.state when 'pending' then 'retry' else f.state end, 'sender lost' from freed f on conflict do nothing)
  select count(*) into v_count from freed;
  return v_count;
end $$;

-- Puts rows that ended badly back into the queue, for a person or a playbook that wants another round: the tries so far no longer
-- count for giving up. They wait among the retries. Gives how many.
create or replace function outbox_again(p_ids bigint[], at timestamptz) returns int language sql as $$
  with back as (
    update outbox o set state = 'pending', round_from = o.attempt, not_before = at, last_error = null, alarmed_at = null, done_at = null, started_at = null
    where o.id = any(p_ids) and o.state in ('dead','unknown','cancelled') returning o.id, o.channel),
  waits as (insert into outbox_queue(id, channel, lane, not_before) select b.id, b.channel, 0, at from back b)
  select count(*)::int from back
$$;

-- Takes rows back that no sender has taken yet. Gives those that will not leave any more.
create or replace function outbox_cancel(p_ids bigint[]) returns setof bigint language sql as $$
  with gone as (delete from outbox_queue q where q.id = any(p_ids) returning q.id)
  update outbox o set state = 'cancelled', done_at = app_now() from gone g where o.id = g.id and o.state = 'pending' returning o.id
$$;

-- Effects of runs whose every row has come to an end while the step still waits: what settling found, and what a crash between
-- settling and telling the run left behind.
drop function if exists outbox_effects_due(int);
create function outbox_effects_due(most int) returns table(run uuid, path text, occ int, ref text) language sql stable as $$
  select distinct g.run_id, g.path, g.occ, g.ref from (
    select o.run_id, o.path, o.occ, regexp_replace(o.idem_key, '\|[^|]*$', '') as key, sum(o.attempt)::bigint as round,
      (select i.ref from incident i where i.id = (select x.incident_id from run x where x.id = o.run_id)) as ref
    from run_step s join run r on r.id = s.run_id and r.finished_at is null
    join outbox o on o.run_id = s.run_id and o.path = s.path and o.occ = s.occ join message m on m.id = o.message_id and m.purpose = 'step'
    where s.ended_at is null and s.kind = 'notify' and s.status = 'waiting'
    group by 1, 2, 3, 4 having not bool_or(o.state = 'pending')) g
  where not exists (select 1 from command c where c.run_id = g.run_id and c.key = 'effect/' || g.key || '/' || g.round)
  limit most
$$;

-- Locks the run and says how its effects of one step ended, one row per effect. `round` grows with every attempt, so that a step
-- that is tried anew gets a new answer and a repeated answer is recognised. Nothing while a row is still on its way.
-- Reached = somebody was told: failed ones are the alarm's business, and a playbook does not stop for one full mailbox.
drop function if exists outbox_effect(uuid, text, int);
create function outbox_effect(run uuid, path text, occ int)
returns table(key text, round bigint, reached int, simulated int, dead int, unknown int, error text) language plpgsql as $$
begin
  perform 1 from incident i where i.id = (select r.incident_id from run r where r.id = outbox_effect.run) for update;
  perform 1 from run r where r.id = outbox_effect.run and r.finished_at is null for update;
  if not found then
    return;
  end if;
  return query
    select regexp_replace(o.idem_key, '\|[^|]*$', ''), sum(o.attempt)::bigint, count(*) filter (where o.state = 'done')::int,
      count(*) filter (where o.state = 'simulated')::int, count(*) filter (where o.state in ('dead','cancelled'))::int,
      count(*) filter (where o.state = 'unknown')::int, max(o.last_error)
    from outbox o join message m on m.id = o.message_id
    where o.run_id = outbox_effect.run and o.path = outbox_effect.path and o.occ = outbox_effect.occ
      and m.purpose = 'step'
    group by 1 having count(*) filter (where o.state = 'pending') = 0;
end $$;

-- Tells the commander what did not arrive: rows given up or unknown, and rows a receiver refused and that are still undelivered `late` after they were made (a lost sender is not one). One
-- alarm per incident and call, through every other way there is: mail when a web hook failed, web hooks (and the commander's
-- mailbox) when mail failed. Alarms themselves raise no alarm. Gives the references of the incidents that were told, '' for the house.
drop function if exists outbox_alarm(interval);
create function outbox_alarm(late interval) returns setof text language plpgsql as $$
declare
  g record; i incident%rowtype; v_ids bigint[]; v_list jsonb; v_first text; v_to jsonb; v_words jsonb; v_subject jsonb;
begin
  for g in
    select distinct x.incident_id from (
      (select o.incident_id from outbox o where o.bad and o.alarmed_at is null limit 200)
      union all
      (select o.incident_id from outbox_queue q join outbox o on o.id = q.id where q.lane = 0 and o.attempt > o.round_from and o.alarmed_at is null and o.created_at < app_now() - late limit 200)) x
    limit 20
  loop
    i := null;
    if g.incident_id is not null then
      select * into i from incident x where x.id = g.incident_id for update skip locked;
      continue when not found;
    end if;
    with late_ones as (
      select o.id, o.channel, o.address, o.last_error, m.purpose from outbox o left join message m on m.id = o.message_id
      where o.incident_id is not distinct from g.incident_id and o.alarmed_at is null
        and (o.state in ('dead','unknown') or (o.state = 'pending' and o.attempt > o.round_from and o.created_at < app_now() - late))
      order by o.id limit 500 for update of o skip locked),
    marked as (update outbox o set alarmed_at = app_now() from late_ones l where o.id = l.id
      returning o.id, o.channel, o.address, coalesce(l.last_error, '') as why, coalesce(l.purpose, '') as purpose)
    select array_agg(k.id) filter (where k.purpose <> 'alarm'),
      jsonb_build_object(
        'zh', string_agg(k.receiver || '：' || coalesce(k.why ->> 'zh', k.why #>> '{}'), E'\n' order by k.id) filter (where k.purpose <> 'alarm' and k.nth <= 10),
        'en', string_agg(k.receiver || ': ' || coalesce(k.why ->> 'en', k.why #>> '{}'), E'\n' order by k.id) filter (where k.purpose <> 'alarm' and k.nth <= 10))
      into v_ids, v_list from (
        select m.id, m.purpose, m.channel || ' ' || case when m.channel = 'email' then m.address else split_part(m.address, '/', 3) end as receiver,
          delivery_said(m.why) as why, row_number() over (order by m.id) as nth from marked m) k;
    continue when v_ids is null;
    v_first := v_ids[1]::text;
    if i.id is not null then
      perform timeline_add(i.id, null, 'delivery_failed', null,
        jsonb_build_object('count', cardinality(v_ids), 'deliveries', to_jsonb(v_ids[1:20]), 'list', v_list), null);
      v_to := case when i.commander_id is not null then jsonb_build_array(jsonb_build_object('person', i.commander_id)) else '[{"role":"commander"}]'::jsonb end;
    else
      select coalesce(jsonb_agg(jsonb_build_object('person', r.person_id)), '[]') into v_to from person_role r where r.role = 'admin';
    end if;
    v_subject := jsonb_build_object('zh', format('有 %s 条通知未送达', cardinality(v_ids)),
      'en', format(case when cardinality(v_ids) = 1 then '%s notification did not arrive' else '%s notifications did not arrive' end, cardinality(v_ids)));
    v_words := jsonb_build_object('zh', E'请用其他方式联系以下收件方：\n' || (v_list ->> 'zh'), 'en', E'Please reach these receivers another way:\n' || (v_list ->> 'en'));
    perform message_send(i.id, 'alarm', v_subject, v_words, jsonb_build_object('count', cardinality(v_ids)),
      v_to || '[{"event":"incident.alarm"}]', jsonb_build_object('key', 'alarm/' || v_first, 'priority', 1));
    return next coalesce(i.ref, '');
  end loop;
end $$;

-- Numbers for the operator: how much waits, how old the oldest is (ids grow with time), what was given up.
drop function if exists outbox_numbers();
create function outbox_numbers() returns table(pending bigint, oldest bigint, dead bigint) language sql stable as $$
  select (select count(*) from outbox_queue),
    coalesce((select extract(epoch from app_now() - o.created_at)::bigint from outbox o where o.id = (select min(q.id) from outbox_queue q)), 0),
    (select count(*) from outbox o where o.bad)
$$;
