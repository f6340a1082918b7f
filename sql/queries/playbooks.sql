-- name: playbook_store(slug text, body jsonb, sha256 text, format text, source text, findings jsonb, state text) -> one
-- state: draft or published. Used by the import and by `muster seed`.
select playbook, version, made from playbook_store($1::text, $2::jsonb, $3::text, $4::text, $5::text, $6::jsonb, $7::text);

-- name: playbook_import_check() -> exec
select playbook_must_write();

-- name: playbooks(q text) -> one
select playbook_list(nullif($1::text, ''))::text as body;

-- name: playbook_get(playbook text, version int) -> one
select body, document from playbook_get($1::text, $2::int);

-- name: playbook_lacks(needs jsonb) -> one
select playbook_lacks($1::jsonb) as lacks;

-- name: playbook_publish(playbook text, version int) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_publish($1::text, $2::int);

-- name: playbook_retire(playbook text, version int) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_retire($1::text, $2::int);

-- name: playbook_source(slug text, version int) -> one
-- What a version was made of, for exports; without a version the published one, else the newest.
select v.body::text as document, v.source_format as format, v.source_text as source, v.version::text as version, iso(v.created_at) as modified,
  iso((select min(f.created_at) from playbook_version f where f.playbook_id = v.playbook_id)) as created
from playbook p join playbook_version v on v.playbook_id = p.id
where p.slug = $1::text and ($2::int is null or v.version = $2::int)
order by v.state = 'published' desc, v.version desc limit 1;

-- name: playbook_rehearsal(playbook text, version int) -> one
select body, document, around from playbook_rehearsal($1::text, $2::int);
