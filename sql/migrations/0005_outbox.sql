-- Everything that leaves the house is a row here before it is a packet.

-- One thing that is told; its recipients are outbox rows.
create table message(
  id uuid primary key default gen_random_uuid(),
  incident_id uuid references incident, purpose text not null,          -- declared, step, escalation, update, report, alarm, test
  subject jsonb not null, text jsonb not null, data jsonb not null default '{}',
  run_id uuid references run, path text, occ int,
  ack_required boolean not null default false,
  created_at timestamptz not null, created_by uuid);
create index message_incident on message(incident_id, created_at);

create table outbox(
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('incident','drill','rehearsal','system')),  -- the stamp of what it belongs to
  incident_id uuid, incident_kind text,                                 -- composite key: the stamp cannot lie
  run_id uuid, path text, occ int,
  message_id uuid references message,
  channel text not null check (channel in ('email','webhook')),
  endpoint_id uuid references endpoint, person_id uuid references person,
  address text not null, language text not null default 'zh',
  audience text not null check (audience in ('internal','customer','regulator')),
  drill_safe boolean not null,
  delivery text not null check (delivery in ('send','simulate')),
  permit_id uuid references permit,
  effect text not null default 'idempotent' check (effect in ('idempotent','once')),
  idem_key text not null unique,                                        -- the same for every attempt: Message-ID, webhook-id
  payload jsonb not null,
  priority int not null default 5,
  state text not null default 'pending' check (state in ('pending','claimed','done','simulated','dead','cancelled','unknown')),
  not_before timestamptz not null, attempt int not null default 0,
  round_from int not null default 0,                                    -- attempts made before the last replay: they do not count for giving up
  claim_token bigint not null default 0, claimed_by text, lease_until timestamptz,
  started_at timestamptz,                                               -- set just before an effect: once leaves
  created_at timestamptz not null, done_at timestamptz, last_error text, alarmed_at timestamptz,
  ack_token text unique, acked_at timestamptz, acked_by uuid,
  foreign key(incident_id, incident_kind) references incident(id, kind),
  foreign key(run_id, kind) references run(id, kind),
  check (incident_id is null or incident_kind is not null),
  check (incident_kind is distinct from 'drill' or kind in ('drill','rehearsal')),
  check (kind <> 'system' or (incident_id is null and run_id is null)),
  -- a drill reaches only drill-safe endpoints of our own, or nobody; a rehearsal reaches nobody
  constraint drill_guard check (kind in ('incident','system') or delivery = 'simulate'
    or (kind = 'drill' and drill_safe and audience = 'internal')));
create index outbox_ready on outbox(priority, not_before) where state = 'pending' and attempt = 0;
create index outbox_retry on outbox(not_before) where state = 'pending' and attempt > 0;
create index outbox_lease on outbox(lease_until) where state = 'claimed';
create index outbox_dead on outbox(id) where state in ('dead','unknown');
create index outbox_incident on outbox(incident_id, id);
create index outbox_step on outbox(run_id, path, occ) where run_id is not null;

-- The row says of its endpoint what the endpoint says of itself.
create function outbox_endpoint_guard() returns trigger language plpgsql as $$
declare e endpoint;
begin
  if new.endpoint_id is not null then
    select * into e from endpoint where id = new.endpoint_id;
    if new.drill_safe and not e.drill_safe or new.audience is distinct from e.audience or new.address is distinct from e.address then
      raise exception 'outbox row does not match its endpoint' using errcode = '23514';
    end if;
  end if;
  return new;
end $$;
create trigger outbox_endpoint_guard before insert on outbox for each row execute function outbox_endpoint_guard();

-- Each attempt to tell one recipient.
create table delivery(
  outbox_id bigint not null references outbox, attempt int not null, at timestamptz not null,
  outcome text not null check (outcome in ('sent','retry','dead','simulated','unknown','refused')),
  code int, detail text, ms int,
  primary key(outbox_id, attempt));

-- Documents made outside a request: PDF and DOCX of a report.
create table job(
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('pdf','docx')), subject text not null, model jsonb not null, model_sha256 text not null,
  state text not null default 'pending' check (state in ('pending','claimed','done','failed')),
  claim_token bigint not null default 0, lease_until timestamptz, attempt int not null default 0,
  attachment_id uuid references attachment, error_key text, error text, ms int,
  ordered_by uuid, ordered_at timestamptz not null, done_at timestamptz,
  unique(kind, subject, model_sha256));
create index job_pending on job(ordered_at) where state in ('pending','claimed');
