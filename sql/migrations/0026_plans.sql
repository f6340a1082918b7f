-- Emergency plans: templates, versions of which one is in force, what a version cited when it was approved, why it went stale since,
-- printed packs that can be checked, reviews, and activations in incidents.
create extension if not exists btree_gist;

-- Skeletons as loaded from playbooks/plans; a change is a new version.
create table plan_template(
  id text not null, version int not null, body jsonb not null, body_sha256 text not null, loaded_at timestamptz not null,
  primary key(id, version));

create table plan(
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z][a-z0-9_-]{0,63}$'),
  kind text not null check (kind in ('overall','special','onsite')),
  owner_id uuid not null references person,
  -- how often it is looked at, who decided that and why
  review_days int not null default 365 check (review_days between 1 and 3650),
  review_by uuid references person, review_at timestamptz, review_why text,
  reviewed_at timestamptz,                                              -- last time somebody found nothing to change, or a version was approved
  archived_at timestamptz,
  created_at timestamptz not null, created_by uuid references person);

-- body: {sections:[{id,title,text,from}], levels:[…], roles:[…], audiences:[…], services:[slug], playbooks:[{slug,level}]}
create table plan_version(
  plan_id uuid not null references plan, version int not null check (version > 0),
  state text not null check (state in ('draft','in_review','in_force','superseded','discarded')),
  title jsonb not null, template text, template_version int, body jsonb not null,
  content_sha256 text,                                                  -- over title, body and the facts cited; set at approval
  authors uuid[] not null default '{}', revision int not null default 1,
  created_at timestamptz not null, created_by uuid references person, changed_at timestamptz not null, changed_by uuid references person,
  submitted_at timestamptz, submitted_by uuid references person,
  approved_at timestamptz, approved_by uuid references person,
  in_force tstzrange,
  primary key(plan_id, version),
  -- two people: nobody approves what they wrote or handed in
  constraint plan_two_people check (approved_by is null or (not approved_by = any(authors) and approved_by is distinct from submitted_by)),
  constraint plan_approved_whole check ((state in ('in_force','superseded')) = (approved_at is not null and approved_by is not null and content_sha256 is not null and in_force is not null)),
  constraint plan_one_in_force exclude using gist (plan_id with =, in_force with &&));
create unique index plan_version_current on plan_version(plan_id) where state = 'in_force';
create unique index plan_version_open on plan_version(plan_id) where state in ('draft','in_review');

-- An approved version never changes and never becomes a draft again; it can only be superseded.
create function plan_version_guard() returns trigger language plpgsql as $$
begin
  if old.state = 'discarded' or old.state in ('in_force','superseded') and (new.state not in ('in_force','superseded')
     or old.state = 'superseded' and new.state = 'in_force' or lower(new.in_force) is distinct from lower(old.in_force)
     or (new.title, new.body, new.content_sha256, new.authors, new.approved_by, new.approved_at) is distinct from
        (old.title, old.body, old.content_sha256, old.authors, old.approved_by, old.approved_at)) then
    raise exception 'an approved plan version never changes' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger plan_version_immutable before update on plan_version for each row execute function plan_version_guard();
create trigger plan_version_kept before delete on plan_version for each row execute function forbid_change();
create trigger plan_version_no_truncate before truncate on plan_version for each statement execute function forbid_change();

-- Who did what to a version.
create table plan_act(
  id bigint generated always as identity primary key,
  plan_id uuid not null, version int not null,
  act text not null check (act in ('created','changed','submitted','withdrawn','returned','approved','superseded','discarded','reviewed','cadence','archived','owner')),
  at timestamptz not null, by uuid references person, note text, data jsonb not null default '{}',
  foreign key(plan_id, version) references plan_version);
create index plan_act_of on plan_act(plan_id, id);
create trigger plan_act_append_only before update or delete on plan_act for each row execute function forbid_change();
create trigger plan_act_no_truncate before truncate on plan_act for each statement execute function forbid_change();

-- What a version cited, as it was when the version was approved.
create table plan_cited(
  plan_id uuid not null, version int not null, section text not null, kind text not null, name text not null,
  fact jsonb not null, hash text not null, at timestamptz not null,
  primary key(plan_id, version, section, kind, name), foreign key(plan_id, version) references plan_version);
create trigger plan_cited_append_only before update or delete on plan_cited for each row execute function forbid_change();
create trigger plan_cited_no_truncate before truncate on plan_cited for each statement execute function forbid_change();

-- Why a version went stale: one row for each citation and each thing that happened to it. told_at: when the owner was told, once.
create table plan_cause(
  id bigint generated always as identity primary key,
  plan_id uuid not null, version int not null, section text not null, kind text not null, name text not null,
  cause text not null, since timestamptz not null, seen_at timestamptz not null, told_at timestamptz, cleared_at timestamptz, hash text not null,
  foreign key(plan_id, version, section, kind, name) references plan_cited);
create unique index plan_cause_open on plan_cause(plan_id, version, section, kind, name, cause) where cleared_at is null;
create index plan_cause_since on plan_cause(since desc, id);

-- A printed copy: what was printed, until when it may be trusted, and the code its check page asks for.
create table plan_pack(
  code text primary key check (code ~ '^[a-z2-9]{16}$'),
  plan_id uuid not null, version int not null, role text, language text not null check (language in ('zh','en')),
  content_sha256 text not null, model jsonb not null,
  created_at timestamptz not null, created_by uuid references person, expires_at timestamptz not null,
  foreign key(plan_id, version) references plan_version, check (expires_at > created_at));
create index plan_pack_of on plan_pack(plan_id, created_at desc);
create trigger plan_pack_append_only before update or delete on plan_pack for each row execute function forbid_change();
create trigger plan_pack_no_truncate before truncate on plan_pack for each statement execute function forbid_change();

create table plan_activation(
  id uuid primary key default gen_random_uuid(),
  plan_id uuid not null, version int not null, incident_id uuid not null references incident, level text not null,
  at timestamptz not null, by uuid references person, note text, roles jsonb not null, runs uuid[] not null default '{}',
  foreign key(plan_id, version) references plan_version,
  unique(incident_id, plan_id, level));
create trigger plan_activation_append_only before update or delete on plan_activation for each row execute function forbid_change();
create trigger plan_activation_no_truncate before truncate on plan_activation for each statement execute function forbid_change();
