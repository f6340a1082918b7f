-- Incidents and drills: one thing with a different kind, fixed at birth.

create table ref_counter(prefix text not null, year int not null, last int not null, primary key(prefix, year));

create table incident(
  id uuid primary key default gen_random_uuid(),
  ref text not null unique,                                             -- INC-2026-0042, DRL-2026-0007
  kind text not null check (kind in ('incident','drill')),
  title text not null, summary text,
  severity text not null default 'none' check (severity in ('I','II','III','IV','none')),
  state text not null default 'open' check (state in ('open','mitigated','resolved','closed')),
  occurred_at timestamptz not null,                                     -- when it began, as far as is known
  detected_at timestamptz not null, declared_at timestamptz not null,
  mitigated_at timestamptz, resolved_at timestamptz, closed_at timestamptz,
  declared_by uuid references person, commander_id uuid references person,
  facts jsonb not null default '{}',                                    -- facts for classification: {"impact.users_affected": 1200000, …}
  seq bigint not null default 0,                                        -- last timeline event
  last_hash text not null default repeat('0', 64),
  version int not null default 1,
  unique(id, kind));
create index incident_list on incident(declared_at desc, id);
create index incident_open on incident(severity, declared_at desc) where state <> 'closed';

create function incident_kind_fixed() returns trigger language plpgsql as $$
begin
  if new.kind <> old.kind then raise exception 'the kind of an incident never changes' using errcode = '23514'; end if;
  return new;
end $$;
create trigger incident_kind_fixed before update of kind on incident for each row execute function incident_kind_fixed();

create table incident_service(
  incident_id uuid not null references incident, service_id uuid not null references service,
  impact text not null default 'down' check (impact in ('none','degraded','partial','down')),
  since timestamptz not null, restored_at timestamptz,
  primary key(incident_id, service_id));
create index incident_service_service on incident_service(service_id);

-- Who fills which role of the incident, now and before.
create table incident_role(
  id bigint generated always as identity primary key,
  incident_id uuid not null references incident, role text not null, person_id uuid not null references person,
  since timestamptz not null, until timestamptz);
create unique index incident_role_now on incident_role(incident_id, role, person_id) where until is null;
create index incident_role_mine on incident_role(person_id) where until is null;

-- The timeline: append-only, one sequence per incident, hash-chained: hash = SHA-256(prev_hash || canonical JSON of
-- {incident, seq, at, recorded_at, kind, actor, actor_name, text, data}), canonical as in RFC 8785.
create table timeline_event(
  incident_id uuid not null references incident, seq bigint not null,
  at timestamptz not null,                                              -- when it happened (a note may be back-dated)
  recorded_at timestamptz not null,                                     -- when we learned of it
  kind text not null, actor uuid, actor_name text,
  text text, data jsonb not null default '{}',
  prev_hash text not null, hash text not null,
  primary key(incident_id, seq));
create trigger timeline_append_only before update or delete on timeline_event for each row execute function forbid_change();
create trigger timeline_no_truncate before truncate on timeline_event for each statement execute function forbid_change();

-- Clocks of an incident: the next update that was promised, each regulator deadline, the RTO of each service.
create table incident_clock(
  id uuid primary key default gen_random_uuid(),
  incident_id uuid not null references incident,
  kind text not null check (kind in ('next_update','report','rto','step')),
  subject text not null,                                                -- report id, service slug, step path
  name jsonb not null, certainty text,                                  -- certainty of the figure behind it, null = our own target
  started_at timestamptz not null, due_at timestamptz not null, warn_at timestamptz,
  stopped_at timestamptz, warned_at timestamptz, missed_at timestamptz,
  unique(incident_id, kind, subject));
create index incident_clock_due on incident_clock(due_at) where stopped_at is null and missed_at is null;
create index incident_clock_warn on incident_clock(warn_at) where stopped_at is null and warned_at is null;

create table attachment(
  id uuid primary key default gen_random_uuid(),
  incident_id uuid references incident, name text not null, media text not null, size bigint not null, sha256 text not null,
  bytes bytea not null, added_by uuid, added_at timestamptz not null);
create index attachment_incident on attachment(incident_id);
