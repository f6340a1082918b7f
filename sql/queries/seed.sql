-- Used by `muster seed`.

-- name: playbook_known(slug text) -> one
SELECT EXISTS (SELECT FROM playbook p JOIN playbook_version v ON v.playbook_id = p.id WHERE p.slug = $1::text) AS known;
