// Stripe's request bodies: forms whose keys nest, as `metadata[reference]=r-1` and `expand[0]=latest_charge`.

export type FormValue = string | FormValue[] | { [key: string]: FormValue };

// Deeper than any parameter of the API: such a key is taken as it stands and refused as unknown.
const maxDepth = 6;

type Branch = Map<string, string | Branch>;

/** Reads a form body or a query string; never fails, what is not well formed becomes an unknown key. */
export function decodeForm(text: string): { [key: string]: FormValue } {
  const root: Branch = new Map();
  for (const [key, value] of new URLSearchParams(text)) addPair(root, splitKey(key), value);
  return toObject(root);
}

/** `a[b][0]` → `a`, `b`, `0`; a key that is not well formed stays as it is. */
function splitKey(key: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(key);
  if (match === null) return [key];
  const [, head = "", tail = ""] = match;
  const path = [head, ...[...tail.matchAll(/\[([^[\]]*)\]/g)].map(([, part = ""]) => part)];
  return path.length > maxDepth ? [key] : path;
}

function addPair(root: Branch, path: string[], value: string): void {
  let branch = root;
  for (const [depth, part] of path.entries()) {
    // `expand[]=x` appends.
    const key = part === "" ? String(branch.size) : part;
    if (depth === path.length - 1) {
      branch.set(key, value);
      return;
    }
    const next = branch.get(key);
    const child: Branch = next instanceof Map ? next : new Map();
    branch.set(key, child);
    branch = child;
  }
}

function toValue(node: string | Branch): FormValue {
  if (typeof node === "string") return node;
  const isList = node.size > 0 && [...node.keys()].every((key) => /^\d+$/.test(key));
  return isList ? [...node.values()].map(toValue) : toObject(node);
}

function toObject(branch: Branch): { [key: string]: FormValue } {
  // fromEntries defines own properties: a key `__proto__` stays harmless data.
  return Object.fromEntries([...branch].map(([key, node]) => [key, toValue(node)]));
}
