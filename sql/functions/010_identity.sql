-- Signing in and out, passwords, sessions, tokens.

-- How long the next try of this login from this address must wait, in seconds: free for five failures, then doubling up to
-- fifteen minutes. A login under attack from many addresses, and an address that tries many logins, wait as well.
create or replace function sign_in_wait(login text, address text) returns int language sql stable as $$
  with failed as (
    select count(*) as n, max(a.at) as last
      from sign_in_attempt a
      where a.login = sign_in_wait.login and a.address = sign_in_wait.address and not a.good and a.at > app_now() - interval '15 minutes'
        and a.at > coalesce((select max(g.at) from sign_in_attempt g
                             where g.login = a.login and g.address = a.address and g.good and g.at > app_now() - interval '15 minutes'), '-infinity')
    union all
    select count(*) - 15, max(a.at) from sign_in_attempt a
      where a.login = sign_in_wait.login and not a.good and a.at > app_now() - interval '15 minutes'
    union all
    select count(*) - 45, max(a.at) from sign_in_attempt a
      where a.address = sign_in_wait.address and not a.good and a.at > app_now() - interval '15 minutes')
  select coalesce(max(greatest(0, ceil(extract(epoch from
      last + make_interval(secs => least(900, power(2, least(n, 20) - 4))) - app_now()))))::int, 0)
    from failed where n >= 5
$$;

-- First half of a sign-in: `wait` > 0 means not now. One try of a login at a time; the hash is null for nobody we know.
drop function if exists sign_in_begin(text, text);
create function sign_in_begin(login text, address text) returns table(wait int, password_hash text) language plpgsql as $$
begin
  if not pg_try_advisory_xact_lock(hashtext('muster.signin'), hashtext(lower(sign_in_begin.login))) then
    return query select 1, null::text;
    return;
  end if;
  wait := sign_in_wait(lower(sign_in_begin.login), sign_in_begin.address);
  select a.password_hash into sign_in_begin.password_hash
    from person p join account a on a.person_id = p.id where p.login = lower(sign_in_begin.login) and p.active;
  return next;
end $$;

-- Second half: remembers the try, and after a good one opens the session. Gives the person, or null.
create or replace function sign_in_end(who text, address text, good boolean, session_hash text, agent text)
returns table(person uuid, must_change boolean) language plpgsql as $$
declare moment timestamptz := app_now(); p record;
begin
  insert into sign_in_attempt(login, address, at, good) values (left(lower(who), 64), address, moment, good);
  if not good then
    perform audit('sign_in.refused', left(lower(who), 64), jsonb_build_object('address', address), null);
    return query select null::uuid, false;
    return;
  end if;
  select q.id, a.must_change into strict p from person q join account a on a.person_id = q.id where q.login = lower(who);
  insert into session(token_hash, person_id, created_at, seen_at, expires_at, address, agent)
    values (session_hash, p.id, moment, moment, moment + interval '7 days', address, left(agent, 300));
  perform audit('sign_in', lower(who), jsonb_build_object('address', address), p.id);
  return query select p.id, p.must_change;
end $$;

create or replace function sign_out() returns void language plpgsql as $$
begin
  update session s set revoked_at = app_now() where s.id = my_session() and s.revoked_at is null;
  if found then perform audit('sign_out', (select p.login from person p where p.id = me())); end if;
end $$;

-- A person ends a session of their own; an admin any.
create or replace function session_revoke(wanted uuid) returns uuid language plpgsql as $$
declare s session;
begin
  select * into s from session x where x.id = wanted and (x.person_id = me() or has_role('admin')) for update;
  if not found then perform refuse('MU404', 'error.session.unknown'); end if;
  if s.revoked_at is null then
    update session x set revoked_at = app_now() where x.id = wanted;
    perform audit('session.revoked', s.person_id::text, jsonb_build_object('session', wanted));
  end if;
  return s.person_id;
end $$;

-- Ends every session of a person but the one given.
create or replace function sessions_end(whose uuid, but uuid default null) returns int language sql as $$
  with ended as (update session s set revoked_at = app_now()
    where s.person_id = whose and s.revoked_at is null and s.id is distinct from but returning 1)
  select count(*)::int from ended
$$;

