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
