-- The trigger that keeps published playbooks as they were.
-- breaks guards: a published version does not change
drop trigger playbook_version_immutable on playbook_version;
