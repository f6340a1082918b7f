-- The life of a playbook version: who wrote, submitted, sent back, waived, published and retired it; drafts that are edited in place;
-- the picture of its flow.

-- revision counts the saves of a draft (its entity tag); readable is false while the text of a draft is no YAML at all: body is then
-- what could last be read.
alter table playbook_version
  add column revision int not null default 1, add column readable boolean not null default true,
  add column authors uuid[] not null default '{}', add column changed_at timestamptz, add column changed_by uuid references person;
update playbook_version set authors = array[created_by] where created_by is not null;

create table playbook_act(
  id bigint generated always as identity primary key,
  playbook_id uuid not null, version int not null,
  act text not null check (act in ('created','changed','submitted','withdrawn','returned','waived','published','retired','discarded')),
  at timestamptz not null, by uuid references person, note text, data jsonb not null default '{}',
  foreign key(playbook_id, version) references playbook_version);
create index playbook_act_of on playbook_act(playbook_id, version, id);
create trigger playbook_act_append_only before update or delete on playbook_act for each row execute function forbid_change();
create trigger playbook_act_no_truncate before truncate on playbook_act for each statement execute function forbid_change();
insert into playbook_act(playbook_id, version, act, at, by)
  select playbook_id, version, 'created', created_at, created_by from playbook_version
  union all select playbook_id, version, 'published', published_at, published_by from playbook_version where published_at is not null;

-- finding is the key of what was found (rule, step, message), so that a waiver holds while the same thing is found again.
create table playbook_waiver(
  playbook_id uuid not null, version int not null, finding text not null, rule text not null,
  by uuid not null references person, at timestamptz not null, reason text not null check (length(reason) >= 10),
  primary key(playbook_id, version, finding, by), foreign key(playbook_id, version) references playbook_version);
create trigger playbook_waiver_append_only before update or delete on playbook_waiver for each row execute function forbid_change();

-- Drawn once for each content and language, however many versions have it.
create table playbook_picture(
  sha256 text not null, language text not null check (language in ('zh','en')),
  state text not null default 'pending' check (state in ('pending','claimed','done','failed')),
  claim_token bigint not null default 0, lease_until timestamptz, attempt int not null default 0,
  svg text, error_key text, asked_at timestamptz not null, done_at timestamptz,
  primary key(sha256, language));
create index playbook_picture_pending on playbook_picture(asked_at) where state in ('pending','claimed');
create index playbook_version_content on playbook_version(body_sha256);

create index run_of_version on run(playbook_id, playbook_version, created_at desc, id desc);
