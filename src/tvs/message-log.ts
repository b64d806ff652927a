import { formatHex, printable } from '../bytes/index.js';
import type { TvsMessage, TvsMessageKind } from './message.js';

/** The kinds of message in the words of a cluster's log. */
const words: Readonly<Record<TvsMessageKind, string>> = {
  'verify-request': 'CERT_VERIFICATION_REQ',
  'verify-answer': 'CERT_VERIFICATION_RES',
  'query-request': 'QUERY_CERT_REQ',
  'query-answer': 'QUERY_CERT_RES',
};

/** Clusters cut their dumps after so many bytes, eight to a line. */
const dumpLength = 50;
const dumpLine = 8;

/** Writes down a message as clusters do. */
export function logMessage(
  direction: 'received' | 'sent',
  message: TvsMessage,
  bytes: Uint8Array,
  log: (line: string) => void,
): void {
  const type = words[message.kind];
  // Of a verification's answer clusters print a shorter name here.
  const short = type === 'CERT_VERIFICATION_RES' ? 'CERT_VERIF_RES' : type;
  log(direction === 'received' ? 'Incoming Phone Msg:' : `Sending ${short} msg`);
  log(`HEX_DUMP: Len = ${bytes.length}:`);
  for (let start = 0; start < Math.min(bytes.length, dumpLength); start += dumpLine) {
    log(formatHex(bytes.subarray(start, Math.min(start + dumpLine, dumpLength)), ' '));
  }
  log('tvsPhoneDecodeMsg - Decoded Phone Msg:');
  log('Protocol Discriminator: 57');
  log(`MsgType : TVS_MSG_${type}`);
  log(`Session Id : ${message.sessionId}`);
  log(`Length : ${bytes.length - 10}`);
  if ('device' in message) log(`Device : ${printable(message.device)}`);
  if ('status' in message) log(`Status : ${message.status === 'success' ? 0 : 1}`);
}
