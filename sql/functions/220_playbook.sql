-- Playbooks as files with versions: imported as a draft with the checker's findings, published by a second person, retired.

-- Stores a checked document. `state` draft (import) or published (what comes with the program). The content the newest version
-- has already makes no new one. Answers slug and version.
drop function if exists playbook_store(text, jsonb, text, text, text, jsonb, text);
create function playbook_store(slug text, body jsonb, sha256 text, format text, source text, findings jsonb, state text)
returns table(playbook uuid, version int, made boolean) language plpgsql as $$
#variable_conflict use_column
declare p uuid; v playbook_version%rowtype; n int;
begin
  insert into playbook as x(slug) values (playbook_store.slug) on conflict (slug) do nothing;
  select x.id into p from playbook x where x.slug = playbook_store.slug for update;
  select * into v from playbook_version x where x.playbook_id = p order by x.version desc limit 1;
  if v.body_sha256 = playbook_store.sha256 and v.state <> 'retired' then
    if v.state = 'draft' then
      update playbook_version x set source_text = playbook_store.source, findings = playbook_store.findings
      where x.playbook_id = p and x.version = v.version and x.source_format = playbook_store.format;   -- a text of another format is not what it was made of
    end if;
    return query select p, v.version, false;
    return;
  end if;
  n := coalesce(v.version, 0) + 1;
  if playbook_store.state = 'published' then
    update playbook_version x set state = 'retired' where x.playbook_id = p and x.state = 'published';
  end if;
  insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, source_text, findings, state, created_at, created_by, published_at, published_by)
  values (p, n, playbook_store.body, playbook_store.sha256, coalesce(two_languages(playbook_store.body -> 'title'), to_jsonb(playbook_store.slug)),
    playbook_store.format, playbook_store.source, coalesce(playbook_store.findings, '[]'), playbook_store.state, app_now(), me(),
    case when playbook_store.state = 'published' then app_now() end, case when playbook_store.state = 'published' then me() end);
  update playbook x set archived_at = null where x.id = p;
  if me() is not null then
    perform audit('playbook.imported', playbook_store.slug || '/' || n, jsonb_build_object('sha256', playbook_store.sha256));
  end if;
  return query select p, n, true;
end $$;

create or replace function playbook_may_write() returns boolean language sql stable as $$
  select has_role('commander') or has_role('risk') or has_role('admin')
$$;
create or replace function playbook_must_write() returns void language plpgsql as $$
begin
  if not playbook_may_write() then perform refuse('MU403', 'error.playbook.role'); end if;
end $$;

create or replace function playbook_version_line(v playbook_version) returns jsonb language sql stable as $$
  select jsonb_build_object('version', v.version, 'state', v.state, 'is', jsonb_build_object(v.state, true), 'title', v.title, 'sha256', v.body_sha256, 'format', v.source_format,
    'created_at', iso(v.created_at), 'created_by', person_ref(v.created_by), 'published_at', iso(v.published_at), 'published_by', person_ref(v.published_by),
    'errors', (select count(*) from jsonb_array_elements(v.findings) f where f ->> 'level' = 'error'),
    'warnings', (select count(*) from jsonb_array_elements(v.findings) f where f ->> 'level' = 'warning'))
$$;

