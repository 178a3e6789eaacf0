/**
 * A step of the build: puts the values of exported number constants where they are used.
 *
 * An import is a live binding: V8 loads its cell and checks it at every use, and cannot know the
 * value. The engine's layout is about two hundred such constants (`w[table + T_COUNT]`), and with
 * their values in place a first-touch fault takes 10 ns instead of 23 (Node 20). So the source keeps
 * the names, and dist/ gets the numbers.
 *
 * What it replaces: references to names in CAPITALS that a module of the pure layers exports as a
 * `const` number or boolean, in the modules of those layers. Lines stay, so source maps still point
 * to the right line.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'acorn';
import { ancestor } from 'acorn-walk';
import MagicString from 'magic-string';

const LAYERS = ['base', 'engine', 'trace', 'lab'].map((layer) => join('dist', 'src', layer));
const IS_CONSTANT_NAME = /^[A-Z][A-Z0-9_]+$/;

const files = LAYERS.flatMap((layer) =>
  readdirSync(layer, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => resolve(layer, name)),
);

/** The module's exported constants of one number or boolean each: by name, its value as source. */
async function constantsOf(file, program) {
  const declared = new Set();
  for (const node of program.body) {
    if (node.type !== 'ExportNamedDeclaration' || node.declaration?.kind !== 'const') continue;
    for (const { id } of node.declaration.declarations) if (id.name) declared.add(id.name);
  }
  const values = new Map();
  const module = await import(pathToFileURL(file));
  for (const [name, value] of Object.entries(module)) {
    if (!declared.has(name) || !IS_CONSTANT_NAME.test(name)) continue;
    if (typeof value === 'boolean' || Number.isSafeInteger(value)) {
      values.set(name, value < 0 ? `(${value})` : String(value));
    }
  }
  return values;
}

const programs = new Map();
const exported = new Map();
for (const file of files) {
  const source = readFileSync(file, 'utf8');
  programs.set(file, parse(source, { ecmaVersion: 2022, sourceType: 'module' }));
}
for (const file of files) exported.set(file, await constantsOf(file, programs.get(file)));

/** Follows `export * from` and `export { … } from` to the module that declares a name. */
function lookUp(file, name, seen = new Set()) {
  if (seen.has(file) || !programs.has(file)) return undefined;
  seen.add(file);
  const own = exported.get(file).get(name);
  if (own !== undefined) return own;
  for (const node of programs.get(file).body) {
    if (!node.source || !node.type.startsWith('Export')) continue;
    const from = resolve(dirname(file), node.source.value);
    const isNamed = node.specifiers?.find(({ exported: e }) => e.name === name);
    if (node.type === 'ExportNamedDeclaration' && !isNamed) continue;
    const found = lookUp(from, isNamed ? isNamed.local.name : name, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Names that mean a constant in this file, with their values. */
function constantsIn(file) {
  const values = new Map(exported.get(file));
  for (const node of programs.get(file).body) {
    if (node.type !== 'ImportDeclaration') continue;
    const from = resolve(dirname(file), node.source.value);
    for (const specifier of node.specifiers) {
      if (specifier.type !== 'ImportSpecifier') continue;
      const value = lookUp(from, specifier.imported.name);
      if (value !== undefined) values.set(specifier.local.name, value);
    }
  }
  return values;
}

/** `L.NAME` for `import * as L`. */
function namespacesIn(file) {
  const spaces = new Map();
  for (const node of programs.get(file).body) {
    if (node.type !== 'ImportDeclaration') continue;
    const [specifier] = node.specifiers;
    if (specifier?.type !== 'ImportNamespaceSpecifier') continue;
    spaces.set(specifier.local.name, resolve(dirname(file), node.source.value));
  }
  return spaces;
}

for (const file of files) {
  const text = new MagicString(readFileSync(file, 'utf8'));
  const values = constantsIn(file);
  const spaces = namespacesIn(file);
  const put = (node, value) => text.overwrite(node.start, node.end, value);
  ancestor(programs.get(file), {
    Identifier(node, _state, ancestors) {
      const value = values.get(node.name);
      if (value === undefined) return;
      const parent = ancestors[ancestors.length - 2];
      if (parent?.type === 'ExportSpecifier' || parent?.type === 'ImportSpecifier') return;
      const isShorthand = parent?.type === 'Property' && parent.shorthand;
      put(node, isShorthand ? `${node.name}: ${value}` : value);
    },
    MemberExpression(node) {
      if (node.computed || node.object.type !== 'Identifier') return;
      const space = spaces.get(node.object.name);
      if (space === undefined || !IS_CONSTANT_NAME.test(node.property.name)) return;
      const value = lookUp(space, node.property.name);
      if (value !== undefined) put(node, value);
    },
  });
  if (text.hasChanged()) writeFileSync(file, text.toString());
}
