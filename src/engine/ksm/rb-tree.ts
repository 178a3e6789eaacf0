import { assert } from '../../base/index.ts';

/**
 * A red-black tree whose order its users know: they walk down from the root and say where a node is
 * hung in (rb_link_node, rb_insert_color, rb_erase of lib/rbtree.c). So a tree whose order has become
 * wrong, as the unstable one's may, is still balanced.
 */
export interface RbNode<T> {
  readonly value: T;
  left: RbNode<T> | null;
  right: RbNode<T> | null;
  parent: RbNode<T> | null;
  isRed: boolean;
}

export class RbTree<T> {
  root: RbNode<T> | null = null;

  /** Hangs a new node below `parent` (null: the tree is empty), on its left or right, which is free. */
  insert(value: T, parent: RbNode<T> | null, isLeft: boolean): RbNode<T> {
    const node: RbNode<T> = { value, left: null, right: null, parent, isRed: true };
    if (parent === null) this.root = node;
    else if (isLeft) parent.left = node;
    else parent.right = node;
    this.#balanceAfterInsert(node);
    return node;
  }

  erase(node: RbNode<T>): void {
    const { left, right } = node;
    if (left !== null && right !== null) {
      this.#eraseInner(node, left, right);
      return;
    }
    const child = left ?? right;
    this.#replace(node, child);
    if (!node.isRed) this.#balanceAfterErase(child, node.parent);
  }

  /** Values in order. */
  *values(): Iterable<T> {
    let node = this.root;
    while (node?.left != null) node = node.left;
    while (node !== null) {
      yield node.value;
      node = next(node);
    }
  }

  /** Throws AssertionError unless it is a red-black tree. */
  validate(): void {
    assert(this.root === null || !this.root.isRed, 'the root is black');
    blackHeight(this.root);
  }

  /** With two children: the next in order takes the node's place. */
  #eraseInner(node: RbNode<T>, left: RbNode<T>, right: RbNode<T>): void {
    let heir = right;
    while (heir.left !== null) heir = heir.left;
    const wasRed = heir.isRed;
    const child = heir.right;
    let parent = heir.parent as RbNode<T>;
    if (parent === node) {
      parent = heir;
    } else {
      this.#replace(heir, child);
      heir.right = right;
      right.parent = heir;
    }
    this.#replace(node, heir);
    heir.left = left;
    left.parent = heir;
    heir.isRed = node.isRed;
    if (!wasRed) this.#balanceAfterErase(child, parent);
  }

  #replace(node: RbNode<T>, by: RbNode<T> | null): void {
    const { parent } = node;
    if (parent === null) this.root = by;
    else if (parent.left === node) parent.left = by;
    else parent.right = by;
    if (by !== null) by.parent = parent;
  }

  #rotate(node: RbNode<T>, isLeft: boolean): void {
    const child = (isLeft ? node.right : node.left) as RbNode<T>;
    const inner = isLeft ? child.left : child.right;
    if (isLeft) node.right = inner;
    else node.left = inner;
    if (inner !== null) inner.parent = node;
    this.#replace(node, child);
    if (isLeft) child.left = node;
    else child.right = node;
    node.parent = child;
  }

  #balanceAfterInsert(start: RbNode<T>): void {
    let node = start;
    for (let parent = node.parent; parent?.isRed; parent = node.parent) {
      const grand = parent.parent as RbNode<T>;
      const isLeft = grand.left === parent;
      const uncle = isLeft ? grand.right : grand.left;
      if (uncle?.isRed) {
        parent.isRed = false;
        uncle.isRed = false;
        grand.isRed = true;
        node = grand;
        continue;
      }
      if ((isLeft ? parent.right : parent.left) === node) {
        this.#rotate(parent, isLeft);
        node = parent;
        parent = node.parent as RbNode<T>;
      }
      parent.isRed = false;
      grand.isRed = true;
      this.#rotate(grand, !isLeft);
    }
    (this.root as RbNode<T>).isRed = false;
  }

  /** The side of `node` (null: an empty place below `above`) has one black node too few. */
  #balanceAfterErase(node: RbNode<T> | null, above: RbNode<T> | null): void {
    let short = node;
    let parent = above;
    while (parent !== null && !short?.isRed) {
      const isLeft = parent.left === short;
      let sibling = (isLeft ? parent.right : parent.left) as RbNode<T>;
      if (sibling.isRed) {
        sibling.isRed = false;
        parent.isRed = true;
        this.#rotate(parent, isLeft);
        sibling = (isLeft ? parent.right : parent.left) as RbNode<T>;
      }
      const near = isLeft ? sibling.left : sibling.right;
      if (!sibling.left?.isRed && !sibling.right?.isRed) {
        sibling.isRed = true;
        short = parent;
        parent = short.parent;
        continue;
      }
      if (!(isLeft ? sibling.right : sibling.left)?.isRed) {
        (near as RbNode<T>).isRed = false;
        sibling.isRed = true;
        this.#rotate(sibling, !isLeft);
        sibling = (isLeft ? parent.right : parent.left) as RbNode<T>;
      }
      sibling.isRed = parent.isRed;
      parent.isRed = false;
      const far = isLeft ? sibling.right : sibling.left;
      if (far !== null) far.isRed = false;
      this.#rotate(parent, isLeft);
      short = this.root;
      break;
    }
    if (short !== null) short.isRed = false;
  }
}

function next<T>(node: RbNode<T>): RbNode<T> | null {
  if (node.right !== null) {
    let at = node.right;
    while (at.left !== null) at = at.left;
    return at;
  }
  let at: RbNode<T> = node;
  while (at.parent !== null && at.parent.right === at) at = at.parent;
  return at.parent;
}

function blackHeight<T>(node: RbNode<T> | null): number {
  if (node === null) return 1;
  const { left, right, isRed } = node;
  assert(left === null || left.parent === node, "a node's parent");
  assert(right === null || right.parent === node, "a node's parent");
  assert(!isRed || !(left?.isRed || right?.isRed), 'a red node below a red one');
  const height = blackHeight(left);
  assert(height === blackHeight(right), 'black nodes on both sides');
  return height + (isRed ? 0 : 1);
}
