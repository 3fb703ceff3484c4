import { compileFilter, hasWildcard } from "./topic-filter.ts";

type Message = { topic: string; brokerCounter?: number };

/** Takes one message; `done` when the next may come. */
export type Listener = (message: Message, done: (error?: Error | null) => void) => void;

/** What aedes hands messages round with, in the shape of mqemitter. */
export type TopicSwitch = {
  on(filter: string, listener: Listener, done?: () => void): TopicSwitch;
  removeListener(filter: string, listener: Listener, done?: () => void): TopicSwitch;
  /** `done` when every listener is, in whatever order. */
  emit(message: Message, done?: (error?: Error | null) => void): TopicSwitch;
  /** Whether somebody here has subscribed to exactly this topic. */
  hears(topic: string): boolean;
  close(done: () => void): void;
};

type Several = { matches(topic: string): boolean; listeners: readonly Listener[] };

/**
 * Who hears a topic. mqemitter looks in a tree of words, which takes every topic apart and keeps several maps a car;
 * but cars subscribe to exact topics, one look into one map each, and filters with wildcards there are a handful of,
 * the control plane's, so they are simply tried. Not for clients that may subscribe to what they like.
 */
export function createTopicSwitch(): TopicSwitch {
  // Never changed in place: a message under way keeps the listeners it began with.
  const exact = new Map<string, readonly Listener[]>();
  const wild = new Map<string, Several>();
  let isClosed = false;

  function listenersOf(topic: string): readonly Listener[] {
    let found = exact.get(topic) ?? none;
    for (const { matches, listeners } of wild.values())
      if (matches(topic)) found = found.length === 0 ? listeners : [...found, ...listeners];
    return found;
  }

  function change(filter: string, edit: (listeners: readonly Listener[]) => readonly Listener[]): void {
    if (hasWildcard(filter)) {
      const { matches, listeners } = wild.get(filter) ?? { matches: compileFilter(filter), listeners: none };
      const left = edit(listeners);
      if (left.length === 0) wild.delete(filter);
      else wild.set(filter, { matches, listeners: left });
      return;
    }
    const left = edit(exact.get(filter) ?? none);
    if (left.length === 0) exact.delete(filter);
    else exact.set(filter, left);
  }

  const topicSwitch: TopicSwitch = {
    on(filter, listener, done) {
      change(filter, (listeners) => [...listeners, listener]);
      if (done !== undefined) setImmediate(done);
      return topicSwitch;
    },
    removeListener(filter, listener, done) {
      // Later, as in mqemitter: a message that is being handed round still reaches everybody.
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
      // aedes takes a message for a repeated one where a later number came before it, as QoS 0 comes before QoS 1:
      // without a number each hearer's copy is given the next one.
      message.brokerCounter = 0;
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

const none: readonly Listener[] = [];

function ignore(): void {}
