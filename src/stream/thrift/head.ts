// The head of a Thrift message over its wire bytes: service and method are found in place, edits are kept beside them until it is encoded.
import { FrameHead, checkValue } from '../frame-head.js';
import { REPLY, RPC_METHOD, SERVICE, STATUS, type HeaderName } from '../head.js';
import { EMPTY, type Form, MAX_NAME, STRICT } from './frame.js';

const COLON = 58;

/**
 * Parts: `:rpc-method` is the name of the message; `:service` what stands before its first colon (TMultiplexedProtocol), or, with Dubbo's
 * header, the service named there; `:status` the HTTP-like status of a reply. Thrift has no headers: nothing else is found, and setting
 * it does nothing. Service and method of a request may be set; an empty service takes it away. Those of a reply stay what they are:
 * clients get back the name that they asked for.
 */
export class ThriftHead extends FrameHead {
  /** Whether the frame has Dubbo's header. */
  readonly dubbo: boolean;
  form: Form = STRICT;
  /** CALL, REPLY_MESSAGE, EXCEPTION or ONEWAY_CALL. */
  type = 0;
  seqid = 0;
  /** Where the message begins; the frame does at `start`. */
  message = 0;
  nameStart = 0;
  nameEnd = 0;
  /** Of compact messages: where the length of the name begins, which follows the sequence number. */
  behindSeqid = 0;
  /** Where the struct begins. */
  content = 0;
  /** Of Dubbo's header: the service, and the id with its upper and lower half. */
  serviceStart = 0;
  serviceEnd = 0;
  idHigh = 0;
  idLow = 0;

  private newName: Buffer | null = null;
  private newService: Buffer | null = null;

  constructor(dubbo: boolean) {
    super(dubbo ? 'dubbo-thrift' : 'thrift', EMPTY);
    this.dubbo = dubbo;
  }

  // What an encoder writes: the edited bytes where there are some, else those received.

  get nameBuf(): Uint8Array {
    return this.newName ?? this.buf;
  }
  get nameFrom(): number {
    return this.newName !== null ? 0 : this.nameStart;
  }
  get nameTo(): number {
    return this.newName !== null ? this.newName.length : this.nameEnd;
  }
  get serviceBuf(): Uint8Array {
    return this.newService ?? this.buf;
  }
  get serviceFrom(): number {
    return this.newService !== null ? 0 : this.serviceStart;
  }
  get serviceTo(): number {
    return this.newService !== null ? this.newService.length : this.serviceEnd;
  }

  /** Makes the head ready for the next message. */
  reset(): void {
    this.edited = false;
    this.refused = null;
    this.newName = null;
    this.newService = null;
  }

  // === reading

  find(name: HeaderName): boolean {
    switch (name.part) {
      case SERVICE:
        return this.findService();
      case RPC_METHOD:
        return this.findMethod();
      case STATUS:
        return this.kind === REPLY && this.findStatus();
      default:
        return false;
    }
  }

  /** The position of the colon in the name, or -1. */
  private colon(): number {
    const buf = this.nameBuf;
    const end = this.nameTo;
    for (let p = this.nameFrom; p < end; p++) if (buf[p] === COLON) return p;
    return -1;
  }

  private findService(): boolean {
    if (this.dubbo) {
      this.vbuf = this.serviceBuf;
      this.vstart = this.serviceFrom;
      this.vend = this.serviceTo;
      return this.vend > this.vstart;
    }
    const colon = this.colon();
    if (colon < 0) return false;
    this.vbuf = this.nameBuf;
    this.vstart = this.nameFrom;
    this.vend = colon;
    return true;
  }

  private findMethod(): boolean {
    this.vbuf = this.nameBuf;
    this.vend = this.nameTo;
    this.vstart = this.nameFrom;
    if (!this.dubbo) {
      const colon = this.colon();
      if (colon >= 0) this.vstart = colon + 1;
    }
    return this.vend > this.vstart;
  }

  each(_visit: (name: string, value: string) => void): void {}

  // === editing

  set(name: HeaderName, value: string): void {
    checkValue(value);
    if (this.kind === REPLY) return;
    if (name.part === SERVICE) this.setService(value);
    else if (name.part === RPC_METHOD && value !== '') this.setMethod(value);
  }

  /** A name has no second value: the same as `set`. */
  add(name: HeaderName, value: string): void {
    this.set(name, value);
  }

  remove(name: HeaderName): void {
    if (this.kind !== REPLY && name.part === SERVICE && this.findService()) this.setService('');
  }

  private setService(value: string): void {
    if (this.dubbo) {
      const bytes = this.checked(value);
      if (bytes !== null) this.newService = bytes;
      return;
    }
    const method = this.findMethod() ? (this.vbuf as Buffer).utf8Slice(this.vstart, this.vend) : '';
    const bytes = this.checked(value === '' ? method : `${value}:${method}`);
    if (bytes !== null) this.newName = bytes;
  }

  private setMethod(value: string): void {
    const service = !this.dubbo && this.findService() ? `${(this.vbuf as Buffer).utf8Slice(this.vstart, this.vend)}:` : '';
    const bytes = this.checked(service + value);
    if (bytes !== null) this.newName = bytes;
  }

  private checked(value: string): Buffer | null {
    const bytes = Buffer.from(value);
    if (bytes.length > MAX_NAME) {
      if (this.refused === null) this.refused = 'head-too-large';
      return null;
    }
    this.edited = true;
    return bytes;
  }

  keep(): ThriftHead {
    const copy = new ThriftHead(this.dubbo);
    const start = this.start;
    this.copyTo(copy);
    copy.form = this.form;
    copy.type = this.type;
    copy.seqid = this.seqid;
    copy.message = this.message - start;
    copy.nameStart = this.nameStart - start;
    copy.nameEnd = this.nameEnd - start;
    copy.behindSeqid = this.behindSeqid - start;
    copy.content = this.content - start;
    copy.serviceStart = this.serviceStart - start;
    copy.serviceEnd = this.serviceEnd - start;
    copy.idHigh = this.idHigh;
    copy.idLow = this.idLow;
    copy.newName = this.newName;
    copy.newService = this.newService;
    return copy;
  }
}
