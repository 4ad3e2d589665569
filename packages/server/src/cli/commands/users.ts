import { userInfo } from "node:os";
import type { UserRole } from "@seclog/api";
import type { Command } from "commander";
import { connectionUrl, requireUrl } from "../../config/environment.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { secretLine } from "../../terminal/secret-line.ts";
import { Table } from "../../terminal/table.ts";
import { type ConsoleUser, ConsoleUsers, ROLES } from "../../users/console-users.ts";
import { type UserEventType, userEvents } from "../../users/user-events.ts";

interface UsersOptions {
  readonly json?: true;
}

const ROLE_LIST = ROLES.join(", ");

/** `seclog users`. */
export function addUsers(users: Command): void {
  const json = (command: Command): Command => command.option("--json", "JSON, a document a line");
  json(
    users
      .command("add <name>")
      .description("add a user; the password is asked for, or is the first line of standard input")
      .requiredOption("--role <role>", `what they may: ${ROLE_LIST}`),
  ).action(add);
  json(users.command("list").description("list the users and their roles")).action(list);
  json(
    users.command("role <name> <role>").description(`change a role (${ROLE_LIST}), and end the user's sessions`),
  ).action(changeRole);
  json(users.command("password <name>").description("set a password, and end the user's sessions")).action(
    changePassword,
  );
  json(users.command("remove <name>").description("remove a user, with their sessions and views")).action(remove);
}

async function add(name: string, { role, json }: UsersOptions & { readonly role: UserRole }): Promise<void> {
  await withUsers(async (users, record) => {
    await users.add({ name, role }, await secretLine(`Password of ${name}`));
    await record("user_created", { target: name, role });
  });
  await print(json ? jsonLine({ name, role }) : `Added ${name}, ${role}.\n`);
}

async function list({ json }: UsersOptions): Promise<void> {
  const found = await withUsers((users) => users.list());
  if (json) return await print(found.map((user) => jsonLine(user)).join(""));
  if (found.length === 0) return await print("No users: seclog start prints a link that makes the first one.\n");
  const table = new Table<ConsoleUser>([
    { title: "name", value: ({ name }) => name },
    { title: "role", value: ({ role }) => role },
  ]);
  await print(table.lines(found));
}

async function changeRole(name: string, role: string, { json }: UsersOptions): Promise<void> {
  await withUsers(async (users, record) => {
    await users.setRole(name, role as UserRole);
    await record("user_updated", { target: name, role });
  });
  await print(json ? jsonLine({ name, role }) : `${name} is ${role} now, and has to sign in again.\n`);
}

async function changePassword(name: string, { json }: UsersOptions): Promise<void> {
  await withUsers(async (users, record) => {
    await users.setPassword(name, await secretLine(`New password of ${name}`));
    await record("authn_password_change", { target: name });
  });
  await print(json ? jsonLine({ name }) : `${name} has a new password, and has to sign in again.\n`);
}

async function remove(name: string, { json }: UsersOptions): Promise<void> {
  await withUsers(async (users, record) => {
    await users.remove(name);
    await record("user_deleted", { target: name });
  });
  await print(json ? jsonLine({ name }) : `Removed ${name}.\n`);
}

type Record = (type: UserEventType, data: { readonly target: string; readonly role?: string }) => Promise<void>;

/** Works on the users, and records what was changed. */
async function withUsers<T>(work: (users: ConsoleUsers, record: Record) => Promise<T>): Promise<T> {
  const users = new ConsoleUsers({ url: requireUrl("console") });
  const writerUrl = connectionUrl("writer");
  const record: Record = async (type, data) => {
    if (writerUrl === undefined) {
      notice("The log has no event of this: set SECLOG_DATABASE_URL, the writer's, to record changes of users.");
      return;
    }
    const events = userEvents(writerUrl, notice);
    events.record(type, null, { ...data, actor: operator() });
    await events.close();
  };
  try {
    return await work(users, record);
  } finally {
    await users.close();
  }
}

/** The account of this machine. A container's user may have no name. */
function operator(): string {
  try {
    return userInfo().username;
  } catch {
    return "operator";
  }
}
