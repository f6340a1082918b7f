-- What services are to achieve (objectives), what they can achieve (capabilities), what they need (dependencies), and where these
-- three contradict each other. Durations are seconds; null is "not known" and never zero.

create extension if not exists btree_gist;   -- trusted: whoever owns the database may create it

-- ---- objectives: at most one in force at any time --------------------------------------------------------------------------------

create table objective(
  id uuid primary key default gen_random_uuid(),
  service_id uuid not null references service,
  valid tstzrange not null check (not isempty(valid) and not lower_inf(valid) and lower_inc(valid) and not upper_inc(valid)),
  mtpd_ok_seconds int check (mtpd_ok_seconds between 0 and 31536000),       -- still tolerable after so long
  mtpd_bad_seconds int check (mtpd_bad_seconds between 0 and 31536000),     -- no longer tolerable; the MTPD lies between the two
  rto_seconds int check (rto_seconds between 0 and 31536000),
  rpo_seconds int check (rpo_seconds between 0 and 31536000),
  wrt_seconds int check (wrt_seconds between 0 and 31536000),               -- work to catch up after the technical recovery
  mbco_percent int check (mbco_percent between 0 and 100),                  -- the least that must go on meanwhile
  exception_by uuid references person, exception_reason text, exception_until timestamptz,
  source text not null check (source in ('register','bia','manual','import')), source_id uuid,
  set_by uuid references person, set_at timestamptz not null,
  withdrawn_at timestamptz, withdrawn_by uuid references person,            -- replaced before it began
  constraint objective_no_overlap exclude using gist (service_id with =, valid with &&) where (withdrawn_at is null),
  constraint objective_interval check (mtpd_ok_seconds < mtpd_bad_seconds),
  constraint objective_exception_whole check ((exception_by is null) = (exception_reason is null) and (exception_by is null) = (exception_until is null)),
  constraint objective_within_mtpd check (rto_seconds + coalesce(wrt_seconds, 0) <= mtpd_ok_seconds or exception_by is not null));
create index objective_of on objective(service_id, lower(valid) desc);

-- A row says what was decided: only its end may be drawn nearer, and a row that has not begun may be withdrawn.
create function objective_guard() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - '{valid,withdrawn_at,withdrawn_by}'::text[]) is distinct from (to_jsonb(old) - '{valid,withdrawn_at,withdrawn_by}'::text[])
     or lower(new.valid) <> lower(old.valid) or not new.valid <@ old.valid or (old.withdrawn_at is not null) then
    raise exception 'an objective is replaced by a new one and never changed' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger objective_kept before update on objective for each row execute function objective_guard();
create trigger objective_never_deleted before delete on objective for each row execute function forbid_change();
create trigger objective_no_truncate before truncate on objective for each statement execute function forbid_change();

-- Objectives that would leave the tolerable outage need a second person: asked for by one, granted or refused by another.
create table objective_request(
  id uuid primary key default gen_random_uuid(),
  service_id uuid not null references service, valid_from timestamptz not null, doc jsonb not null,
  reason text not null check (length(reason) >= 10), until timestamptz not null,
  asked_by uuid not null references person, asked_at timestamptz not null,
  decided_by uuid references person, decided_at timestamptz, granted boolean, note text, objective_id uuid references objective,
  check ((decided_by is null) = (decided_at is null) and (decided_by is null) = (granted is null)),
  constraint objective_request_two_persons check (decided_by <> asked_by));
create index objective_request_open on objective_request(asked_at) where decided_at is null;
create index objective_request_of on objective_request(service_id, asked_at desc);

insert into objective(service_id, valid, rto_seconds, rpo_seconds, source, set_at)
  select id, tstzrange(created_at, null), rto_seconds, rpo_seconds, 'register', created_at from service where rto_seconds is not null or rpo_seconds is not null;

-- ---- capabilities: what recovery is achievable, and how we know -------------------------------------------------------------------

