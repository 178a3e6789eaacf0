/** Error numbers as Linux x86-64 gives them; modelled calls return them negated. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  EOPNOTSUPP: 95,
  ENOSYS: 38,
  EOVERFLOW: 75,
  EHWPOISON: 133,
} as const;

const nameByNumber = new Map<number, string>(
  Object.entries(Errno).map(([name, number]) => [number, name]),
);

/** `EINVAL` for 22; `E#999` for a number that has no name here. */
export function errnoName(errno: number): string {
  return nameByNumber.get(errno) ?? `E#${errno}`;
}

/** 22 for `EINVAL`; 0 for an unknown name. `E#999` gives 999. */
export function errnoNumber(name: string): number {
  if (name.startsWith('E#')) return Number(name.slice(2)) | 0;
  return (Errno as Record<string, number>)[name] ?? 0;
}
