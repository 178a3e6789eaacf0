/**
 * The machine code that a puppet runs, and the smallest program that can be started as one.
 *
 * A puppet executes commands from its mailbox page, one 64-byte record each:
 *   0 number: a system call (>= 0), or one of COMMAND_* below
 *   8..48 six arguments; for a touch: address, count, stride in bytes
 *   56 result: of the system call, or the number of touches that succeeded
 * At COMMAND_STOP it traps (int3), and the tracer takes over. Continued, it starts again at the
 * mailbox's first record. A touch is a real load or store; where it faults, the tracer moves rip
 * to `touchDone`, which records how many succeeded.
 */
export const COMMAND_BYTES = 64;
export const COMMAND_RESULT_OFFSET = 56;
export const COMMAND_STOP = -1;
export const COMMAND_READ = -2;
export const COMMAND_WRITE = -3;

/** A byte, a label's name with a colon after it, or a short jump (opcode and label). */
type Part = number | string | readonly [opcode: number, label: string];

// biome-ignore format: one instruction a line, with what it does
const interpreter: readonly Part[] = [
  'entry:',
  0x4c, 0x89, 0xe3,       // mov rbx, r12        (r12 = the mailbox)
  'next:',
  0x48, 0x8b, 0x03,       // mov rax, [rbx]
  0x48, 0x85, 0xc0,       // test rax, rax
  [0x78, 'special'],      // js special
  0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx+16]
  0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx+24]
  0x4c, 0x8b, 0x53, 0x20, // mov r10, [rbx+32]
  0x4c, 0x8b, 0x43, 0x28, // mov r8, [rbx+40]
  0x4c, 0x8b, 0x4b, 0x30, // mov r9, [rbx+48]
  0x0f, 0x05,             // syscall
  'store:',
  0x48, 0x89, 0x43, 0x38, // mov [rbx+56], rax
  0x48, 0x83, 0xc3, 0x40, // add rbx, 64
  [0xeb, 'next'],         // jmp next
  'special:',
  0x48, 0x83, 0xf8, 0xff, // cmp rax, COMMAND_STOP
  [0x75, 'touch'],        // jne touch
  0xcc,                   // int3
  [0xeb, 'entry'],        // jmp entry
  'touch:',
  0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx+8]    address
  0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx+16]   count
  0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx+24]   stride
  0x31, 0xc9,             // xor ecx, ecx        done
  0x48, 0x83, 0xf8, 0xfe, // cmp rax, COMMAND_READ
  [0x74, 'reads'],        // je reads
  'writes:',
  0x48, 0x39, 0xf1,       // cmp rcx, rsi
  [0x73, 'touchDone'],    // jae touchDone
  'store8:',
  0xc6, 0x07, 0xa5,       // mov byte [rdi], 0xa5
  0x48, 0x01, 0xd7,       // add rdi, rdx
  0x48, 0xff, 0xc1,       // inc rcx
  [0xeb, 'writes'],       // jmp writes
  'reads:',
  0x48, 0x39, 0xf1,       // cmp rcx, rsi
  [0x73, 'touchDone'],    // jae touchDone
  'load8:',
  0x8a, 0x07,             // mov al, [rdi]
  0x48, 0x01, 0xd7,       // add rdi, rdx
  0x48, 0xff, 0xc1,       // inc rcx
  [0xeb, 'reads'],        // jmp reads
  'touchDone:',
  0x48, 0x89, 0xc8,       // mov rax, rcx
  [0xeb, 'store'],        // jmp store
];

/** `pause` for ever: what the program does until the tracer takes over. */
// biome-ignore format: one instruction a line
const idle: readonly Part[] = [
  'again:',
  0xb8, 0x22, 0, 0, 0,    // mov eax, 34 (pause)
  'syscall:',
  0x0f, 0x05,             // syscall
  [0xeb, 'again'],        // jmp again
];

export interface Code {
  readonly bytes: Uint8Array;
  /** Offsets in `bytes` by name. */
  readonly labels: ReadonlyMap<string, number>;
}

/** Two passes: place the labels, then write the bytes with the jumps' distances. */
function assemble(parts: readonly Part[]): Code {
  const labels = new Map<string, number>();
  let offset = 0;
  for (const part of parts) {
    if (typeof part === 'string') labels.set(part.slice(0, -1), offset);
    else offset += typeof part === 'number' ? 1 : 2;
  }
  const bytes: number[] = [];
  for (const part of parts) {
    if (typeof part === 'string') continue;
    if (typeof part === 'number') bytes.push(part);
    else bytes.push(part[0], (labels.get(part[1])! - bytes.length - 2) & 0xff);
  }
  return { bytes: Uint8Array.from(bytes), labels };
}

export const PUPPET_CODE: Code = assemble(interpreter);

/** Where the idle program's one page lies: away from every window that is tested. */
const PROGRAM_ADDR = 0x700000000000;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CODE_OFFSET = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
const IDLE_CODE = assemble(idle);

/** Address of the idle program's `syscall` instruction. */
export const IDLE_SYSCALL_ADDR: number =
  PROGRAM_ADDR + CODE_OFFSET + IDLE_CODE.labels.get('syscall')!;

/** A static ELF program of one read-and-execute page that does nothing (System V ABI, chapter 4). */
export function idleProgram(): Uint8Array {
  const image = Buffer.alloc(CODE_OFFSET + IDLE_CODE.bytes.length);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  image.writeUInt16LE(2, 16); // e_type: executable at fixed addresses
  image.writeUInt16LE(62, 18); // e_machine: x86-64
  image.writeUInt32LE(1, 20); // e_version
  image.writeBigUInt64LE(BigInt(PROGRAM_ADDR + CODE_OFFSET), 24); // e_entry
  image.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // e_phoff
  image.writeUInt16LE(ELF_HEADER_BYTES, 52); // e_ehsize
  image.writeUInt16LE(PROGRAM_HEADER_BYTES, 54); // e_phentsize
  image.writeUInt16LE(1, 56); // e_phnum
  const header = ELF_HEADER_BYTES;
  image.writeUInt32LE(1, header); // p_type: PT_LOAD
  image.writeUInt32LE(5, header + 4); // p_flags: read, execute
  image.writeBigUInt64LE(BigInt(PROGRAM_ADDR), header + 16); // p_vaddr
  image.writeBigUInt64LE(BigInt(PROGRAM_ADDR), header + 24); // p_paddr
  image.writeBigUInt64LE(BigInt(image.length), header + 32); // p_filesz
  image.writeBigUInt64LE(BigInt(image.length), header + 40); // p_memsz
  image.writeBigUInt64LE(4096n, header + 48); // p_align
  image.set(IDLE_CODE.bytes, CODE_OFFSET);
  return image;
}
