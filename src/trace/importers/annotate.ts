import { MAP_GROWSDOWN, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { pageCeil, pageStart } from '../address.ts';
import { Op, Outcome, type TraceEvent } from '../event.ts';
import type { EventList } from './event-list.ts';
import { type Mapping, MappingSet } from './mapping-set.ts';

/** How far a stack may grow (the usual ulimit -s). */
const STACK_LIMIT_BYTES = 8 << 20;
const GROWS = 'grows down';

/**
 * Gives every touch its outcome: ok where the mapping known at that time allows it, for the program
 * went on; left unknown elsewhere. Gives the number of those.
 */
export function annotateTouches(list: EventList): number {
  const spaces = new Map<number, MappingSet>();
  let unknown = 0;
  for (const { event, setOutcome } of list.entries()) {
    let space = spaces.get(event.pid);
    if (space === undefined) spaces.set(event.pid, (space = new MappingSet()));
    if (event.op === Op.touch) {
      if (event.outcome !== Outcome.unknown) continue;
      if (isAllowed(space, event)) setOutcome(Outcome.ok);
      else unknown++;
    } else if (event.outcome !== Outcome.failed) apply(spaces, space, event);
  }
  return unknown;
}

function isAllowed(space: MappingSet, event: TraceEvent): boolean {
  const mapping = space.find(event.addr) ?? growStack(space, event.addr);
  if (mapping === undefined) return false;
  return (mapping.prot & (event.isWrite ? PROT_WRITE : PROT_READ | PROT_EXEC)) !== 0;
}

function growStack(space: MappingSet, addr: number): Mapping | undefined {
  const [above] = space.overlapping(addr, addr + STACK_LIMIT_BYTES);
  if (above === undefined || above.source !== GROWS) return undefined;
  if (above.end - addr > STACK_LIMIT_BYTES) return undefined;
  above.start = pageStart(addr);
  return above;
}

function apply(spaces: Map<number, MappingSet>, space: MappingSet, event: TraceEvent): void {
  const end = event.addr + pageCeil(event.len);
  switch (event.op) {
    case Op.mmap: {
      const source = (event.flags & MAP_GROWSDOWN) !== 0 ? GROWS : null;
      space.add({ start: event.addr, end, prot: event.prot, source });
      break;
    }
    case Op.munmap:
      space.cut(event.addr, end);
      break;
    case Op.mprotect:
      space.protect(event.addr, end, event.prot);
      break;
    case Op.mremap:
      space.move(event.addr, pageCeil(event.len), event.newAddr, pageCeil(event.newLen));
      break;
    case Op.brk:
      moveBreak(space, event);
      break;
    case Op.fork:
      spaces.set(event.child, event.flags === 1 ? space : space.clone());
      break;
    case Op.exec:
      spaces.set(event.pid, new MappingSet());
      break;
    case Op.exit:
      spaces.delete(event.pid);
      break;
    default:
  }
}

/** Only a break with the heap's start says what it maps. */
function moveBreak(space: MappingSet, event: TraceEvent): void {
  const start = pageCeil(event.addr);
  const end = pageCeil(event.addr + event.len);
  const old = space.find(start);
  if (old !== undefined && old.end > end) space.cut(end, old.end);
  else if (old === undefined || old.end < end) {
    space.add({ start, end, prot: PROT_READ | PROT_WRITE, source: null });
  }
}
