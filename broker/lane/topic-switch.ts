import { compileFilter, hasWildcard } from "./topic-filter.ts";

type Message = { topic: string };

/** Takes one message and calls `done` when the next may come. */
export type Listener<M extends Message = Message> = (
  message: M,
  done: (error?: Error | null) => void,
) => void;

/** Passes messages to their subscribers, in the shape of mqemitter. */
export type TopicSwitch<M extends Message = Message> = {
  on(filter: string, listener: Listener<M>, done?: () => void): TopicSwitch<M>;
  removeListener(filter: string, listener: Listener<M>, done?: () => void): TopicSwitch<M>;
  /** Calls `done` when every listener is done, in any order. */
  emit(message: M, done?: (error?: Error | null) => void): TopicSwitch<M>;
  /** Whether a listener here has subscribed to exactly this topic. */
  hears(topic: string): boolean;
  close(done: () => void): void;
};

type Several<M extends Message> = {
  filter: string;
  matches(topic: string): boolean;
  listeners: readonly Listener<M>[];
};

/**
 * Finds the listeners of a topic. mqemitter uses a tree of words, which splits every topic and keeps several maps per
 * car. But cars subscribe to exact topics, one look-up in one map each, and only the control plane has filters with
 * wildcards, a handful, so they are simply tried. Not for clients that may subscribe to anything.
 */
export function createTopicSwitch<M extends Message = Message>(): TopicSwitch<M> {
  // Never changed in place: a message being delivered keeps the listeners it began with.
  const exact = new Map<string, readonly Listener<M>[]>();
  /** Apart, because neither kind of filter matches the other's topics [MQTT-4.7.2-1]. */
  const wild: Record<"ordinary" | "system", readonly Several<M>[]> = { ordinary: [], system: [] };
  let isClosed = false;

  function listenersOf(topic: string): readonly Listener<M>[] {
    let found = exact.get(topic) ?? none;
    for (const { matches, listeners } of isSystem(topic) ? wild.system : wild.ordinary)
      if (matches(topic)) found = found.length === 0 ? listeners : [...found, ...listeners];
    return found;
  }

  function change(filter: string, edit: (listeners: readonly Listener<M>[]) => readonly Listener<M>[]): void {
    if (!hasWildcard(filter)) {
      const left = edit(exact.get(filter) ?? none);
      if (left.length === 0) exact.delete(filter);
      else exact.set(filter, left);
      return;
    }
    const kind = isSystem(filter) ? "system" : "ordinary";
    const known = wild[kind].find((one) => one.filter === filter);
    const left = edit(known?.listeners ?? none);
    const others = wild[kind].filter((one) => one !== known);
    const matches = known?.matches ?? compileFilter(filter);
    wild[kind] = left.length === 0 ? others : [...others, { filter, matches, listeners: left }];
  }

  const topicSwitch: TopicSwitch<M> = {
    on(filter, listener, done) {
      change(filter, (listeners) => [...listeners, listener]);
      if (done !== undefined) setImmediate(done);
      return topicSwitch;
    },
    removeListener(filter, listener, done) {
      // Later, as in mqemitter: a message being delivered still reaches every listener.
      setImmediate(() => {
        change(filter, (listeners) => listeners.filter((other) => other !== listener));
        done?.();
      });
      return topicSwitch;
    },
    emit(message, done = ignore) {
      if (isClosed) {
        done(new Error("the broker is closed"));
        return topicSwitch;
      }
      const listeners = listenersOf(message.topic);
      const [first] = listeners;
      if (first === undefined) done();
      else if (listeners.length === 1) first(message, () => done());
      else {
        let left = listeners.length;
        const one = () => {
          left -= 1;
          if (left === 0) done();
        };
        for (const listener of listeners) listener(message, one);
      }
      return topicSwitch;
    },
    hears: (topic) => exact.has(topic),
    close(done) {
      isClosed = true;
      setImmediate(done);
    },
  };
  return topicSwitch;
}

/** No listeners; a list of `never` is a list of anything. */
const none: readonly never[] = [];

const dollar = 0x24;

function isSystem(topicOrFilter: string): boolean {
  return topicOrFilter.charCodeAt(0) === dollar;
}

function ignore(): void {}
