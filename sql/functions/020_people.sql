-- People, the roles they fill, their teams and mail addresses.

-- "Contains", for one character and more; with an index on search_grams(search_text(…)) it is an index scan from two on.
create or replace function found_in(wanted text, content text) returns boolean language sql immutable parallel safe as $$
  select strpos(lower(content), lower(wanted)) > 0
$$;

create or replace function person_row(p person) returns jsonb language sql stable as $$
  select jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name, 'title', p.title, 'department', p.department, 'active', p.active,
    'language', p.language, 'roles', array(select r.role from person_role r where r.person_id = p.id
      order by array_position('{admin,commander,responder,risk,approver,auditor,viewer}'::text[], r.role)),
    'email', (select e.address from endpoint e where e.person_id = p.id and e.kind = 'email' and e.disabled_at is null order by e.created_at, e.id limit 1))
$$;

-- The list, by pinyin. after: where the page before ended, as JSON ["name","id"].
drop function if exists people_page(text, text, text, text, int, jsonb);
create function people_page(q text, role text, active text, after text, most int, form jsonb)
returns table(body jsonb, next text) language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare
  a jsonb := nullif(after, '')::jsonb; wanted text := nullif(btrim(q), ''); take int := least(coalesce(most, 50), 200); list jsonb;
begin
  select coalesce(jsonb_agg(person_row(x.p) order by x.rn) filter (where x.rn <= take), '[]'),
         case when count(*) > take then (array_agg(jsonb_build_array(sort_name((x.p).name), (x.p).id)::text order by x.rn))[take] end
    into list, people_page.next
    from (select p, row_number() over (order by sort_name(p.name) collate "zh-x-icu", p.id) as rn from person p
      where (wanted is null or found_in(wanted, search_text(p.name, p.login)))
        and (wanted is null or length(wanted) = 1 or search_grams(search_text(p.name, p.login)) @> search_grams(wanted))
        and (nullif(people_page.role, '') is null or exists (select 1 from person_role r where r.person_id = p.id and r.role = people_page.role))
        and (people_page.active = 'all' or p.active = (coalesce(people_page.active, 'on') = 'on'))
        and (a is null or (sort_name(p.name) collate "zh-x-icu", p.id) > (a ->> 0, (a ->> 1)::uuid))
      order by sort_name(p.name) collate "zh-x-icu", p.id limit take + 1) as x;
  people_page.body := jsonb_build_object('items', list, 'q', wanted, 'filtered', wanted is not null or nullif(people_page.role, '') is not null or people_page.active is not null,
    'filter_roles', choices('{viewer,responder,commander,risk,approver,auditor,admin}'::text[], people_page.role),
    'filter_active', choices('{on,off,all}'::text[], coalesce(people_page.active, 'on')),
    'languages', choices('{zh,en}'::text[], coalesce(form ->> 'language', 'zh')),
    'roles', choices('{viewer,responder,commander,risk,approver,auditor,admin}'::text[],
      case when form ? 'name' then form_list(form, 'roles') else '{viewer}' end));
  return next;
end $$;

