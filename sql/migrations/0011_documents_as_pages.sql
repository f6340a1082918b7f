-- A report is also to be had as one self-contained page.
alter table job drop constraint job_kind_check;
alter table job add constraint job_kind_check check (kind in ('pdf','docx','html'));
