const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "this user's share of the disk is used up",
  EACCES: "this user may not write there",
  EPERM: "its file system, or the system, refuses that",
  EROFS: "it can only be read",
  ENOTDIR: "something on the way to it is a file",
  EEXIST: "there is a file of that name",
  EISDIR: "there is a folder of that name",
  EBUSY: "something else holds it",
  ENOENT: "it cannot be made there",
  ENOSYS: "its file system cannot do that",
  ENOTSUP: "its file system cannot do that",
  EOPNOTSUPP: "its file system cannot do that",
  ELOOP: "links on the way to it lead in a circle",
  EIO: "the disk cannot be read or written",
};

/** What a file operation was refused for, in words; `null` for an error of another kind. */
export function wordsOfFileTrouble(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return null;
  const reason = reasons[error.code];
  if (reason === undefined) return null;
  const doing = "syscall" in error && typeof error.syscall === "string" ? `${error.syscall}: ` : "";
  return `${reason} (${doing}${error.code})`;
}

/** Whether making room helps. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}