-- One person: what all may see, and the form's fields for those who may edit.
create or replace function person_doc(wanted uuid, form jsonb default '{}') returns jsonb language plpgsql as $$
declare p person; typed boolean := coalesce(form, '{}') ?| '{name,login,title}'; mine text[];
begin
  select * into p from person x where x.id = wanted;
  if not found then perform refuse('MU404', 'error.person.unknown'); end if;
  mine := array(select r.role from person_role r where r.person_id = p.id);
  return person_row(p) || jsonb_build_object('version', p.version, 'etag', p.version::text, 'created_at', iso(p.created_at),
    'self', p.id = me(), 'may_edit', has_role('admin'), 'may_contact', has_role('admin') or p.id = me(),
    'contacts', contacts_doc(p.id),
    'has_account', exists (select 1 from account a where a.person_id = p.id),
    'must_change', exists (select 1 from account a where a.person_id = p.id and a.must_change),
    'holds', coalesce((select jsonb_agg(jsonb_build_object('role', h.role, 'deputy', h.deputy, 'position', h.position) order by h.role)
      from role_holder h where h.person_id = p.id), '[]'),
    'teams', coalesce((select jsonb_agg(jsonb_build_object('slug', t.slug, 'name', t.name) order by t.slug)
      from team_member m join team t on t.id = m.team_id where m.person_id = p.id), '[]'),
    'incidents', coalesce((select jsonb_agg(jsonb_build_object('ref', i.ref, 'title', i.title, 'kind', i.kind, 'drill', i.kind = 'drill', 'severity', i.severity, 'role', r.role) order by i.declared_at desc)
      from incident_role r join incident i on i.id = r.incident_id where r.person_id = p.id and r.until is null and i.state <> 'closed'), '[]'),
    'sessions', case when has_role('admin') or p.id = me() then coalesce((select jsonb_agg(session_doc(s) order by s.seen_at desc)
      from session s where s.person_id = p.id and s.revoked_at is null and s.expires_at > app_now() and s.seen_at > app_now() - interval '12 hours'), '[]') end,
    'edit', case when typed then jsonb_build_object('login', form -> 'login',
        'name', form -> 'name',
        'title', form -> 'title',
        'department', form -> 'department')
      else jsonb_build_object('login', p.login, 'name', p.name, 'title', p.title, 'department', p.department) end
      || jsonb_build_object('languages', choices('{zh,en}'::text[], coalesce(form ->> 'language', p.language)),
        'roles', choices('{viewer,responder,commander,risk,approver,auditor,admin}'::text[], case when typed then form_list(form, 'roles') else mine end)));
end $$;

-- One at a time: two administrators who take each other away at the same moment must not both succeed.
create or replace function admins_lock() returns void language sql as $$
  select pg_advisory_xact_lock(hashtext('muster.admins'))
$$;

create or replace function person_roles_set(who uuid, wanted text[]) returns void language plpgsql as $$
begin
  if not 'admin' = any(wanted) then perform admins_lock(); end if;
  if not 'admin' = any(wanted) and exists (select 1 from person_role r where r.person_id = who and r.role = 'admin') then
    if who = me() then perform refuse('MU409', 'error.person.self', '/roles'); end if;
    if not exists (select 1 from person_role r join person p on p.id = r.person_id and p.active join account a on a.person_id = p.id
                   where r.role = 'admin' and r.person_id <> who) then
      perform refuse('MU409', 'error.person.last_admin', '/roles');
    end if;
  end if;
  delete from person_role r where r.person_id = who and not r.role = any(wanted);
  insert into person_role select who, unnest(wanted) on conflict do nothing;
end $$;

create or replace function contact_put(who uuid, mail text, safe boolean) returns uuid language plpgsql as $$
declare made uuid;
begin
  update endpoint e set drill_safe = safe, disabled_at = null, disabled_why = null, version = e.version + 1
    where e.person_id = who and e.kind = 'email' and lower(e.address) = lower(mail) returning e.id into made;
  if made is null then
    insert into endpoint(kind, person_id, address, drill_safe, language, created_at)
      select 'email', p.id, mail, safe, p.language, app_now() from person p where p.id = who returning id into made;
  end if;
  return made;
end $$;

create or replace function login_check(login text) returns void language plpgsql as $$
begin
  if login !~ '^[a-z][a-z0-9._-]{0,63}$' then perform refuse('MU422', 'error.person.login', '/login'); end if;
end $$;

