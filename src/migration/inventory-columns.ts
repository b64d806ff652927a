/** What a column of an inventory says. */
export type ColumnMeaning = 'device' | 'model' | 'ctl' | 'itl' | 'tvs' | 'securityByDefault' | 'tftp';

/**
 * The names of columns that are understood, in lower case without blanks, `_`, `-`, `.` and brackets: `CTL SHA-1`,
 * `ctl_sha1` and `CTL-SHA1` are one name. The first is the one that messages use. Sources: the columns that the issue
 * names, the parameters of the phones' DeviceTLInfo alarms, and the headings of the cluster's phone reports.
 */
export const columnNames: Readonly<Record<ColumnMeaning, readonly string[]>> = {
  device: ['device', 'devicename', 'phone', 'phonename', 'name', 'mac', 'macaddress'],
  model: ['model', 'devicetype', 'devicemodel', 'phonemodel', 'phonetype', 'modelname', 'type', 'product'],
  ctl: ['ctlsha1', 'ctl', 'ctlchecksum', 'ctlsignature', 'ctlfile', 'ctlmd5', 'ctlhash', 'ctldigest'],
  itl: ['itlsha1', 'itl', 'itlchecksum', 'itlsignature', 'itlfile', 'itlmd5', 'itlhash', 'itldigest'],
  tvs: ['tvsservers', 'tvs', 'tvsserver'],
  securityByDefault: ['securitybydefault', 'sbd'],
  tftp: ['tftpserver', 'tftp', 'tftpserver1', 'itltftpserver'],
};

/** How messages spell the columns. */
export const columnTitles: Readonly<Record<ColumnMeaning, string>> = {
  device: 'device',
  model: 'model',
  ctl: 'CTL SHA-1',
  itl: 'ITL SHA-1',
  tvs: 'TVS servers',
  securityByDefault: 'Security by Default',
  tftp: 'TFTP server',
};

/** Where the columns of an inventory stand. */
export interface ColumnPlaces {
  /** Counted from 0. */
  readonly at: Readonly<Partial<Record<ColumnMeaning, number>>>;
  /** Meanings of which the best name stands over two columns. */
  readonly twice: readonly ColumnMeaning[];
}

/**
 * Finds the columns of a header line. Where several mean the same, such as `CTL SHA-1` and `CTL MD5`, that with the
 * earlier name in {@link columnNames} counts. What is not understood is passed over.
 */
export function findColumns(header: readonly string[]): ColumnPlaces {
  const titles = header.map((title) => title.toLowerCase().replaceAll(/[\s_\-.()[\]]/g, ''));
  const at: Partial<Record<ColumnMeaning, number>> = {};
  const twice: ColumnMeaning[] = [];
  for (const meaning of Object.keys(columnNames) as ColumnMeaning[]) {
    const name = columnNames[meaning].find((one) => titles.includes(one));
    if (name === undefined) continue;
    at[meaning] = titles.indexOf(name);
    if (titles.indexOf(name) !== titles.lastIndexOf(name)) twice.push(meaning);
  }
  return { at, twice };
}
