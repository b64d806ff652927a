export { decodePacket, encodePacket, tftpErrorCode, type TftpOption, type TftpPacket } from './packet.js';
export { fetchFile, fetchInto, type FetchedLength, type FetchRequest } from './client.js';
export { startTftpServer, type TftpEvent, type TftpServer, type TftpServerOptions } from './server.js';
export type { SendingEnd } from './sending.js';
export { tftpPort, type TftpAddress } from './datagram.js';