create or replace function person_create(doc jsonb) returns uuid language plpgsql as $$
declare made uuid;
begin
  perform login_check(doc ->> 'login');
  if exists (select 1 from person p where p.login = doc ->> 'login') then
    perform refuse('MU409', 'error.person.login_taken', '/login', jsonb_build_object('login', doc ->> 'login'));
  end if;
  insert into person(login, name, title, department, language, created_at)
    values (doc ->> 'login', two_languages(doc -> 'name'), two_languages(doc -> 'title'), two_languages(doc -> 'department'),
            coalesce(doc ->> 'language', 'zh'), app_now()) returning id into made;
  perform person_roles_set(made, array(select jsonb_array_elements_text(coalesce(doc -> 'roles', '[]'))));
  if doc ? 'email' then perform contact_put(made, doc ->> 'email', coalesce((doc ->> 'drill_safe')::boolean, true)); end if;
  perform audit('person.created', coalesce(doc ->> 'login', made::text), jsonb_build_object('person', made, 'name', two_languages(doc -> 'name'), 'roles', doc -> 'roles'));
  return made;
end $$;

create or replace function person_put(wanted uuid, doc jsonb, etag text) returns void language plpgsql as $$
declare p person; was text[];
begin
  select * into p from person x where x.id = wanted for update;
  if not found then perform refuse('MU404', 'error.person.unknown'); end if;
  perform etag_check(etag, p.version);
  perform login_check(doc ->> 'login');
  if doc ->> 'login' is distinct from p.login and exists (select 1 from person x where x.login = doc ->> 'login') then
    perform refuse('MU409', 'error.person.login_taken', '/login', jsonb_build_object('login', doc ->> 'login'));
  end if;
  if doc ->> 'login' is null and exists (select 1 from account a where a.person_id = p.id) then
    perform refuse('MU422', 'error.person.login_needed', '/login');
  end if;
  was := array(select r.role from person_role r where r.person_id = p.id order by 1);
  perform person_roles_set(p.id, array(select jsonb_array_elements_text(coalesce(doc -> 'roles', '[]'))));
  update person x set login = doc ->> 'login', name = two_languages(doc -> 'name'), title = two_languages(doc -> 'title'),
      department = two_languages(doc -> 'department'), language = coalesce(doc ->> 'language', x.language), version = x.version + 1 where x.id = p.id;
  perform audit('person.changed', coalesce(doc ->> 'login', p.login, p.id::text), jsonb_strip_nulls(jsonb_build_object('person', p.id,
    'name', case when two_languages(doc -> 'name') is distinct from p.name then two_languages(doc -> 'name') end,
    'login', case when doc ->> 'login' is distinct from p.login then doc -> 'login' end,
    'roles_before', to_jsonb(was), 'roles', coalesce(doc -> 'roles', '[]'))));
end $$;

-- Whoever leaves loses every session and token at once; what they did stays under their name.
create or replace function person_active(wanted uuid, wish boolean) returns void language plpgsql as $$
declare p person;
begin
  select * into p from person x where x.id = wanted for update;
  if not found then perform refuse('MU404', 'error.person.unknown'); end if;
  if p.active = wish then return; end if;
  if not wish then
    if p.id = me() then perform refuse('MU409', 'error.person.self'); end if;
    perform admins_lock();
    if exists (select 1 from person_role r where r.person_id = p.id and r.role = 'admin')
       and not exists (select 1 from person_role r join person x on x.id = r.person_id and x.active join account a on a.person_id = x.id
                       where r.role = 'admin' and r.person_id <> p.id) then
      perform refuse('MU409', 'error.person.last_admin');
    end if;
    perform sessions_end(p.id);
    update api_token t set revoked_at = app_now() where t.person_id = p.id and t.revoked_at is null;
    delete from role_holder h where h.person_id = p.id;
  end if;
  update person x set active = wish, version = x.version + 1 where x.id = p.id;
  perform audit(case when wish then 'person.activated' else 'person.deactivated' end, coalesce(p.login, p.id::text), jsonb_build_object('person', p.id));
end $$;

