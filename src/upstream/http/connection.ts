import type { OnReadOpts, Socket } from 'node:net'
import { platform } from 'node:os'
import type { Rostered } from '../../util/roster.js'
import { codedError } from '../upstream-error.js'
import type { Dialer } from './dial.js'
import { type AnswerHead, type Heads, ResponseReader } from './response-reader.js'

/** A request on a connection, and whoever reads its answer. */
export interface Carried {
  readonly paused: boolean
  /** The connection is there: the request may be sent. */
  onConnected(connection: TargetConnection): void
  /** The next part of the answer: its head where that is whole now, a piece of its body, its end. */
  onAnswer(head: AnswerHead | undefined, body: Buffer | undefined, isComplete: boolean): void
  /** The connection broke before the end of the answer. */
  onBroken(error: Error, connection: TargetConnection): void
}

/** The pool that a connection belongs to. */
export interface ConnectionOwner {
  readonly dialer: Dialer
  readonly heads: Heads
  /** The connection carried a request to its end, and can carry another one. */
  onFree(connection: TargetConnection, keepMs: number | undefined): void
  onGone(connection: TargetConnection): void
}

const READ_BYTES = 64 * 1024

/** Bodies up to this size are sent in one piece with their heads. */
const MAX_JOINED_BYTES = 16 * 1024

/**
 * All sockets read into the same bytes: what is read is copied before anybody else can read. Only
 * Windows is given the bytes before something comes, so that each socket needs its own there.
 */
let shared: Buffer | undefined

function readBuffer(): Buffer {
  if (platform() === 'win32') return Buffer.allocUnsafeSlow(READ_BYTES)
  shared ??= Buffer.allocUnsafeSlow(READ_BYTES)
  return shared
}

/** A connection to a target. It carries one request at a time: pipelining has others wait for a slow one. */
export class TargetConnection implements Rostered {
  place = -1
  /** When it can no longer be used, in milliseconds since the epoch, while it is idle. */
  idleUntil = 0
  /** It is connected. */
  isReady = false
  /** The requests that it carried. */
  uses = 0
  readonly #owner: ConnectionOwner
  readonly #reader: ResponseReader
  readonly #socket: Socket
  #keepMs: number | undefined
  #call: Carried | undefined
  #error: Error | undefined
  /** Nothing is read. */
  #isHeld = false
  /** Ends the wait for the connection. */
  cancelTimer = () => {}

  constructor(owner: ConnectionOwner, family: 4 | undefined) {
    this.#owner = owner
    this.#reader = new ResponseReader(owner.heads)
    const onread: OnReadOpts = {
      buffer: readBuffer(),
      callback: (length, bytes) => this.#onBytes(bytes as Buffer, length),
    }
    this.#socket = owner.dialer.dial(family, onread, () => this.#onReady())
    this.#socket.on('error', (error) => {
      this.#error ??= error
    })
    this.#socket.on('end', () => this.#onEnd())
    this.#socket.on('close', () => this.#onClose())
  }

  /** It can be used now: nothing is known of an end of it. */
  get isOpen(): boolean {
    return this.isReady && !this.#socket.destroyed && this.#socket.writable
  }

  /** Takes a request, and has it sent once that can be done. */
  carry(call: Carried): void {
    this.#call = call
    this.uses += 1
    this.#reader.reset()
    if (!this.isReady) return
    this.#socket.ref()
    call.onConnected(this)
  }

  /** Sends a request in one piece, unless it is long. */
  write(head: string, body: string | Buffer | undefined, bytes: number): void {
    const socket = this.#socket
    if (body === undefined || bytes === 0) socket.write(head, 'latin1')
    else if (bytes > MAX_JOINED_BYTES) {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      socket.uncork()
    } else if (typeof body !== 'string') socket.write(head + body.toString('latin1'), 'latin1')
    // each character is a byte
    else if (bytes === body.length) socket.write(head + body, 'latin1')
    else socket.write(head + Buffer.from(body).toString('latin1'), 'latin1')
  }

  pause(): void {
    this.#isHeld = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#socket.resume()
  }

  /** Lets go of the request, if there is one, and closes the connection at once. */
  drop(): void {
    this.#call = undefined
    this.#socket.destroy()
  }

  /** Closes the connection, and fails its request. */
  fail(error: Error): void {
    this.#error = error
    this.#socket.destroy()
    // it need not wait for the end of the socket
    this.#tellBroken()
  }

  /** The process may end while the connection is idle. */
  rest(): void {
    this.#socket.unref()
    // whoever paused the answer has it all
    this.resume()
  }

  #onReady(): void {
    this.isReady = true
    this.cancelTimer()
    this.#call?.onConnected(this)
  }

  /** @returns Whether more may be read. */
  #onBytes(bytes: Buffer, length: number): boolean {
    const call = this.#call
    if (call === undefined) {
      // it was not requested: it would be taken for the next answer
      this.#socket.destroy()
      return false
    }
    const reader = this.#reader
    try {
      reader.read(bytes, length)
    } catch (error) {
      this.fail(error as Error)
      return false
    }
    const { head, body, isComplete } = reader
    if (head !== undefined) this.#keepMs = head.keepMs
    if (isComplete) this.#finish(reader.isReusable)
    if (head !== undefined || body !== undefined || isComplete)
      call.onAnswer(head, body, isComplete)
    if (isComplete || !call.paused) return true
    this.#isHeld = true
    return false
  }

  /** The answer is whole: from here on the connection belongs to the pool again. */
  #finish(isReusable: boolean): void {
    this.#call = undefined
    // a request of which a part is unsent was answered too early to go on behind it
    if (isReusable && this.#socket.writableLength === 0) this.#owner.onFree(this, this.#keepMs)
    else this.#socket.destroy()
  }

  #onEnd(): void {
    const call = this.#call
    if (call === undefined || !this.#reader.end()) {
      this.#socket.destroy()
      return
    }
    this.#finish(false)
    call.onAnswer(undefined, undefined, true)
  }

  #onClose(): void {
    this.cancelTimer()
    this.#owner.onGone(this)
    this.#tellBroken()
  }

  #tellBroken(): void {
    const call = this.#call
    this.#call = undefined
    call?.onBroken(this.#error ?? codedError('ECONNRESET'), this)
  }
}
