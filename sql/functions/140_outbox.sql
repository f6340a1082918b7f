-- The outbox as its senders see it: claim, start, settle, rescue, alarm. Leases and claims measure real processes and use real
-- time; everything else uses app_now(). Lock order: incident, run, outbox.

drop function if exists outbox_claim(text, text, int, int, interval, text);
drop function if exists outbox_model(outbox, text, text);
drop function if exists outbox_model(outbox, text);
drop function if exists outbox_event(outbox, text);

-- The identity of one notification for its receiver: the same for every attempt. No dot in it (Standard Webhooks).
create or replace function outbox_event_id(idem_key text) returns text language sql immutable parallel safe as $$
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
create or replace function outbox_incident(payload jsonb, base text) returns jsonb language sql stable parallel safe as $$
  select case when jsonb_typeof(payload->'incident') = 'object' then
    (payload->'incident') || jsonb_build_object('url', base || '/incidents/' || (payload#>>'{incident,ref}')) end
$$;

-- The body of a web hook: a CloudEvent in structured mode that a reader of Standard Webhooks understands as well. A function of
-- the row alone, so that every attempt sends the same bytes.
create function outbox_event(o outbox, base text) returns text language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'specversion', '1.0', 'id', outbox_event_id(o.idem_key), 'source', base || '/', 'type', coalesce(o.payload->>'event', 'test.ping'),
    'time', iso(o.created_at), 'timestamp', iso(o.created_at), 'datacontenttype', 'application/json',
    'subject', o.payload#>>'{incident,ref}', 'drill', case when o.kind in ('drill','rehearsal') then true end,
    'data', jsonb_build_object(
      'purpose', o.payload->>'purpose', 'drill', o.kind in ('drill','rehearsal'),
      'subject', case when o.kind in ('drill','rehearsal') then drill_marked(o.payload->'subject', true, ' ') else o.payload->'subject' end,
      'text', case when o.kind in ('drill','rehearsal') then drill_marked(o.payload->'text', true, E'\n') else o.payload->'text' end,
      'incident', outbox_incident(o.payload, base), 'details', nullif(o.payload->'data', '{}'),
      'ack_url', case when o.ack_token is not null then base || '/ack/' || o.ack_token end)))::text
$$;

-- What the mail templates are given (server/work/README.md).
create function outbox_model(o outbox, base text) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'lang', o.language, 'kind', o.kind, 'drill', o.kind in ('drill','rehearsal'), 'purpose', o.payload->>'purpose', 'at', iso(o.created_at),
    'site', jsonb_build_object('name', coalesce(setting_get('site_name'), '"Muster"'), 'url', base), 'recipient', coalesce(o.payload->'recipient', '{}'),
    'incident', outbox_incident(o.payload, base), 'subject', o.payload->'subject', 'text', o.payload->'text',
    'data', coalesce(o.payload->'data', '{}'),
    'ack_url', case when o.ack_token is not null then base || '/ack/' || o.ack_token end)
$$;

