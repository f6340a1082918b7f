-- name: home() -> one
select body, status, location from home();

-- name: executive() -> one
select executive() as body;