-- Every playbook with its published version and a newer draft; bounded, for a house has dozens of them.
create or replace function playbook_list(wanted text) returns jsonb language sql stable as $$
  select jsonb_build_object('can', jsonb_build_object('import', playbook_may_write()), 'has_playbooks', count(*) > 0, 'filter', jsonb_strip_nulls(jsonb_build_object('q', wanted)),
    'playbooks', coalesce(jsonb_agg(x.line order by x.sort), '[]'))
  from (
    select jsonb_build_object('slug', p.slug, 'title', coalesce(pub.title, v.title), 'category', coalesce(pub.body, v.body) #>> '{plan,category}',
        'is_drill', coalesce(pub.body, v.body) #>> '{plan,category}' = 'exercise', 'archived', p.archived_at is not null,
        'published', case when pub.version is not null then playbook_version_line(pub) end,
        'draft', case when v.state in ('draft','in_review') then playbook_version_line(v) end,
        'runs', (select count(*) from run r where r.playbook_id = p.id), 'last_run', (select iso(max(r.created_at)) from run r where r.playbook_id = p.id)) as line,
      (case when p.archived_at is null then '0' else '1' end) || p.slug as sort
    from playbook p
    join lateral (select * from playbook_version x where x.playbook_id = p.id order by x.version desc limit 1) v on true
    left join lateral (select * from playbook_version x where x.playbook_id = p.id and x.state = 'published' order by x.version desc limit 1) pub on true
    where wanted is null or p.slug ilike '%' || wanted || '%' or v.title::text ilike '%' || wanted || '%'
    order by p.slug limit 500) x
$$;

-- One version (null: the published one, else the newest) with the source, its findings beside the lines.
create or replace function playbook_get(slug text, wanted int) returns table(body jsonb, document jsonb) language plpgsql stable as $$
#variable_conflict use_column
declare p playbook%rowtype; v playbook_version%rowtype; mine boolean; two boolean := coalesce(setting_get('two_person'), 'true') <> 'false';
begin
  select * into p from playbook x where x.slug = playbook_get.slug;
  if not found then perform refuse('MU404', 'error.playbook.unknown', '', jsonb_build_object('name', playbook_get.slug)); end if;
  select * into v from playbook_version x where x.playbook_id = p.id and (wanted is null or x.version = wanted)
    order by (x.state = 'published') desc, x.version desc limit 1;
  if not found then perform refuse('MU404', 'error.playbook.version'); end if;
  mine := v.created_by is not null and v.created_by = me();
  return query select playbook_version_line(v) || jsonb_build_object('slug', p.slug, 'archived', p.archived_at is not null, 'language', v.body ->> 'language',
      'text', v.body -> 'text', 'plan', v.body -> 'plan', 'findings', v.findings, 'has_findings', v.findings <> '[]', 'has_source', coalesce(v.source_text, '') <> '', 'has_roles', jsonb_typeof(v.body -> 'roles') = 'object' and v.body -> 'roles' <> '{}',
      'roles', (select jsonb_agg(jsonb_build_object('id', e.key, 'name', case when jsonb_typeof(e.value) = 'object' and e.value ?| array['zh','en'] then e.value else to_jsonb(e.key) end) order by e.key)
        from jsonb_each(case when jsonb_typeof(v.body -> 'roles') = 'object' then v.body -> 'roles' else '{}' end) e),
      'can', jsonb_build_object('publish', v.state in ('draft','in_review') and (has_role('approver') or has_role('commander') or has_role('admin')) and not (two and mine),
        'publish_other', v.state in ('draft','in_review') and two and mine, 'retire', v.state = 'published' and playbook_may_write(), 'import', playbook_may_write()),
      'blocked', exists (select 1 from jsonb_array_elements(v.findings) f where f ->> 'level' = 'error'),
      'versions', (select jsonb_agg(playbook_version_line(x) || jsonb_build_object('this', x.version = v.version) order by x.version desc)
        from (select * from playbook_version y where y.playbook_id = p.id order by y.version desc limit 50) x),
      'lines', (select coalesce(jsonb_agg(jsonb_build_object('n', l.n, 'line', l.line, 'is_bad', exists (select 1 from jsonb_array_elements(v.findings) f where (f ->> 'line')::int = l.n),
          'found', (select coalesce(jsonb_agg(f), '[]') from jsonb_array_elements(v.findings) f where (f ->> 'line')::int = l.n)) order by l.n), '[]')
        from regexp_split_to_table(rtrim(coalesce(v.source_text, ''), E'\n'), E'\r?\n') with ordinality l(line, n) where l.n <= 3000 and v.source_text <> '')),
    v.body;
