/** The syntax of a source file, and questions about it. */
import { parseSync } from "oxc-parser";

/** A node of the syntax tree (ESTree, with TypeScript's). */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [member: string]: unknown;
}

/** Parses a source; `undefined` if it is not JavaScript or TypeScript. @param path names the language by its ending */
export function parse(path: string, source: string): Node | undefined {
  const { program, errors } = parseSync(path, source);
  return errors.length > 0 ? undefined : (program as unknown as Node);
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as { readonly type?: unknown }).type === "string";
}

/** The node as one of a type; `undefined` if it is another. */
export function as(type: string, value: unknown): Node | undefined {
  return isNode(value) && value.type === type ? value : undefined;
}

/** The nodes in a member that holds a list. */
export function nodesIn(value: unknown): readonly Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** Visits a node and everything in it, with the nodes around each, the outermost first. */
export function walk(
  node: Node,
  visit: (node: Node, around: readonly Node[]) => void,
  around: readonly Node[] = [],
): void {
  visit(node, around);
  const inner = [...around, node];
  for (const value of Object.values(node)) {
    if (isNode(value)) walk(value, visit, inner);
    else for (const one of nodesIn(value)) walk(one, visit, inner);
  }
}

/** The value of a literal, or the text of a template without expressions. */
export function literalOf(value: unknown): unknown {
  const literal = as("Literal", value);
  if (literal !== undefined) return literal["value"];
  const template = as("TemplateLiteral", value);
  if (template === undefined || nodesIn(template["expressions"]).length > 0) return undefined;
  const [only] = nodesIn(template["quasis"]);
  return (only?.["value"] as { readonly cooked?: unknown } | undefined)?.cooked;
}

/** The name that an identifier or a property has. */
export function nameOf(value: unknown): string | undefined {
  return isNode(value) && typeof value["name"] === "string" ? value["name"] : undefined;
}

/** What a call calls: `status` for `res.status(401)`, and what it calls it on. */
export function calleeOf(call: Node): { readonly name: string | undefined; readonly object: Node | undefined } {
  const { callee } = call;
  const member = as("MemberExpression", callee);
  if (member === undefined) return { name: nameOf(callee), object: undefined };
  return { name: nameOf(member["property"]), object: isNode(member["object"]) ? member["object"] : undefined };
}

/** The value of a property of an object literal. */
export function propertyOf(value: unknown, name: string): unknown {
  for (const property of nodesIn(as("ObjectExpression", value)?.["properties"])) {
    const key = nameOf(property["key"]) ?? literalOf(property["key"]);
    if (property.type === "Property" && key === name) return property["value"];
  }
  return undefined;
}

/** The 1-based line of each offset of a source. */
export function lineCounter(source: string): (offset: number) => number {
  const starts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
