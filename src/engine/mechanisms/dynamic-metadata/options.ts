import { MEMDESC_SIZES, type MemdescSizes } from '../../metadata/schemes.ts';

export interface DynamicMetadataOptions {
  /** Pages of vmemmap, of eight, that a page of 2 MiB keeps. */
  readonly hugeUnits: number;
  /** 1: LLFree's own memory is charged, by whose entries the pages come and go. */
  readonly hasLLFree: number;
  readonly memdescBytes: number;
  readonly folioBytes: number;
  readonly ksmBytes: number;
  readonly ptdescBytes: number;
  readonly zpdescBytes: number;
}

export const DYNAMIC_METADATA_DEFAULTS: DynamicMetadataOptions = {
  hugeUnits: 1,
  hasLLFree: 1,
  memdescBytes: MEMDESC_SIZES.word,
  folioBytes: MEMDESC_SIZES.folio,
  ksmBytes: MEMDESC_SIZES.ksm,
  ptdescBytes: MEMDESC_SIZES.ptdesc,
  zpdescBytes: MEMDESC_SIZES.zpdesc,
};

const MEMDESC = DYNAMIC_METADATA_DEFAULTS;

export const SETTING_TEXTS: Readonly<Record<string, string>> = {
  hugeUnits: `vmemmap pages of 8 that a page of 2 MiB keeps; 0: it needs none, as in a Morsel (${MEMDESC.hugeUnits})`,
  hasLLFree: `33 KiB a GiB for LLFree are charged: 0, 1 (${MEMDESC.hasLLFree})`,
  memdescBytes: `scheme memdesc: a frame's word (${MEMDESC.memdescBytes})`,
  folioBytes: `scheme memdesc: a page's descriptor (${MEMDESC.folioBytes}, from published fields)`,
  ksmBytes: `scheme memdesc: a merged page's (${MEMDESC.ksmBytes}, assumed)`,
  ptdescBytes: `scheme memdesc: a page table's (${MEMDESC.ptdescBytes}, assumed)`,
  zpdescBytes: `scheme memdesc: that of a page of compressed memory (${MEMDESC.zpdescBytes}, assumed)`,
};

export function memdescSizesOf(options: DynamicMetadataOptions): MemdescSizes {
  return {
    word: options.memdescBytes,
    folio: options.folioBytes,
    ksm: options.ksmBytes,
    ptdesc: options.ptdescBytes,
    zpdesc: options.zpdescBytes,
  };
}
