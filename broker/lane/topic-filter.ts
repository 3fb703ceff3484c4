/** Whether a subscription's filter may match more than one topic. */
export function hasWildcard(filter: string): boolean {
  return filter.includes("+") || filter.includes("#");
}

/**
 * The topics that a filter with wildcards matches: MQTT 3.1.1, 4.7. Only filters that begin with `$` match topics that
 * do [MQTT-4.7.2-1].
 */
export function compileFilter(filter: string): (topic: string) => boolean {
  // The fleet's filters have one `+` in the middle: two comparisons without splitting the topic.
  const [before = "", after = "", ...more] = filter.split("+");
  const isPlain = more.length === 0 && before.endsWith("/") && after.startsWith("/") && !filter.includes("#");
  if (isPlain) return (topic) => matchesAround(topic, before, after);
  const wanted = filter.split("/");
  return (topic) => matchesLevels(topic, wanted);
}

function matchesAround(topic: string, before: string, after: string): boolean {
  if (!topic.startsWith(before) || !topic.endsWith(after)) return false;
  const end = topic.length - after.length;
  if (end < before.length) return false;
  const slash = topic.indexOf("/", before.length);
  return slash === end;
}

function matchesLevels(topic: string, wanted: readonly string[]): boolean {
  if (topic.startsWith("$") && wanted[0]?.startsWith("$") !== true) return false;
  const levels = topic.split("/");
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true; // also the level above it [4.7.1.2]
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
  }
  return levels.length === wanted.length;
}
