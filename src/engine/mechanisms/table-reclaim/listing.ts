import { cgroupOf } from '../../cgroup/cgroup.ts';
import { joinList, leaveList, relist } from '../../cgroup/table-list.ts';
import { H_LIST_LOCK } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { OWNER_KIND, OWNER_OBJECT } from '../../tables/owner.ts';
import { ownerOfTable, tableLevel } from '../../tables/table.ts';

/** Keeps the cgroups' lists: tables of level 1 of address spaces and guests, not of page indexes. */
export function listTable(m: Machine, owner: number, table: number, level: number): void {
  if (level !== 1 || m.words[owner + OWNER_KIND] === OWNER_OBJECT) return;
  if (m.isShared) m.lock(H_LIST_LOCK);
  joinList(m, cgroupOf(m, owner), table);
  if (m.isShared) m.unlock(H_LIST_LOCK);
}

export function unlistTable(m: Machine, owner: number, table: number, level: number): void {
  if (level !== 1 || m.words[owner + OWNER_KIND] === OWNER_OBJECT) return;
  if (m.isShared) m.lock(H_LIST_LOCK);
  leaveList(m, cgroupOf(m, owner), table);
  if (m.isShared) m.unlock(H_LIST_LOCK);
}

/** A table has another id now. */
export function tableMoved(m: Machine, _from: number, to: number): void {
  const owner = ownerOfTable(m, to);
  if (tableLevel(m, to) === 1 && m.words[owner + OWNER_KIND] !== OWNER_OBJECT) {
    relist(m, cgroupOf(m, owner), to);
  }
}
