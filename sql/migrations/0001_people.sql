-- Who there is, how they sign in, and how they are reached. Texts in two languages are jsonb {"zh":…,"en":…}.

-- Time: domain SQL asks app_now() only. The offset can be set by tests alone (muster refuses to set it unless test.clock is on).
create table test_clock(only_row boolean primary key default true check (only_row), shift interval not null default '0');
insert into test_clock default values;

create table setting(
  key text primary key, value jsonb not null, changed_at timestamptz not null default clock_timestamp(), changed_by uuid);

create table person(
  id uuid primary key default gen_random_uuid(),
  login text unique check (login ~ '^[a-z][a-z0-9._-]{0,63}$'),       -- null: someone who is told things but does not sign in
  name jsonb not null, title jsonb, department jsonb,
  language text not null default 'zh' check (language in ('zh','en')),
  active boolean not null default true,
  version int not null default 1,
  created_at timestamptz not null default clock_timestamp());

-- Argon2id hash only. A one-time password must be changed at the first sign-in.
create table account(
  person_id uuid primary key references person,
  password_hash text not null, must_change boolean not null default false,
  changed_at timestamptz not null default clock_timestamp());

create table person_role(
  person_id uuid not null references person on delete cascade,
  role text not null check (role in ('viewer','responder','commander','risk','approver','auditor','admin')),
  primary key(person_id, role));

create table session(
  token_hash text primary key,                                          -- hex SHA-256; the token itself is never stored
  id uuid not null unique default gen_random_uuid(),
  person_id uuid not null references person,
  created_at timestamptz not null, seen_at timestamptz not null, expires_at timestamptz not null,
  address text, agent text, revoked_at timestamptz);
create index session_person on session(person_id) where revoked_at is null;

create table api_token(
  id uuid primary key default gen_random_uuid(),
  person_id uuid not null references person, name text not null,
  token_hash text not null unique, last_four text not null,
  scopes text[] not null,                                               -- roles the token may use, never more than its person has
  created_at timestamptz not null, expires_at timestamptz, used_at timestamptz, revoked_at timestamptz);
create index api_token_person on api_token(person_id);

create table sign_in_attempt(
  id bigint generated always as identity primary key,
  login text not null, address text not null, at timestamptz not null, good boolean not null);
create index sign_in_attempt_login on sign_in_attempt(login, at desc);
create index sign_in_attempt_address on sign_in_attempt(address, at desc);

create table team(id uuid primary key default gen_random_uuid(), slug text not null unique, name jsonb not null);
create table team_member(team_id uuid not null references team on delete cascade, person_id uuid not null references person, primary key(team_id, person_id));

-- Who fills a playbook role when a run starts; deputies step in, in order of position.
create table role_holder(
  role text not null check (role ~ '^[a-z][a-z0-9_-]{0,63}$'),
  person_id uuid not null references person, deputy boolean not null default false, position int not null default 1,
  primary key(role, person_id));

-- Where a message can go: a person's mailbox, or a web hook. `audience` and `drill_safe` decide what a drill may reach.
create table endpoint(
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('email','webhook')),
  slug text unique,                                                     -- webhooks: the name playbooks use (webhook.duty)
  person_id uuid references person, name jsonb,
  address text not null,
  audience text not null default 'internal' check (audience in ('internal','customer','regulator')),
  drill_safe boolean not null default false,
  secret_sealed text,                                                   -- webhook signing key, sealed with the site key
  language text not null default 'zh' check (language in ('zh','en')),
  events text[] not null default '{}',                                  -- webhook event types wanted; empty = all
  disabled_at timestamptz, disabled_why text,
  version int not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  check (kind <> 'email' or person_id is not null or audience <> 'internal'),
  check (audience = 'internal' or not drill_safe));                     -- a drill never reaches a customer or a regulator
create index endpoint_person on endpoint(person_id);

-- Answers kept so that a repeated request gets the first answer again.
create table idempotency(
  caller text not null, key text not null, route text not null, body_sha256 text not null,
  status int, body text, location text, at timestamptz not null default clock_timestamp(),
  primary key(caller, key));
create index idempotency_at on idempotency(at);

-- Append-only record of who did what to the system itself; hash-chained like a timeline.
create table audit_event(
  seq bigint primary key, at timestamptz not null, actor uuid, actor_name text, action text not null, object text,
  data jsonb not null default '{}', prev_hash text not null, hash text not null);
create index audit_event_action on audit_event(action, seq desc);

create function forbid_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed', tg_table_name using errcode = '23514';
end $$;
create trigger audit_event_append_only before update or delete on audit_event for each row execute function forbid_change();
create trigger audit_event_no_truncate before truncate on audit_event for each statement execute function forbid_change();
