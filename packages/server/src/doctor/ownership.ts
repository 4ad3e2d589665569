/** Checks who owns the log's objects, and who else may create objects beside them. */
import type pg from "pg";
import { foreignObjects } from "seclog/postgres/schema";
import { commandLine } from "../config/program.ts";
import { counted } from "../text/words.ts";
import type { Findings } from "./findings.ts";

/** Reports problems only, since it runs for every role. */
export async function checkOwnership(client: pg.Client, findings: Findings): Promise<void> {
  const foreign = await foreignObjects(client);
  for (const owner of new Set(foreign.map((object) => object.owner))) {
    const theirs = foreign.filter((object) => object.owner === owner);
    const [first] = theirs;
    if (first === undefined) continue;
    const others = theirs.length === 1 ? "" : ` and ${counted(theirs.length - 1, "other object")}`;
    const danger = first.definer ? `, so every caller acts with the rights of ${owner}` : "";
    findings.fault(
      `${first.name}${others} of the log ${others === "" ? "belongs" : "belong"} to ${owner}, not to seclog_owner, as after a restore without owners${danger}`,
      `run ${commandLine("setup")}, which returns them to seclog_owner`,
    );
  }
  const { rows } = await client.query<{ name: string }>(
    `SELECT DISTINCT CASE WHEN granted.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(granted.grantee)) END AS name
      FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS granted
      WHERE nspname = 'public' AND granted.privilege_type = 'CREATE' AND granted.grantee <> nspowner
        AND (granted.grantee = 0 OR pg_get_userbyid(granted.grantee) <> 'seclog_owner') ORDER BY 1`,
  );
  for (const { name } of rows) {
    findings.fault(
      `${name === "PUBLIC" ? "every role that may connect" : name} may create objects in the schema public`,
      `as the schema's owner or a superuser: REVOKE CREATE ON SCHEMA public FROM ${name}`,
    );
  }
  const defaults = await client.query<{ name: string }>(
    `SELECT DISTINCT quote_ident(pg_get_userbyid(granted.grantee)) AS name FROM pg_default_acl, aclexplode(defaclacl) AS granted
      WHERE pg_get_userbyid(defaclrole) = 'seclog_owner' AND defaclobjtype IN ('r', 'S') AND granted.grantee NOT IN (0, defaclrole) ORDER BY 1`,
  );
  for (const { name } of defaults.rows) {
    findings.warning(
      `${name} gets privileges on new partitions by default`,
      `ALTER DEFAULT PRIVILEGES FOR ROLE seclog_owner REVOKE ALL ON TABLES FROM ${name}; make it a member of seclog_reader if it should read`,
    );
  }
}
