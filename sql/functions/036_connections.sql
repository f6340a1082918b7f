-- Systems that playbooks may call (conn.NAME), and sealed values for their headers and for variables of type secret.

create or replace function connection_find(wanted text) returns connection language plpgsql stable as $$
declare c connection;
begin
  select * into c from connection x where x.slug = wanted;
  if not found then perform refuse('MU404', 'error.connection.unknown'); end if;
  return c;
end $$;

create or replace function connection_row(c connection) returns jsonb language sql stable as $$
  select jsonb_build_object('slug', c.slug, 'name', c.name, 'base_url', c.base_url, 'drill_url', c.drill_url, 'methods', to_jsonb(c.methods), 'headers', c.headers,
    'disabled', c.disabled_at is not null, 'disabled_at', iso(c.disabled_at), 'secrets', to_jsonb(secret_names(c.headers)))
$$;

-- Names of sealed values that stand in a text.
create or replace function secret_names(words text) returns text[] language sql immutable as $$
  select coalesce(array_agg(distinct m[1] order by m[1]), '{}') from regexp_matches(coalesce(words, ''), '\{\{\s*([a-z][a-z0-9_]*)\s*\}\}', 'g') m
$$;

create or replace function connection_edit(form jsonb, c connection) returns jsonb language sql stable as $$
  select case when typed then jsonb_build_object('slug', form -> 'slug', 'base_url', form -> 'base_url', 'drill_url', form -> 'drill_url', 'name', form -> 'name', 'headers', form -> 'headers')
    else jsonb_build_object('slug', c.slug, 'base_url', c.base_url, 'drill_url', c.drill_url, 'name', c.name, 'headers', c.headers) end
    || jsonb_build_object('methods', choices('{GET,HEAD,POST,PUT,PATCH,DELETE}'::text[], case when typed then form_list(form, 'methods') else coalesce(c.methods, '{GET}') end))
  from (select coalesce(form, '{}') ?| '{slug,base_url,name}' as typed) as t
$$;

create or replace function connections_page(after text, most int, form jsonb) returns table(body jsonb, next text) language plpgsql stable as $$
declare take int := least(coalesce(most, 50), 200); list jsonb;
begin
  select coalesce(jsonb_agg(connection_row(x.c) order by x.rn) filter (where x.rn <= take), '[]'), case when count(*) > take then (array_agg((x.c).slug order by x.rn))[take] end
    into list, connections_page.next
    from (select c, row_number() over (order by c.slug) as rn from connection c where nullif(after, '') is null or c.slug > after order by c.slug limit take + 1) as x;
  connections_page.body := jsonb_build_object('items', list, 'edit', connection_edit(form, null));
  return next;
end $$;

-- Not stable: after a write it must see what the same statement wrote.
create or replace function connection_doc(wanted text, form jsonb default '{}') returns jsonb language plpgsql as $$
declare c connection := connection_find(wanted);
begin
  return connection_row(c) || jsonb_build_object('version', c.version, 'etag', c.version::text, 'created_at', iso(c.created_at), 'edit', connection_edit(form, c),
    'calls', (select coalesce(jsonb_agg(http_call_row(x) order by x.id desc), '[]') from (select * from http_call h where h.connection = c.slug order by h.id desc limit 20) x));
end $$;