-- extent: "own" is the service's own work once everything it needs is there; "whole" is from outage to back, waiting included.
create table capability(
  id uuid primary key default gen_random_uuid(),
  service_id uuid not null references service,
  metric text not null check (metric in ('rto','rpo')),
  seconds int not null check (seconds between 0 and 31536000),
  basis text not null check (basis in ('measured','rehearsed','contract','estimated')),
  extent text not null default 'own' check (extent in ('own','whole')),
  at timestamptz not null, expires_at timestamptz,
  run_id uuid references run, note text,
  by uuid references person, created_at timestamptz not null,
  withdrawn_at timestamptz, withdrawn_by uuid references person, withdrawn_reason text,
  constraint capability_measured_by_run check (basis <> 'measured' or run_id is not null),
  constraint capability_expires_later check (expires_at > at),
  constraint capability_withdrawn_whole check ((withdrawn_at is null) = (withdrawn_reason is null)));
create index capability_of on capability(service_id, metric, at desc);
create index capability_expiry on capability(expires_at) where withdrawn_at is null;
create function capability_guard() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - '{withdrawn_at,withdrawn_by,withdrawn_reason}'::text[]) is distinct from (to_jsonb(old) - '{withdrawn_at,withdrawn_by,withdrawn_reason}'::text[])
     or old.withdrawn_at is not null then
    raise exception 'a capability claim is withdrawn and never changed' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger capability_kept before update on capability for each row execute function capability_guard();
create trigger capability_never_deleted before delete on capability for each row execute function forbid_change();

-- ---- dependencies -------------------------------------------------------------------------------------------------------------------

-- k of n: the consumer can do with `need` of the members. mode: as for a single dependency.
create table dependency_group(
  id uuid primary key default gen_random_uuid(),
  consumer_id uuid not null references service, name text not null check (length(name) between 1 and 60),
  need int not null check (need between 1 and 1000),
  mode text not null default 'serial' check (mode in ('serial','parallel')),
  unique(id, consumer_id), unique(consumer_id, name));

-- serial: the consumer's own recovery begins when the provider is back and the lead time is over; parallel: it goes on alongside and
-- needs the provider at its end. A change ends the row and adds another, so the graph of any day is there.
create table dependency(
  id uuid primary key default gen_random_uuid(),
  consumer_id uuid not null references service, provider_id uuid not null references service,
  mode text not null check (mode in ('serial','parallel','group')),
  group_id uuid,
  lead_seconds int check (lead_seconds between 0 and 31536000),              -- from the provider's return to its use; null: not known
  passes_rto boolean not null default true, passes_rpo boolean not null default true,
  note text,
  added_by uuid references person, added_at timestamptz not null,
  removed_by uuid references person, removed_at timestamptz,
  constraint dependency_not_itself check (consumer_id <> provider_id),
  constraint dependency_group_named check ((mode = 'group') = (group_id is not null)),
  foreign key(group_id, consumer_id) references dependency_group(id, consumer_id));
create unique index dependency_once on dependency(consumer_id, provider_id) where removed_at is null;
create index dependency_consumers on dependency(provider_id, consumer_id) where removed_at is null;
create index dependency_in_group on dependency(group_id) where group_id is not null and removed_at is null;
create function dependency_guard() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - '{removed_at,removed_by}'::text[]) is distinct from (to_jsonb(old) - '{removed_at,removed_by}'::text[]) or old.removed_at is not null then
    raise exception 'a dependency is ended and never changed' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger dependency_kept before update on dependency for each row execute function dependency_guard();
create trigger dependency_never_deleted before delete on dependency for each row execute function forbid_change();

-- ---- what follows from them -----------------------------------------------------------------------------------------------------------

-- One row: `wanted` counts the changes, `done` is the count the figures below belong to; `again_at`: a claim or an objective begins or ends then.
create table graph_state(
  one boolean primary key default true check (one),
  wanted bigint not null default 1, done bigint not null default 0,
  computed_at timestamptz, again_at timestamptz, took_ms int, counts jsonb not null default '{}');
insert into graph_state default values;

-- Statement triggers, so that no writer can forget to say that the figures are out of date.
create function graph_touched() returns trigger language plpgsql as $$
begin
  update graph_state set wanted = wanted + 1;
  return null;