-- A mail address of a person: by an admin, or one's own.
create or replace function contact_add(who uuid, mail text, safe boolean) returns void language plpgsql as $$
begin
  if not has_role('admin') and who is distinct from me() then perform refuse('MU403', 'error.role.admin'); end if;
  if not exists (select 1 from person p where p.id = who) then perform refuse('MU404', 'error.person.unknown'); end if;
  perform contact_put(who, mail, safe);
  perform audit('contact.added', coalesce((select p.login from person p where p.id = who), who::text), jsonb_build_object('person', who, 'address', mail, 'drill_safe', safe));
end $$;

-- Old messages keep pointing at the row, so it is disabled when it was used and removed when it never was.
create or replace function contact_remove(wanted uuid) returns uuid language plpgsql as $$
declare e endpoint;
begin
  select * into e from endpoint x where x.id = wanted and x.person_id is not null for update;
  if not found or (not has_role('admin') and e.person_id <> me()) then perform refuse('MU404', 'error.contact.unknown'); end if;
  if exists (select 1 from outbox o where o.endpoint_id = e.id) then
    update endpoint x set disabled_at = coalesce(x.disabled_at, app_now()), disabled_why = 'removed', version = x.version + 1 where x.id = e.id;
  else
    delete from endpoint x where x.id = e.id;
  end if;
  perform audit('contact.removed', coalesce((select p.login from person p where p.id = e.person_id), e.person_id::text), jsonb_build_object('address', e.address));
  return e.person_id;
end $$;

-- People for a select, by pinyin; a bank with more than a thousand of them searches by login instead.
create or replace function people_choices(chosen text) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', x.id, 'name', x.name, 'login', x.login, 'selected', coalesce(x.id::text = chosen, false))
      order by sort_name(x.name) collate "zh-x-icu", x.id), '[]')
  from (select p.* from person p where p.active order by sort_name(p.name) collate "zh-x-icu", p.id limit 1000) as x
$$;

-- The roles that playbooks know, with who fills them: those of published playbooks and those that somebody holds.
create or replace function roles_doc(form jsonb) returns jsonb language sql as $$
  with named as (
    select distinct on (r.key) r.key as role, case when jsonb_typeof(r.value) = 'object' and (r.value ? 'zh' or r.value ? 'en')
        then jsonb_build_object('zh', r.value -> 'zh', 'en', r.value -> 'en') end as name
      from playbook_version v, lateral jsonb_each(case jsonb_typeof(v.body -> 'roles') when 'object' then v.body -> 'roles' else '{}' end) as r
      where v.state = 'published' order by r.key, v.published_at desc nulls last),
  every as (
    select coalesce(n.role, h.role) as role, n.name from named n full join (select distinct role from role_holder) h on h.role = n.role)
  select jsonb_build_object(
    'items', coalesce((select jsonb_agg(jsonb_build_object('role', e.role, 'name', coalesce(e.name, jsonb_build_object('zh', e.role, 'en', e.role)),
        'holders', coalesce((select jsonb_agg(jsonb_build_object('person', person_ref(h.person_id), 'deputy', h.deputy, 'position', h.position,
            'email', exists (select 1 from endpoint x where x.person_id = h.person_id and x.kind = 'email' and x.disabled_at is null)) order by h.deputy, h.position, h.person_id)
          from role_holder h where h.role = e.role), '[]'),
        'nobody', not exists (select 1 from role_holder h where h.role = e.role)) order by e.role) from every e), '[]'),
    'people', people_choices(form ->> 'person'),
    'role', form ->> 'role')
$$;

create or replace function role_holder_put(slot text, who uuid, as_deputy boolean, place int) returns void language plpgsql as $$
begin
  if not exists (select 1 from person p where p.id = who and p.active) then perform refuse('MU422', 'error.person.unknown', '/person'); end if;
  insert into role_holder(role, person_id, deputy, position) values (slot, who, coalesce(as_deputy, false),
      coalesce(place, (select coalesce(max(h.position), 0) + 1 from role_holder h where h.role = slot and h.deputy = coalesce(as_deputy, false))))
    on conflict (role, person_id) do update set deputy = excluded.deputy, position = excluded.position;
  perform audit('role_holder.set', slot, jsonb_build_object('person', who, 'deputy', coalesce(as_deputy, false)));
