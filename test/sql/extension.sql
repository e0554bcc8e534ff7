-- The extension as it is installed
SELECT no_plan();
-- The version is the one of the control file
SELECT is(installed_version, default_version, 'the installed version is the default one')
FROM pg_available_extensions WHERE name = 'streamx';

-- \df+, \d+ and \dx+ are documentation
SELECT is_empty(
	$$SELECT pg_describe_object(classid, objid, 0)
	  FROM pg_depend
	  WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'streamx')
	    AND (classid IN ('pg_proc'::regclass, 'pg_namespace'::regclass, 'pg_event_trigger'::regclass)
	         OR classid = 'pg_class'::regclass AND (SELECT relkind IN ('r', 'v') FROM pg_class WHERE oid = objid))
	    AND obj_description(objid, classid::regclass::name) IS NULL$$,
	'every function, relation and schema of streamx has a comment');

-- A plain role can run no function that the extension's catalog is written by
SELECT is_empty(
	$$SELECT p.oid::regprocedure
	  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	  WHERE n.nspname = 'streamx_internal' AND has_schema_privilege('public', n.oid, 'USAGE')$$,
	'streamx_internal is closed to plain roles');

-- Only PostgreSQL's superusers write the catalog
SELECT is_empty(
	$$SELECT c.oid::regclass
	  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	  WHERE n.nspname IN ('streamx', 'streamx_internal') AND c.relkind IN ('r', 'v')
	    AND has_table_privilege('public', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')$$,
	'no relation of streamx can be written by plain roles');
