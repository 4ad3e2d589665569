/** Options of the commands that act as the owner of the tables: erase, prune, hold, retention. */

/** The log's database, for commander's `option()`. */
export const DATABASE_OPTION = [
  "--database <name>",
  "the log's database (default: the one in the other roles' URLs, else seclog)",
] as const;
