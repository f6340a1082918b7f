-- The schema's own book-keeping, used by `muster migrate`.

-- name: schema_exists() -> one
SELECT to_regclass('schema_change') IS NOT NULL AS exists, to_regclass('person') IS NOT NULL AS foreign_tables;

-- name: schema_lock() -> one
SELECT pg_advisory_lock(hashtextextended('muster.schema', 0));

-- name: schema_list() -> many
SELECT name, number, sha256 FROM schema_change ORDER BY number, name;

-- name: schema_done(name text, number int, sha256 text, program text) -> exec
INSERT INTO schema_change(name, number, sha256, program) VALUES ($1::text, $2::int, $3::text, $4::text)
ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = clock_timestamp(), program = excluded.program;
