-- Calls that playbooks make: asked for by a run, claimed by a sender, one attempt each; the engine judges the answer and asks again.
-- Leases measure real processes and use real time. Lock order: incident, run, call.

create or replace function http_call_row(h http_call) returns jsonb language sql stable as $$
  select jsonb_build_object('id', h.id, 'run', h.run_id, 'path', h.path, 'method', h.request -> 'method', 'url', h.request -> 'url', 'state', h.state, 'delivery', h.delivery, 'attempt', h.attempt,
    'status', h.last_status, 'error', delivery_said(h.last_error), 'created_at', iso(h.created_at), 'done_at', iso(h.done_at), 'bad', h.state in ('failed', 'unknown'), 'good', h.state = 'done',
    'moving', h.state in ('pending', 'claimed'))
$$;

-- Two people's leave for a drill to call the twin of a connection: `http` for all of them, or `http.NAME`.
create or replace function permit_now(run uuid, connection text) returns uuid language sql stable as $$
  with recursive up as (select r.id, r.parent_run from run r where r.id = permit_now.run union all select p.id, p.parent_run from up join run p on p.id = up.parent_run)
  select p.id from up join permit p on p.run_id = up.id
  where p.second_by is not null and p.until > app_now() and p.channel in ('http', 'http.' || permit_now.connection) order by p.until desc limit 1
$$;

-- Takes up the effect `http` of a run. Gives the engine's answer where none will come from a sender, else null.
create or replace function http_request(r run, e jsonb) returns jsonb language plpgsql as $$
declare d jsonb := e -> 'data'; c connection%rowtype; v_simulate boolean := e ->> 'delivery' = 'simulate' or r.kind = 'rehearsal'; v_permit uuid; v_error text; v_missing text;
begin
  select * into c from connection x where x.slug = d ->> 'connection';
  if r.kind = 'drill' and not v_simulate then v_permit := permit_now(r.id, c.slug); end if;
  select n into v_missing from jsonb_array_elements_text(json_list(d -> 'secrets')) n where not exists (select 1 from secret s where s.name = n) limit 1;
  v_error := case when e ->> 'delivery' = 'simulate' then null when c.id is null then 'error.call.connection' when c.disabled_at is not null then 'error.call.disabled'
    when not (d ->> 'method' = any(c.methods)) then 'error.call.method' when v_missing is not null then 'error.call.secret'
    when r.kind = 'rehearsal' then 'error.call.rehearsal' when r.kind = 'drill' and c.drill_url is null then 'error.call.no_twin' when r.kind = 'drill' and v_permit is null then 'error.call.no_permit' end;
  insert into http_call as h(kind, run_id, path, occ, connection, idem_key, delivery, permit_id, effect, request, state, created_at, done_at, last_error)
  values (r.kind, r.id, e ->> 'path', (e ->> 'occ')::int, d ->> 'connection', e ->> 'key', case when v_simulate or r.kind = 'drill' and v_permit is null then 'simulate' else 'send' end, v_permit,
    coalesce(d ->> 'effect', 'once'), d - '{run,incident,step}'::text[], case when v_error is not null then 'failed' when v_simulate then 'simulated' else 'pending' end,
    app_now(), case when v_error is not null or v_simulate then app_now() end, v_error)
  on conflict (idem_key) do update set state = excluded.state, request = excluded.request, delivery = excluded.delivery, permit_id = excluded.permit_id, done_at = excluded.done_at,
      last_error = excluded.last_error, started_at = null, lease_until = null, claimed_by = null
    where h.state not in ('pending', 'claimed');
  return case when v_error is not null then jsonb_build_object('kind', 'effect_failed', 'data', jsonb_build_object('key', e ->> 'key', 'error', v_error, 'unknown', false, 'jitter', 0)) end;
end $$;

-- Takes up to `most` calls. The lease is longer than the call can last.
create or replace function http_claim(node text, most int)
returns table(id bigint, token bigint, kind text, delivery text, once boolean, base text, methods text, headers text, key text, request text, secrets text, permitted boolean) language sql as $$
  with ready as (select h.id from http_call h where h.state = 'pending' order by h.id limit most for update skip locked),
  taken as (
    update http_call h set state = 'claimed', claim_token = h.claim_token + 1, attempt = h.attempt + 1, claimed_by = node, started_at = null,
      lease_until = clock_timestamp() + make_interval(secs => least(coalesce((h.request ->> 'timeout')::float8, 30), 600) + 40)
    from ready where h.id = ready.id returning h.*)
  select h.id, h.claim_token, h.kind, h.delivery, h.effect = 'once', case when c.disabled_at is null then case when h.kind = 'incident' then c.base_url else c.drill_url end end,
    array_to_string(c.methods, ' '), c.headers, h.idem_key, h.request::text,
    coalesce((select jsonb_object_agg(s.name, s.sealed) from secret s where s.name = any(secret_names(c.headers) || array(select jsonb_array_elements_text(json_list(h.request -> 'secrets'))))), '{}')::text,
    h.kind = 'incident' or h.kind = 'drill' and permit_now(h.run_id, h.connection) is not null
  from taken h left join connection c on c.slug = h.connection order by h.id
$$;

