-- What servers of Azure Database for PostgreSQL have and a PostgreSQL has not: the role of
-- administrators, and the functions by which they let identities in. As in Azure, a role's identity
-- is a security label of the provider pgaadauth, which goes with the role. Sources: azure-docs,
-- articles/postgresql/flexible-server/how-to-manage-azure-ad-users.md; the label's fields, and that
-- the functions are in pg_catalog of the database postgres alone, as many migrations call them.
do $wiemu$ begin
  if not exists (select from pg_roles where rolname = 'azure_pg_admin') then
    create role azure_pg_admin nologin;
    grant pg_monitor, pg_signal_backend to azure_pg_admin;
  end if;
end $wiemu$;

create schema if not exists wiemu;
revoke all on schema wiemu from public;
drop table if exists wiemu.principals; -- of wiemu before, with its function
drop function if exists wiemu.tell(text);

-- Several labs may share a PostgreSQL: each has its own people, and its sessions say whose they are.
create table if not exists wiemu.people (lab text, oid text, name text not null, tenant text not null, primary key (lab, oid));

-- tell replaces who there is in a lab. Those of labs that have ended go.
create or replace function wiemu.tell(mine text, everybody text) returns void language sql as $wiemu$
  delete from wiemu.people p where lab = mine or not exists (select from pg_stat_activity a where a.application_name = 'wiemu ' || p.lab);
  insert into wiemu.people select distinct on (oid) mine, oid, name, tenant
    from json_to_recordset(everybody::json) as p(name text, oid text, tenant text) where everybody <> 'null';
$wiemu$;

-- directory is who there is in the lab of a session.
create or replace view wiemu.directory as select name, oid, tenant from wiemu.people where lab = current_setting('wiemu.lab', true);

-- label binds a role to an identity.
create or replace function wiemu.label(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
returns void language plpgsql set search_path = pg_catalog, pg_temp set allow_system_table_mods = on as $wiemu$
declare
  role oid := (select oid from pg_roles where rolname = rolename::name); -- which cuts it as create role does
begin
  delete from pg_shseclabel where objoid = role and classoid = 'pg_authid'::regclass and provider = 'pgaadauth';
  insert into pg_shseclabel (objoid, classoid, provider, label) values (role, 'pg_authid'::regclass, 'pgaadauth',
    'aadauth,oid=' || lower(objectid) || ',type=' || lower(objecttype) || case when isadmin then ',admin' else '' end || case when ismfa then ',mfa' else '' end);
end $wiemu$;

-- unmake_role has nobody log in as a role, which keeps what it owns.
create or replace function wiemu.unmake_role(rolename text) returns void language plpgsql set search_path = pg_catalog, pg_temp set allow_system_table_mods = on as $wiemu$
declare
  role oid := (select oid from pg_roles where rolname = rolename::name);
begin
  if role is null then
    return;
  end if;
  delete from pg_shseclabel where objoid = role and classoid = 'pg_authid'::regclass and provider = 'pgaadauth';
  execute format('alter role %I nologin nocreaterole nocreatedb', rolename);
  execute format('revoke azure_pg_admin from %I', rolename);
end $wiemu$;

-- make_role makes a role that somebody is to log in as, or has it be as it has to be.
create or replace function wiemu.make_role(rolename text, password text, objectid text, isadmin boolean, memberof text)
returns void language plpgsql as $wiemu$
declare
  other text;
begin
  if not exists (select from pg_roles where rolname = rolename::name) then
    execute format('create role %I login', rolename);
  end if;
  execute format('alter role %I login password %L', rolename, password);
  if objectid <> '' then
    perform wiemu.label(rolename, objectid, 'service', isadmin, false);
  end if;
  if isadmin then
    execute format('alter role %I createrole createdb', rolename);
    execute format('grant azure_pg_admin to %I', rolename);
  end if;
  for other in select json_array_elements_text(memberof::json) loop
    execute format('grant %I to %I', other, rolename);
  end loop;
end $wiemu$;

create or replace function pg_catalog.pgaadauth_create_principal_with_oid(rolename text, objectid text, objecttype text, isadmin boolean, ismfa boolean)
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $wiemu$
begin
  if not pg_has_role(session_user, 'azure_pg_admin', 'member') then
    raise exception 'permission denied for function pgaadauth_create_principal_with_oid' using errcode = '42501';
  end if;
  if lower(objecttype) not in ('service', 'user', 'group') then
    raise exception 'incorrect object type provided for principal, given object type: %', quote_literal(objecttype);
  end if;
  execute format('create role %I login', rolename);
  if isadmin then
    execute format('alter role %I createrole createdb', rolename);
    execute format('grant azure_pg_admin to %I', rolename);
  end if;
  perform wiemu.label(rolename, objectid, objecttype, isadmin, ismfa);
  return 'Created role for "' || rolename || '"';
end $wiemu$;

create or replace function pg_catalog.pgaadauth_create_principal(rolename text, isadmin boolean, ismfa boolean)
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $wiemu$
declare
  found_oid text;
begin
  if not pg_has_role(session_user, 'azure_pg_admin', 'member') then
    raise exception 'permission denied for function pgaadauth_create_principal' using errcode = '42501';
  end if;
  select oid into found_oid from wiemu.directory where name = rolename;
  if found_oid is null then
    raise exception 'Could not validate AAD user "%" because its name is not found in the tenant.', rolename;
  end if;
  return pgaadauth_create_principal_with_oid(rolename, found_oid, 'service', isadmin, ismfa);
end $wiemu$;

create or replace function pg_catalog.pgaadauth_list_principals(isadminvalue boolean)
returns table(rolename text, principaltype text, objectid text, tenantid text, ismfa integer, isadmin integer)
language sql security definer set search_path = pg_catalog, pg_temp as $wiemu$
  select r.rolname::text, substring(l.label from 'type=([^,]+)'), substring(l.label from 'oid=([^,]+)'),
    coalesce(p.tenant, (select min(tenant) from wiemu.directory)),
    (l.label like '%,mfa%')::integer, (l.label like '%,admin%')::integer
  from pg_shseclabel l join pg_roles r on r.oid = l.objoid left join wiemu.directory p on p.oid = substring(l.label from 'oid=([^,]+)')
  where l.provider = 'pgaadauth' and (not isadminvalue or l.label like '%,admin%') order by 1;
$wiemu$;
