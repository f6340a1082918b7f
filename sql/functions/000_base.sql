-- What every other function stands on: time, who is asking, texts in two languages, refusals, the canonical form, the audit log.

-- Small functions that read a table are plpgsql: their plan is kept for the session, that of an SQL function for one statement.

-- Domain time. Constant within one statement; the shift is zero except in tests and seeds.
create or replace function app_now() returns timestamptz language plpgsql stable parallel safe as $$
begin
  return statement_timestamp() + (select shift from test_clock);
end $$;

-- Stable, as to_char() is: so PostgreSQL puts its expression in the place of the call, which is many times cheaper than calling it.
create or replace function iso(at timestamptz) returns text language sql stable parallel safe as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Who is asking: set for one transaction by session_open().
create or replace function me() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('muster.me', true), '')::uuid
$$;

create or replace function my_lang() returns text language sql stable parallel safe as $$
  select case when current_setting('muster.lang', true) = 'en' then 'en' else 'zh' end
$$;

create or replace function my_session() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('muster.session', true), '')::uuid
$$;

create or replace function my_request() returns text language sql stable parallel safe as $$
  select nullif(current_setting('muster.request', true), '')
$$;

-- The roles a set of roles amounts to: whoever has any role may look, a commander may do what a responder may, an admin all.
create or replace function roles_effective(roles text[]) returns text[] language sql immutable parallel safe as $$
  select case when 'admin' = any(roles) then '{viewer,responder,commander,risk,approver,auditor,admin}'::text[]
    else array(select distinct r from (
      select unnest(roles) as r
      union select 'viewer' where cardinality(roles) > 0
      union select 'responder' where 'commander' = any(roles)) as x order by r) end
$$;

create or replace function has_role(role text) returns boolean language sql stable parallel safe as $$
  select role = any(string_to_array(coalesce(current_setting('muster.roles', true), ''), ' '))
$$;

-- A text in the reader's language, else in the other one. A plain JSON string is itself.
create or replace function pick(texts jsonb) returns text language sql stable parallel safe as $$
  select case jsonb_typeof(texts)
    when 'object' then coalesce(nullif(texts ->> my_lang(), ''), nullif(texts ->> 'zh', ''), texts ->> 'en')
    when 'string' then texts #>> '{}' end
$$;

-- Both languages of a text that came in: a plain string stands for both.
create or replace function two_languages(texts jsonb) returns jsonb language sql immutable parallel safe as $$
  select case jsonb_typeof(texts)
    when 'string' then jsonb_build_object('zh', texts, 'en', texts)
    when 'object' then nullif(jsonb_strip_nulls(jsonb_build_object(
      'zh', coalesce(nullif(texts ->> 'zh', ''), nullif(texts ->> 'en', '')),
      'en', coalesce(nullif(texts ->> 'en', ''), nullif(texts ->> 'zh', '')))), '{}') end
$$;

-- Refuses: state is MU404, MU409, …; key a word of web/i18n; pointer the JSON Pointer of the field or ''; args its placeholders.
create or replace function refuse(state text, key text, pointer text default '', args jsonb default null)
returns void language plpgsql as $$
begin
  if args is null then
    raise exception using errcode = state, message = key, detail = coalesce(pointer, '');
  end if;
  raise exception using errcode = state, message = key, detail = coalesce(pointer, ''), hint = args::text;
end $$;

-- If-Match as it came ("3" with or without quotes) against a version; absent is the router's business.
create or replace function etag_check(etag text, version bigint) returns void language plpgsql as $$
begin
  if etag is not null and etag <> '*' and btrim(replace(etag, 'W/', ''), '"') <> version::text then
    perform refuse('MU412', 'error.stale', '', jsonb_build_object('etag', version));
  end if;
end $$;

-- A document that is read back in the statement that changed it comes from a VOLATILE function: a STABLE one would show the rows as
-- they were when the statement began.

-- A person as other documents mention one.
create or replace function person_ref(person uuid) returns jsonb language plpgsql stable as $$
begin
  return (select jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name) from person p where p.id = person_ref.person);
end $$;

create or replace function person_label(person uuid) returns text language plpgsql stable as $$
begin
  return (select coalesce(nullif(p.name ->> 'zh', ''), nullif(p.name ->> 'en', ''), p.login) from person p where p.id = person_label.person);
end $$;

create or replace function setting_get(wanted text, fallback jsonb default null) returns jsonb language plpgsql stable as $$
begin
  return coalesce((select s.value from setting s where s.key = wanted), fallback);
