import type { Machine } from '../machine.ts';

/**
 * A mechanism on top of a base kernel: attaches itself to the machine's events. The engine knows
 * the events; only the list of mechanisms knows the names.
 */
export interface Mechanism {
  /** Its id in a kernel's name, as in `linux-6.18+pte-ref`. */
  readonly id: string;
  readonly title: string;
  /** The mechanism that this is another way to do; on a machine of one thread they are the same. */
  readonly variantOf?: string;
  /** Ids that cannot stand beside it, with the reason. */
  readonly excludes: Readonly<Record<string, string>>;
  /** `seed`: for one that draws random numbers. */
  attach(m: Machine, seed?: number): void;
  /** Settings by name with their defaults, whole numbers; `withSettings` takes all of them. */
  readonly settings?: Readonly<Record<string, number>>;
  /** What they are, for people; a name may be missing. */
  readonly settingTexts?: Readonly<Record<string, string>>;
  /** Settings beyond those that it takes, as one for each process; 0 where not given. */
  takes?(name: string): boolean;
  withSettings?(values: Readonly<Record<string, number>>): Mechanism;
  /** What it counts of the whole machine, where it counts anything. */
  counters?(m: Machine): Record<string, number>;
  /**
   * What it measures at a moment, for a curve over time; null where a look would cost too much so soon
   * after the last one. With it goes `peaks`.
   */
  gauges?(m: Machine): Record<string, number> | null;
  peaks?(m: Machine): Record<string, number>;
}
