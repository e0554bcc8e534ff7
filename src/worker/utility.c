/*
 * utility.c
 *	  Utility statements that launcher and workers must know of.
 *
 *	  DROP DATABASE, RENAME, SET TABLESPACE, CREATE ... TEMPLATE
 *	                             workers of the database end, and wait
 *	  CREATE, ALTER DATABASE     the launcher looks at it afterwards
 *	  ALTER SERVER, USER MAPPING workers connect anew
 *	  ALTER EXTENSION            workers begin, or end
 *	  COMMIT PREPARED            may have made a view
 */
#include "compat.h"

#include "worker/utility.h"

#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "tcop/utility.h"

#include "worker/launcher.h"

static ProcessUtility_hook_type next_utility = NULL;

/* The database that CREATE DATABASE copies. */
static const char *
template_of(const CreatedbStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->options)
	{
		DefElem *option = lfirst(lc);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
moves_database(const AlterDatabaseStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->options)
		if (strcmp(((DefElem *) lfirst(lc))->defname, "tablespace") == 0)
			return true;
	return false;
}

/* The database a statement needs for itself, or NULL. */
static const char *
database_to_hold(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return ((const DropdbStmt *) stmt)->dbname;
		case T_CreatedbStmt:
			return template_of((const CreatedbStmt *) stmt);
		case T_RenameStmt:
			return ((const RenameStmt *) stmt)->renameType == OBJECT_DATABASE
					   ? ((const RenameStmt *) stmt)->subname
					   : NULL;
		case T_AlterDatabaseStmt:
			return moves_database((const AlterDatabaseStmt *) stmt)
					   ? ((const AlterDatabaseStmt *) stmt)->dbname
					   : NULL;
		default:
			return NULL;
	}
}

/* What a statement that was done has to tell. */
typedef enum News
{
	NEWS_NONE,
	NEWS_HERE,		/* at commit, about this database */
	NEWS_DATABASES, /* at commit, about databases */
	NEWS_NOW		/* about this database, committed already */
} News;

static News
news_of(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_AlterDatabaseStmt:
			return NEWS_DATABASES;
		case T_AlterExtensionStmt:
		case T_AlterForeignServerStmt:
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			return NEWS_HERE;
		case T_TransactionStmt:
			return ((const TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED ? NEWS_NOW
																						: NEWS_NONE;
		default:
			return NEWS_NONE;
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *source, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion)
{
	ProcessUtility_hook_type run = next_utility ? next_utility : standard_ProcessUtility;
	const char *name = database_to_hold(pstmt->utilityStmt);
	Oid database = name ? get_database_oid(name, true) : InvalidOid;
	News news = news_of(pstmt->utilityStmt);

	if (OidIsValid(database))
		sx_launcher_hold_database(database);
	/* the statement may be gone after this */
	run(pstmt, source, read_only_tree, context, params, environment, dest, completion);
	if (news == NEWS_HERE)
		sx_launcher_wakeup();
	else if (news == NEWS_DATABASES)
		sx_launcher_wakeup_all();
	else if (news == NEWS_NOW)
		sx_launcher_wakeup_database(MyDatabaseId);
}

void
sx_utility_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
