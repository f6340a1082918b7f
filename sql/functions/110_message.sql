-- Telling people: one message, one outbox row for each address it goes to. The drill guard stands here for the first time; the
-- table's own checks and the sender are the second and the third.

-- People who fill a role of an incident now; where nobody does, the holders of that role in the register (deputies only when no
-- holder is there).
create or replace function role_people(incident uuid, role text) returns setof uuid language sql stable as $$
  with here as (
    select r.person_id from incident_role r join person p on p.id = r.person_id and p.active
    where r.incident_id = role_people.incident and r.role = role_people.role and r.until is null),
  holders as (
    select h.person_id, h.deputy from role_holder h join person p on p.id = h.person_id and p.active
    where h.role = role_people.role)
  select person_id from here
  union
  select person_id from holders h
  where not exists (select 1 from here) and (not h.deputy or not exists (select 1 from holders x where not x.deputy))
$$;

-- Turns a list of recipients into endpoints. An entry is {"role":slug} | {"person":uuid} | {"user":login} | {"team":slug} (or
-- "group") | {"endpoint":slug or uuid} | {"contact":slug} | {"event":type} (every web hook that wants this type).
-- A person who cannot be reached comes back with endpoint null, an unknown name with what = the name.
create or replace function message_recipients(incident uuid, recipients jsonb)
returns table(person uuid, endpoint uuid, what text) language sql stable as $$
  with entry as (select e.value as j from jsonb_array_elements(coalesce(recipients, '[]')) e),
  people as (
    select x as person, null::text as what from entry, role_people(incident, j->>'role') x where j ? 'role'
    union select p.id, null from entry join person p on p.id::text = j->>'person' and p.active
    union select p.id, null from entry join person p on p.login = j->>'user' and p.active
    union select m.person_id, null from entry join team t on t.slug = coalesce(j->>'team', j->>'group')
      join team_member m on m.team_id = t.id join person p on p.id = m.person_id and p.active),
  unknown as (
    select 'role.' || (j->>'role') as what from entry where j ? 'role' and not exists (select 1 from role_people(incident, j->>'role'))
    union select 'user.' || coalesce(j->>'person', j->>'user') from entry
      where j ?| array['person','user'] and not exists (select 1 from person p where p.active and (p.id::text = j->>'person' or p.login = j->>'user'))
    union select 'group.' || coalesce(j->>'team', j->>'group') from entry
      where j ?| array['team','group'] and not exists (select 1 from team t join team_member m on m.team_id = t.id where t.slug = coalesce(j->>'team', j->>'group'))
    union select coalesce(j->>'endpoint', j->>'contact') from entry
      where j ?| array['endpoint','contact'] and not exists (select 1 from endpoint e where e.disabled_at is null
        and (e.slug = coalesce(j->>'endpoint', j->>'contact') or e.id::text = j->>'endpoint')))
  select p.person, e.id, null::text from people p left join endpoint e on e.person_id = p.person and e.kind = 'email' and e.disabled_at is null
  union select e.person_id, e.id, null from entry join endpoint e on e.disabled_at is null
    and (e.slug = coalesce(j->>'endpoint', j->>'contact') or e.id::text = j->>'endpoint')
  union select e.person_id, e.id, null from entry join endpoint e on e.kind = 'webhook' and e.disabled_at is null and e.audience = 'internal'
    and (e.events = '{}' or (j->>'event') = any(e.events)) where j ? 'event'
  union select null::uuid, null::uuid, u.what from unknown u
$$;

-- The words playbooks and settings use for recipients (role.x, group.x, user.x, contact.x, webhook.x, event.x) as entries.
create or replace function recipient_words(words jsonb) returns jsonb language plpgsql immutable as $$
#variable_conflict use_column
begin return (
  select coalesce(jsonb_agg(jsonb_build_object(
      case split_part(w, '.', 1) when 'webhook' then 'endpoint' else split_part(w, '.', 1) end,
      substr(w, strpos(w, '.') + 1)) order by n), '[]')
  from jsonb_array_elements_text(coalesce(words, '[]')) with ordinality as x(w, n));
end $$;

-- A token nobody can guess: 244 random bits.
create or replace function random_token() returns text language sql volatile as $$
  select replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
$$;