end $$;
create trigger graph_touched after insert or update on dependency for each statement execute function graph_touched();
create trigger graph_touched after insert or update on dependency_group for each statement execute function graph_touched();
create trigger graph_touched after insert or update on capability for each statement execute function graph_touched();
create trigger graph_touched after insert or update on objective for each statement execute function graph_touched();
create trigger graph_touched after insert or update of retired_at, slug on service for each statement execute function graph_touched();

-- least/most: the recovery takes at least and at most so long; most null: not known. via: the provider (or null: its own work) that
-- decides `least`; implied: the strictest target its consumers need of it, implied_via the consumer that passes it on, implied_from the
-- service whose target it is. unknown: a service whose missing figure leaves `most` open; unknown_why: claim, lead, cycle, short.
create table graph_verdict(
  service_id uuid not null references service, metric text not null check (metric in ('rto','rpo')),
  verdict text not null check (verdict in ('kept','broken','open','no_target')),
  target_seconds int, own_seconds int, own_basis text, measured_seconds int, measured_at timestamptz,
  least_seconds bigint, most_seconds bigint, via_id uuid, via_dependency uuid,
  implied_seconds bigint, implied_from uuid, implied_via uuid,
  unknown_id uuid, unknown_why text,
  providers int not null default 0, consumers int not null default 0,
  primary key(service_id, metric));
create index graph_verdict_list on graph_verdict(metric, verdict, service_id);

create table contradiction(
  id uuid primary key default gen_random_uuid(),
  rule text not null check (rule in ('chain','target','measured','cycle','short','retired','exception')),
  metric text not null check (metric in ('rto','rpo')),
  service_id uuid not null references service,                               -- where it shows
  other_id uuid references service,                                          -- whose target, or which provider
  key text not null,                                                         -- the same contradiction has the same key
  gap_seconds bigint,                                                        -- by how much; null: not a matter of time
  path jsonb not null, change jsonb not null, params jsonb not null default '{}',
  first_seen timestamptz not null, last_changed timestamptz not null, cleared_at timestamptz,
  accepted_by uuid references person, accepted_at timestamptz, accepted_reason text, accepted_gap bigint, accepted_until date,
  constraint contradiction_accepted_whole check ((accepted_by is null) = (accepted_at is null) and (accepted_by is null) = (accepted_reason is null)));
create unique index contradiction_once on contradiction(key) where cleared_at is null;
create index contradiction_list on contradiction(first_seen desc, id);
create index contradiction_open on contradiction(first_seen desc, id) where cleared_at is null;
create index contradiction_of on contradiction(service_id) where cleared_at is null;

create table contradiction_act(
  id bigint generated always as identity primary key,
  contradiction_id uuid not null references contradiction,
  act text not null check (act in ('seen','changed','accepted','withdrawn','lapsed','cleared')),
  at timestamptz not null, by uuid references person, reason text, gap_seconds bigint, data jsonb not null default '{}');
create index contradiction_act_of on contradiction_act(contradiction_id, id);
create trigger contradiction_act_append_only before update or delete on contradiction_act for each row execute function forbid_change();
create trigger contradiction_act_no_truncate before truncate on contradiction_act for each statement execute function forbid_change();

-- Pictures of a part of the graph, drawn once for each content: the source is all there is to know.
create table graph_picture(
  sha256 text primary key, source text not null,
  state text not null default 'pending' check (state in ('pending','claimed','done','failed')),
  claim_token bigint not null default 0, lease_until timestamptz, attempt int not null default 0,
  svg text, error_key text, topic text not null, asked_at timestamptz not null, done_at timestamptz, used_at timestamptz not null);
create index graph_picture_pending on graph_picture(asked_at) where state in ('pending','claimed');
create index graph_picture_used on graph_picture(used_at);

-- Tables of dependencies wait for their yes beside those of services.
alter table service_import add column subject text not null default 'services' check (subject in ('services','dependencies'));

-- The register's columns rto_seconds and rpo_seconds are the objective in force, for the queries that are asked all the time. Whoever
-- writes them writes an objective: sql/functions/315_objective.sql has the body of this.
create function service_objective() returns trigger language plpgsql as $$
begin
  return null;
end $$;
create trigger service_objective_made after insert on service referencing new table as made for each statement execute function service_objective();
create trigger service_objective_changed after update on service referencing new table as made for each statement execute function service_objective();
