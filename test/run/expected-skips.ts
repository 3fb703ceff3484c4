/** What decides which tests a machine can run. */
export type Machine = {
  platform: NodeJS.Platform;
  isRoot: boolean;
  /** As root: whether the account `nobody` can read this checkout. */
  isOpenToNobody: boolean;
  hasSystemd: boolean;
};

/** A test that some machines cannot run. */
export type ExpectedSkip = {
  file: string;
  /** With the groups around it. */
  title: string;
  why: string;
  isExpected: (machine: Machine) => boolean;
};

const withoutLinux = {
  why: "only Linux has /proc",
  isExpected: ({ platform }: Machine) => platform !== "linux",
};
const withoutRoot = {
  why: "only root can change to another account",
  isExpected: ({ isRoot }: Machine) => !isRoot,
};
const postgres = "start/postgres/embedded-postgres.test.ts";

/**
 * Every skip that is right. What needs a program of another project (Redis, Mosquitto, Prometheus) is not here: such a
 * program is installed, or the run of a clean checkout says that it is missing.
 */
export const expectedSkips: readonly ExpectedSkip[] = [
  {
    file: postgres,
    title: "as root it runs as another account below a folder closed to that account",
    ...withoutRoot,
  },
  { file: postgres, title: "as root without a usable account it says what to do", ...withoutRoot },
  {
    file: postgres,
    title: "programs the account cannot reach are copied to where it can, with the links npm left out",
    ...withoutRoot,
  },
  {
    file: postgres,
    title: "as a plain user it runs as that user",
    why: "as a plain user the other tests do the same; as root `nobody` must be able to read the checkout",
    isExpected: ({ isRoot, isOpenToNobody }) => !isRoot || !isOpenToNobody,
  },
  {
    file: "vehicle-agent/deploy.test.ts",
    title: "the systemd unit > is taken by systemd, which finds little exposed",
    why: "a container, or another system, has no systemd",
    isExpected: ({ hasSystemd }) => !hasSystemd,
  },
  {
    file: "control-plane/fleet-link/protect-secrets.test.ts",
    title: "a key that cannot be closed to others is refused with what to do [R18]",
    ...withoutLinux,
  },
  {
    file: "vehicle-agent/storage/storage.test.ts",
    title: "a file system that takes no folders is an error, and not a search without end [R18]",
    ...withoutLinux,
  },
  {
    file: "lab/child-program.test.ts",
    title: "a benchmark that is killed leaves no broker behind, neither ours nor one of another project",
    ...withoutLinux,
  },
  {
    file: "bench/broker/round-trip.test.ts",
    title: "what a measurement stands on > the processor time of a process rises with its work",
    ...withoutLinux,
  },
  ...["/proc/caas/car", "/dev/null/car"].map((folder) => ({
    file: "vehicle-agent/program.test.ts",
    title: `the program caas-agent > a folder that the file system refuses (${folder}) is said in one sentence, and the program ends [R18]`,
    ...withoutLinux,
  })),
];
