import { InputError } from '../base/index.ts';
import { KERNEL_SETTINGS, type KernelSettings, withSetting } from './kernel-settings.ts';

/**
 * A kernel's name in parts: `base[key=value,…]+mechanism[key=value,…]…`. What stands in brackets holds
 * for this kernel alone, so that one run can compare a kernel with itself, set otherwise. A base takes
 * what an administrator sets of a kernel, a mechanism its own.
 */
export interface NamePart {
  readonly id: string;
  /** `key=value`, as written. */
  readonly settings: readonly string[];
}

/** The parts; InputError where brackets do not match. */
export function splitName(text: string): NamePart[] {
  const parts: NamePart[] = [];
  let rest = text;
  for (;;) {
    const match = /^([^[\]+]*)(?:\[([^[\]]*)\])?(\+|$)/.exec(rest);
    if (match === null) {
      throw new InputError(
        `kernel '${text}': want base[key=value,…]+mechanism[key=value,…], the brackets only where needed`,
      );
    }
    const [whole, id = '', inside, plus] = match;
    parts.push({ id, settings: inside === undefined ? [] : inside.split(',') });
    if (plus === '') return parts;
    rest = rest.slice(whole.length);
  }
}

/** The name of a part with its settings. */
export function nameOf(id: string, settings: readonly string[]): string {
  return settings.length === 0 ? id : `${id}[${settings.join(',')}]`;
}

/** A kernel's settings as its base's brackets have them, over those of the run. */
export function tune(
  text: string,
  settings: KernelSettings,
  tunings: readonly string[],
): KernelSettings {
  let tuned = settings;
  for (const tuning of tunings) {
    const at = tuning.indexOf('=');
    const next = at < 0 ? undefined : withSetting(tuned, tuning.slice(0, at), tuning.slice(at + 1));
    if (next === undefined) {
      throw new InputError(
        `kernel '${text}': a base takes ${Object.keys(KERNEL_SETTINGS).join(', ')}`,
      );
    }
    tuned = next;
  }
  return tuned;
}
