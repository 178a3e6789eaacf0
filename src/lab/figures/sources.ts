/** What several figures cite. */
export const INGENS_PAPER =
  'Kwon et al., "Coordinated and Efficient Huge Page Management with Ingens", OSDI 2016';