end $$;

create or replace function role_holder_remove(slot text, who uuid) returns void language plpgsql as $$
begin
  delete from role_holder h where h.role = slot and h.person_id = who;
  if not found then perform refuse('MU404', 'error.role_holder.unknown'); end if;
  perform audit('role_holder.removed', slot, jsonb_build_object('person', who));
end $$;

create or replace function team_id(wanted text) returns uuid language plpgsql stable as $$
declare found_id uuid;
begin
  select t.id into found_id from team t where t.slug = wanted;
  if found_id is null then perform refuse('MU404', 'error.team.unknown'); end if;
  return found_id;
end $$;

create or replace function teams_doc(form jsonb) returns jsonb language sql as $$
  select jsonb_build_object(
    'items', coalesce((select jsonb_agg(jsonb_build_object('slug', t.slug, 'name', t.name,
        'members', coalesce((select jsonb_agg(person_ref(p.id) order by sort_name(p.name) collate "zh-x-icu", p.id)
          from team_member m join person p on p.id = m.person_id where m.team_id = t.id), '[]')) order by t.slug) from team t), '[]'),
    'people', people_choices(form ->> 'person'))
$$;

create or replace function team_create(doc jsonb) returns void language plpgsql as $$
begin
  if exists (select 1 from team t where t.slug = doc ->> 'slug') then
    perform refuse('MU409', 'error.slug_taken', '/slug', jsonb_build_object('slug', doc ->> 'slug'));
  end if;
  insert into team(slug, name) values (doc ->> 'slug', two_languages(doc -> 'name'));
  perform audit('team.created', doc ->> 'slug');
end $$;

create or replace function team_remove(wanted text) returns void language plpgsql as $$
begin
  delete from team t where t.id = team_id(wanted);
  perform audit('team.removed', wanted);
end $$;

create or replace function team_member_put(wanted text, who uuid) returns void language plpgsql as $$
begin
  if not exists (select 1 from person p where p.id = who and p.active) then perform refuse('MU422', 'error.person.unknown', '/person'); end if;
  insert into team_member(team_id, person_id) values (team_id(wanted), who) on conflict do nothing;
  perform audit('team.member_added', wanted, jsonb_build_object('person', who));
end $$;

create or replace function team_member_remove(wanted text, who uuid) returns void language plpgsql as $$
begin
  delete from team_member m where m.team_id = team_id(wanted) and m.person_id = who;
  if not found then perform refuse('MU404', 'error.person.unknown'); end if;
  perform audit('team.member_removed', wanted, jsonb_build_object('person', who));
end $$;

-- From the command line: a person with roles and a one-time password. Somebody who is there already is left as they are: their roles are
-- changed on the page, their password by the command for it.
create or replace function user_create(who text, name jsonb, roles jsonb, mail text, hash text) returns uuid language plpgsql as $$
declare made uuid; v_role text; v_known text[] := '{viewer,responder,commander,risk,approver,auditor,admin}';
begin
  if exists (select 1 from person p where p.login = who) then
    perform refuse('MU409', 'error.person.exists', '', jsonb_build_object('login', who));
  end if;
  select r into v_role from jsonb_array_elements_text(roles) r where r <> all (v_known) limit 1;
  if v_role is not null then
    perform refuse('MU422', 'error.person.role', '', jsonb_build_object('role', v_role, 'known', array_to_string(v_known, ', ')));
  end if;
  made := person_create(jsonb_strip_nulls(jsonb_build_object('login', who, 'name', coalesce(name, to_jsonb(who)), 'roles', coalesce(roles, '["viewer"]'), 'email', mail)));
  perform account_set(made, hash, true);
  return made;
end $$;
