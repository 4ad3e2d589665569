/**
 * What a source imports, however it is written: read from the syntax tree, since every regular expression has a spelling
 * that it misses.
 */
import { parseSync } from "oxc-parser";

/**
 * @typedef {object} Import
 * @property {string} [specifier] absent when it is computed, so that no one can say what is loaded
 * @property {number} line
 * @property {boolean} loads false for a file that is only named, by `new URL` or `import.meta.resolve`
 * @property {boolean} types whether it leaves nothing in the program
 */

/**
 * The imports of a source, and the lines where it uses an output of the process.
 *
 * @param {string} source
 * @param {string} [path] names the language by its ending
 * @returns {{ imports: Import[], outputs: { what: string, line: number }[], code: number[] }} `code`: the lines of
 *   statements that are not `export … from`
 */
export function readSource(source, path = "source.ts") {
  const { program, comments, errors } = parseSync(path, source);
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0].message}`);
  const lineOf = lineCounter(source);
  const found = { imports: [], outputs: [], code: [] };
  const add = (node, at, loads = true, types = false) => {
    found.imports.push({ specifier: textOf(node), line: lineOf(at.end), loads, types });
  };
  for (const { value, start, end } of comments) {
    const [, kind, specifier] = /^\/\s*<reference\s+(types|path)\s*=\s*["']([^"']+)["']/.exec(value) ?? [];
    if (specifier === undefined || source.slice(start, start + 3) !== "///") continue;
    const named = kind === "types" || specifier.startsWith(".") ? specifier : `./${specifier}`;
    found.imports.push({ specifier: named, line: lineOf(end), loads: true, types: true });
  }
  for (const node of program.body) {
    const lists = ["ExportNamedDeclaration", "ExportAllDeclaration"].includes(node.type) && node.source !== null;
    if (!lists) found.code.push(lineOf(node.start));
  }
  walk(program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
        return add(node.source, node.source, true, node.importKind === "type");
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
        return node.source && add(node.source, node.source, true, node.exportKind === "type");
      case "TSImportEqualsDeclaration":
        if (node.moduleReference.type !== "TSExternalModuleReference") return;
        return add(node.moduleReference.expression, node, true, node.importKind === "type");
      case "TSImportType":
        return add(node.source, node, true, true);
      case "ImportExpression":
        return add(node.source, node);
      case "NewExpression":
        if (node.callee.name !== "URL" || !isMember(node.arguments[1], "url")) return;
        return add(node.arguments[0], node, false);
      case "CallExpression":
        if (isMember(node.callee, "resolve")) return add(node.arguments[0], node, false);
        if (isRequire(node.callee)) return add(node.arguments[0], node);
        return;
      case "MemberExpression": {
        const name = node.computed ? textOf(node.property) : node.property.name;
        if (isProcess(node.object) && (name === "stdout" || name === "stderr")) {
          found.outputs.push({ what: `process.${name}`, line: lineOf(node.start) });
        }
        if (node.object.type === "Identifier" && node.object.name === "console") {
          found.outputs.push({ what: "console", line: lineOf(node.start) });
        }
        return;
      }
      case "VariableDeclarator":
        if (node.init === null || !isProcess(node.init) || node.id.type !== "ObjectPattern") return;
        for (const { key } of node.id.properties) {
          if (key?.name === "stdout" || key?.name === "stderr") {
            found.outputs.push({ what: `process.${key.name}`, line: lineOf(node.start) });
          }
        }
    }
  });
  found.imports.sort((a, b) => a.line - b.line);
  return found;
}

/** Calls `visit` for a node and all below it. */
function walk(node, visit) {
  visit(node);
  for (const value of Object.values(node)) {
    if (value === null || typeof value !== "object") continue;
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === "string") walk(child, visit);
    }
  }
}

/** The text of a literal, or of a template without expressions. */
function textOf(node) {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  if (node?.type === "TemplateLiteral" && node.expressions.length === 0) return node.quasis[0].value.cooked;
  return undefined;
}

/** Whether a node is `import.meta.<name>`. */
function isMember(node, name) {
  return node?.type === "MemberExpression" && node.object.type === "MetaProperty" && node.property.name === name;
}

/** Whether a node is `process`, also as a member of the global object. */
function isProcess(node) {
  return (
    (node.type === "Identifier" && node.name === "process") ||
    (node.type === "MemberExpression" && node.object.name === "globalThis" && node.property.name === "process")
  );
}

/** Whether a callee loads a module: `require`, `require.resolve`, `createRequire(…)` or `getBuiltinModule`. */
function isRequire(callee) {
  if (callee.type === "Identifier") return callee.name === "require" || callee.name === "getBuiltinModule";
  if (callee.type === "CallExpression") return nameOf(callee.callee) === "createRequire";
  return nameOf(callee) === "getBuiltinModule" || (callee.type === "MemberExpression" && isRequire(callee.object));
}

function nameOf(node) {
  return node.type === "MemberExpression" ? node.property.name : node.name;
}

function lineCounter(source) {
  const starts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