end $$;

-- RFC 8785. Numbers as ECMAScript writes them: shortest digits of the double, no exponent within 1e-6 … 1e21.
create or replace function canonical_number(n numeric) returns text language plpgsql immutable parallel safe as $$
declare d float8; t text;
begin
  if n = trunc(n) and abs(n) <= 9007199254740991 then return trunc(n)::text; end if;
  d := n::float8;
  if abs(d) >= 1e21 or abs(d) < 1e-6 then
    t := d::text;
    if t !~ 'e' then t := to_char(d, 'FM9.999999999999999EEEE'); end if;
    return regexp_replace(t, 'e([+-])0+(\d)', 'e\1\2');
  end if;
  return trim_scale(d::text::numeric)::text;
end $$;

-- Names are ordered by UTF-16 code units: as bytes, except that U+E000…U+FFFF come after everything beyond them.
create or replace function canonical_order(name text) returns text language sql immutable parallel safe as $$
  select case when octet_length(name) = length(name) then name
    else regexp_replace(regexp_replace(name, '[\U0010FFFE\U0010FFFF]', U&'\+10FFFE\\&', 'g'),
                        '[\uE000-\uFFFF]', U&'\+10FFFF\\&', 'g') end
$$;

create or replace function canonical(document jsonb) returns text language plpgsql immutable parallel safe as $$
begin
  case jsonb_typeof(document)
    when 'object' then
      return '{' || coalesce((select string_agg(to_json(e.key)::text || ':' || canonical(e.value), ',' order by canonical_order(e.key) collate "C")
                              from jsonb_each(document) as e), '') || '}';
    when 'array' then
      return '[' || coalesce((select string_agg(canonical(e.value), ',' order by e.ordinality)
                              from jsonb_array_elements(document) with ordinality as e), '') || ']';
    when 'number' then
      return canonical_number(document::numeric);
    else
      return document::text;
  end case;
end $$;

create or replace function sha256_hex(content text) returns text language sql immutable parallel safe as $$
  select encode(sha256(convert_to(content, 'UTF8')), 'hex')
$$;

-- Appends to the audit log; returns the sequence number. The hash is SHA-256(previous hash || canonical form of
-- {seq, at, actor, actor_name, action, object, data}); one lock keeps the chain single.
create or replace function audit(action text, object text, data jsonb default '{}', actor uuid default me())
returns bigint language plpgsql as $$
declare
  last record; n bigint; previous text; moment timestamptz; who text; link text;
begin
  perform pg_advisory_xact_lock(hashtext('muster.audit'));
  select e.seq, e.hash into last from audit_event e order by e.seq desc limit 1;
  n := coalesce(last.seq, 0) + 1;
  previous := coalesce(last.hash, repeat('0', 64));
  moment := date_trunc('milliseconds', app_now());
  who := person_label(actor);
  link := sha256_hex(previous || canonical(jsonb_build_object('seq', n, 'at', iso(moment), 'actor', actor, 'actor_name', who,
    'action', action, 'object', object, 'data', coalesce(data, '{}'))));
  insert into audit_event(seq, at, actor, actor_name, action, object, data, prev_hash, hash)
    values (n, moment, actor, who, action, object, coalesce(data, '{}'), previous, link);
  return n;
end $$;

-- Opens a request's transaction. token_hash is the hex SHA-256 of the cookie or bearer token, or '' for nobody; role is the word
-- of the route: 'public' lets anybody in (a bad token then counts as none), '' or 'any' anyone signed in.
-- A session ends after 12 hours without use and after 7 days in any case.
drop function if exists session_open(text, text, text, text, text, text);
create function session_open(token_hash text, kind text, role text, lang text, request text, address text)
returns table(person uuid, name jsonb, login text, roles jsonb, must_change boolean, session uuid, site jsonb) language plpgsql as $$
declare
  moment timestamptz := app_now();
  wanted text := coalesce(session_open.role, '');
  p record; own text[]; known boolean := false;