-- Sets a password hash. change: it is a one-time password. Every session of the person ends but the one that asks.
create or replace function account_set(who uuid, hash text, change boolean) returns void language plpgsql as $$
begin
  insert into account as a(person_id, password_hash, must_change, changed_at) values (who, hash, change, app_now())
    on conflict (person_id) do update set password_hash = excluded.password_hash, must_change = excluded.must_change, changed_at = excluded.changed_at;
  perform sessions_end(who, my_session());
  perform audit(case when change then 'password.reset' else 'password.changed' end, (select p.login from person p where p.id = who));
end $$;

-- From the command line: a one-time password for a login that exists.
create or replace function account_set_login(who text, hash text, change boolean) returns uuid language plpgsql as $$
declare found_person uuid;
begin
  select p.id into found_person from person p where p.login = who and p.active;
  if found_person is null then perform refuse('MU404', 'error.person.unknown', '/login'); end if;
  perform account_set(found_person, hash, change);
  -- An administrator who was locked out by tries of others gets in again.
  delete from sign_in_attempt a where a.login = who and not a.good;
  return found_person;
end $$;

-- A browser's own description in few words; as it is when it is not known.
create or replace function agent_short(agent text) returns text language sql immutable as $$
  select coalesce(nullif(concat_ws(' · ',
    case when agent ~ 'MicroMessenger/' then 'WeChat' when agent ~ 'Edg/' then 'Edge ' || substring(agent from 'Edg/(\d+)')
      when agent ~ 'Firefox/' then 'Firefox ' || substring(agent from 'Firefox/(\d+)') when agent ~ 'Chrome/' then 'Chrome ' || substring(agent from 'Chrome/(\d+)')
      when agent ~ 'Version/.*Safari/' then 'Safari ' || substring(agent from 'Version/(\d+)') end,
    case when agent ~* 'harmonyos|openharmony' then 'HarmonyOS' when agent ~ 'Android' then 'Android' when agent ~ 'iPhone|iPad' then 'iOS' when agent ~ 'Windows' then 'Windows'
      when agent ~ 'Mac OS X' then 'macOS' when agent ~ 'Linux' then 'Linux' end), ''), agent)
$$;

create or replace function session_doc(s session) returns jsonb language sql stable as $$
  select jsonb_build_object('id', s.id, 'created_at', iso(s.created_at), 'seen_at', iso(s.seen_at), 'expires_at', iso(least(s.expires_at, s.seen_at + interval '12 hours')),
    'address', s.address, 'agent', agent_short(s.agent), 'this', s.id = my_session())
$$;

create or replace function token_doc(t api_token) returns jsonb language sql stable as $$
  select jsonb_build_object('id', t.id, 'name', t.name, 'last_four', t.last_four, 'scopes', t.scopes, 'created_at', iso(t.created_at),
    'expires_at', iso(t.expires_at), 'used_at', iso(t.used_at), 'revoked_at', iso(t.revoked_at),
    'live', t.revoked_at is null and coalesce(t.expires_at > app_now(), true), 'person', person_ref(t.person_id))
$$;

-- Scopes are checked against what the person may do, so that a token is never more than its person.
drop function if exists token_create(text, jsonb, int, text, text);
create function token_create(name text, scopes jsonb, days int, hash text, last_four text) returns jsonb language plpgsql as $$
declare wanted text[] := array(select jsonb_array_elements_text(coalesce(scopes, '[]'))); bad text; made api_token;
begin
  select r into bad from unnest(wanted) as r where not has_role(r) limit 1;
  if bad is not null then
    perform refuse('MU422', 'error.token.scope', '/scopes', jsonb_build_object('role', bad));
  end if;
  insert into api_token(person_id, name, token_hash, last_four, scopes, created_at, expires_at)
    values (me(), token_create.name, hash, token_create.last_four, wanted, app_now(),
      -- a token that is made with a token does not outlive it
      least(app_now() + make_interval(days => token_create.days), (select t.expires_at from api_token t where t.id = my_session())))
    returning * into made;
  perform audit('token.created', token_create.name, jsonb_build_object('token', made.id, 'scopes', wanted));
  return token_doc(made);
end $$;

create or replace function token_revoke(wanted uuid) returns void language plpgsql as $$
declare t api_token;
begin
  select * into t from api_token x where x.id = wanted and (x.person_id = me() or has_role('admin')) for update;
  if not found then perform refuse('MU404', 'error.token.unknown'); end if;
  if t.revoked_at is null then
    update api_token x set revoked_at = app_now() where x.id = wanted;
    perform audit('token.revoked', t.name, jsonb_build_object('token', wanted));
  end if;