end $$;

-- Of what a playbook names outside itself, the things that are not here: [{"kind","name"}].
create or replace function playbook_lacks(needs jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'name', name, 'is', jsonb_build_object(kind, true)) order by kind, name), '[]') from (
    select 'role' as kind, k as name from jsonb_object_keys(case when jsonb_typeof(needs -> 'roles') = 'object' then needs -> 'roles' else '{}' end) k
      where not exists (select 1 from role_holder h join person p on p.id = h.person_id and p.active where h.role = k)
    union all select 'group', k from jsonb_array_elements_text(coalesce(needs -> 'groups', '[]')) k where not exists (select 1 from team t where t.slug = k)
    union all select 'user', k from jsonb_array_elements_text(coalesce(needs -> 'users', '[]')) k where not exists (select 1 from person t where t.login = k and t.active)
    union all select 'channel', k from jsonb_array_elements_text(coalesce(needs -> 'channels', '[]')) k
      where k not in ('email','webhook') and not exists (select 1 from endpoint e where 'webhook.' || e.slug = k and e.disabled_at is null)
    union all select 'profile', k from jsonb_array_elements_text(coalesce(needs -> 'profiles', '[]')) k where not exists (select 1 from report_profile t where t.id = k)
    union all select 'component', k from jsonb_array_elements_text(coalesce(needs -> 'components', '[]')) k where not exists (select 1 from component t where t.slug = k and not t.is_group)
    union all select 'contact', k from jsonb_array_elements_text(coalesce(needs -> 'contacts', '[]')) k where not exists (select 1 from endpoint t where t.slug = k)) x
$$;

-- Published by a second person, never with an error of the checker left. Earlier versions retire; runs keep the one they have.
create or replace function playbook_publish(slug text, wanted int) returns void language plpgsql as $$
declare p playbook%rowtype; v playbook_version%rowtype;
begin
  if not (has_role('approver') or has_role('commander') or has_role('admin')) then perform refuse('MU403', 'error.playbook.publish_role'); end if;
  select * into p from playbook x where x.slug = playbook_publish.slug for update;
  select * into v from playbook_version x where x.playbook_id = p.id and x.version = wanted for update;
  if v.version is null then perform refuse('MU404', 'error.playbook.version'); end if;
  if v.state not in ('draft','in_review') then perform refuse('MU409', 'error.playbook.not_draft'); end if;
  if exists (select 1 from jsonb_array_elements(v.findings) f where f ->> 'level' = 'error') then perform refuse('MU409', 'error.playbook.findings'); end if;
  if coalesce(setting_get('two_person'), 'true') <> 'false' and v.created_by = me() then perform refuse('MU403', 'error.playbook.own'); end if;
  update playbook_version x set state = 'retired' where x.playbook_id = p.id and x.state = 'published';
  update playbook_version x set state = 'published', published_at = app_now(), published_by = me(), approved_by = array[me()]
  where x.playbook_id = p.id and x.version = wanted;
  update playbook x set archived_at = null where x.id = p.id;
  perform audit('playbook.published', p.slug || '/' || wanted, jsonb_build_object('sha256', v.body_sha256, 'imported_by', v.created_by));
end $$;

create or replace function playbook_retire(slug text, wanted int) returns void language plpgsql as $$
declare p playbook%rowtype;
begin
  perform playbook_must_write();
  select * into p from playbook x where x.slug = playbook_retire.slug for update;
  update playbook_version x set state = 'retired' where x.playbook_id = p.id and x.version = wanted and x.state = 'published';
  if not found then perform refuse('MU409', 'error.playbook.not_published'); end if;
  update playbook x set archived_at = app_now() where x.id = p.id;
  perform audit('playbook.retired', p.slug || '/' || wanted, '{}');
end $$;