begin
  if session_open.token_hash <> '' then
    if session_open.kind = 'bearer' then
      select t.person_id, t.id, t.used_at as seen, coalesce(t.expires_at, 'infinity') as ends, t.scopes, q.name, q.login, q.active,
          coalesce(a.must_change, false) as must_change, array(select r.role from person_role r where r.person_id = t.person_id) as own into p
        from api_token t join person q on q.id = t.person_id left join account a on a.person_id = q.id
        where t.token_hash = session_open.token_hash and t.revoked_at is null;
    else
      select s.person_id, s.id, s.seen_at as seen, least(s.expires_at, s.seen_at + interval '12 hours') as ends, null::text[] as scopes,
          q.name, q.login, q.active, coalesce(a.must_change, false) as must_change,
          array(select r.role from person_role r where r.person_id = s.person_id) as own into p
        from session s join person q on q.id = s.person_id left join account a on a.person_id = q.id
        where s.token_hash = session_open.token_hash and s.revoked_at is null;
    end if;
    known := found and p.ends > moment and p.active;
  end if;
  site := (select s.value from setting s where s.key = 'site_name');
  if not known then
    perform set_config('muster.me', '', true), set_config('muster.roles', '', true), set_config('muster.session', '', true),
            set_config('muster.lang', coalesce(nullif(session_open.lang, ''), 'zh'), true),
            set_config('muster.request', coalesce(session_open.request, ''), true);
    if wanted <> 'public' then perform refuse('MU401', 'error.signin.needed'); end if;
    roles := '[]'; must_change := false;
    return next;
    return;
  end if;
  -- roles_effective(), spelt out: this runs before every request
  own := p.own;
  if 'admin' = any(own) then
    own := '{viewer,responder,commander,risk,approver,auditor,admin}';
  else
    if cardinality(own) > 0 and not 'viewer' = any(own) then own := own || '{viewer}'::text[]; end if;
    if 'commander' = any(own) and not 'responder' = any(own) then own := own || '{responder}'::text[]; end if;
  end if;
  if p.scopes is not null then
    own := array(select unnest(own) intersect select unnest(roles_effective(p.scopes)));
  end if;
  if wanted not in ('public', '', 'any') and not wanted = any(own) then
    perform refuse('MU403', 'error.role.' || wanted);
  end if;
  perform set_config('muster.me', p.person_id::text, true), set_config('muster.roles', array_to_string(own, ' '), true),
          set_config('muster.session', p.id::text, true), set_config('muster.lang', coalesce(nullif(session_open.lang, ''), 'zh'), true),
          set_config('muster.request', coalesce(session_open.request, ''), true);
  -- At most once a minute, and never waiting for another request of the same session.
  if p.seen is null or p.seen < moment - interval '1 minute' then
    if session_open.kind = 'bearer' then
      update api_token t set used_at = moment
        where t.id = (select u.id from api_token u where u.id = p.id for update skip locked);
    else
      update session s set seen_at = moment, address = session_open.address
        where s.id = (select u.id from session u where u.id = p.id for update skip locked);
    end if;
  end if;
  person := p.person_id; name := p.name; login := p.login; roles := to_jsonb(own); must_change := p.must_change; session := p.id;
  return next;
end $$;

-- The first call with a key reserves it (a second one waits for the first to end); a later call gets the kept answer.
-- replay is true when status, body and location are to be sent again instead of doing the work.
drop function if exists idem_begin(text, text, text, text);
create function idem_begin(caller text, key text, route text, body_sha256 text)
returns table(replay boolean, status int, body text, location text) language plpgsql as $$
declare kept idempotency;
begin
  insert into idempotency as i(caller, key, route, body_sha256)
    values (idem_begin.caller, idem_begin.key, idem_begin.route, idem_begin.body_sha256) on conflict do nothing;
  if found then
    return query select false, null::int, null::text, null::text;
    return;
  end if;
  select i.* into kept from idempotency i where i.caller = idem_begin.caller and i.key = idem_begin.key;
  if kept.route <> idem_begin.route or kept.body_sha256 <> idem_begin.body_sha256 then
    perform refuse('MU422', 'error.idempotency.body');
  end if;
  return query select kept.status is not null, kept.status, kept.body, kept.location;
end $$;

create or replace function idem_end(caller text, key text, status int, body text, location text) returns void language sql as $$
  update idempotency i set status = idem_end.status, body = idem_end.body, location = idem_end.location
    where i.caller = idem_end.caller and i.key = idem_end.key
$$;

-- What nobody needs any more; bounded per call, so it never holds a lock for long.
create or replace function housekeeping() returns void language plpgsql as $$
begin
  delete from idempotency where ctid = any(array(select ctid from idempotency where at < clock_timestamp() - interval '2 days' limit 5000));
  delete from sign_in_attempt where ctid = any(array(select ctid from sign_in_attempt where at < clock_timestamp() - interval '30 days' limit 5000));
  delete from session where ctid = any(array(select ctid from session where expires_at < clock_timestamp() - interval '30 days' limit 5000));
end $$;