end $$;

-- Choices of a select: [{"value":…, "selected":bool}].
create or replace function choices(list text[], chosen text) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('value', v, 'selected', coalesce(v = chosen, false)) order by n), '[]') from unnest(list) with ordinality as u(v, n)
$$;
create or replace function choices(list text[], chosen text[]) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('value', v, 'selected', v = any(coalesce(chosen, '{}'))) order by n), '[]') from unnest(list) with ordinality as u(v, n)
$$;

-- A field of a form as it was typed: text, or the list of a repeated name.
create or replace function form_list(form jsonb, name text) returns text[] language sql immutable as $$
  select case jsonb_typeof(form -> name)
    when 'array' then array(select jsonb_array_elements_text(form -> name))
    when 'string' then array[form ->> name] else '{}' end
$$;

create or replace function tokens_doc(form jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'items', coalesce((select jsonb_agg(token_doc(t) order by (t.revoked_at is null) desc, t.created_at desc) from
      (select * from api_token x where x.person_id = me() order by x.created_at desc limit 200) as t), '[]'),
    'scopes', choices(array(select r from unnest('{viewer,responder,commander,risk,approver,auditor,admin}'::text[]) as r where has_role(r)),
      case when form ? 'name' or form ? 'scopes' then form_list(form, 'scopes') else '{viewer}' end),
    'days', choices('{30,90,365}'::text[], coalesce(form ->> 'days', '90')))
$$;

create or replace function me_doc(form jsonb) returns jsonb language sql as $$
  select jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name, 'title', p.title, 'department', p.department,
    'language', p.language, 'languages', choices('{zh,en}'::text[], coalesce(form ->> 'mail_language', p.language)),
    'roles', to_jsonb(string_to_array(coalesce(nullif(current_setting('muster.roles', true), ''), 'none'), ' ')),
    'holds', coalesce((select jsonb_agg(jsonb_build_object('role', h.role, 'deputy', h.deputy) order by h.role) from role_holder h where h.person_id = p.id), '[]'),
    'teams', coalesce((select jsonb_agg(jsonb_build_object('slug', t.slug, 'name', t.name) order by t.slug)
      from team_member m join team t on t.id = m.team_id where m.person_id = p.id), '[]'),
    'contacts', contacts_doc(p.id),
    'password_changed_at', (select iso(a.changed_at) from account a where a.person_id = p.id),
    'sessions', coalesce((select jsonb_agg(session_doc(s) order by s.seen_at desc) from
      (select * from session x where x.person_id = p.id and x.revoked_at is null and x.expires_at > app_now()
         and x.seen_at > app_now() - interval '12 hours' order by x.seen_at desc limit 50) as s), '[]'),
    'tokens', (select count(*) from api_token t where t.person_id = p.id and t.revoked_at is null and coalesce(t.expires_at > app_now(), true)))
  from person p where p.id = me()
$$;

-- The language of my mails.
create or replace function me_language(wish text) returns void language sql as $$
  update person p set language = coalesce(wish, p.language) where p.id = me();
  update endpoint e set language = coalesce(wish, e.language) where e.person_id = me()
$$;

-- A new one-time password for a person who has a login; gives the login.
create or replace function account_reset(who uuid, hash text) returns text language plpgsql as $$
declare p person;
begin
  select * into p from person x where x.id = who for update;
  if not found then perform refuse('MU404', 'error.person.unknown'); end if;
  if p.login is null then perform refuse('MU409', 'error.person.login_needed'); end if;
  if not p.active then perform refuse('MU409', 'error.person.inactive'); end if;
  perform account_set(p.id, hash, true);
  delete from sign_in_attempt a where a.login = p.login and not a.good;
  return p.login;
end $$;

-- From the command line: a token for a login, within what that person may do.
create or replace function token_create_for(who text, name text, scopes jsonb, days int, hash text, last_four text) returns jsonb language plpgsql as $$
declare p uuid;
begin
  select q.id into p from person q where q.login = who and q.active;
  if p is null then perform refuse('MU404', 'error.person.unknown', '/login'); end if;
  perform set_config('muster.me', p::text, true),
    set_config('muster.roles', array_to_string(roles_effective(array(select r.role from person_role r where r.person_id = p)), ' '), true);
  return token_create(token_create_for.name, scopes, days, hash, last_four);
end $$;
