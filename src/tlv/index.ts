export { decodeElements, throwFault, type ReportFault } from './decode.js';
export { decodeText, encodeElements, encodeText } from './encode.js';
export {
  elementLength,
  elementName,
  elementTable,
  findElement,
  firstElements,
  type Element,
  type ElementDefinition,
  type ElementDraft,
  type ElementKind,
  type ElementTable,
} from './element.js';
export { formatElements } from './dump.js';
