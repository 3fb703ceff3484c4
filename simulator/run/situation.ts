import type { News } from "./host-messages.ts";

// The state of the cars of all hosts, combined from their news.

export type Situation = {
  connected: number;
  /** Connections made in all. */
  connections: number;
  /** By reason, since the run began. */
  drops: Record<string, number>;
  weather: Record<string, number>;
  notConnected: Record<string, number>;
  attacks: Record<string, number>;
  failed: Record<string, number>;
  refused: Record<string, number>;
  crashes: Record<string, number>;
  /** What bad links did to packets. */
  spoilt: Record<string, number>;
  doubleApplies: number;
  forgedAccepted: number;
  reports: number;
  /** What the hosts' memory grew by, at most so far. */
  carsBytes: number;
  /** The longest that a host was late since the last look. */
  loopLagMs: number;
  cpuMs: number;
};

export type SituationKeeper = {
  readonly now: Readonly<Situation>;
  hear(news: News, host: number): void;
  lost(host: number): void;
  /** The worst lag since the last call. */
  takeLag(): number;
};

export function keepSituation(): SituationKeeper {
  const newest = new Map<number, News>();
  const now: Situation = {
    connected: 0,
    connections: 0,
    drops: {},
    weather: {},
    notConnected: {},
    attacks: {},
    failed: {},
    refused: {},
    crashes: {},
    spoilt: {},
    doubleApplies: 0,
    forgedAccepted: 0,
    reports: 0,
    carsBytes: 0,
    loopLagMs: 0,
    cpuMs: 0,
  };
  const sum = (of: (news: News) => number) => newest.values().reduce((total, news) => total + of(news), 0);
  const merged = (of: (news: News) => Readonly<Record<string, number>>) => {
    const all: Record<string, number> = {};
    for (const news of newest.values()) addAll(all, of(news));
    return all;
  };

  function putTogether(): void {
    now.connected = sum(({ connected }) => connected);
    now.doubleApplies = sum(({ doubleApplies }) => doubleApplies);
    now.forgedAccepted = sum(({ forgedAccepted }) => forgedAccepted);
    now.reports = sum(({ reports }) => reports);
    now.cpuMs = sum(({ cpuMs }) => cpuMs);
    now.failed = merged(({ failed }) => failed);
    now.refused = merged(({ refused }) => refused);
    now.crashes = merged(({ crashes }) => crashes);
    now.spoilt = merged(({ spoilt }) => spoilt);
    now.carsBytes = Math.max(
      now.carsBytes,
      sum(({ rssBytes, emptyRssBytes }) => rssBytes - emptyRssBytes),
    );
  }

  return {
    now,
    hear(news, host) {
      newest.set(host, news);
      addAll(now.drops, news.drops);
      addAll(now.weather, news.weather);
      addAll(now.notConnected, news.notConnected);
      addAll(now.attacks, news.attacks);
      now.connections += news.connectMs.length;
      now.loopLagMs = Math.max(now.loopLagMs, news.loopLagMs);
      putTogether();
    },
    lost(host) {
      const last = newest.get(host);
      if (last !== undefined) newest.set(host, { ...last, connected: 0 });
      putTogether();
    },
    takeLag() {
      const { loopLagMs } = now;
      now.loopLagMs = 0;
      return loopLagMs;
    },
  };
}

function addAll(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
}
