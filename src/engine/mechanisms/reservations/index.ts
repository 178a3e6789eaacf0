import { assert } from '../../../base/index.ts';
import { setWatermarks } from '../../frames/zones.ts';
import type { Machine } from '../../machine.ts';
import type { Mechanism } from '../mechanism.ts';
import { placePage } from './place.ts';
import { Promoter } from './promote.ts';

/**
 * Reservations (Navarro, Iyer, Druschel, Cox: "Practical, Transparent Operating System Support for
 * Superpages", OSDI 2002; FreeBSD, sys/vm/vm_reserv.c). The first page of a region takes 2 MiB of
 * frames, of which each later page gets its own; nothing is zeroed or counted for a page that was not
 * touched. With the last page the region becomes a huge page, without a copy. While memory is short,
 * what was changed least recently is broken, and the frames that its region never used come free.
 */
export interface ReservationOptions {
  /** Time in which a reservation moves in the queue once: a tick, 1/hz; hz is 1000. [S] */
  readonly tickUs: number;
}

export const RESERVATION_DEFAULTS: ReservationOptions = { tickUs: 1000 };

const attached = new WeakMap<Machine, Promoter>();

export function reservationsWith(options: ReservationOptions): Mechanism {
  const HUGE = 'huge pages and tables that are taken away are not brought together';
  return {
    id: 'reservations',
    title: 'frames reserved by 2 MiB, huge once all are used (FreeBSD)',
    excludes: {
      hawkeye: 'each decides alone which regions become huge pages',
      ingens: 'each decides alone which regions become huge pages',
      'ingens-artifact': 'each decides alone which regions become huge pages',
      'movable-tables': 'a table that moves while its entries become one is not brought together',
      'table-reclaim': HUGE,
      'table-reclaim-aged': HUGE,
    },
    settings: { ...options },
    settingTexts: { tickUs: 'time in which a reservation moves in the queue once, µs' },
    withSettings: (values) => reservationsWith({ ...options, ...values }),
    attach(m) {
      attached.set(m, attach(m, options));
    },
    counters(m) {
      const promoter = attached.get(m);
      assert(promoter !== undefined, 'reservations are not attached');
      const { made, broken, emptied, standing, heldFrames, heldPeakFrames } = m.reservations;
      return {
        made,
        promotions: promoter.promotions,
        broken,
        emptied,
        standing,
        heldKiB: heldFrames * 4,
        heldPeakKiB: heldPeakFrames * 4,
      };
    },
  };
}

export const reservations: Mechanism = reservationsWith(RESERVATION_DEFAULTS);

function attach(m: Machine, options: ReservationOptions): Promoter {
  assert(!m.isShared, 'huge pages are for machines of one thread');
  if (m.huge.enabled === 'disabled') m.huge = { ...m.huge, enabled: 'always' };
  setWatermarks(m);
  const promoter = new Promoter();
  // Every fault has its frame placed and is heard of: none takes the way that tells nobody.
  m.isCareful = true;
  m.sizeOrders = null;
  m.hasHugeFaults = false;
  m.events.placePage = placePage;
  m.events.pageAdded = promoter.pageAdded;
  const { returnToUser } = m.events;
  m.events.returnToUser = (machine, mm, nowNs) => {
    returnToUser?.(machine, mm, nowNs);
    m.reservations.tick = Math.floor(nowNs / (options.tickUs * 1000));
  };
  return promoter;
}
