-- The mail addresses of a person, as documents show them.
create or replace function contacts_doc(whose uuid) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'address', e.address, 'drill_safe', e.drill_safe,
    'disabled', e.disabled_at is not null, 'disabled_why', e.disabled_why) order by e.created_at, e.id), '[]')
  from endpoint e where e.person_id = whose
$$;