-- Takes up to `fresh` first tries and `again` retries of one channel; `attempt` counts from the last replay. Two lanes, so that a broken receiver's retries never
-- keep news from everybody else. The commit does not wait for the disk: a claim that a crash of the database forgets is a row that
-- waits again, and a `once` effect has outbox_start() after it, which does wait.
create function outbox_claim(node text, wanted text, fresh int, again int, lease interval, base text)
returns table(id bigint, token bigint, attempt int, kind text, delivery text, effect text, audience text, drill_safe boolean,
  endpoint_drill_safe boolean, endpoint_disabled boolean, endpoint bigint, address text, language text, secret text, event_id text, ref text,
  severity text, purpose text, created_at text, document text) language sql as $$
  with first_tries as (
    select o.id from outbox o where o.state = 'pending' and o.attempt = 0 and o.channel = wanted and o.not_before <= app_now()
    order by o.priority, o.not_before limit fresh for update skip locked),
  retries as (
    select o.id from outbox o where o.state = 'pending' and o.attempt > 0 and o.channel = wanted and o.not_before <= app_now()
    order by o.not_before limit again for update skip locked),
  ready as (select f.id from first_tries f union all select r.id from retries r),
  taken as (
    update outbox o set state = 'claimed', claim_token = o.claim_token + 1, attempt = o.attempt + 1, claimed_by = node,
      lease_until = clock_timestamp() + lease, started_at = null
    from ready where o.id = ready.id returning o.*),
  a as materialized (
    select coalesce(nullif(rtrim(setting_get('public_url')#>>'{}', '/'), ''), outbox_claim.base) as base, set_config('synchronous_commit', 'off', true))
  select o.id, o.claim_token, o.attempt - o.round_from, o.kind, o.delivery, o.effect, o.audience, o.drill_safe, e.drill_safe, e.disabled_at is not null,
    hashtextextended(coalesce(o.endpoint_id::text, o.address), 0), o.address, o.language, e.secret_sealed, outbox_event_id(o.idem_key),
    o.payload#>>'{incident,ref}', o.payload#>>'{incident,severity}', o.payload->>'purpose', iso(o.created_at),
    case o.channel when 'webhook' then outbox_event(o, a.base) else outbox_model(o, a.base)::text end
  from taken o left join endpoint e on e.id = o.endpoint_id
  cross join a
  order by o.priority, o.id
$$;

-- `once` effects, just before they leave: from here on a lost sender means "unknown", not "again". Gives the ids that may go.
create or replace function outbox_start(claims jsonb) returns setof bigint language sql as $$
  update outbox o set started_at = clock_timestamp()
  from jsonb_to_recordset(claims) as c(id bigint, token bigint)
  where o.id = c.id and o.claim_token = c.token and o.state = 'claimed' and o.lease_until > clock_timestamp() returning o.id
$$;

drop function if exists outbox_renew(jsonb, interval);

-- Records a batch: [{id, token, outcome: sent|retry|dead|simulated|unknown|refused, code, detail, ms, after: seconds until the next
-- try, gone: the endpoint is to be disabled}]. A row whose claim has passed to another sender is left alone: the fence. Gives the
-- steps of runs that may have been answered by this. The commit does not wait for the disk: what a crash of the database forgets is
-- sent again under the same id when its lease ends, as after a crash between sending and recording; `once` becomes unknown.
drop function if exists outbox_settle(jsonb);
create function outbox_settle(results jsonb) returns table(run uuid, path text, occ int) language sql as $$
  with r as (
    select * from (select set_config('synchronous_commit', 'off', true) offset 0) c, jsonb_to_recordset(results) as x(id bigint, token bigint, outcome text, code int, detail text, ms int, after float8, gone boolean)),
  settled as (
    update outbox o set
      state = case r.outcome when 'sent' then 'done' when 'simulated' then 'simulated' when 'retry' then 'pending' when 'unknown' then 'unknown' else 'dead' end,
      not_before = case when r.outcome = 'retry' then app_now() + make_interval(secs => coalesce(r.after, 60)) else o.not_before end,
      done_at = case when r.outcome = 'retry' then null else app_now() end,
      lease_until = null, claimed_by = null,
      last_error = case when r.outcome in ('sent','simulated') then null else left(concat_ws(' ', nullif(r.code, 0)::text, r.detail), 500) end
    from r where o.id = r.id and o.claim_token = r.token and o.state = 'claimed'
    returning o.id, o.attempt, o.state, o.run_id, o.path, o.occ, o.endpoint_id, r.outcome, r.code, r.detail, r.ms, r.gone),
  logged as (
    insert into delivery(outbox_id, attempt, at, outcome, code, detail, ms)
    select s.id, s.attempt, app_now(), s.outcome, nullif(s.code, 0), nullif(left(s.detail, 500), ''), s.ms from settled s
    on conflict do nothing),
  disabled as (
    update endpoint e set disabled_at = app_now(), disabled_why = 'gone', version = e.version + 1
    from (select distinct s.endpoint_id from settled s where s.gone) g where e.id = g.endpoint_id and e.disabled_at is null)
  select distinct s.run_id, s.path, s.occ from settled s where s.run_id is not null and s.state <> 'pending'
$$;

-- Claims whose sender was lost. Idempotent ones go again; a `once` effect that had started becomes unknown: a person says whether
-- it was sent. A lost sender says nothing about the receiver, so its try does not count for giving up; only a row that has seen
-- `losses` senders die is given up, for it may be what kills them. Gives how many.
drop function if exists outbox_rescue(int);
create function outbox_rescue(losses int) returns int language sql as $$
  with lost as (
    select o.id, case when o.effect = 'once' and o.started_at is not null then 'unknown'
      when (select count(*) from delivery d where d.outbox_id = o.id and d.detail = 'sender lost') >= losses - 1 then 'dead' else 'pending' end as state
    from outbox o where o.state = 'claimed' and o.lease_until < clock_timestamp() limit 1000 for update skip locked),
  freed as (
    update outbox o set state = lost.state, lease_until = null, claimed_by = null, claim_token = o.claim_token + 1, round_from = o.round_from + 1,
      not_before = app_now(), done_at = case when lost.state = 'pending' then null else app_now() end, last_error = 'sender lost'
    from lost where o.id = lost.id returning o.id, o.attempt, o.state),
  logged as (
    insert into delivery(outbox_id, attempt, at, outcome, detail)
    select f.id, f.attempt, app_now(), case f.state when 'pending' then 'retry' else f.state end, 'sender lost' from freed f on conflict do nothing)
  select count(*)::int from freed
$$;

-- Effects of runs whose every row has come to an end while the step still waits: what settling found, and what a crash between
-- settling and telling the run left behind.
drop function if exists outbox_effects_due(int);
create function outbox_effects_due(most int) returns table(run uuid, path text, occ int, ref text) language sql stable as $$
  select distinct g.run_id, g.path, g.occ, g.ref from (
    select o.run_id, o.path, o.occ, regexp_replace(o.idem_key, '\|[^|]*$', '') as key, sum(o.claim_token)::bigint as round,
      (select i.ref from incident i where i.id = (select x.incident_id from run x where x.id = o.run_id)) as ref
    from run_step s join run r on r.id = s.run_id and r.finished_at is null
    join outbox o on o.run_id = s.run_id and o.path = s.path and o.occ = s.occ join message m on m.id = o.message_id and m.purpose = 'step'
    where s.ended_at is null and s.kind = 'notify' and s.status = 'waiting'
    group by 1, 2, 3, 4 having not bool_or(o.state in ('pending','claimed'))) g
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
    select regexp_replace(o.idem_key, '\|[^|]*$', ''), sum(o.claim_token)::bigint, count(*) filter (where o.state = 'done')::int,
      count(*) filter (where o.state = 'simulated')::int, count(*) filter (where o.state in ('dead','cancelled'))::int,
      count(*) filter (where o.state = 'unknown')::int, max(o.last_error)
    from outbox o join message m on m.id = o.message_id
    where o.run_id = outbox_effect.run and o.path = outbox_effect.path and o.occ = outbox_effect.occ
      and m.purpose = 'step'
    group by 1 having count(*) filter (where o.state in ('pending','claimed')) = 0;
end $$;

-- Tells the commander what did not arrive: rows given up or unknown, and rows still undelivered `late` after they were made. One
-- alarm per incident and call, through every other way there is: mail when a web hook failed, web hooks (and the commander's
-- mailbox) when mail failed. Alarms themselves raise no alarm. Gives the references of the incidents that were told, '' for the house.
drop function if exists outbox_alarm(interval);
create function outbox_alarm(late interval) returns setof text language plpgsql as $$
declare
  g record; i incident%rowtype; v_ids bigint[]; v_list jsonb; v_first text; v_to jsonb; v_words jsonb; v_subject jsonb;
begin
  for g in
    select distinct x.incident_id from (
      (select o.incident_id from outbox o where o.state in ('dead','unknown') and o.alarmed_at is null limit 200)
      union all
      (select o.incident_id from outbox o where o.state = 'pending' and o.attempt > 0 and o.alarmed_at is null and o.created_at < app_now() - late limit 200)) x
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
        and (o.state in ('dead','unknown') or (o.state = 'pending' and o.attempt > 0 and o.created_at < app_now() - late))
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

-- Numbers for the operator: how much waits, how old the oldest is, what was given up.
drop function if exists outbox_numbers();
create function outbox_numbers() returns table(pending bigint, oldest bigint, dead bigint) language sql stable as $$
  -- first tries and retries apart, as their indexes are: together they would be looked for in the whole outbox
  with p as (select created_at from outbox where state = 'pending' and attempt = 0 union all select created_at from outbox where state = 'pending' and attempt > 0)
  select count(*), coalesce(extract(epoch from app_now() - min(p.created_at))::bigint, 0), (select count(*) from outbox where state in ('dead','unknown')) from p
$$;
