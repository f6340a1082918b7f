-- A draft is published without having been read.
-- breaks guards: and is not published unread
drop trigger playbook_version_immutable on playbook_version;