-- Refused with the field's name: addresses that are none, headers that are none, and anything that looks like a secret in the open.
create or replace function connection_check(doc jsonb) returns void language plpgsql stable as $$
declare f text; line text; bad text;
begin
  foreach f in array '{base_url,drill_url}'::text[] loop
    if nullif(doc ->> f, '') is not null and doc ->> f !~ '^https?://[^/?#@[:space:]]+(/[^?#[:space:]]*)?$' then perform refuse('MU422', 'error.connection.url', '/' || f); end if;
  end loop;
  if doc ->> 'drill_url' = doc ->> 'base_url' then perform refuse('MU422', 'error.connection.twin', '/drill_url'); end if;
  if exists (select 1 from jsonb_array_elements_text(json_list(doc -> 'methods')) m where m not in ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE')) then
    perform refuse('MU422', 'error.connection.method', '/methods');
  end if;
  for line in select x from regexp_split_to_table(coalesce(doc ->> 'headers', ''), E'\r?\n') x where btrim(x) <> '' loop
    if length(line) > 1100 or line !~ '^[A-Za-z0-9!#$%&''*+.^_`|~-]{1,64}:[ \t]*[\u0020-\u007e]*$' or lower(split_part(line, ':', 1)) in ('host', 'content-length', 'transfer-encoding', 'connection', 'expect', 'idempotency-key') then
      perform refuse('MU422', 'error.connection.header', '/headers', jsonb_build_object('line', left(split_part(line, ':', 1), 40)));
    end if;
    if split_part(line, ':', 1) ~* '(auth|token|secret|password|key|cookie)' and line !~ '\{\{' then
      perform refuse('MU422', 'error.connection.header_secret', '/headers', jsonb_build_object('line', left(split_part(line, ':', 1), 40)));
    end if;
  end loop;
  select n into bad from unnest(secret_names(doc ->> 'headers')) n where not exists (select 1 from secret s where s.name = n) limit 1;
  if bad is not null then perform refuse('MU422', 'error.secret.unknown', '/headers', jsonb_build_object('name', bad)); end if;
end $$;

create or replace function connection_methods(doc jsonb) returns text[] language sql immutable as $$
  select coalesce(nullif(array(select jsonb_array_elements_text(json_list(doc -> 'methods'))), '{}'), '{GET}')
$$;

create or replace function connection_create(doc jsonb) returns text language plpgsql as $$
begin
  perform connection_check(doc);
  if exists (select 1 from connection c where c.slug = doc ->> 'slug') then
    perform refuse('MU409', 'error.slug_taken', '/slug', jsonb_build_object('slug', doc ->> 'slug'));
  end if;
  insert into connection(slug, name, base_url, drill_url, methods, headers, created_at)
    values (doc ->> 'slug', two_languages(doc -> 'name'), rtrim(doc ->> 'base_url', '/'), nullif(rtrim(doc ->> 'drill_url', '/'), ''), connection_methods(doc), coalesce(doc ->> 'headers', ''), app_now());
  perform audit('connection.created', doc ->> 'slug', jsonb_build_object('base_url', doc -> 'base_url', 'drill_url', doc -> 'drill_url', 'methods', connection_methods(doc)));
  return doc ->> 'slug';
end $$;

create or replace function connection_put(wanted text, doc jsonb, etag text) returns text language plpgsql as $$
declare c connection;
begin
  select * into c from connection x where x.slug = wanted for update;
  if not found then perform refuse('MU404', 'error.connection.unknown'); end if;
  perform etag_check(etag, c.version);
  perform connection_check(doc);
  update connection x set name = two_languages(doc -> 'name'), base_url = rtrim(doc ->> 'base_url', '/'), drill_url = nullif(rtrim(doc ->> 'drill_url', '/'), ''),
    methods = connection_methods(doc), headers = coalesce(doc ->> 'headers', ''), version = x.version + 1 where x.id = c.id;
  perform audit('connection.changed', wanted, jsonb_build_object('base_url_before', c.base_url, 'base_url', doc -> 'base_url', 'drill_url', doc -> 'drill_url', 'methods', connection_methods(doc)));
  return wanted;
end $$;

create or replace function connection_enable(wanted text, wish boolean) returns text language plpgsql as $$
declare c connection := connection_find(wanted);
begin
  update connection x set disabled_at = case when not wish then coalesce(x.disabled_at, app_now()) end, version = x.version + 1 where x.id = c.id;
  perform audit(case when wish then 'connection.enabled' else 'connection.disabled' end, wanted);
  return wanted;
end $$;

-- ---- sealed values: their names and when they were set, never what they are ----

create or replace function secret_row(s secret) returns jsonb language sql stable as $$
  select jsonb_build_object('name', s.name, 'note', s.note, 'version', s.version, 'etag', s.version::text, 'created_at', iso(s.created_at), 'changed_at', iso(s.changed_at), 'changed_by', person_ref(s.changed_by),
    'used_by', (select coalesce(jsonb_agg(c.slug order by c.slug), '[]') from connection c where s.name = any(secret_names(c.headers))))
$$;

create or replace function secrets_page(form jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('items', (select coalesce(jsonb_agg(secret_row(s) order by s.name), '[]') from secret s),
    'edit', jsonb_build_object('name', coalesce(form -> 'name', '""'), 'note', coalesce(form -> 'note', '""')))
$$;

create or replace function secret_create(doc jsonb, sealed text) returns jsonb language plpgsql as $$
declare s secret;
begin
  if doc ->> 'name' !~ '^[a-z][a-z0-9_]{0,63}$' then perform refuse('MU422', 'error.secret.name', '/name'); end if;
  if exists (select 1 from secret x where x.name = doc ->> 'name') then perform refuse('MU409', 'error.slug_taken', '/name', jsonb_build_object('slug', doc ->> 'name')); end if;
  insert into secret(name, sealed, note, created_at, changed_at, changed_by) values (doc ->> 'name', secret_create.sealed, nullif(doc ->> 'note', ''), app_now(), app_now(), me()) returning * into s;
  perform audit('secret.created', s.name);
  return secret_row(s);
end $$;

create or replace function secret_put(wanted text, sealed text, etag text) returns jsonb language plpgsql as $$
declare s secret;
begin
  select * into s from secret x where x.name = wanted for update;
  if not found then perform refuse('MU404', 'error.secret.unknown', '', jsonb_build_object('name', wanted)); end if;
  perform etag_check(etag, s.version);
  update secret x set sealed = secret_put.sealed, changed_at = app_now(), changed_by = me(), version = x.version + 1 where x.name = wanted returning * into s;
  perform audit('secret.changed', wanted);
  return secret_row(s);
end $$;

create or replace function secret_remove(wanted text) returns void language plpgsql as $$
declare s secret; v_used text;
begin
  select * into s from secret x where x.name = wanted for update;
  if not found then perform refuse('MU404', 'error.secret.unknown', '', jsonb_build_object('name', wanted)); end if;
  select c.slug into v_used from connection c where wanted = any(secret_names(c.headers)) limit 1;
  if v_used is not null then perform refuse('MU409', 'error.secret.used', '', jsonb_build_object('name', v_used)); end if;
  delete from secret x where x.name = wanted;
  perform audit('secret.removed', wanted);
end $$;