-- Writes one message and an outbox row for every endpoint its recipients come to; gives the message's id.
-- subject, text: {"zh","en"}. opts, all optional:
--   run, path, occ   the step it belongs to          key       first part of the idempotency key, unique among all messages
--                                                              (default: the message's id)
--   ack              an acknowledgement is asked for  effect    "once" | "idempotent" (default)
--   simulate         nothing may leave                again     rows of this key that ended badly are tried once more
--   priority         1 (first) … 9, default 5         event     type for web hooks, default "incident." || purpose
-- Nothing of a drill leaves for an endpoint that is not drill-safe: its row says `simulate`. Whoever could not be reached is named
-- in data.unreachable of the message.
create or replace function message_send(incident uuid, purpose text, subject jsonb, words jsonb, data jsonb, recipients jsonb,
  opts jsonb default '{}') returns uuid language plpgsql set plan_cache_mode to force_generic_plan as $$
declare
  i incident%rowtype;
  o jsonb := coalesce(opts, '{}');
  v_run uuid := nullif(o->>'run', '')::uuid;
  v_kind text;
  v_id uuid;
  v_key text;
  v_now timestamptz := app_now();
  v_ack boolean := coalesce((o->>'ack')::bool, false);
  v_sends text;      -- what may leave: everything, what is safe in a drill, nothing
  v_endpoints uuid[]; v_people uuid[]; v_unreachable jsonb;
begin
  if message_send.incident is not null then
    select * into i from incident x where x.id = message_send.incident;
    if not found then
      raise exception using errcode = 'MU404', message = 'error.incident.unknown', detail = '';
    end if;
  end if;
  v_kind := coalesce((select r.kind from run r where r.id = v_run), i.kind, 'system');
  v_sends := case when coalesce((o->>'simulate')::bool, false) then 'none' when v_kind in ('incident','system') then 'all' when v_kind = 'drill' then 'safe' else 'none' end;
  -- a second try of the same effect goes on with the message it already has
  if o ? 'key' then
    if v_run is not null then
      select b.message_id into v_id from outbox b
      where b.run_id = v_run and b.path = o->>'path' and b.occ = (o->>'occ')::int and starts_with(b.idem_key, (o->>'key') || '|') limit 1;
    else
      select b.message_id into v_id from outbox b where b.incident_id = i.id and starts_with(b.idem_key, (o->>'key') || '|') limit 1;
    end if;
  end if;
  select array_agg(x.endpoint) filter (where x.first), array_agg(x.person) filter (where x.first),
    jsonb_agg(coalesce(jsonb_build_object('person', x.person, 'name', (select p.name from person p where p.id = x.person)), '{}')
      || case when x.what is not null then jsonb_build_object('what', x.what) else '{}' end) filter (where x.endpoint is null)
    into v_endpoints, v_people, v_unreachable
  from (select m.*, m.endpoint is not null and row_number() over (partition by m.endpoint order by m.person) = 1 as first
        from message_recipients(i.id, message_send.recipients) m) x;
  if v_id is null then
    insert into message(incident_id, purpose, subject, text, data, run_id, path, occ, ack_required, created_at, created_by, event, about)
    values (i.id, message_send.purpose, message_send.subject, message_send.words,
      coalesce(message_send.data, '{}') || case when v_unreachable is null then '{}' else jsonb_build_object('unreachable', v_unreachable) end,
      v_run, o->>'path', (o->>'occ')::int, v_ack, v_now, me(), coalesce(o->>'event', 'incident.' || message_send.purpose),
      case when i.id is not null then jsonb_build_object('id', i.id, 'ref', i.ref, 'kind', i.kind, 'title', i.title, 'severity', i.severity, 'state', i.state) end)
    returning id into v_id;
  elsif v_unreachable is not null then
    update message m set data = m.data || jsonb_build_object('unreachable', v_unreachable) where m.id = v_id;
  end if;
  v_key := coalesce(o->>'key', v_id::text);
  if coalesce((o->>'again')::bool, false) then
    perform outbox_again((select array_agg(b.id) from outbox b where b.idem_key = any(select v_key || '|' || e from unnest(v_endpoints) e)), v_now);
  end if;

  insert into outbox(kind, incident_id, incident_kind, run_id, path, occ, message_id, channel, endpoint_id, person_id, address, language,
    audience, drill_safe, delivery, effect, idem_key, priority, not_before, created_at, ack_token)
  select v_kind, i.id, i.kind, v_run, o->>'path', (o->>'occ')::int, v_id, e.kind, e.id, r.person, e.address,
    coalesce(p.language, e.language), e.audience, e.drill_safe,
    case when v_sends = 'all' or v_sends = 'safe' and e.drill_safe and e.audience = 'internal' then 'send' else 'simulate' end,
    coalesce(o->>'effect', 'idempotent'), v_key || '|' || e.id, coalesce((o->>'priority')::int, 5), v_now, v_now,
    case when v_ack then random_token() end
  from unnest(v_endpoints, v_people) r(endpoint, person)
  join endpoint e on e.id = r.endpoint
  left join person p on p.id = r.person
  on conflict (idem_key) do nothing;
  return v_id;
end $$;