-- `once` calls, just before they leave: from here on a lost sender means "unknown", not "again". True when the call may go.
create or replace function http_start(call bigint, token bigint) returns boolean language plpgsql as $$
begin
  update http_call h set started_at = clock_timestamp() where h.id = call and h.claim_token = token and h.state = 'claimed' and h.lease_until > clock_timestamp();
  return found;
end $$;

-- Records the end of one claim, under the locks of its incident and run; nothing when the claim has passed to another sender: the fence.
-- Gives what the run is to be told.
create or replace function http_settle(call bigint, token bigint, r jsonb) returns table(run uuid, ref text, event text, key text) language plpgsql as $$
declare h http_call%rowtype; v_ref text;
begin
  select i.ref into v_ref from incident i where i.id = (select u.incident_id from http_call x join run u on u.id = x.run_id where x.id = call) for update;
  perform 1 from run u where u.id = (select x.run_id from http_call x where x.id = call) for update;
  update http_call x set state = case when r ->> 'outcome' = 'answered' then 'done' else r ->> 'outcome' end, done_at = app_now(), lease_until = null, claimed_by = null,
    last_status = (r ->> 'status')::int, last_error = left(r ->> 'error', 500)
  where x.id = call and x.claim_token = token and x.state = 'claimed' returning x.* into h;
  if not found then return; end if;
  insert into http_attempt(call_id, attempt, at, outcome, status, error, ms) values (h.id, h.attempt, app_now(), r ->> 'outcome', (r ->> 'status')::int, left(r ->> 'error', 500), (r ->> 'ms')::int)
    on conflict do nothing;
  return query select h.run_id, v_ref, (case when r ->> 'outcome' = 'answered'
      then jsonb_build_object('kind', 'effect_done', 'path', h.path, 'occ', h.occ, 'data', jsonb_build_object('key', h.idem_key, 'result', r -> 'result', 'jitter', r -> 'jitter'))
      else jsonb_build_object('kind', 'effect_failed', 'path', h.path, 'occ', h.occ, 'data', jsonb_build_object('key', h.idem_key, 'error', coalesce(r ->> 'error', 'not delivered'),
        'unknown', r ->> 'outcome' = 'unknown', 'jitter', r -> 'jitter')) end)::text, 'http/' || h.idem_key || '/' || h.claim_token;
end $$;

-- Claims whose sender was lost: calls that may be repeated go again; a `once` call that had started is of unknown fate, and its claim
-- is given to the caller to settle.
create or replace function http_lost() returns table(id bigint, token bigint) language sql as $$
  with lost as (select h.id, h.effect = 'once' and h.started_at is not null as unknown from http_call h where h.state = 'claimed' and h.lease_until < clock_timestamp() limit 100 for update skip locked),
  freed as (update http_call h set state = 'pending', lease_until = null, claimed_by = null, claim_token = h.claim_token + 1 from lost where h.id = lost.id and not lost.unknown)
  select h.id, h.claim_token from lost l join http_call h on h.id = l.id where l.unknown
$$;

-- ---- permits ----

create or replace function permit_row(p permit) returns jsonb language sql stable as $$
  select jsonb_build_object('id', p.id, 'channel', p.channel, 'until', iso(p.until), 'reason', p.reason, 'asked_by', person_ref(p.signed_by), 'signed_by', person_ref(p.second_by), 'waits', p.second_by is null,
    'valid', p.second_by is not null and p.until > app_now())
$$;

-- Asks for a permit, or signs the one that waits: a second person who may command.
create or replace function permit_sign(run uuid, body jsonb) returns jsonb language plpgsql as $$
declare r run%rowtype; i incident%rowtype; p permit%rowtype; v_channel text := body ->> 'channel';
begin
  select x.* into i from incident x join run u on u.incident_id = x.id where u.id = permit_sign.run for update of x;
  if not found then perform refuse('MU404', 'error.run.unknown', ''); end if;
  select * into r from run x where x.id = permit_sign.run for update;
  if not run_may_command(r) then perform refuse('MU403', 'error.run.commander', ''); end if;
  if r.kind <> 'drill' or r.finished_at is not null then perform refuse('MU409', 'error.permit.drill', ''); end if;
  if v_channel <> 'http' and not exists (select 1 from connection c where 'http.' || c.slug = v_channel) then perform refuse('MU422', 'error.permit.channel', '/channel'); end if;
  select * into p from permit x where x.run_id = r.id and x.channel = v_channel and x.second_by is null and x.until > app_now() order by x.created_at desc limit 1 for update;
  if found and p.signed_by = me() then perform refuse('MU409', 'error.run.second_person', ''); end if;
  if found then
    update permit x set second_by = me() where x.id = p.id returning * into p;
  else
    if length(btrim(coalesce(body ->> 'reason', ''))) < 10 then perform refuse('MU422', 'error.run.reason', '/reason'); end if;
    insert into permit(run_id, channel, signed_by, until, reason, created_at) values (r.id, v_channel, me(), app_now() + make_interval(mins => coalesce((body ->> 'minutes')::int, 60)), body ->> 'reason', app_now())
      returning * into p;
  end if;
  perform timeline_add(i.id, null, case when p.second_by is null then 'permit_asked' else 'permit_signed' end, p.reason, jsonb_build_object('run', r.id, 'channel', p.channel, 'until', iso(p.until)));
  return permit_row(p);
end $$;
